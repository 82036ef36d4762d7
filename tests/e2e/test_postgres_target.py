"""A whole migration on to a target that is PostgreSQL, every activity delivered twice, the host killed in the load."""

from collections.abc import Iterator

import psycopg
import pytest

from local.appsettings import FILES
from local.stack import DATABASE
from tests.e2e import comparison
from tests.e2e.stand import Stand, stand
from tests.e2e.test_death import copying, revive

KEYS = """
    SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
SEQUENCES = "SELECT sequencename::text, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"


@pytest.fixture(scope="module")
def restoring() -> Iterator[Stand]:
    with stand("--deliver-twice", target="postgres") as made:
        yield made


@pytest.fixture(scope="module")
def occupied(restoring: Stand) -> Stand:
    """The same, with another app's table on the target."""
    with psycopg.connect(restoring.stack.postgres.dsn(DATABASE), autocommit=True) as connection:
        connection.execute('CREATE TABLE "orders$order" (old int); ALTER TABLE "orders$order" OWNER TO mxferry_app')
    return restoring


def text(dsn: str, table: str, where: str = "") -> bytes:
    """A table's rows in an order of their own."""
    query = f'COPY (SELECT * FROM public."{table}" AS t {where} ORDER BY t::text COLLATE "C") TO STDOUT'
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor, cursor.copy(query.encode()) as copy:
        return b"".join(bytes(piece) for piece in copy)


def differences(made: Stand) -> list[str]:
    """What differs between what `pg_restore` makes of the backup and the target, beyond what a cut-over leaves behind."""
    expected, found = made.expected, made.stack.postgres.dsn(DATABASE)
    with psycopg.connect(expected) as source, psycopg.connect(found) as target:
        names = comparison.tables(source)
        wrong = [] if comparison.tables(target) == names else ["the tables"]
        for statement in (KEYS, INDEXES, SEQUENCES):
            if source.execute(statement).fetchall() != target.execute(statement).fetchall():
                wrong.append(statement)
    carried = "WHERE key <> 'Mendix.Runtime.DeploymentID'"
    for name in names:
        where = carried if name == comparison.PROPERTIES else "WHERE false" if name in comparison.EMPTIED else ""
        if text(expected, name, where) != text(found, name):
            wrong.append(name)
    have = comparison.container_files(made.container(FILES))
    return wrong + comparison.file_differences(comparison.archive_files(made.snapshot), have)


def test_a_target_that_is_not_empty_is_refused_before_anything_is_taken(occupied: Stand) -> None:
    report = occupied.migrate()
    assert report.verdict == "refused"
    assert "TARGET_NOT_EMPTY" in {one.code for one in report.findings}
    assert report.target_written_at is None
    assert text(occupied.stack.postgres.dsn(DATABASE), "orders$order") == b""


def test_with_drop_it_ends_verified_whatever_dies_or_comes_twice(occupied: Stand) -> None:
    run = occupied.start(drop=True, smoke={"sql": [{"name": "orders", "table": "orders$order", "at_least": 100}]})
    occupied.wait(run, copying)
    revive(occupied)
    occupied.end(run)
    report = occupied.report(run)
    assert report.verdict == "verified", report.reason
    assert differences(occupied) == []
    assert {one.name for one in report.checks if one.outcome == "passed"} >= {
        "row counts", "row contents", "sequences", "keys and indexes", "smoke: orders",
    }  # fmt: skip
    copied = [one for one in report.tables if one.content == "copy"]
    assert all(one.rows_source - one.left_out == one.rows_copied == one.rows_target for one in copied)
    assert [one.name for one in copied if one.left_out] == ["mendixsystem$properties"]
    assert report.model_version
    assert report.versions["target database"].startswith("PostgreSQL 17.")


def test_it_leaves_nothing_behind_and_never_used_a_temporary_database(occupied: Stand) -> None:
    assert all(occupied.staged(run) == [] for run in occupied.runs)
    assert occupied.temporary_databases() == []
    with psycopg.connect(occupied.stack.postgres.dsn(DATABASE)) as connection:
        assert connection.execute("SELECT to_regnamespace('mxferry')").fetchone() == (None,)
