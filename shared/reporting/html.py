"""The HTML report: one file, no scripts, nothing loaded from anywhere, every value escaped.

Table names, findings and examples come from databases we do not control, so the templates escape everything
(`autoescape`), and a name that the template does not know is an error, not an empty string.
"""

import re
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from shared import wording
from shared.communication.memory import sentences
from shared.contracts import TableRows
from shared.errors import Finding
from shared.reporting.applications import was_started
from shared.reporting.gantt import timeline
from shared.reporting.model import Report

TICKS = re.compile(r"`([^`]+)`")
SEVERITY_ORDER = {"error": 0, "warning": 1, "info": 2}
OUTCOME_ORDER = {"failed": 0, "passed": 1, "skipped": 2}


def environment() -> Environment:
    """Return the template environment that every HTML page of the app is made with."""
    made = Environment(
        loader=PackageLoader("shared.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "count": wording.count, "size": wording.size, "duration": wording.duration, "moment": wording.moment, "instant": wording.instant,
        "clock": wording.clock, "plural": wording.plural, "stage": wording.stage_words, "gate": wording.gate_words, "source": wording.source_words, "sentence": wording.sentence, "ticks": _ticks,
    }  # fmt: skip
    return made


def _ticks(text: str) -> Markup:
    """Show `text` between backticks as code; everything is escaped first."""
    return Markup(TICKS.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped in the same line


@dataclass(frozen=True)
class Figures:
    """The numbers in the report's head line; tables left empty on purpose are not among the rows."""

    source_rows: int
    copied_rows: int
    target_rows: int | None
    bytes: int
    rejected: int
    left_out: int
    row_rate: float | None
    byte_rate: float | None
    file_rate: float | None


def page(report: Report) -> str:
    """Return the report as one self-contained HTML page."""
    return environment().get_template("report.html.j2").render(**_context(report))


def _context(report: Report) -> dict[str, Any]:
    smoke = {one.name for one in report.smoke}
    checks = [one for one in report.checks if one.name not in smoke]
    return {
        "report": report,
        "verdict": wording.VERDICT_WORDS[report.verdict],
        "sentence": _sentence(report),
        "target_state": _target_state(report),
        "window_kept": _window_kept(report),
        "figures": _figures(report),
        "timeline": timeline(report.stages, report.reported_at, report.target_written_at),
        "tables": sorted(report.tables, key=_table_order),
        "differs": _differs,
        "done_checks": sorted((c for c in checks if c.outcome != "skipped"), key=lambda c: OUTCOME_ORDER[c.outcome]),
        "done_smoke": [one for one in report.smoke if one.outcome != "skipped"],
        "not_checked": [one for one in report.checks if one.outcome == "skipped"],
        "findings": sorted(report.findings, key=_finding_order),
        "messages": sentences(report.messages) if report.messages else [],
        "emptied": [one for one in report.tables if one.content == "empty"],
    }


def _sentence(report: Report) -> str:
    passed, failed, skipped = (
        sum(c.outcome == kind for c in report.checks) for kind in ("passed", "failed", "skipped")
    )
    checks = f"{wording.plural(passed, 'check')} passed, {failed:,} failed, {skipped:,} not done."
    if report.verdict == "verified":
        return checks
    reason = wording.reason_words(report.reason)
    return f"{reason} {checks}" if report.checks else reason


def _window_kept(report: Report) -> str:
    """Say how the proof lies to the window's end; nothing where nothing was proved."""
    if report.window is None or report.proved_at is None:
        return ""
    spare = (wording.utc(report.window.end) - wording.utc(report.proved_at)).total_seconds()
    return f"; proved {wording.duration(abs(spare))} {'before' if spare >= 0 else 'after'} its end"


def _target_state(report: Report) -> str:
    if report.target_written_at is None:
        return "The target was not written in this run: it is as it was before."
    since = wording.moment(report.target_written_at)
    if report.verdict == "verified":
        return f"The target was written from {since}, and holds what this report lists."
    app = (
        "The app was started on it: stop it, and let no users in."
        if was_started(report.stages)
        else "Do not start the app on it."
    )
    return (
        f"The target was written from {since}, and the run did not end verified: the tables and files below may be "
        f"incomplete there. {app} The source was only read."
    )


def _figures(report: Report) -> Figures:
    moved = [one for one in report.tables if one.content == "copy"]
    counted = [one.rows_target for one in moved]
    by_stage = {stage.name: stage for stage in report.stages}
    copy, files = by_stage.get("copy"), by_stage.get("files")
    return Figures(
        source_rows=sum(one.rows_source for one in moved),
        copied_rows=sum(one.rows_copied for one in moved),
        target_rows=sum(one for one in counted if one is not None) if counted and None not in counted else None,
        bytes=sum(one.bytes for one in report.tables),
        rejected=sum(one.rejected for one in report.tables),
        left_out=sum(one.left_out for one in report.tables),
        row_rate=copy.rows_per_second if copy else None,
        byte_rate=copy.bytes_per_second if copy else None,
        file_rate=files.files_per_second if files else None,
    )


def _differs(table: TableRows) -> bool:
    """Whether the target does not hold what the source has: emptied tables are meant to be empty."""
    expected = 0 if table.content == "empty" else table.rows_source - table.rejected - table.left_out
    return table.rows_copied != expected or (table.rows_target is not None and table.rows_target != expected)


def _table_order(table: TableRows) -> tuple[bool, int, str]:
    return not _differs(table), -table.rows_source, table.name


def _finding_order(finding: Finding) -> tuple[bool, int, str]:
    return finding.chosen is not None, SEVERITY_ORDER[finding.severity], finding.code
