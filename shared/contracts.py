"""The models that cross the HTTP boundary and the durable boundary.

Everything here is JSON, free of secrets, and validated on both sides. A request names *profiles*; the connection
details of a profile come from settings inside the activity (`shared.settings`).
"""

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.errors import Finding

RUN_ID = re.compile(r"^[0-9]{8}t[0-9]{6}-[0-9a-f]{6}$")

ProfileName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
BlobName = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
RunId = Annotated[str, StringConstraints(pattern=RUN_ID.pattern)]
Purpose = Literal["cutover", "rehearsal"]
VerifyLevel = Literal["counts", "aggregates", "hash", "sample"]


class Strict(BaseModel):
    """Base of all contracts: unknown fields are refused, so that a typing mistake is never silently ignored."""

    model_config = ConfigDict(extra="forbid")


# --- sources -------------------------------------------------------------------------------------------------------


class BlobSource(Strict):
    """A snapshot that lies in a blob container this app may read."""

    kind: Literal["blob"]
    profile: ProfileName | None = Field(
        default=None, description="Source profile with the account; else the staging account."
    )
    container: Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:-?[a-z0-9]){2,62}$")]
    blob: BlobName


class UrlSource(Strict):
    """A snapshot at an https URL. The URL may be pre-signed, so it is taken out of the request before it is stored."""

    kind: Literal["url"]
    url: str | None = Field(
        default=None, description="Present in the HTTP request only; never crosses the durable boundary."
    )


class MendixCloudSource(Strict):
    """A snapshot of a Mendix Cloud environment, found or made through the Backups API v2."""

    kind: Literal["mendix-cloud"]
    profile: ProfileName = Field(description="Source profile with the project id, the environment id and the API key.")
    snapshot: str = Field(default="new", description="`new`, `latest`, or a snapshot id.")
    stop_app: bool = Field(default=False, description="Stop the source app first; it is not started again.")


Source = Annotated[BlobSource | UrlSource | MendixCloudSource, Field(discriminator="kind")]


# --- the request ---------------------------------------------------------------------------------------------------


class Mask(Strict):
    """A column that a rehearsal masks on the way, never in the source."""

    table: str
    column: str
    how: Literal["hash", "email", "name", "blank"] = "hash"


class HttpCheck(Strict):
    """A smoke check over HTTP."""

    name: str
    url: Annotated[str, StringConstraints(pattern=r"^https?://")]
    status: int = 200
    text: str | None = None
    timeout_seconds: int = Field(default=30, ge=1, le=600)
    certificate_days: int | None = Field(
        default=None, ge=0, le=3650, description="Days that the certificate of an https URL must still be valid."
    )


class SqlCheck(Strict):
    """A smoke check on the target database: rows of a table at least, or at most."""

    name: str
    table: str
    at_least: int = 0
    at_most: int | None = None


class DocumentCheck(Strict):
    """A smoke check on one document: what the app hands out is what lies in its blob."""

    name: str
    url: Annotated[str, StringConstraints(pattern=r"^https?://")] = Field(description="Where the app hands it out.")
    blob: BlobName = Field(description="Name of its blob: the UUID, with the prefix if the request has one.")
    timeout_seconds: int = Field(default=60, ge=1, le=600)


class Smoke(Strict):
    """Smoke checks wanted after the copy."""

    http: list[HttpCheck] = Field(default_factory=list, max_length=50)
    sql: list[SqlCheck] = Field(default_factory=list, max_length=200)
    documents: list[DocumentCheck] = Field(default_factory=list, max_length=50)
    runtime: bool = Field(
        default=False,
        description="Ask the Mendix runtime's admin API (the profile's APP__ADMIN_URL): running, healthy, no pending "
        "database changes.",
    )
    retry_seconds: int = Field(
        default=0,
        ge=0,
        le=3600,
        description="How long failed checks are tried again: as long as an app may take to start.",
    )

    @property
    def wanted(self) -> bool:
        """Whether any check is asked for."""
        return bool(self.http or self.sql or self.documents or self.runtime)


class Window(Strict):
    """The migration window, both ends with a time zone."""

    start: datetime | None = None
    end: datetime
    when_late: Literal["warn", "ask", "stop"] = "warn"

    @model_validator(mode="after")
    def _ordered(self) -> "Window":
        for moment in (self.start, self.end):
            if moment is not None and moment.tzinfo is None:
                raise ValueError("window times need a time zone, for example 2026-11-28T20:00:00+01:00")
        if self.start is not None and self.start >= self.end:
            raise ValueError(f"the window ends ({self.end.isoformat()}) before it starts ({self.start.isoformat()})")
        return self


class Contact(Strict):
    """Somebody the runbook names."""

    role: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(
        description="Such as migration lead, database, application, network, management."
    )
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    reach: Annotated[str, StringConstraints(max_length=200)] = Field(default="", description="Phone, chat, e-mail.")


