"""What a caller may ask for: the body of `POST /api/migrations`, and of the answers to a gate.

Free of secrets but for the pre-signed URL of a `UrlSource`, which is taken out before the request is stored. A request
names *profiles*; the connection details of a profile come from settings inside the activity (`shared.settings`).
"""

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, model_validator

from shared.strict import Strict

ProfileName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
PersonName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
BlobName = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Purpose = Literal["cutover", "rehearsal"]
TargetMode = Literal["create", "existing", "postgres", "runtime"]
StartAgain = Literal["never", "unless-verified", "always"]
VerifyLevel = Literal["counts", "aggregates", "hash", "sample"]

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
    stop_app: bool = Field(default=False, description="Stop the source app before the snapshot is taken.")
    start_app_again: StartAgain | None = Field(
        default=None,
        description="When a source app that this run stopped is started again: `unless-verified` (a run that does not end "
        "verified starts it, the roll-back; default of a cut-over), `always` (as soon as the snapshot is taken; default "
        "of a rehearsal), `never`. Never while this run has started the target app.",
    )


Source = Annotated[BlobSource | UrlSource | MendixCloudSource, Field(discriminator="kind")]


def origin_of(source: Source) -> str:
    """Return whose snapshots a source gives, as far as a request tells: equal for two snapshots of one app."""
    if source.kind == "mendix-cloud":
        return f"mendix-cloud:{source.profile}"
    return f"blob:{source.profile or ''}/{source.container}" if source.kind == "blob" else "url"


# --- the request ---------------------------------------------------------------------------------------------------


class Mask(Strict):
    """A column that a rehearsal masks on the way, never in the source."""

    table: str
    column: str
    how: Literal["hash", "email", "name", "blank"] = "hash"


