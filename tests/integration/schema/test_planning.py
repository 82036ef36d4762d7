"""The plan, made from a real restored sample: with and without keys in the temporary database."""

import functools
import hmac
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from local.postgres import PostgresServer
from shared.copying.reading import select_sql, where_sql
from shared.databaseplan import DatabasePlan
from shared.errors import Refusal
from shared.masking import session_settings
from shared.mendix.planning import plan_database
from shared.request import Mask, Options
from shared.sqlserver.ddl import script
from tests.integration.schema.restored import read_only, restore, scratch

RUN = "20261122t211500-abcdef"


@pytest.fixture(scope="module")
def restored(postgres_server: PostgresServer, sample_dump: Path) -> Iterator[str]:
    with scratch(postgres_server, "planning") as name:
        restore(postgres_server, name, sample_dump)
        yield name


def plan_of(server: PostgresServer, database: str, **options: object) -> DatabasePlan:
    connect = functools.partial(read_only, server, database)
    return plan_database(connect, RUN, Options.model_validate(options)).plan


def test_keys_are_the_same_whether_the_restore_made_them_or_only_kept_their_statements(
    postgres_server: PostgresServer, restored: str, sample_dump: Path
) -> None:
    without_keys = plan_of(postgres_server, restored)
    with scratch(postgres_server, "planning_keys") as name:
        restore(postgres_server, name, sample_dump, keys=True)
        with_keys = plan_of(postgres_server, name)
    for table in with_keys.tables:
        other = without_keys.table(table.name)
        for part in ("columns", "primary_key", "indexes", "foreign_keys"):
            assert getattr(other, part) == getattr(table, part), f"{table.name}.{part}"
    assert sum(len(table.indexes) for table in with_keys.tables) > 20
    assert sum(len(table.foreign_keys) for table in with_keys.tables) > 0


def test_planning_leaves_nothing_behind(postgres_server: PostgresServer, restored: str) -> None:
    plan_of(postgres_server, restored)
    with psycopg.connect(postgres_server.dsn(restored)) as connection:
        schemas = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'mxferry%'").fetchall()
    assert schemas == [("mxferry",)]


def test_planning_works_on_a_database_that_was_made_read_only(postgres_server: PostgresServer, restored: str) -> None:
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {restored} SET default_transaction_read_only = on")
    try:
        assert plan_of(postgres_server, restored).table("system$user").primary_key is not None
    finally:
        with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {restored} RESET default_transaction_read_only")


def test_every_table_has_a_primary_key_and_its_counted_rows(postgres_server: PostgresServer, restored: str) -> None:
    plan = plan_of(postgres_server, restored)
    with psycopg.connect(postgres_server.dsn(restored)) as connection:
        for table in plan.tables:
            assert table.primary_key is not None, table.name
            where = where_sql(table.where)
            row = connection.execute(f'SELECT count(*) FROM public."{table.source_name}"{where}'.encode()).fetchone()
            assert row == (table.rows,), table.name
    assert sum(table.rows for table in plan.tables) > 2000


def test_the_runtimes_own_metadata_tables_have_the_types_the_runtime_gives_them(
    postgres_server: PostgresServer, restored: str
) -> None:
    plan = plan_of(postgres_server, restored)
    types = {column.name: column.type for column in plan.table("mendixsystem$entity").columns}
    assert types["id"] == "nvarchar(36)"
    assert types["entity_name"] == "nvarchar(511)"
    assert types["remote"] == "bit"
    types = {column.name: column.type for column in plan.table("mendixsystem$entityidentifier").columns}
    assert (types["short_id"], types["object_sequence"]) == ("smallint", "bigint")
    types = {column.name: column.type for column in plan.table("mendixsystem$version").columns}
    assert types["lastsyncdate"] == "datetime2(3)"


def test_sequences_are_read_with_the_last_number_used(postgres_server: PostgresServer, restored: str) -> None:
    table = plan_of(postgres_server, restored).table("mendixsystem$sequence")
    with psycopg.connect(postgres_server.dsn(restored)) as connection:
        rows = connection.execute(select_sql(table, "").encode()).fetchall()
        names = [column.name for column in table.columns]
        values = {row[names.index("name")]: row[names.index("current_value")] for row in rows}
        assert len(values) >= 5
        for name, value in values.items():
            native = connection.execute(f'SELECT last_value, is_called FROM public."{name}"'.encode()).fetchone()
            assert native is not None
            assert value == (native[0] if native[1] else native[0] - 1) > 0


def test_volatile_tables_stay_empty_and_a_rehearsal_empties_queued_work(
    postgres_server: PostgresServer, restored: str
) -> None:
    cutover = plan_of(postgres_server, restored)
    rehearsal = plan_of(postgres_server, restored, purpose="rehearsal")
    assert cutover.table("system$session").content == "empty"
    assert cutover.table("system$session_user").content == "empty"
    assert cutover.table("system$queuedtask").content == "copy"
    assert rehearsal.table("system$queuedtask").content == "empty"
    assert cutover.table("system$user").content == "copy"


def test_a_mask_is_an_hmac_under_the_sessions_key_keeps_null_and_fits_the_column(
    postgres_server: PostgresServer, restored: str
) -> None:
    masks = [Mask(table="customers$party", column=name, how=how) for name, how in MASKED.items()]  # type: ignore[arg-type]
    plan = plan_of(postgres_server, restored, purpose="rehearsal", masks=[mask.model_dump() for mask in masks])
    table = plan.table("customers$party")
    plain = plan_of(postgres_server, restored).table("customers$party")
    names = [column.name for column in table.columns]
    with psycopg.connect(postgres_server.dsn(restored)) as connection:
        with pytest.raises(psycopg.errors.UndefinedObject, match=r"mxferry\.mask"), connection.transaction():
            connection.execute(select_sql(table, "").encode())
        for name, half in session_settings(b"the key").items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, half))
        before = connection.execute(select_sql(plain, "").encode() + b" ORDER BY id").fetchall()
        after = connection.execute(select_sql(table, "").encode() + b" ORDER BY id").fetchall()
    for name in MASKED:
        at = names.index(name)
        changed = {(old[at], new[at]) for old, new in zip(before, after, strict=True)}
        assert all((old is None) == (new is None) for old, new in changed)
        assert all(old != new for old, new in changed if old is not None)
        assert len({old for old, _ in changed}) == len(changed)
    at = names.index("phone")
    assert {(old[at], new[at]) for old, new in zip(before, after, strict=True)} == {
        (old[at], old[at] and hmac.digest(b"the key", old[at].encode(), "sha256").hex()[:30]) for old in before
    }
    at = names.index("since")
    assert [row[at] for row in before] == [row[at] for row in after]


MASKED = {"displayname": "name", "phone": "hash"}


def test_the_script_has_every_table_and_ends_with_the_sequence_procedure(
    postgres_server: PostgresServer, restored: str
) -> None:
    plan = plan_of(postgres_server, restored)
    text = script(plan)
    for table in plan.tables:
        assert f"CREATE TABLE [dbo].[{table.name}] (" in text
    assert text.count("usp_nextsequencevalue") == 1
    assert text.rstrip().endswith("GO")


def test_a_dump_that_is_no_mendix_database_is_refused(postgres_server: PostgresServer, database: str) -> None:
    with pytest.raises(Refusal, match="NOT_A_MENDIX_DATABASE"):
        plan_of(postgres_server, database)
