"""The report of a run: what was moved, from where, when, how long, at what rate, and what was checked how.

Every number in it was measured in the run. What was not checked is a check with the outcome `skipped`.
"""

from datetime import datetime

from pydantic import BaseModel, Field

from shared.communication.memory import Messages
from shared.contracts import Check, Gate, Reconciliation, RunId, StageState, TableRows, Verdict
from shared.errors import Finding
from shared.request import Window
from shared.ticks import Tick

CLOSING = ("source-start", "app-restart", "app-end", "stock", "report", "clean-up", "stand-down")
"""Stages of every end, after the proof; `source-start` comes right behind the snapshot where the request says `always`."""

OUTSIDE = (
    "Whether the app works for its users: pages, microflows, integrations, scheduled events, beyond the smoke tests above.",
    "That constants and custom settings are those of the source, among them the Encryption module's key, without which "
    "encrypted values cannot be read.",
    "The runtime's licence, certificates and DNS, and how fast the app is in its new place.",
    "What was changed at the source after the snapshot was taken.",
)
"""What no check of a run looks at; said in every report, so that nobody takes its silence for a yes."""


class StageReport(BaseModel):
    """A stage with its duration (seconds) and rates (units a second)."""

    name: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    seconds: float
    rows: int = 0
    bytes: int = 0
    files: int = 0
    tables: int = 0
    rows_per_second: float | None = None
    bytes_per_second: float | None = None
    files_per_second: float | None = None
    note: str = ""


class FilesReport(BaseModel):
    """Files: how many were expected, copied and found, and how many bytes they hold."""

    expected: int = 0
    copied: int = 0
    bytes: int = 0
    server_side: int = 0
    streamed: int = 0
    existed: int = 0
    not_counted: str | None = Field(default=None, description="Why the copied files are not counted, if they are not.")


class RejectedRow(BaseModel):
    """A row that the target refused."""

    table: str
    key: dict[str, str] = Field(description="Column → value of the primary key; the row's ctid where there is no key.")
    error: str
    row: dict[str, str | None] = Field(
        default_factory=dict, description="Its values as text, only with `options.show_values`."
    )


class RejectsReport(BaseModel):
    """The rows that the target refused."""

    rows: int
    blob: str = Field(description="All of them, NDJSON, in the reports container.")
    first: list[RejectedRow] = Field(description="The first hundred.")


class StockReport(BaseModel):
    """What the target holds after a run that did not end verified, counted there."""

    tables: int = 0
    rows: int = 0
    holding: dict[str, int] = Field(default_factory=dict, description="Rows by table, the largest first.")
    files: int = 0
    bytes: int = 0


class Place(BaseModel):
    """A place where data of the run lies, or may lie."""

    name: str
    where: str = Field(description="Server, account, database, container: names, never a secret.")
    holds: str = Field(description="What of the app lies there.")
    until: str = Field(description="When it was or will be deleted, or that it stays.")


class TickReport(Tick):
    """What somebody has said of a step of the runbook."""

    title: str


class Report(BaseModel):
    """`report.json`."""

    id: RunId
    verdict: Verdict
    reason: str = ""
    purpose: str
    source: str = Field(description="Kind and name of the source, never a URL.")
    origin: str = Field(default="", description="Whose snapshot, for comparing with rehearsals: equal for one app.")
    target: str
    target_mode: str = ""
    created_at: datetime
    asked_by: str | None = None
    asked: dict[str, str] = Field(default_factory=dict, description="The request's choices, in words.")
    reported_at: datetime
    target_written_at: datetime | None = None
    seconds: float = Field(description="From the first stage's start to the last one's end, without the waits.")
    waited_seconds: float = Field(default=0, description="For people, and for the clock.")
    window: Window | None = None
    proved_at: datetime | None = Field(default=None, description="When everything was proved, if it was.")
    window_seconds: float | None = Field(default=None, description="Length of the agreed migration window.")
    model_version: str | None = None
    runtime_version: str | None = None
    snapshot: dict[str, str] = Field(default_factory=dict, description="Size, MD5, dump version, as sentences.")
    stages: list[StageReport]
    tables: list[TableRows]
    rows: int
    rows_not_counted: str | None = Field(
        default=None, description="Why the copied rows are not counted, if they are not; `rows` is 0 then."
    )
    files: FilesReport
    checks: list[Check]
    findings: list[Finding]
    gates: list[Gate] = Field(default_factory=list, description="Where the run waited, and who decided what.")
    ticks: list[TickReport] = Field(
        default_factory=list,
        description="What people said of the runbook's steps until the report was written, also what was taken back.",
    )
    reconciliation: Reconciliation | None = None
    rejects: RejectsReport | None = Field(default=None, description="Null where the target refused no row.")
    stock: StockReport | None = Field(default=None, description="Counted only if the run did not end verified.")
    smoke: list[Check] = Field(default_factory=list)
    outside: list[str] = Field(default_factory=list, description="What no check of a run looks at.")
    applications: list[str] = Field(default_factory=list, description="How source and target app were left.")
    cleanup: list[str] = Field(default_factory=list, description="What was deleted, what was kept, and why.")
    messages: Messages | None = Field(
        default=None,
        description="What the channels were told until the report was written: telling goes on. Null if nothing was.",
    )
    places: list[Place] = Field(default_factory=list, description="Where the data went, and until when it lies there.")
    ddl: str | None = Field(default=None, description="Blob of the DDL script in the reports container.")
    versions: dict[str, str] = Field(default_factory=dict)
    compared_with: RunId | None = Field(default=None, description="The rehearsal before, if there was one.")
    before: dict[str, float] = Field(default_factory=dict, description="Seconds of each stage in that rehearsal.")
    regressions: list[str] = Field(default_factory=list, description="What got worse since it, as sentences.")


def stage_report(stage: StageState) -> StageReport:
    """Return a stage with duration and rates."""
    seconds = (stage.ended_at - stage.started_at).total_seconds() if stage.ended_at else 0.0
    done = stage.done

    def rate(amount: int) -> float | None:
        return round(amount / seconds, 1) if amount and seconds > 0 else None

    return StageReport(
        name=stage.name, state=stage.state, started_at=stage.started_at, ended_at=stage.ended_at, seconds=round(seconds, 3),
        rows=done.rows, bytes=done.bytes, files=done.files, tables=done.tables, note=stage.note,
        rows_per_second=rate(done.rows), bytes_per_second=rate(done.bytes), files_per_second=rate(done.files),
    )  # fmt: skip
