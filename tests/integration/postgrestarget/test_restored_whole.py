"""A Mendix dump straight into a PostgreSQL target: everything of it is there, nothing converted, nothing twice."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from local.postgres import PostgresServer
from orchestrators.postgrestarget import finish_postgres, load_postgres, plan_postgres, verify_postgres
from tests.fixtures import driving
from tests.integration.postgrestarget.conftest import BY_NAME, Stand
from tests.integration.postgrestarget.shop import CHANGED, EMPTIED, ROWS

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
COLUMNS = """
    SELECT attrelid::regclass::text, attname::text, format_type(atttypid, atttypmod), attnotnull
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 ORDER BY 1, attnum
"""
KEYS = """
    SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), convalidated FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
SEQUENCES = (
    "SELECT sequencename::text, last_value, start_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
)


def asked(dsn: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement.encode()).fetchall()


def text_of(dsn: str, table: str) -> bytes:
    query = f'COPY (SELECT * FROM public."{table}" AS t ORDER BY t::text) TO STDOUT'
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor, cursor.copy(query.encode()) as copy:
        return b"".join(bytes(piece) for piece in copy)


@pytest.fixture
def source(postgres_server: PostgresServer, shop_database: str) -> str:
    return postgres_server.dsn(shop_database)


def twice(activity: Callable[..., Any]) -> Callable[..., Any]:
    def run(context: object, payload: object) -> Any:
        with ThreadPoolExecutor(2) as pool:
            first, _ = pool.map(lambda _: activity(context, payload), range(2))
            return first

    return run


def outcomes(answer: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {one["name"]: one["outcome"] for one in answer["checks"]}


def test_the_target_is_the_source_and_the_proof_says_so(stand: Stand, source: str) -> None:
    loaded = stand.restore()
    proof = stand.verify()
    assert outcomes(proof) == {
        "row counts": "passed", "row contents": "passed", "column aggregates": "skipped", "sequences": "passed",
        "keys and indexes": "passed",
    }  # fmt: skip
    assert proof["findings"] == []
    assert "another order" not in json.dumps(proof)
    tables = {str(name) for (name,) in asked(source, TABLES)}
    assert {name for (name,) in stand.rows(TABLES)} == tables
    for table in tables - CHANGED:
        assert text_of(stand.dsn, table) == text_of(source, table), table
    for statement in (COLUMNS, KEYS, INDEXES, SEQUENCES):
        assert stand.rows(statement) == asked(source, statement)
    assert loaded["tables"] == len(tables) - len(EMPTIED)
    assert loaded["rows"] == sum(len(text_of(stand.dsn, table).splitlines()) for table in tables)


@pytest.mark.usefixtures("in_the_smallest_steps")
def test_a_table_is_compared_in_order_in_as_many_calls_as_it_takes(stand: Stand) -> None:
    stand.restore()
    stand.statuses.clear()
    calls: list[tuple[str, Any]] = []
    answer = driving.drive(verify_postgres, stand.work, stand.statuses, calls)
    assert outcomes(answer)["row contents"] == "passed"
    assert "another order" not in json.dumps(answer)
    steps = [payload["step"] for name, payload in calls if name == "verify_postgres_tables" and "step" in payload]
    assert len(steps) > 13, "12 tables, the largest of them in parts"
    done = [one["done"]["bytes"] for one in stand.statuses]
    assert done == sorted(done)
    assert done[-1] == stand.statuses[-1]["total"]["bytes"]


def test_what_belongs_to_the_source_environment_does_not_arrive(stand: Stand) -> None:
    stand.restore()
    for table in EMPTIED:
        assert stand.rows(f'SELECT count(*) FROM "{table}"') == [(0,)]
    assert stand.rows('SELECT count(*), count("shop$cart_session") FROM "shop$cart"') == [(40, 0)]
    assert stand.rows('SELECT key FROM "mendixsystem$properties"') == [("MxAdminUserName",)]
    tables = {one["name"]: one for one in _staged(stand, "copy/tables.ndjson")}
    assert (tables["system$session"]["content"], tables["system$session"]["rows_source"]) == ("empty", 20)
    assert "System.Session" in tables["shop$cart"]["reason"]
    counted = [tables["mendixsystem$properties"][what] for what in ("rows_source", "rows_copied", "left_out")]
    assert counted == [2, 1, 1], "a row that the run leaves out is counted where it was read"


def test_an_app_can_go_on_numbering_rows_where_the_source_ended(stand: Stand) -> None:
    stand.restore()
    stand.execute("INSERT INTO \"shop$ticket\" (name) VALUES ('three')")
    assert stand.rows('SELECT id, old FROM "shop$ticket" ORDER BY id') == [(1, 1), (2, 2), (3, 3)]


def test_the_statistics_of_the_planner_are_there(stand: Stand) -> None:
    stand.restore()
    assert stand.rows("SELECT reltuples::int FROM pg_class WHERE relname = 'shop$customer'") == [(ROWS,)]


def test_the_plan_says_what_will_be_made_before_anything_is(stand: Stand) -> None:
    answer = stand.drive(plan_postgres)
    assert (answer["tables"], answer["sequences"], answer["keys"]) == (14, 4, 17)
    assert (answer["model_version"], answer["runtime_version"]) == ("1.4.2.77", "9.18.4.62522")
    found = stand.findings(answer)
    assert found["NOT_CARRIED_OVER"].examples == ["VIEW public.a view"]
    assert found["NOT_CARRIED_OVER"].severity == "warning"
    script = stand.reports.download_blob(answer["ddl_blob"]).readall().decode()
    order = [
        'CREATE TABLE public."shop$customer"',
        'COPY "public"."shop$customer"',
        "pg_catalog.setval",
        "PRIMARY KEY",
        "FOREIGN KEY",
    ]
    assert [script.index(one) for one in order] == sorted(script.index(one) for one in order)
    assert 'public."system$session" stays empty: sessions' in script.replace(
        "public.system$session", 'public."system$session"'
    )
    assert re.search(r"rows with key Mendix\.Runtime\.DeploymentID left out", script)
    assert stand.rows(TABLES) == []


def test_every_activity_delivered_twice_at_once_changes_nothing(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "ACTIVITIES", {name: twice(one) for name, one in BY_NAME.items()})
    stand.drive(plan_postgres)
    driving.ACTIVITIES["create_postgres_schema"](None, stand.work)
    loaded = stand.drive(load_postgres)
    stand.drive(finish_postgres)
    assert loaded["rows"] == stand.drive(load_postgres)["rows"]
    assert set(outcomes(stand.verify()).values()) == {"passed", "skipped"}


def _staged(stand: Stand, name: str) -> list[dict[str, object]]:
    text = stand.staging.download_blob(f"runs/{stand.run.id}/{name}").readall().decode()
    return [json.loads(line) for line in text.splitlines()]
