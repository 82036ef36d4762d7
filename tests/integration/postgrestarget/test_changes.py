"""A rehearsal's masks, a load that dies, and what dump and target have to say to each other before anything is written."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from activities import postgresplan
from local.postgres import PostgresServer
from orchestrators.postgrestarget import plan_postgres
from shared.contracts import DumpRef
from shared.copying import batches
from shared.databaseplan import PlannedColumn
from shared.masking import key_of, session_settings
from shared.mendix.masks import expression
from shared.postgres import targetcatalogue
from shared.request import Mask
from shared.snapshot import dumpsource
from shared.snapshot.restoring import TableData
from tests.integration.postgrestarget.conftest import BY_NAME, Stand, dump, fresh_database
from tests.integration.postgrestarget.shop import METADATA

MASKS = [
    {"table": "shop$customer", "column": "name", "how": "name"},
    {"table": "shop$customer", "column": "email", "how": "email"},
    {"table": "shop$customer", "column": "notes", "how": "hash"},
    {"table": "shop$customer", "column": "photo", "how": "blank"},
]


def test_masked_values_arrive_masked_and_the_proof_expects_them(
    stand: Stand, postgres_server: PostgresServer, shop_database: str
) -> None:
    stand.request(options={"purpose": "rehearsal", "masks": MASKS})
    stand.restore()
    assert {one["outcome"] for one in stand.verify()["checks"]} == {"passed", "skipped"}
    wanted = ", ".join(_expression(one) for one in MASKS)
    with psycopg.connect(postgres_server.dsn(shop_database)) as source:
        for name, half in session_settings(key_of(stand.run.id)).items():
            source.execute("SELECT set_config(%s, %s, false)", (name, half))
        expected = source.execute(f'SELECT id, {wanted}, born FROM "shop$customer" ORDER BY id'.encode()).fetchall()
    assert stand.rows('SELECT id, name, email, notes, photo, born FROM "shop$customer" ORDER BY id') == expected
    stand.execute("UPDATE \"shop$customer\" SET email = 'ann5@shop.example' WHERE id = 5")
    (finding,) = stand.verify()["findings"]
    assert finding["examples"] == ["id 5: differs in email"]


def _expression(mask: dict[str, str]) -> str:
    types = {"name": "nvarchar(100)", "email": "nvarchar(200)", "notes": "nvarchar(max)", "photo": "varbinary(max)"}
    name = mask["column"]
    column = PlannedColumn(name=name, source_name=name, source_type="bytea", type=types[name])
    return expression(Mask.model_validate(mask), column)


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        ({"table": "shop$customer", "column": "nme"}, "there is no such column"),
        ({"table": "shop$customer", "column": "balance"}, "masks strings"),
        ({"table": "shop$customer", "column": "code"}, "needs 8 characters, the column has 5"),
        ({"table": "shop$customer", "column": "id", "how": "blank"}, "may not be NULL"),
    ],
)
def test_a_mask_that_cannot_be_is_an_error_before_anything_is_written(
    stand: Stand, mask: dict[str, str], why: str
) -> None:
    stand.request(options={"purpose": "rehearsal", "masks": [mask]})
    finding = stand.findings(stand.drive(plan_postgres))["MASK_IMPOSSIBLE"]
    assert finding.severity == "error"
    assert why in finding.message


def test_a_cut_over_carries_the_data_as_it_is_so_masks_are_refused(stand: Stand) -> None:
    stand.request(options={"masks": MASKS[:1]})
    assert "rehearsals" in stand.findings(stand.drive(plan_postgres))["MASK_IMPOSSIBLE"].message


def test_a_load_that_dies_leaves_nothing_and_the_next_one_all(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.drive(plan_postgres)
    stand.call("create_postgres_schema")
    read = dumpsource.table_text

    def cut_off(ref: DumpRef, table: TableData, meter: dumpsource.Meter) -> Iterator[bytes]:
        for number, piece in enumerate(read(ref, table, meter)):
            if table.table == "shop$customer":
                yield piece[: piece.rindex(b"\n") + 1] if number == 0 else piece
                raise ConnectionResetError("the staging account went away")
            yield piece

    monkeypatch.setattr(batches, "table_text", cut_off)
    with pytest.raises(Exception, match="went away"):
        _load_all(stand)
    assert stand.rows('SELECT count(*) FROM "shop$customer"') == [(0,)]
    monkeypatch.setattr(batches, "table_text", read)
    _load_all(stand)
    assert stand.rows('SELECT count(*) FROM "shop$customer"') == [(3_000,)]


def _load_all(stand: Stand) -> None:
    for batch in range(BY_NAME["postgres_batches"](None, stand.run_work)["batches"]):
        stand.call("load_postgres_tables", batch=batch)


def test_options_of_sql_server_are_said_to_have_no_effect(stand: Stand) -> None:
    stand.request(options={"collation": "Latin1_General_100_CS_AS", "max_rejects": 3, "remedies": {"X": "y"}})
    answer = stand.drive(plan_postgres)
    found = {one["object"] for one in answer["findings"] if one["code"] == "OPTION_WITHOUT_EFFECT"}
    assert found == {"options.collation", "options.max_rejects", "options.remedies"}


def test_a_target_older_than_the_dumps_server_is_an_error(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = stand.snapshot.dump.server_version
    major = int(newer.split(".")[0]) + 1
    read = dumpsource.open_dump

    monkeypatch.setattr(postgresplan, "open_dump", lambda ref: replace(read(ref), server_version=f"{major}.1"))
    finding = stand.findings(stand.drive(plan_postgres))["TARGET_OLDER"]
    assert (finding.severity, f"PostgreSQL {major} or newer" in finding.message) == ("error", True)


@pytest.fixture
def with_extension(
    stand: Stand, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    """The dump of a database with an extension that an index needs."""
    with fresh_database(postgres_server) as name:
        with psycopg.connect(postgres_server.dsn(name)) as connection:
            connection.execute(METADATA.encode())
            connection.execute("CREATE EXTENSION pgcrypto")
            connection.execute(
                'CREATE TABLE "shop$coin" (id bigint PRIMARY KEY, mark uuid DEFAULT public.gen_random_uuid())'
            )
        stand.give(dump(postgres_server, name, tmp_path_factory.mktemp("dump")))
    yield stand


def test_an_extension_that_the_target_offers_is_made(with_extension: Stand) -> None:
    with_extension.restore()
    assert with_extension.rows("SELECT extname::text FROM pg_extension ORDER BY 1") == [("pgcrypto",), ("plpgsql",)]


def test_an_extension_that_the_target_does_not_offer_is_said_beforehand(
    with_extension: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_built_in(_: psycopg.Connection[Any]) -> tuple[set[str], set[str]]:
        return {"plpgsql"}, {"plpgsql"}

    monkeypatch.setattr(targetcatalogue, "extensions", only_built_in)
    answer = with_extension.drive(plan_postgres)
    found = {one["code"]: one for one in answer["findings"] if one["object"] == "pgcrypto"}
    assert set(found) <= {"EXTENSION_MISSING", "EXTENSION_LEFT_OUT"}
    assert len(found) == 1


def test_only_extensions_that_azure_lists_can_be_made(stand: Stand, postgres_server: PostgresServer) -> None:
    database = stand.dsn.rpartition("/")[2]
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        setting = sql.SQL("ALTER DATABASE {} SET azure.extensions = 'CITEXT, pg_trgm'")
        connection.execute(setting.format(sql.Identifier(database)))
    with psycopg.connect(stand.dsn) as connection:
        installed, available = targetcatalogue.extensions(connection)
    assert installed == {"plpgsql"}
    assert available <= {"plpgsql", "citext", "pg_trgm"}
