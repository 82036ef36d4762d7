"""Target mode `runtime`: a double of the Mendix runtime copies the settled source by the settings we give out."""

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyodbc
import pytest
from psycopg import sql

from activities import adoption, cleanup, handover, preflight, schema
from local.postgres import PostgresServer
from orchestrators.handover import prepare_source
from orchestrators.inspect import inspect_data
from orchestrators.verify import verify_rows
from shared import runpaths
from shared.contracts import TableRows
from shared.copying.stage import read_lines
from shared.errors import Finding
from shared.handedout import HandedOut, record
from shared.mendix.handover import Source, environment
from shared.postgres import readers
from shared.postgres.connection import database_name
from shared.settings import settings
from shared.sqlserver import catalogue
from tests.fixtures.httpdouble import serving
from tests.fixtures.runs import new_run
from tests.fixtures.runtimedouble import OTHER_TABLE, RuntimeDouble
from tests.integration.apps.test_app_settings import Cluster
from tests.integration.schema.conftest import Answer, Stand, at_once

SPOILT = (
    "UPDATE [dbo].[customers$party] SET [displayname] = [displayname] + N' ' "
    "WHERE [id] = (SELECT MIN([id]) FROM [dbo].[customers$party] WHERE [displayname] IS NOT NULL)",
    "UPDATE [dbo].[mendixsystem$sequence] SET [current_value] = 1 WHERE [name] LIKE 'orders$order_%'",
    "UPDATE [dbo].[mendixsystem$entityidentifier] SET [short_id] = [short_id] + 1",
    "DELETE FROM [dbo].[tickets$tag] WHERE [id] = (SELECT MIN([id]) FROM [dbo].[tickets$tag])",
)
WITHOUT_COLLATION = {"target_mode": "runtime", "collation": None}


@pytest.fixture
def restored(postgres_server: PostgresServer, sound_template: str) -> Iterator[str]:
    """The sound sample in a database whose name is a run's, with timestamps finer than the target keeps."""
    name = f"run_20261128t200000_{secrets.token_hex(3)}"
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(sound_template)))
        with psycopg.connect(postgres_server.dsn(name)) as inside:
            inside.execute(
                "UPDATE \"orders$order\" SET createddate = createddate + interval '500 microseconds' WHERE id % 3 = 0"
            )
        yield name
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(readers.reader_name(name))))


@pytest.fixture
def ready(stand: Stand, target: pyodbc.Connection) -> Stand:
    """A run in mode `runtime` whose source is prepared and whose target is empty."""
    stand.run = new_run(options=WITHOUT_COLLATION)
    assert no_errors(stand.planned()["findings"])
    return prepared(stand)


def prepared(stand: Stand) -> Stand:
    stand.answer(prepare_source)
    stand.call(handover.empty_target)
    return stand


def no_errors(findings: list[Answer]) -> bool:
    return [one for one in findings if one["severity"] == "error" and not one["chosen"]] == []


def double(stand: Stand, odbc: Callable[[str], str]) -> RuntimeDouble:
    """The double with the settings that the app gives out, password and all."""
    login = readers.make_reader(settings().postgres, stand.database, datetime.now(UTC) + timedelta(hours=1))
    source = Source(settings().postgres, stand.database, login.user, login.password)
    return RuntimeDouble(environment(source.settings()), odbc(stand.target.database))


def verified(stand: Stand) -> tuple[Answer, dict[str, Answer]]:
    """Adopt and verify; returns what was adopted, and all checks by name."""
    adopted = stand.call(adoption.adopt_schema)
    checks = [*adopted["checks"], *stand.answer(verify_rows)["checks"]]
    return adopted, {one["name"]: one for one in checks}


@pytest.mark.slow
def test_what_the_runtime_copies_by_our_settings_is_verified_without_our_copy(
    ready: Stand, target: pyodbc.Connection, sql_server: Any
) -> None:
    before = ready.call(handover.watch_runtime)
    assert (before["tables"], before["rows"], before["complete"], before["app"]) == (0, 0, False, "unknown")
    double(ready, sql_server.odbc).start()
    seen = ready.call(handover.watch_runtime)
    assert seen["complete"], seen
    assert (seen["tables"], seen["rows"]) >= (seen["expected_tables"], seen["expected_rows"])
    adopted, checks = verified(ready)
    assert no_errors(adopted["findings"]), adopted["findings"]
    assert ("NAME_DIFFERS", "orders$category") in {(one["code"], one["object"]) for one in adopted["findings"]}
    assert {name: one["outcome"] for name, one in checks.items()} == {
        "object ids": "passed", "AutoNumbers": "passed", "what a started app changes": "skipped",
        "row counts": "passed", "column aggregates": "passed", "row hash": "passed", "sampled read-back": "skipped",
    }  # fmt: skip
    left_out = checks["what a started app changes"]["detail"]
    for words in ("system$session:", "system$queuedtask:", "mendixsystem$*:", "built-in administrator", "system$filedocument.size:"):  # fmt: skip
        assert words in left_out
    plan = ready.plan()
    assert plan.mode == "runtime"
    assert OTHER_TABLE in {table.name for table in plan.tables}
    assert sum(table.rows for table in plan.tables) == adopted["rows"] > 2_000
    again = ready.call(adoption.adopt_schema)
    assert again == adopted, "a second delivery fits the same plan"
    for statement in SPOILT:
        target.execute(statement)
    _, checks = verified(ready)
    failed = {name: one["detail"] for name, one in checks.items() if one["outcome"] == "failed"}
    assert set(failed) == {"object ids", "AutoNumbers", "row counts", "column aggregates", "row hash"}
    assert "orders$order.ordernumber" in failed["AutoNumbers"]
    assert "tickets$tag" in failed["row counts"]
    assert "customers$party" in failed["row hash"]