class Options(Strict):
    """How the migration is to be done. Every default is the careful one."""

    purpose: Purpose = "cutover"
    target_mode: Literal["create", "existing"] = "create"
    dry_run: bool = Field(
        default=False, description="Stop before the target is written; the report says what would be done."
    )
    collation: str | None = Field(
        default=None, description="Collation of new string columns; the database's own if absent."
    )
    verify: list[VerifyLevel] = Field(default=["counts", "aggregates", "hash"], description="Levels of verification.")
    remedies: dict[str, str] = Field(
        default_factory=dict, description="Finding `CODE` or `CODE:object` → chosen remedy."
    )
    max_rejects: int = Field(
        default=0, ge=0, le=1_000_000, description="Rows the target may refuse before the run fails."
    )
    masks: list[Mask] = Field(default_factory=list, max_length=1000)
    show_values: bool = Field(default=False, description="Show the examples of findings unmasked.")
    blob_prefix: str = Field(default="", max_length=200, description="Prefix of every blob in the target container.")
    cleanup: Literal["always", "on-success", "keep"] = "always"


class MigrationRequest(Strict):
    """Body of `POST /api/migrations`."""

    source: Source
    target: ProfileName = Field(description="Target profile, as named in the settings.")
    target_not_empty: Literal["refuse", "drop"] = "refuse"
    confirm: str | None = Field(default=None, description="The target profile's name again; required with `drop`.")
    expected_model_version: str | None = None
    approval: bool = Field(default=False, description="Wait for an approval before the target is written.")
    approval_timeout_minutes: int = Field(default=24 * 60, ge=1, le=7 * 24 * 60)
    window: Window | None = None
    stop_target_app: bool = Field(default=False, description="Stop the target app before the target is written.")
    start_target_app: Literal["no", "ask", "yes"] = Field(
        default="no", description="Start the target app when everything is verified; `ask` waits for an approval first."
    )
    smoke: Smoke = Field(default_factory=Smoke)
    contacts: list[Contact] = Field(default_factory=list, max_length=50, description="Who the runbook names.")
    options: Options = Field(default_factory=Options)
    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None

    @model_validator(mode="after")
    def _drop_is_confirmed(self) -> "MigrationRequest":
        if self.target_not_empty == "drop" and self.confirm != self.target:
            raise ValueError(
                f'"target_not_empty": "drop" needs "confirm": "{self.target}" (the target profile\'s name again), '
                f"found {self.confirm!r}"
            )
        return self


# --- across the durable boundary -----------------------------------------------------------------------------------


class Run(Strict):
    """Input of the migration orchestration, and the `run` part of every activity's input."""

    id: RunId
    request: MigrationRequest
    created_at: datetime


class Counts(Strict):
    """Rows, bytes and files; used for done and total alike."""

    rows: int = 0
    bytes: int = 0
    files: int = 0
    tables: int = 0


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
    tar_blob: str | None = Field(default=None, description="The inflated tar; absent when the archive is a bare dump.")
    tar_bytes: int = 0
    index_blob: str | None = Field(default=None, description="Parquet: name, uuid, kind, data offset, size.")
    dump: DumpRef
    metadata: dict[str, str] = Field(default_factory=dict, description="The archive's .metadata, as strings.")
    files: int = 0
    file_bytes: int = 0
    ignored: list[str] = Field(
        default_factory=list, description="First hundred names that no Mendix backup should hold."
    )
    ignored_count: int = 0


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


# --- what the report is made of ------------------------------------------------------------------------------------


class Check(Strict):
    """One check of the run, with how it was done."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    how: str = Field(description="A sentence: what was compared with what, by which means.")
    detail: str = Field(default="", description="Numbers, or why it failed or was skipped.")


class TableRows(Strict):
    """Rows of one table: read at the source, loaded by us, counted on the target."""

    name: str
    rows_source: int
    rows_copied: int
    rows_target: int | None = None
    bytes: int = 0
    rejected: int = 0
    content: Literal["copy", "empty"] = "copy"
    reason: str | None = None


class RunWork(Strict):
    """Input of an activity that needs nothing but the run; the base of most others."""

    run: Run


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


class Reconciled(Findings):
    """Output of `reconcile_files`: rows of System.FileDocument against blobs."""

    rows: int = 0
    rows_with_contents: int = 0
    blobs: int = 0
    missing_blobs: int = 0
    expected_missing: int = 0
    orphan_blobs: int = 0
    size_differences: int = 0
    size_unknown: int = 0
    first: list[str] = Field(default_factory=list, description="First hundred differences, one sentence each.")
    list_blob: str | None = Field(default=None, description="Full list, NDJSON, in the reports container.")


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


class Gate(Strict):
    """A decision that the run waits for, or waited for."""

    name: Literal["write", "start", "late", "stop-app", "start-app"]
    asked_at: datetime
    answers_by: datetime
    decision: Literal["approved", "aborted", "expired"] | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    comment: str | None = None


class Progress(Strict):
    """Custom status of `migrate` and of its two sides."""

    stages: list[StageState] = Field(default_factory=list)
    gate: Gate | None = None
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


class Decision(Strict):
    """Body of `POST /api/migrations/{id}/approve` and of `.../abort`, and the external event they raise."""

    by: Annotated[str, StringConstraints(min_length=1, max_length=200)] = "unknown"
    comment: Annotated[str, StringConstraints(max_length=2000)] = ""
