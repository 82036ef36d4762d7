"""Builds the report from what the orchestrator knows."""

import platform
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from typing import Any

from shared.communication.memory import Messages
from shared.contracts import Check, Gate, Reconciliation, RestoreRef, Run, SnapshotRef, StageState, TableRows, Verdict
from shared.errors import Finding
from shared.reporting.applications import sentences
from shared.reporting.asked import asked
from shared.reporting.model import (
    CLOSING,
    OUTSIDE,
    FilesReport,
    Place,
    RejectsReport,
    Report,
    StockReport,
    TickReport,
    stage_report,
)
from shared.reporting.steps import TITLES
from shared.reporting.undone import undone
from shared.reporting.waits import waited
from shared.request import MigrationRequest, origin_of
from shared.ticks import Tick
from shared.version import VERSION
from shared.wording import bytes_of, plural, source_words


@dataclass(frozen=True)
class Known:
    """What a run knows of itself when the report is written; `answers` are the stages' answers by stage name."""

    run: Run
    verdict: Verdict
    reason: str
    stages: list[StageState]
    gates: list[Gate]
    target_written_at: datetime | None
    snapshot: SnapshotRef | None
    restore: RestoreRef | None
    answers: dict[str, dict[str, Any]]
    checks: list[Check]
    findings: list[Finding]
    reported_at: datetime
    tables: list[TableRows]
    target_version: str | None = None
    rejects: RejectsReport | None = None
    places: list[Place] = field(default_factory=list)
    messages: Messages | None = None
    ticks: list[Tick] = field(default_factory=list)


def build(known: Known) -> Report:
    """Return the report."""
    request = known.run.request
    started = [stage.started_at for stage in known.stages]
    ended = [stage.ended_at for stage in known.stages if stage.ended_at]
    waits = sum(waited(known.gates).values())
    reconciliation = known.answers.get("reconcile")
    stock = known.answers.get("stock")
    checks = [*known.checks, *undone(known.run, known.stages, known.answers, known.snapshot)]
    return Report(
        id=known.run.id, verdict=known.verdict, reason=known.reason, purpose=request.options.purpose,
        origin=origin_of(request.source), target_mode=request.options.target_mode or "create",
        source=source_words(known.run), target=request.target, created_at=known.run.created_at,
        asked_by=known.run.asked_by, asked=asked(request),
        reported_at=known.reported_at, target_written_at=known.target_written_at,
        seconds=round((max(ended) - min(started)).total_seconds() - waits, 3) if started and ended else 0.0,
        waited_seconds=round(waits, 3),
        window=request.window, window_seconds=_window(request), proved_at=_proved_at(known),
        model_version=_recorded(known, "model_version"), runtime_version=_recorded(known, "runtime_version"),
        snapshot=_snapshot(known.snapshot), stages=[stage_report(stage) for stage in known.stages],
        tables=known.tables, rows=sum(one.rows_copied for one in known.tables),
        rows_not_counted=_rows_not_counted(known), files=_files(known),
        checks=checks, findings=known.findings, gates=known.gates, ticks=_ticks(known.ticks),
        reconciliation=Reconciliation.model_validate(reconciliation) if reconciliation else None,
        rejects=known.rejects,
        stock=StockReport.model_validate(stock) if stock else None,
        smoke=[one for one in checks if one.name.startswith("smoke")],
        cleanup=known.answers.get("clean-up", {}).get("done", []),
        applications=sentences(known.run, known.stages, known.answers),
        outside=list(OUTSIDE), places=known.places, messages=known.messages,
        ddl=known.answers.get("plan", {}).get("ddl_blob"), versions=_versions(known),
    )  # fmt: skip


def _ticks(ticks: list[Tick]) -> list[TickReport]:
    """Return what people said of the runbook in the order of time; each step is called as the runbook calls it."""
    said = sorted(ticks, key=lambda one: one.at)
    return [TickReport(title=TITLES.get(one.step, one.step), **one.model_dump()) for one in said]