@pytest.mark.slow
def test_the_source_is_settled_once_and_has_its_keys(ready: Stand, postgres_server: PostgresServer) -> None:
    query = """
        SELECT (SELECT count(*) FROM "system$session"), (SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'),
               (SELECT count(*) FROM "orders$order" WHERE createddate <> date_trunc('milliseconds', createddate)),
               (SELECT max(createddate) FROM "orders$order")
    """
    with psycopg.connect(postgres_server.dsn(ready.database), autocommit=True) as connection:
        first = connection.execute(query).fetchone() or ()
        assert (first[0], first[1] > 50, first[2]) == (0, True, 0)
        connection.execute("UPDATE \"orders$order\" SET createddate = createddate + interval '700 microseconds'")
        again = ready.answer(prepare_source)
        assert again["findings"] == [], "what was settled is left alone"
        assert (connection.execute(query).fetchone() or ())[2] > 0


@pytest.mark.slow
def test_masks_and_remedies_of_values_are_carried_out_in_the_source(
    stand: Stand, target: pyodbc.Connection, sql_server: Any
) -> None:
    mask = {"table": "customers$party", "column": "displayname", "how": "hash"}
    stand.run = new_run(options=WITHOUT_COLLATION | {"purpose": "rehearsal", "masks": [mask]})
    stand.source(
        'UPDATE "tickets$ticket" SET createddate = \'infinity\' WHERE id = (SELECT min(id) FROM "tickets$ticket")'
    )
    stand.request(options={"remedies": {"DATE_OUT_OF_RANGE": "null"}})
    stand.call(schema.plan_database)
    assert no_errors(stand.answer(inspect_data)["findings"])
    prepared(stand)
    with psycopg.connect(stand.postgres.dsn(stand.database)) as source:
        names = source.execute('SELECT displayname FROM "customers$party" WHERE displayname IS NOT NULL').fetchall()
        assert source.execute("SELECT count(*) FROM \"tickets$ticket\" WHERE createddate = 'infinity'").fetchone() == (
            0,
        )
        assert source.execute('SELECT count(*) FROM "system$queuedtask"').fetchone() == (0,)
    double(stand, sql_server.odbc).start()
    found = {row[0] for row in target.execute("SELECT [displayname] FROM [dbo].[customers$party]").fetchall()}
    assert found - {None} == {name for (name,) in names}
    _, checks = verified(stand)
    assert {one["outcome"] for one in checks.values()} == {"passed", "skipped"}
    told = {
        one.name: one.reason
        for one in read_lines(stand.staging, runpaths.of_run(stand.run.id, runpaths.COPIED), TableRows)
    }
    assert told["customers$party"] == "displayname: masked (hash)", "no plain copy, and the report says so"


def test_a_finding_whose_remedy_changes_the_schema_says_that_this_mode_has_none(
    stand: Stand, target: pyodbc.Connection
) -> None:
    stand.run = new_run(options=WITHOUT_COLLATION)
    stand.source('ALTER TABLE "system$user" DROP CONSTRAINT IF EXISTS "x"')
    stand.source('UPDATE "tickets$tag" SET name = \'same\' WHERE id = (SELECT min(id) FROM "tickets$tag")')
    stand.source('UPDATE "tickets$tag" SET name = \'SAME\' WHERE id = (SELECT max(id) FROM "tickets$tag")')
    stand.call(schema.plan_database)
    (finding,) = [
        Finding.model_validate(one) for one in stand.answer(inspect_data)["findings"] if one["severity"] == "error"
    ]
    assert (finding.code, finding.choices) == ("UNIQUE_COLLISION", [])
    assert '"target_mode": "create"' in finding.remedy


