"""The end of a run on the terminal: one summary table, the verdict, and what was found."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.progressview import amounts
from shared.contracts import Counts
from shared.errors import Finding
from shared.reporting.model import Report, StageReport
from shared.wording import VERDICT_WORDS, count, duration, size, stage_words

MOST_FINDINGS = 40
SEVERITY = {"error": "bold red", "warning": "yellow", "info": "dim"}


def print_summary(console: Console, report: Report) -> None:
    """Print the summary table and the verdict."""
    table = Table(title=f"migration {report.id}", title_justify="left")
    for name in ("stage", "what", "duration", "rate"):
        table.add_column(name, justify="right" if name in ("duration", "rate") else "left", overflow="fold")
    for stage in report.stages:
        what = _what(stage)
        table.add_row(stage_words(stage.name), what, duration(stage.seconds), _rate(stage))
    table.add_section()
    table.add_row("in all", _everything(report), duration(report.seconds), "")
    console.print(table)
    _print_findings(console, report.findings)
    _print_checks(console, report)
    good = report.verdict == "verified"
    console.print(
        Text(f"{VERDICT_WORDS[report.verdict]}. {report.reason}".strip(), "bold green" if good else "bold red")
    )


def _what(stage: StageReport) -> str:
    done = amounts(Counts(rows=stage.rows, bytes=stage.bytes, files=stage.files))
    if stage.tables:
        done = f"{count(stage.tables)} tables, {done}".rstrip(", ")
    return done or stage.note or stage.state


def _rate(stage: StageReport) -> str:
    if stage.rows_per_second:
        return f"{count(stage.rows_per_second)} rows/s"
    if stage.files_per_second:
        return f"{count(stage.files_per_second)} files/s"
    return f"{size(stage.bytes_per_second)}/s" if stage.bytes_per_second else ""


def _everything(report: Report) -> str:
    target = sum(table.rows_target or 0 for table in report.tables)
    rows = f"{count(len(report.tables))} tables, {count(report.rows)} rows read, {count(target)} found on the target"
    files = f"{count(report.files.copied)} of {count(report.files.expected)} files, {size(report.files.bytes)}"
    if report.rows_not_counted:
        rows = f"rows not counted: {report.rows_not_counted}"
    if report.files.not_counted:
        files = f"files not counted: {report.files.not_counted}"
    return f"{rows}; {files}"


def _print_findings(console: Console, findings: list[Finding]) -> None:
    worth = sorted((one for one in findings if one.severity != "info"), key=lambda one: one.severity)  # errors first
    for one in worth[:MOST_FINDINGS]:
        chosen = f" Chosen: {one.chosen}." if one.chosen else ""
        line = Text(f"{one.severity} {one.code} {one.object}: {one.message} {one.remedy}{chosen}".strip())
        line.stylize(SEVERITY[one.severity], 0, len(one.severity))
        console.print(line, soft_wrap=True)
    if len(worth) > MOST_FINDINGS:
        console.print(f"… and {len(worth) - MOST_FINDINGS} more findings in the report.")


def _print_checks(console: Console, report: Report) -> None:
    checks = report.checks
    failed = [one for one in checks if one.outcome == "failed"]
    for one in failed[:MOST_FINDINGS]:
        console.print(Text(f"failed check {one.name}: {one.detail}", "red"), soft_wrap=True)
    passed = sum(one.outcome == "passed" for one in checks)
    skipped = sum(one.outcome == "skipped" for one in checks)
    console.print(f"{passed} checks passed, {len(failed)} failed, {skipped} skipped.", highlight=False)
