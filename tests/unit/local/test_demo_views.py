"""What the demo shows: plain lines without a terminal, a table on one, the summary at the end."""

import io
from datetime import UTC, datetime, timedelta

from rich.console import Console

from api.migrations import MigrationView
from local.progressview import LiveView, PlainView, amounts, view
from local.summaryview import print_summary
from shared.contracts import Check, Counts, TableRows
from shared.errors import Finding
from shared.progress import StageView, View
from shared.reporting.model import FilesReport, Report, StageReport

START = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def stage(name: str, state: str, done: Counts, total: Counts, seconds: float = 10) -> StageView:
    ended = START + timedelta(seconds=seconds) if state == "done" else None
    return StageView(
        name=name,
        state=state,
        started_at=START,
        ended_at=ended,
        seconds=seconds,
        done=done,
        total=total,
        eta_seconds=30 if state == "running" else None,
    )


def seen(*stages: StageView) -> MigrationView:
    return MigrationView(
        id="20261122t200000-abcdef",
        status="running",
        target="demo",
        purpose="cutover",
        source="mendix-cloud",
        created_at=START,
        progress=View(stages=list(stages)),
    )


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=160, no_color=True, highlight=False), out


def test_without_a_terminal_a_stage_says_a_line_when_it_begins_and_when_it_ends() -> None:
    screen, out = console(terminal=False)
    half = Counts(rows=500, bytes=5_000_000)
    whole = Counts(rows=1000, bytes=10_000_000)
    with view(screen) as shown:
        assert isinstance(shown, PlainView)
        for status in (
            seen(stage("copy", "running", half, whole)),
            seen(stage("copy", "running", half, whole)),
            seen(stage("copy", "done", whole, whole, 20)),
            seen(stage("copy", "done", whole, whole, 20)),
        ):
            shown.show(status)
    assert out.getvalue().splitlines() == [
        "… Copy rows: running, 500 of 1,000 rows, 5.00 MB of 10.0 MB, 50 rows/s, about 30.0 s left, 10.0 s",
        "✓ Copy rows: done, 1,000 rows, 10.0 MB, 20.0 s",
    ]


def test_on_a_terminal_every_stage_is_a_row_with_its_rate_and_time_left() -> None:
    screen, out = console(terminal=True)
    with view(screen) as shown:
        assert isinstance(shown, LiveView)
        shown.show(
            seen(
                stage("preflight", "done", Counts(), Counts(), 1),
                stage("files", "running", Counts(files=20), Counts(files=80)),
            )
        )
    assert "Preflight" in out.getvalue()
    assert "20 of 80 files" in out.getvalue()
    assert "2 files/s" in out.getvalue()


def test_amounts_leave_out_what_is_not_counted() -> None:
    assert amounts(Counts()) == ""
    assert amounts(Counts(files=3), Counts(files=3)) == "3 files"
    assert amounts(Counts(), Counts(rows=7)) == "0 of 7 rows"


def report(verdict: str, **more: object) -> Report:
    fields: dict[str, object] = {
        "id": "20261122t200000-abcdef",
        "verdict": verdict,
        "purpose": "cutover",
        "source": "mendix-cloud demo",
        "target": "demo",
        "created_at": START,
        "reported_at": START,
        "seconds": 42.0,
        "stages": [
            StageReport(
                name="copy",
                state="done",
                started_at=START,
                ended_at=START,
                seconds=20,
                rows=1000,
                bytes=10_000_000,
                tables=3,
                rows_per_second=50,
            )
        ],
        "tables": [TableRows(name="orders$order", rows_source=1000, rows_copied=1000, rows_target=1000)],
        "rows": 1000,
        "files": FilesReport(expected=5, copied=5, bytes=2_000_000),
        "checks": [Check(name="counts", outcome="passed", how="counted")],
        "findings": [],
    }
    return Report.model_validate(fields | more)


def test_the_summary_has_one_row_a_stage_and_the_verdict_last() -> None:
    screen, out = console(terminal=False)
    print_summary(screen, report("verified"))
    text = out.getvalue()
    assert "3 tables, 1,000 rows, 10.0 MB" in text
    assert "50 rows/s" in text
    assert "1,000 rows read, 1,000 found on the target; 5 of 5 files, 2.00 MB" in text
    assert "1 checks passed, 0 failed, 0 skipped." in text
    assert text.splitlines()[-1] == "Verified."


def test_the_summary_of_a_failed_run_says_why_and_what_to_do() -> None:
    screen, out = console(terminal=False)
    found = Finding(
        code="TARGET_NOT_EMPTY", severity="error", object="demo", message="expected it empty.", remedy="Drop it."
    )
    failed = Check(name="row hash", outcome="failed", how="hashed", detail="1 row differs")
    print_summary(screen, report("failed", reason="It stopped.", findings=[found], checks=[failed]))
    text = out.getvalue()
    assert "error TARGET_NOT_EMPTY demo: expected it empty. Drop it." in text
    assert "failed check row hash: 1 row differs" in text
    assert text.splitlines()[-1] == "Failed. It stopped."
