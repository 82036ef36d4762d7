"""A whole migration over HTTP, compared with its source cell by cell and byte by byte."""

import json
from typing import Any

import psycopg
import pytest

from local.appsettings import FILES, PROFILE
from shared.reporting.model import Report
from tests.e2e import comparison
from tests.e2e.stand import Stand


@pytest.fixture(scope="module")
def report(running: Stand) -> Report:
    """The report of a migration from the Mendix Cloud stand-in."""
    return running.migrate(source=running.from_cloud)


def test_the_migration_ends_verified(report: Report) -> None:
    assert report.verdict == "verified", report.reason
    assert [check.name for check in report.checks if check.outcome == "failed"] == []
    assert all(check.how for check in report.checks)
    assert sum(check.outcome == "passed" for check in report.checks) >= 5
    assert {stage.name: stage.state for stage in report.stages} == {
        "environment": "done", "preflight": "done", "snapshot": "done", "restore": "done", "plan": "done",
        "inspect": "done", "scale": "done", "schema": "done", "copy": "done", "finish": "done", "verify": "done",
        "files": "done", "files-verify": "done", "reconcile": "done", "smoke": "skipped", "report": "done",
        "clean-up": "done", "stand-down": "done",
    }  # fmt: skip
    assert all(stage.seconds >= 0 for stage in report.stages)
    assert {finding.code for finding in report.findings if finding.severity == "error"} == set()


def test_every_cell_and_every_byte_is_the_sources(running: Stand, report: Report) -> None:
    assert report.verdict == "verified"
    assert running.differences() == []


def test_the_comparison_itself_sees_what_a_migration_must_not_do(running: Stand, report: Report) -> None:
    table = next(one.name for one in report.tables if one.rows_copied > 5 and one.name.startswith("orders$"))
    with psycopg.connect(running.expected) as source, running.target() as target:
        names = comparison.columns(source, table)
        rows = list(comparison.target_rows(target, table, names))
        wanted = list(comparison.source_rows(source, table, names))
    assert comparison.row_differences(iter(wanted), iter([*rows, rows[0]]), table) == [f"{table}: surplus {rows[0]}"]
    assert comparison.row_differences(iter(wanted), iter(rows[1:]), table) == [f"{table}: missing {rows[0]}"]
    changed = (*rows[0][:-1], "another")
    assert len(comparison.row_differences(iter(wanted), iter([changed, *rows[1:]]), table)) == 2


def test_the_sample_has_the_values_that_break_migrations(running: Stand) -> None:
    with psycopg.connect(running.expected) as source:
        tables = {name: comparison.columns(source, name) for name in comparison.tables(source)}
        values = [
            value for table, names in tables.items()
            for row in source.execute(f'SELECT {", ".join(f"""\"{name}\"""" for name in names)} FROM "{table}"')
            for value in row
        ]  # fmt: skip
    texts = [value for value in values if isinstance(value, str)]
    assert any(getattr(value, "microsecond", 0) % 1000 for value in values), "microseconds"
    assert any(ord(letter) > 0xFFFF for text in texts for letter in text), "emoji"
    assert any("é" in text or "ü" in text for text in texts), "accents"
    assert max(map(len, texts)) > 100_000, "a large text"
    assert any(isinstance(value, bytes) and len(value) > 100_000 for value in values), "a large binary value"
    assert "" in texts
    assert None in values


def test_keys_and_indexes_are_the_sources(running: Stand, report: Report) -> None:
    assert report.verdict == "verified"
    with psycopg.connect(running.expected) as source, running.target() as target:
        wanted, found = comparison.source_keys(source), comparison.target_keys(target)
    assert wanted - found == set()
    assert found - wanted == set()
    assert sum(primary for *_, primary in found) == len(report.tables)


def test_the_report_counts_rows_at_the_source_on_the_way_and_on_the_target(running: Stand, report: Report) -> None:
    with psycopg.connect(running.expected) as source:
        counted = {
            name: source.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # type: ignore[index]
            for name in comparison.tables(source)
        }
    copied = {table.name: table for table in report.tables if table.content == "copy"}
    assert {one.name for one in report.tables} == set(counted)
    assert {one.name for one in report.tables if one.content == "empty"} == comparison.EMPTIED
    for name, table in copied.items():
        wanted = counted[name] - (1 if name == comparison.PROPERTIES else 0)
        assert (table.rows_source, table.rows_copied, table.rows_target) == (wanted, wanted, wanted), name
    assert all((one.rows_copied, one.rows_target) == (0, 0) for one in report.tables if one.content == "empty")
    assert report.rows == sum(table.rows_copied for table in report.tables) > 4_000
    files = comparison.archive_files(running.snapshot)
    assert (report.files.expected, report.files.copied) == (len(files), len(files)) == (120, 120)
    assert report.files.bytes > 0


def test_report_json_has_what_people_rely_on(running: Stand, report: Report) -> None:
    written = json.loads(running.api.report(report.id, "application/json"))
    needed = {
        "verdict": set(), "tables": {"name", "rows_source", "rows_copied", "rows_target"},
        "files": {"expected", "copied", "bytes"}, "stages": {"name", "seconds"},
        "findings": {"code", "object", "remedy"}, "checks": {"name", "outcome", "how"},
    }  # fmt: skip
    for name, fields in needed.items():
        rows: Any = written[name] if isinstance(written[name], list) else [written[name]]
        assert rows, name
        assert all(fields <= set(row) for row in rows), name
    page = running.api.report(report.id, "text/html").decode()
    assert report.id in page
    assert "verified" in page.lower()


def test_nothing_is_left_in_staging_nor_on_the_temporary_server(running: Stand, report: Report) -> None:
    assert running.staged(report.id) == []
    assert running.temporary_databases() == []
    left = [name for name in running.target_tables() if "$" not in name]
    assert left == []
    assert len(report.cleanup) >= 3


def test_the_source_environment_got_no_call_that_changes_it_but_those_asked_for(running: Stand, report: Report) -> None:
    assert report.verdict == "verified"
    assert running.source_calls() == ["snapshots", "archives"]


def test_a_second_run_refuses_the_target_that_the_first_has_filled(running: Stand, report: Report) -> None:
    assert report.verdict == "verified"
    second = running.migrate()
    assert second.verdict == "refused"
    assert {"TARGET_NOT_EMPTY", "CONTAINER_NOT_EMPTY"} <= {finding.code for finding in second.findings}
    assert second.target_written_at is None
    assert running.differences() == []
    assert running.written(FILES).keys() == comparison.archive_files(running.snapshot).keys()
    assert PROFILE in second.target
