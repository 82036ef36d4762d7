"""Room for a database is looked for before it is made: of Azure, of the settings; and what is said where there is none."""

import secrets
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from local.postgres import PostgresServer
from shared.contracts import DumpRef
from shared.errors import Finding
from shared.postgres.connection import connect
from shared.postgres.storage import GIB, USED, Need, check_room, need_of
from shared.settings import Postgres, TemporaryPostgres
from tests.fixtures.appsettings import NO_POSTGRES, set_settings, staging_settings, target_settings
from tests.fixtures.armdouble import POSTGRES_ID, ArmDouble
from tests.fixtures.postgres import settings_of


@pytest.fixture
def arm(azurite: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArmDouble]:
    with ArmDouble() as double:
        staging, target = staging_settings(azurite, "staging"), target_settings("TEST", azurite, "files")
        set_settings(monkeypatch, staging, NO_POSTGRES, target, {"MANAGEMENT_URL": double.url})
        yield double


@pytest.fixture
def flexible(postgres_server: PostgresServer) -> Postgres:
    """A real server, of which ARM's double says that it is a flexible one."""
    fields = settings_of(postgres_server).model_dump()
    return TemporaryPostgres(**fields, resource_id=POSTGRES_ID)


def looked(server: Postgres, gib: float, *, estimate: bool = False, **more: Any) -> list[Finding]:
    with connect(server, autocommit=True) as connection:
        need = Need(int(gib * GIB), "what the test says", estimate)
        return check_room(connection, server, "TEMP_ROOM", need, database="run_x", **more)


def dump(compression: str = "gzip") -> DumpRef:
    fields = {"blob": "b", "offset": 0, "size": 1000, "format": "1.16", "server_version": "17", "dump_version": "17"}
    return DumpRef.model_validate(fields | {"compression": compression})


def test_the_source_says_how_large_its_database_is_and_the_log_comes_on_top() -> None:
    need = need_of({"databaseSize": "1000000"}, dump())
    assert (need.bytes, need.estimate) == (1_300_000, False)


@pytest.mark.parametrize(("compression", "wanted"), [("none", 1950), ("gzip", 7800), ("zstd", 7800)])
@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"databaseSize": ""},
        {"databaseSize": "0"},
        {"databaseSize": "?"},
        {"databaseSize": "²"},
        {"databaseSize": "9" * 5000},
    ],
)
def test_of_a_bare_dump_it_is_estimated_and_that_is_said(
    metadata: dict[str, str], compression: str, wanted: int
) -> None:
    need = need_of(metadata, dump(compression))
    assert (need.bytes, need.estimate) == (wanted, True)
    assert "an estimate from 1,000 bytes of dump" in need.reckoned


def test_a_flexible_server_with_room_enough_is_worth_no_word(arm: ArmDouble, flexible: Postgres) -> None:
    assert looked(flexible, 20) == []


def test_a_flexible_server_without_room_that_does_not_grow_is_an_error_with_both_numbers(
    arm: ArmDouble, flexible: Postgres
) -> None:
    arm.storage["autoGrow"] = "Disabled"
    (found,) = looked(flexible, 40)
    assert (found.code, found.severity) == ("TEMP_ROOM", "error")
    assert f"expected {40 * GIB:,} bytes free (what the test says)" in found.message
    assert f"of {27 * GIB:,} that may be filled" in found.message, "5 of 32 GiB are Azure's: it turns read-only there"
    assert "auto-grow" in found.remedy


def test_one_that_grows_is_a_warning(arm: ArmDouble, flexible: Postgres) -> None:
    (found,) = looked(flexible, 40)
    assert found.severity == "warning"
    assert "auto-grow is on" in found.message


def test_an_estimate_refuses_nobody(arm: ArmDouble, flexible: Postgres) -> None:
    arm.storage["autoGrow"] = "Disabled"
    (found,) = looked(flexible, 40, estimate=True)
    assert found.severity == "warning"


def test_what_azure_does_not_tell_is_said_and_keeps_nobody(arm: ArmDouble, flexible: Postgres) -> None:
    arm.forbidden = True
    (found,) = looked(flexible, 40)
    assert (found.code, found.severity) == ("TEMP_ROOM", "info")
    assert "Azure did not tell the server's storage" in found.message


def test_of_any_other_server_the_setting_tells_the_storage(postgres_server: PostgresServer) -> None:
    server = settings_of(postgres_server)
    (found,) = looked(server, 1)
    assert found.severity == "info"
    assert "STORAGE_GB" in found.remedy
    assert looked(server.model_copy(update={"storage_gb": 100}), 50) == []
    (found,) = looked(server.model_copy(update={"storage_gb": 1}), 1)
    assert found.severity == "error"
    assert looked(server.model_copy(update={"storage_gb": 1}), 1, given_back=2 * GIB) == []


def test_every_database_that_we_may_see_is_in_use_and_our_own_is_not(
    postgres_server: PostgresServer, database: str
) -> None:
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        (everything,) = connection.execute(USED, ("run_x",)).fetchone() or (0,)
        (others,) = connection.execute(USED, (database,)).fetchone() or (0,)
        (own,) = connection.execute("SELECT pg_database_size(%s)", (database,)).fetchone() or (0,)
        assert everything - others == own > 0
        name = f"guest_{secrets.token_hex(3)}"
        connection.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'guest'")
        try:
            connection.execute(f"SET ROLE {name}")
            assert connection.execute(USED, ("run_x",)).fetchone() == (others,)
        finally:
            connection.execute(f"RESET ROLE; DROP ROLE {name}")
