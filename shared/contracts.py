"""The models that cross the durable boundary: what activities and orchestrators hand to one another.

Everything here is JSON, free of secrets, and validated on both sides.
"""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shared.errors import Finding
from shared.request import MigrationRequest
from shared.strict import Strict

RUN_ID = re.compile(r"^[0-9]{8}t[0-9]{6}-[0-9a-f]{6}$")

RunId = Annotated[str, StringConstraints(pattern=RUN_ID.pattern)]

# --- across the durable boundary -----------------------------------------------------------------------------------


class Run(Strict):
    """Input of the migration orchestration, and the `run` part of every activity's input."""

    id: RunId
    request: MigrationRequest
    created_at: datetime
    asked_by: str | None = Field(default=None, description="Who asked for it, where somebody was signed in.")
    hub: str | None = Field(default=None, description="Task hub of the engine that does it.")
    late_midway: bool = Field(
        default=False,
        description="Whether lateness is decided after the snapshot and after the restore too; runs that an older version "
        "started do not look there.",
    )


class Counts(Strict):
    """Rows, bytes and files; used for done and total alike."""

    rows: int = 0
    bytes: int = 0
    files: int = 0
    tables: int = 0

    def __add__(self, more: "Counts") -> "Counts":
        """Return both together."""
        return Counts(**{name: getattr(self, name) + getattr(more, name) for name in Counts.model_fields})


class StageProgress(Strict):
    """Custom status of an orchestrator that does a stage."""

    stage: str
    state: Literal["running", "waiting", "done", "failed"] = "running"
    started_at: datetime | None = None
    done: Counts = Field(default_factory=Counts)
    total: Counts = Field(default_factory=Counts)
    children: list[str] = Field(default_factory=list, description="Instance ids whose progress is part of this one.")
    note: str = ""


# --- what stages hand on -------------------------------------------------------------------------------------------


class DumpRef(Strict):
    """Where the PostgreSQL dump lies inside a staged blob."""

    blob: str
    offset: int = Field(ge=0, description="Bytes from the start of the blob.")
    size: int = Field(ge=0, description="Bytes.")
    format: str = Field(description="Archive format version, such as 1.14.")
    compression: Literal["none", "gzip", "lz4", "zstd"]
    server_version: str
    dump_version: str


class SnapshotRef(Strict):
    """What the snapshot stage leaves in staging."""

    kind: Literal["full", "database"]
    archive_blob: str
    archive_bytes: int
    archive_md5: str | None = None
    archive_check: str = Field(default="", description="How the archive in staging was compared with its source.")
    tar_blob: str | None = Field(default=None, description="The inflated tar; absent when the archive is a bare dump.")
    tar_bytes: int = 0
    index_blob: str | None = Field(default=None, description="Parquet: kind, uuid, data offset, size, MD5s.")
    dump: DumpRef
    metadata: dict[str, str] = Field(default_factory=dict, description="The archive's .metadata, as strings.")
    files: int = 0
    file_bytes: int = 0
    ignored: list[str] = Field(
        default_factory=list, description="First hundred names that no Mendix backup should hold."
    )
    ignored_count: int = 0
    ignored_blob: str | None = Field(default=None, description="All of them, NDJSON, in the reports container.")


class RestoreRef(Strict):
    """What the restore stage leaves: the temporary database."""

    database: str = Field(description="run_<id> on the settings' PostgreSQL server.")
    tables: int
    rows: int
    bytes: int
    server_version: int = Field(description="server_version_num, such as 150018.")
    model_version: str | None = None
    runtime_version: str | None = None
    skipped: list[str] = Field(
        default_factory=list, description="First hundred entries of the dump that a migration does not need."
    )
    findings: list[Finding] = Field(default_factory=list, description="About the server's room.")


# --- what the report is made of ------------------------------------------------------------------------------------