def test_a_target_with_tables_is_refused_or_dropped_once(stand: Stand, target: pyodbc.Connection) -> None:
    stand.run = new_run(options=WITHOUT_COLLATION)
    stand.planned()
    stand.call(handover.plan_settling)
    target.execute("CREATE TABLE [dbo].[old] ([id] bigint)")
    assert stand.refused(handover.empty_target).code == "TARGET_NOT_EMPTY"
    stand.request(target_not_empty="drop", confirm="test")
    first, second = at_once(*[lambda: stand.call(handover.empty_target)] * 2)
    codes = [one["code"] for answer in (first, second) for one in answer["findings"]]
    assert codes.count("TARGET_DROPPED") == 1
    assert target.execute("SELECT name FROM sys.tables").fetchall() == [], "the runtime wants no table of ours either"
    target.execute("CREATE TABLE [dbo].[system$user] ([id] bigint)")
    stand.call(handover.empty_target)
    assert list(catalogue.table_rows(target)) == ["system$user"], "a late delivery does not drop what the runtime made"
    assert catalogue.database_state(target).read_committed_snapshot


def test_a_runtime_that_made_nothing_is_told_apart(stand: Stand, target: pyodbc.Connection) -> None:
    finding = stand.refused(adoption.adopt_schema)
    assert finding.code == "RUNTIME_COPIED_NOTHING"


def test_preflight_says_whether_a_hand_over_is_possible(stand: Stand, target: pyodbc.Connection) -> None:
    stand.run = new_run(options=WITHOUT_COLLATION | {"hand_over": "adapter"})
    found = preflight.preflight(None, {"run": stand.run.model_dump(mode="json")})["findings"]
    codes = {one["code"] for one in found if one["severity"] == "error"}
    assert {"APP_NOT_CONFIGURABLE", "HAND_OVER_NEEDS_STOP"} <= codes
    assert "RUNTIME_LOGIN_IMPOSSIBLE" not in codes


def test_an_adapter_gets_the_settings_once_and_loses_them_when_the_run_fails(
    stand: Stand, target: pyodbc.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster()
    run_id = stand.database.removeprefix("run_").replace("_", "-")
    options = WITHOUT_COLLATION | {"hand_over": "adapter"}
    stand.run = new_run(options=options, stop_target_app=True).model_copy(update={"id": run_id})
    with serving(cluster.reply) as url:
        for name, value in {
            "KIND": "kubernetes",
            "SERVER": url,
            "NAMESPACE": "mx",
            "NAME": "shop",
            "TOKEN": "t",
        }.items():
            monkeypatch.setenv(f"TARGET__TEST__APP__{name}", value)
        settings.cache_clear()
        assert handover.check_hand_over(stand.run.request) == []
        stand.planned()
        stand.call(handover.plan_settling)
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        assert stand.call(handover.hand_over_settings, until=until) == {"app": "stopped"}
        given = cluster.seen_by_the_container()
        stand.call(handover.hand_over_settings, until=until)
        assert cluster.seen_by_the_container() == given, "a second delivery makes no new password"
        with RuntimeDouble(given, "").source() as connection:
            assert connection.execute("SELECT current_database()").fetchone() == (stand.database,)
        cluster.replicas = 1
        done = cleanup.clean_up(None, {"run": stand.run.model_dump(mode="json"), "verdict": "failed"})["done"]
    assert "Stopped the app and took its SourceDatabase settings away." in done
    assert (cluster.replicas, cluster.secrets) == (0, {})
    assert list(cluster.seen_by_the_container()) == ["M2EE_ADMIN_PASS"]


def test_the_login_ends_with_the_run_also_when_everything_else_is_kept(stand: Stand, target: pyodbc.Connection) -> None:
    server = settings().postgres
    run_id = stand.database.removeprefix("run_").replace("_", "-")
    stand.run = new_run(options=WITHOUT_COLLATION | {"cleanup": "keep"}).model_copy(update={"id": run_id})
    run = stand.run.model_dump(mode="json")
    assert database_name(run_id) == stand.database
    readers.make_reader(server, stand.database, datetime.now(UTC) + timedelta(hours=1))
    record(run_id, HandedOut(by="Ada", at=datetime.now(UTC)))
    handed, reminder = handover.take_settings_back(None, {"run": run})["findings"]
    assert (handed["code"], "Ada" in handed["examples"][0]) == ("SOURCE_PASSWORD_HANDED_OUT", True)
    assert (reminder["code"], "SourceDatabasePassword" in reminder["message"]) == ("SOURCE_SETTINGS_TO_REMOVE", True)
    done = cleanup.clean_up(None, {"run": run, "verdict": "aborted"})["done"]
    assert any("Dropped the login" in one for one in done), done
    assert any("Kept" in one for one in done), done
    assert stand.database not in readers.readers(server)
