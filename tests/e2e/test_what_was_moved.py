"""The report of a run that failed on the way says what was moved, and says so where it does not know."""

from collections.abc import Iterator

import pytest

from tests.e2e.stand import Stand

NO_RIGHT = 262
QUOTA_REACHED = 40544


@pytest.fixture
def faulty(running: Stand) -> Iterator[Stand]:
    """The stand, without faults afterwards."""
    yield running
    with running.faults() as control:
        control.clear()


def test_after_a_failure_behind_the_copy_the_report_has_what_was_copied(faulty: Stand) -> None:
    with faulty.faults() as control:
        control.fault("error", text="CREATE OR ALTER PROCEDURE", number=NO_RIGHT, times=None)
    report = faulty.migrate()
    assert report.verdict == "failed"
    assert "finish" in report.reason
    assert report.rows_not_counted is None
    assert report.stock is not None
    assert 0 < report.rows == report.stock.rows
    held = {name: rows for name, rows in report.stock.holding.items() if rows}
    assert {one.name: one.rows_copied for one in report.tables if one.rows_copied} == held
    assert report.files.copied == report.files.expected == report.stock.files
    done = {one.name for one in report.checks if one.outcome == "passed"}
    assert any("file" in name for name in done), "the files were verified meanwhile"
    assert {one.name for one in report.checks} - done == {"row counts", "column aggregates", "row hash"}
    page = faulty.api.report(report.id, "text/html").decode()
    assert f"<dd>{report.rows:,}</dd>" in page
    assert "No table was copied" not in page


def test_of_a_copy_that_failed_half_way_nothing_is_claimed(faulty: Stand) -> None:
    with faulty.faults() as control:
        control.fault("error_bulk", number=QUOTA_REACHED, skip=3, times=None)
    report = faulty.migrate(drop=True)
    assert report.verdict == "failed"
    assert "copy" in report.reason
    assert (report.rows, report.tables, report.rows_not_counted) == (0, [], "the copy did not end")
    assert report.stock is not None
    page = faulty.api.report(report.id, "text/html").decode()
    assert "<p>Not counted: the copy did not end. What the target holds now is counted above.</p>" in page
    for claim in ("No table was copied", "The target refused no row", "of 0 in 0 tables"):
        assert claim not in page