def _app_address(url: str) -> str:
    """Return an http(s) address with a host name and a port that exists, without user and password in it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an http or https address with a host name")
    if parts.username is not None or parts.password is not None:
        raise ValueError("expected an address without user and password: a request is kept, and so would they be")
    if parts.port == 0:  # reading a port out of range raises too
        raise ValueError("expected a port from 1 to 65535")
    return url


AppAddress = Annotated[str, StringConstraints(pattern=r"^https?://", max_length=2000), AfterValidator(_app_address)]


SignedIn = Annotated[
    bool,
    Field(
        description="Sign in first, as the user of the target profile's APP__SMOKE_USER: only for addresses of its "
        "APP__ADDRESS."
    ),
]


class HttpCheck(Strict):
    """A smoke check over HTTP."""

    name: str
    url: AppAddress
    status: int = 200
    text: str | None = None
    timeout_seconds: int = Field(default=30, ge=1, le=600, description="For the whole answer.")
    certificate_days: int | None = Field(
        default=None, ge=0, le=3650, description="Days that the certificate of an https URL must still be valid."
    )
    signed_in: SignedIn = False

    @model_validator(mode="after")
    def _has_a_certificate(self) -> "HttpCheck":
        if self.certificate_days is not None and not self.url.startswith("https://"):
            raise ValueError("certificate_days: an http address has no certificate")
        return self


class SqlCheck(Strict):
    """A smoke check on the target database: rows of a table, all of them or those that have a value in a column."""

    name: str
    table: str = Field(
        description="Table `system$user`, or entity `System.User` as the target's own metadata names it."
    )
    column: str | None = Field(default=None, description="Only rows with `equals` in this column are counted.")
    equals: str | None = Field(default=None, max_length=4000, description="Such as the login name of a user.")
    at_least: int = 0
    at_most: int | None = None

    @model_validator(mode="after")
    def _both(self) -> "SqlCheck":
        if (self.column is None) != (self.equals is None):
            raise ValueError("`column` and `equals` belong together")
        return self


class DocumentCheck(Strict):
    """A smoke check on one document: what the app hands out is what lies in its blob."""

    name: str
    url: AppAddress = Field(
        description="Where the app hands it out: `/file?guid=<id>` to somebody signed in, or an address for anybody."
    )
    blob: BlobName = Field(description="Name of its blob: the UUID, with the prefix if the request has one.")
    timeout_seconds: int = Field(default=60, ge=1, le=600, description="For the whole document.")
    signed_in: SignedIn = False


STARTING_SECONDS = 600
"""What an app that says it runs may still need until it answers."""


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
    retry_seconds: int | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="How long failed checks are tried again: as long as an app may take to start. Absent: ten minutes where "
        "this run starts the app, or has it started; else not at all.",
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
    target_mode: TargetMode | None = Field(
        default=None,
        description="How the target database is filled. Absent: `create` for a SQL Server, `postgres` for a PostgreSQL.",
    )
    dry_run: bool = Field(
        default=False, description="Stop before the target is written; the report says what would be done."
    )
    collation: str | None = Field(
        default=None, description="Collation of new string columns; the database's own if absent."
    )
    verify: list[VerifyLevel] = Field(
        default=["counts", "aggregates", "hash"], min_length=1, description="Levels of verification, at least one."
    )
    remedies: dict[str, str] = Field(
        default_factory=dict, description="Finding `CODE` or `CODE:object` → chosen remedy."
    )
    max_rejects: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Rows the target may refuse, in all tables together, before the run fails.",
    )
    masks: list[Mask] = Field(default_factory=list, max_length=1000)
    show_values: bool = Field(default=False, description="Show the examples of findings unmasked.")
    blob_prefix: str = Field(default="", max_length=200, description="Prefix of every blob in the target container.")
    cleanup: Literal["always", "on-success", "keep"] = Field(
        default="always",
        description="What is deleted at the end: staging and the temporary database always; only of a run that was "
        "verified or planned; or nothing. What is kept goes after `keep_days`.",
    )
    keep_days: int | None = Field(
        default=None,
        ge=0,
        le=365,
        description="Days after the clean-up that staging and the temporary database are kept, where `cleanup` keeps them; "
        "the setting KEEP_DAYS if absent.",
    )
    window_minutes: int | None = Field(
        default=None,
        ge=1,
        le=7 * 24 * 60,
        description="Length of the agreed migration window; a rehearsal says when it needs more than four fifths of it.",
    )
    hand_over: Literal["ask", "adapter"] = Field(
        default="ask",
        description="Target mode `runtime`: people give the app its SourceDatabase settings and start it, or the "
        "profile's app adapter does.",
    )
    not_compared: list[str] = Field(
        default_factory=list,
        max_length=500,
        description="Target mode `runtime`: tables that the app changes by itself when it starts; listed as not checked.",
    )

    @model_validator(mode="after")
    def _keeps_something(self) -> "Options":
        if self.keep_days is not None and self.cleanup == "always":
            raise ValueError('keep_days belongs to `"cleanup": "keep"` or `"on-success"`; `always` keeps nothing')
        return self

    @model_validator(mode="after")
    def _fits_the_mode(self) -> "Options":
        if self.target_mode in ("runtime", "existing") and self.collation is not None:
            raise ValueError(
                f"collation: the runtime makes the columns in target mode `{self.target_mode}`, with the database's own"
            )
        if self.target_mode == "runtime":
            if self.max_rejects:
                raise ValueError(
                    "max_rejects: the runtime copies the rows in target mode `runtime`, and leaves none out"
                )
        elif self.hand_over != "ask" or self.not_compared:
            raise ValueError("hand_over and not_compared belong to target mode `runtime`")
        return self


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
    snapshot_at: AwareDatetime | None = Field(
        default=None, description="The agreed snapshot time: the run is ready before, and waits for it."
    )
    stop_target_app: bool = Field(default=False, description="Stop the target app before the target is written.")
    start_target_app: Literal["no", "ask", "yes"] = Field(
        default="no", description="Start the target app when everything is verified; `ask` waits for an approval first."
    )
    smoke: Smoke = Field(default_factory=Smoke)
    contacts: list[Contact] = Field(default_factory=list, max_length=50, description="Who the runbook names.")
    options: Options = Field(default_factory=Options)
    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None

    @property
    def start_source_again(self) -> StartAgain | None:
        """When the source app is started again; None where the run does not stop it."""
        source = self.source
        if source.kind != "mendix-cloud" or not source.stop_app:
            return None
        return source.start_app_again or ("always" if self.options.purpose == "rehearsal" else "unless-verified")

    @property
    def smoke_patience_seconds(self) -> int:
        """How long failed smoke checks are tried again."""
        if self.smoke.retry_seconds is not None:
            return self.smoke.retry_seconds
        started = self.start_target_app != "no" or self.options.target_mode == "runtime"
        return STARTING_SECONDS if started else 0

    @model_validator(mode="after")
    def _snapshot_in_window(self) -> "MigrationRequest":
        at, window = self.snapshot_at, self.window
        if at is not None and window is not None and not (window.start or at) <= at < window.end:
            raise ValueError(f"the snapshot time ({at.isoformat()}) lies outside the window")
        return self

    @model_validator(mode="after")
    def _drop_is_confirmed(self) -> "MigrationRequest":
        if self.target_not_empty == "drop" and self.confirm != self.target:
            raise ValueError(
                f'"target_not_empty": "drop" needs "confirm": "{self.target}" (the target profile\'s name again), '
                f"found {self.confirm!r}"
            )
        return self


class Decision(Strict):
    """Body of `POST /api/migrations/{id}/approve` and of `.../abort`."""

    by: PersonName | None = Field(
        default=None,
        description="Who says so; required where nobody is signed in. Behind App Service authentication the signed-in "
        "user's name stands in its place.",
    )
    gate: str | None = Field(
        default=None,
        max_length=20,
        description="The gate that an approval is for; 409 when the run is at another by now.",
    )
    comment: Annotated[str, StringConstraints(max_length=2000)] = ""