class Check(Strict):
    """One check of the run, with how it was done."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    how: str = Field(description="A sentence: what was compared with what, by which means.")
    detail: str = Field(default="", description="Numbers, or why it failed or was skipped.")


SEQUENCES_CHECK, KEYS_CHECK = "sequences", "keys and indexes"
BESIDE_ROWS = frozenset({SEQUENCES_CHECK, KEYS_CHECK})
"""Names of the checks of the stage `verify` that look at no row: alone they verify no database."""


class TableRows(Strict):
    """Rows of one table: read at the source, loaded by us, counted on the target."""

    name: str
    rows_source: int
    rows_copied: int
    rows_target: int | None = None
    bytes: int = 0
    rejected: int = 0
    left_out: int = Field(default=0, description="Rows that the run leaves out; `reason` says which.")
    content: Literal["copy", "empty"] = "copy"
    reason: str | None = None


class RunWork(Strict):
    """Input of an activity that needs nothing but the run; the base of most others."""

    run: Run
    look: int = Field(
        default=0,
        description="Which of many calls with the same input this is: the attempts of each are counted apart.",
    )


class RestoredWork(RunWork):
    """Input of an activity that reads the temporary database."""

    restore: RestoreRef


class SnapshotWork(RunWork):
    """Input of an activity that reads the staged snapshot."""

    snapshot: SnapshotRef


class Findings(Strict):
    """Output of a checking activity."""

    findings: list[Finding] = Field(default_factory=list)


class Planned(Findings):
    """Output of `plan_database`."""

    tables: int
    rows: int
    bytes: int
    ddl_blob: str = Field(description="The DDL script in the reports container.")


class Copied(Strict):
    """Output of `copy_rows` (orchestrator)."""

    tables: int
    chunks: int
    rows: int
    bytes: int
    rejected: int = 0
    rounded: int = Field(
        default=0, description="Timestamps that lost their microseconds, which datetime2(3) cannot keep."
    )
    tables_blob: str = Field(description="NDJSON of TableRows in staging.")


class Verified(Findings):
    """Output of `verify_rows` and of `verify_files`."""

    checks: list[Check] = Field(default_factory=list)
    tables_blob: str | None = Field(default=None, description="NDJSON of TableRows with rows_target, in staging.")


class FilesCopied(Strict):
    """Output of `copy_files`."""

    files: int
    bytes: int
    server_side: int = Field(default=0, description="Files copied blob to blob by the service.")
    streamed: int = Field(default=0, description="Files that passed through the function.")
    existed: int = Field(default=0, description="Files an earlier delivery had already written.")


class Reconciliation(Strict):
    """Rows of System.FileDocument against blobs."""

    rows: int = 0
    rows_with_contents: int = 0
    blobs: int = 0
    missing_blobs: int = 0
    expected_missing: int = Field(default=0, description="Rows with DeleteAfterDownload: no backup holds their files.")
    lost_before: int = Field(default=0, description="Rows of size 0 without a blob: the source had lost the file.")
    orphan_blobs: int = 0
    size_differences: int = 0
    size_unknown: int = Field(
        default=0, description="Rows of size -1 with a blob: the runtime has not computed it yet."
    )
    size_zero: int = Field(default=0, description="Rows of size 0 with a blob: the runtime once did not find the file.")
    first: dict[str, list[str]] = Field(
        default_factory=dict, description="First hundred differences of each kind, one sentence each."
    )
    list_blob: str | None = Field(default=None, description="Full list, NDJSON, in the reports container.")


class Reconciled(Reconciliation, Findings):
    """Output of `reconcile_files`."""


# --- progress ------------------------------------------------------------------------------------------------------


class StageState(Strict):
    """One stage of a run, as the custom status of an orchestration holds it. Kept small: Azure allows 16 KB in all."""

    name: str
    state: Literal["running", "waiting", "done", "failed", "skipped"] = "running"
    started_at: datetime
    ended_at: datetime | None = None
    done: Counts = Field(default_factory=Counts)
    total: Counts = Field(default_factory=Counts)
    instance: str | None = Field(default=None, description="Orchestration whose custom status has the live numbers.")
    note: str = ""


def named(by: str, signed_in: bool) -> str:
    """Return a person's name as people read it: one that nobody vouches for says so."""
    return by if signed_in else f"{by} (as stated)"


class Signed(Strict):
    """A record that bears the name of a person."""

    by: str
    signed_in: bool = Field(default=False, description="Whether the platform vouches for the name.")

    @property
    def who(self) -> str:
        """The name, for people."""
        return named(self.by, self.signed_in)


class Said(Signed):
    """What somebody decided: the external event of a gate, and the mark of an abort."""

    by: str = "unknown"
    comment: str = ""


class Gate(Strict):
    """Where the run waits for people or for the clock, or waited. Times are those of the orchestration."""

    name: Literal[
        "start",
        "late-snapshot",
        "snapshot",
        "late-after-snapshot",
        "late-after-restore",
        "late",
        "write",
        "stop-app",
        "late-write",
        "started",
        "start-app",
    ]
    asked_at: datetime
    answers_by: datetime = Field(description="The time-out; of `start` and `snapshot` the moment that is waited for.")
    decision: Literal["approved", "aborted", "expired", "opened"] | None = Field(
        default=None, description="Null while it waits; `opened` by the clock."
    )
    decided_by: str | None = None
    signed_in: bool = Field(
        default=False, description="Whether App Service authentication vouches for `decided_by`; else it is as stated."
    )
    decided_at: datetime | None = None
    comment: str | None = Field(
        default=None, description="Of who decided; while the gate waits, why it is asked once more."
    )

    @property
    def approval(self) -> str:
        """The event that approves it. A gate that is asked again has another one: the first yes, sent twice, does not count."""
        again = self.decision is None and self.comment
        return f"approve-{self.name}{'-again' if again else ''}"

    @property
    def who(self) -> str | None:
        """Who decided, for people; None where nobody did."""
        return None if self.decided_by is None else named(self.decided_by, self.signed_in)


class Progress(Strict):
    """Custom status of `migrate` and of its two sides."""

    stages: list[StageState] = Field(default_factory=list)
    gates: list[Gate] = Field(
        default_factory=list, description="All of the run, in order; comments are shortened, the report has them whole."
    )
    target_written_at: datetime | None = Field(
        default=None, description="The point of no return: before it, an abort leaves the target as it was."
    )


Verdict = Literal["verified", "failed", "refused", "aborted", "planned"]


class Summary(Strict):
    """Output of `migrate`: the verdict, and where to read the rest."""

    id: RunId
    verdict: Verdict
    stages: list[StageState]
    findings: int = 0
    reason: str = Field(default="", description="Why it is not verified, as a sentence.")
