"""Keeps findings while a run goes on, and writes its report at the end."""

import json
import logging
from datetime import datetime
from typing import Any

from azure.core.exceptions import AzureError
from pydantic import Field

from activities.boundary import closing_activity
from shared import events, readiness, rehearsals, remains, runpaths, runs, ticks
from shared.blobs import clients
from shared.communication.memory import messages
from shared.contracts import Check, Gate, RestoreRef, Run, RunWork, SnapshotRef, StageState, TableRows, Verdict
from shared.errors import Finding, MxferryError
from shared.reporting import rejects
from shared.reporting.build import Known, build
from shared.reporting.html import page
from shared.reporting.model import Place
from shared.reporting.places import Moved, places
from shared.settings import settings
from shared.sqlserver import catalogue, connection
from shared.strict import Strict
from shared.wording import moment

log = logging.getLogger("mxferry.report")

TIMEOUT = 5
"""Seconds that the target has to tell its version."""


class RecordWork(RunWork):
    """Input of `record_findings` and `clean_up`."""

    restore: RestoreRef | None = None
    verdict: Verdict | None = None
    target_written: bool = False
    opened: bool = Field(default=True, description="Whether the run came so far that its environment was awake.")
    findings: list[Finding] = Field(default_factory=list)


class ReportWork(RecordWork):
    """Input of `write_report`: everything the orchestrator knows."""

    reason: str = ""
    stages: list[StageState]
    gates: list[Gate] = Field(default_factory=list)
    target_written_at: datetime | None = None
    snapshot: SnapshotRef | None = None
    answers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    checks: list[Check] = Field(default_factory=list)
    reported_at: datetime


class Recorded(Strict):
    """Output: where it was written."""

    blob: str


@closing_activity
def record_findings(work: RecordWork) -> Recorded:
    """Write the findings so far to the reports container, where the API reads them."""
    runs.save_findings(work.run.id, work.findings)
    return Recorded(blob=runpaths.of_run(work.run.id, runpaths.FINDINGS))


@closing_activity
def write_report(work: ReportWork) -> Recorded:
    """Write report.json and report.html. Called again after the clean-up, it keeps what it had read from staging."""
    name = runpaths.of_run(work.run.id, runpaths.REPORT)
    findings = [*work.findings, *_too_late(work)]
    runs.save_findings(work.run.id, findings)
    tables = _tables(work)
    known = Known(
        run=work.run, verdict=work.verdict or "failed", reason=work.reason, stages=work.stages, gates=work.gates,
        target_written_at=work.target_written_at, snapshot=work.snapshot, restore=work.restore, answers=work.answers,
        checks=work.checks, findings=findings, reported_at=work.reported_at, tables=tables,
        target_version=_target_version(work.run), rejects=rejects.load(work.run),
        places=_places(work), messages=messages(work.run.id),
        ticks=[one for said in ticks.load(work.run.id).values() for one in said],
    )  # fmt: skip
    report = readiness.compared(build(known))
    rehearsals.remember(report)
    runs.write(name, report.model_dump_json(indent=2).encode(), "application/json")
    runs.write(runpaths.of_run(work.run.id, runpaths.REPORT_PAGE), page(report).encode(), "text/html; charset=utf-8")
    if any(stage.name == "stand-down" for stage in work.stages):  # the last of the two calls
        events.emit("run-ended", work.run.id, outcome=known.verdict, reason=work.reason[:300] or None)
    return Recorded(blob=name)


def _places(work: ReportWork) -> list[Place]:
    moved = Moved(work.run, work.stages, work.target_written_at is not None, remains.load(work.run.id))
    return places(moved, settings())


def _too_late(work: ReportWork) -> list[Finding]:
    """Return ABORT_TOO_LATE where somebody was told that the abort is accepted, and the run did not end by it."""
    asked = runs.asked_to_abort(work.run.id)
    ended_by_it = any(stage.state == "failed" and stage.note == "ABORTED" for stage in work.stages)
    if asked is None or work.verdict == "aborted" or ended_by_it:
        return []
    at = f"at {moment(asked.at)}" if asked.at else "in this run"
    return [
        Finding.warning(
            "ABORT_TOO_LATE", work.run.id,
            f"expected an abort to come before the run has its outcome, found one that {asked.who} asked for "
            f"{at}: the run ended {work.verdict}. {asked.comment}".strip(),
            "Nothing was stopped. What the target holds is in this report, the way back in the runbook.",
        )
    ]  # fmt: skip


def _target_version(run: Run) -> str | None:
    """Ask the target for its server version; None if it does not tell. A failure never holds up the report."""
    profile = settings().target_profile(run.request.target)
    if profile.sql is None:
        return None
    try:
        with connection.session(profile.sql, timeout=TIMEOUT, login_timeout=TIMEOUT) as target:
            return f"SQL Server {catalogue.engine(target).version}"
    except (MxferryError, AzureError) as error:
        log.warning("the version of the target is not known: %s", error)
        return None


def _tables(work: ReportWork) -> list[TableRows]:
    """Return the rows by table: from staging while it exists, else from the report written before the clean-up."""
    for stage in ("verify", "copy"):
        blob = work.answers.get(stage, {}).get("tables_blob")
        if blob and clients.staging().get_blob_client(blob).exists():
            text = clients.staging().download_blob(blob).readall().decode()
            return [TableRows.model_validate_json(line) for line in text.splitlines() if line]
    earlier = runs.read(runpaths.of_run(work.run.id, runpaths.REPORT))
    return [TableRows.model_validate(one) for one in json.loads(earlier)["tables"]] if earlier else []