def _recorded(known: Known, name: str) -> str | None:
    """Return what the app's database says of itself: read from the temporary database, or from the dump by the plan."""
    found = getattr(known.restore, name) if known.restore else known.answers.get("plan", {}).get(name)
    return None if found is None else str(found)


def _window(request: MigrationRequest) -> float | None:
    window = request.window
    if window is not None and window.start is not None:
        return (window.end - window.start).total_seconds()
    return request.options.window_minutes * 60.0 if request.options.window_minutes else None


def _proved_at(known: Known) -> datetime | None:
    """The moment when everything was proved: the end of the last stage before the closing ones."""
    ended = [one.ended_at for one in known.stages if one.ended_at and one.name not in CLOSING]
    return max(ended) if ended and known.verdict == "verified" else None


NOT_ENDED = "the copy did not end"


def _rows_not_counted(known: Known) -> str | None:
    """Say why there are no rows by table although rows were moved: they are counted at the end of a copy."""
    if known.tables:
        return None
    if _failed(known, "copy") or _failed(known, "database"):  # the latter stands for a side that crashed
        return NOT_ENDED
    return "the run ended before they were compared" if any(one.name == "hand-over" for one in known.stages) else None


def _failed(known: Known, stage: str) -> bool:
    return any(one.name == stage and one.state == "failed" for one in known.stages)


def _files(known: Known) -> FilesReport:
    copied = known.answers.get("files", {})
    return FilesReport(
        expected=known.snapshot.files if known.snapshot else 0, copied=copied.get("files", 0),
        bytes=copied.get("bytes", 0), server_side=copied.get("server_side", 0), streamed=copied.get("streamed", 0),
        existed=copied.get("existed", 0), not_counted=NOT_ENDED if _failed(known, "files") else None,
    )  # fmt: skip


def _snapshot(snapshot: SnapshotRef | None) -> dict[str, str]:
    if snapshot is None:
        return {}
    return {
        "kind": snapshot.kind,
        "archive": bytes_of(snapshot.archive_bytes),
        "archive MD5": snapshot.archive_md5 or "not known",
        "dump": f"format {snapshot.dump.format}, {snapshot.dump.compression}, {bytes_of(snapshot.dump.size)}",
        "dump written by": f"pg_dump {snapshot.dump.dump_version} from PostgreSQL {snapshot.dump.server_version}",
        "files": f"{plural(snapshot.files, 'file')}, {bytes_of(snapshot.file_bytes)}",
        "ignored names": str(snapshot.ignored_count),
    } | {f".metadata, {name}": _grouped(value) for name, value in snapshot.metadata.items()}


def _grouped(value: str) -> str:
    """A size of the snapshot's `.metadata`, digits in threes as everywhere in the report; what is no number stays."""
    return f"{int(value):,}" if value.isascii() and value.isdigit() and len(value) > 3 else value


PARTS = (
    "azure-functions-durable", "durabletask", "azure-storage-blob", "adbc-driver-postgresql", "pyarrow",
    "mssql-python", "mssql-python-odbc", "pyodbc", "psycopg",
)  # fmt: skip
"""Packages whose version may matter to somebody who looks at the report in a year."""


def _release(number: int) -> str:
    """Return PostgreSQL's server_version_num as people say it: 170010 is 17.10."""
    return f"{number // 10_000}.{number % 10_000}"


def _versions(known: Known) -> dict[str, str]:
    found = {"mxferry": VERSION, "Python": platform.python_version()}
    if known.restore:
        found["temporary PostgreSQL"] = _release(known.restore.server_version)
    if known.target_version:
        found["target database"] = known.target_version
    elif number := known.answers.get("plan", {}).get("target_version"):
        found["target database"] = f"PostgreSQL {_release(number)}"
    return found | {name: metadata.version(name) for name in PARTS}
