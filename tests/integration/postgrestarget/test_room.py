"""Making room on the target: refused unless confirmed, exactly what is in the way, once."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from activities.application import look_for_sessions
from activities.cleanup import clean_up
from activities.preflight import preflight
from local.postgres import PostgresServer
from orchestrators.postgrestarget import load_postgres, plan_postgres
from shared import runs
from shared.errors import Finding
from shared.postgres import targetchecks
from shared.settings import settings
from tests.integration.postgrestarget.conftest import Stand, fresh_database

OLD = """
    CREATE TABLE "shop$customer" (id bigint PRIMARY KEY, old text);
    CREATE TABLE "old$order" (id serial PRIMARY KEY, customer bigint REFERENCES "shop$customer");
    CREATE SEQUENCE "old$sequence";
    CREATE VIEW "old view" AS SELECT * FROM "shop$customer";
    CREATE SCHEMA kept;
    CREATE TABLE kept.treasure (id int);
    INSERT INTO kept.treasure VALUES (1);
"""


def checked() -> dict[str, Finding]:
    return {one.code: one for one in targetchecks.check_target(settings().target_profile("test"))}


@pytest.fixture
def occupied(stand: Stand) -> Stand:
    stand.execute(OLD)
    return stand


def test_an_empty_target_is_fit(stand: Stand) -> None:
    assert {one.severity for one in checked().values()} == {"info"}
    assert stand.role in checked()["TARGET_OWNER"].message


def test_a_target_that_is_not_empty_is_refused_before_and_at_the_write(occupied: Stand) -> None:
    finding = checked()["TARGET_NOT_EMPTY"]
    assert (finding.severity, finding.count) == ("error", 5)
    assert "2 tables" in finding.message
    occupied.drive(plan_postgres)
    refused = occupied.refused("create_postgres_schema")
    assert refused.code == "TARGET_NOT_EMPTY"
    assert occupied.rows('SELECT count(*) FROM "shop$customer"') == [(0,)]


def test_with_drop_what_is_in_the_way_is_dropped_and_nothing_else(occupied: Stand) -> None:
    occupied.request(target_not_empty="drop", confirm="test")
    occupied.drive(plan_postgres)
    (finding,) = occupied.call("create_postgres_schema")["findings"]
    assert (finding["code"], finding["count"]) == ("TARGET_DROPPED", 5)
    assert occupied.rows("SELECT id FROM kept.treasure") == [(1,)]
    assert occupied.rows("SELECT to_regclass('\"old$order\"'), to_regclass('\"old$sequence\"')") == [(None, None)]


def test_a_second_delivery_drops_nothing_of_what_the_first_made(occupied: Stand) -> None:
    occupied.request(target_not_empty="drop", confirm="test")
    occupied.drive(plan_postgres)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: occupied.call("create_postgres_schema"), range(2))
    assert first == second
    rows = occupied.drive(load_postgres)["rows"]
    assert occupied.call("create_postgres_schema") == first
    assert occupied.drive(load_postgres)["rows"] == rows
    assert occupied.rows('SELECT count(*) FROM "shop$customer"') == [(3_000,)]


def test_what_others_made_to_depend_on_it_keeps_it_from_being_dropped(occupied: Stand) -> None:
    occupied.execute('CREATE VIEW kept.view AS SELECT * FROM "shop$customer"')
    occupied.request(target_not_empty="drop", confirm="test")
    occupied.drive(plan_postgres)
    refused = occupied.refused("create_postgres_schema")
    assert refused.code == "TARGET_NOT_DROPPED"
    assert occupied.rows("SELECT count(*) FROM kept.view") == [(0,)]


def test_the_ledger_of_a_run_before_does_not_count(stand: Stand) -> None:
    stand.restore()
    runs.close(stand.run.id)
    stand.run = stand.run.model_copy(update={"id": "20990101t000000-abcdef"})
    stand.give(stand.staging.download_blob(stand.snapshot.dump.blob).readall())
    stand.request(target_not_empty="drop", confirm="test")
    assert stand.restore()["rows"] > 3_000
    assert stand.rows("SELECT id FROM mxferry.run") == [("20990101t000000-abcdef",)]


def test_a_database_where_another_run_is_at_work_is_left_alone(stand: Stand) -> None:
    stand.restore()
    other = stand.run.id
    stand.run = stand.run.model_copy(update={"id": "20990101t000000-abcdef"})
    stand.give(stand.staging.download_blob(f"runs/{other}/snapshot.dump").readall())
    stand.request(target_not_empty="drop", confirm="test")
    stand.drive(plan_postgres)
    refused = stand.refused("create_postgres_schema")
    assert (refused.code, refused.object) == ("TARGET_BUSY", other)
    assert stand.rows('SELECT count(*) FROM "shop$customer"') == [(3_000,)]


def test_clean_up_takes_our_schema_off_and_leaves_the_temporary_server_alone(stand: Stand) -> None:
    stand.restore()
    work = {"restore": None, "verdict": "verified", "target_written": True}
    answer = _cleaned(stand, work)
    assert answer["findings"] == []
    assert "schema mxferry" in " ".join(answer["done"])
    assert stand.rows("SELECT to_regnamespace('mxferry')") == [(None,)]
    assert stand.rows('SELECT count(*) FROM "shop$order"') == [(3_000,)]
    assert _cleaned(stand, work)["findings"] == []


def _cleaned(stand: Stand, work: dict[str, object]) -> dict[str, list[str]]:
    return clean_up(None, stand.run_work | work)


def test_others_on_the_target_are_told_with_program_and_login(stand: Stand) -> None:
    with psycopg.connect(stand.dsn, application_name="Mendix"):
        finding = checked()["TARGET_IN_USE"]
    assert (finding.severity, finding.examples) == ("warning", [f"1 × Mendix as {stand.role}"])


def test_before_it_is_written_others_on_the_target_are_an_error_unless_the_request_accepts_them(stand: Stand) -> None:
    assert look_for_sessions(None, stand.run_work) == {"findings": []}
    with psycopg.connect(stand.dsn, application_name="Mendix"):
        (finding,) = look_for_sessions(None, stand.run_work)["findings"]
        assert (finding["code"], finding["severity"], finding["count"]) == ("TARGET_IN_USE", "error", 1)
        stand.request(options={"remedies": {"TARGET_IN_USE": "accept"}})
        (finding,) = look_for_sessions(None, stand.run_work)["findings"]
        assert (finding["severity"], finding["chosen"]) == ("warning", "accept")


def test_rights_that_lack_are_named_with_the_statements_that_give_them(
    stand: Stand, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_database(postgres_server) as other:
        monkeypatch.setenv("TARGET__TEST__POSTGRES__DATABASE", other)
        settings.cache_clear()
        finding = checked()["TARGET_NO_RIGHT"]
    assert f'GRANT CREATE ON DATABASE "{other}" TO "{stand.role}"' in finding.remedy
    assert "SCHEMA public" in finding.remedy


def test_a_superuser_is_warned_of(
    stand: Stand, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "TARGET_SUPERUSER" not in checked()
    monkeypatch.setenv("TARGET__TEST__POSTGRES__USER", postgres_server.user)
    monkeypatch.setenv("TARGET__TEST__POSTGRES__PASSWORD", postgres_server.password)
    settings.cache_clear()
    assert checked()["TARGET_SUPERUSER"].severity == "warning"


def test_an_encoding_that_is_not_utf8_is_an_error(
    stand: Stand, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
    with fresh_database(postgres_server, options=options) as other:
        monkeypatch.setenv("TARGET__TEST__POSTGRES__DATABASE", other)
        settings.cache_clear()
        assert checked()["TARGET_ENCODING"].severity == "error"


def test_a_target_that_cannot_be_reached_is_a_finding_without_the_password(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGET__TEST__POSTGRES__PASSWORD", "wrong-password")
    settings.cache_clear()
    (finding,) = checked().values()
    assert (finding.code, finding.severity) == ("TARGET_UNREACHABLE", "error")
    assert "wrong-password" not in finding.model_dump_json()


def test_preflight_asks_the_target_and_never_the_temporary_server(stand: Stand) -> None:
    codes = {one["code"] for one in preflight(None, stand.run_work)["findings"]}
    assert "TARGET_OWNER" in codes
    assert not {code for code in codes if code.startswith(("TEMP_SERVER", "POSTGRES_"))}


def test_everything_that_is_made_belongs_to_the_owner_that_the_profile_names(
    stand: Stand, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = f"{stand.role} owner"
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(f'CREATE ROLE "{owner}"; GRANT "{owner}" TO "{stand.role}"')
        database = stand.dsn.rpartition("/")[2]
        connection.execute(f'ALTER DATABASE "{database}" OWNER TO "{owner}"')
    monkeypatch.setenv("TARGET__TEST__POSTGRES__OWNER", owner)
    settings.cache_clear()
    try:
        assert owner in checked()["TARGET_OWNER"].message
        stand.restore()
        assert {one["outcome"] for one in stand.verify()["checks"]} == {"passed", "skipped"}
        found = stand.rows("SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname IN ('public', 'mxferry')")
        assert found == [(owner,)]
    finally:
        with psycopg.connect(postgres_server.dsn(database), autocommit=True) as connection:
            connection.execute(f'DROP OWNED BY "{owner}" CASCADE; ALTER DATABASE "{database}" OWNER TO "{stand.role}"')
            connection.execute(f'DROP ROLE "{owner}"')
