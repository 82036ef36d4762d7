"""The app's settings, typed: one place that reads the environment.

In Azure they are app settings and Key Vault references, written by `infra/`; on one machine `local/` writes them. Names
are upper case, levels are parted by two underscores: `TARGET__PRODUCTION__SQL__SERVER`. Profiles are the entries of
`TARGET` and `SOURCE`; there may be any number of them. `docs/settings.md` is made from these models.
"""

import functools
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from shared import redaction
from shared.channel import Channel, encrypted
from shared.errors import Refusal
from shared.settingnames import misspelt, unresolved

# Where a setting makes sense on one machine only; `infra/` never writes it.
LOCAL: dict[str, Any] = {"where": "local"}
PLATFORM: dict[str, Any] = {"where": "the platform"}
"""Set by Azure itself."""


class Section(BaseModel):
    """Base of the nested settings: unknown names are refused."""

    model_config = ConfigDict(extra="forbid")


class BlobAccount(Section):
    """How to reach a storage account: by identity (`account_url`) or, on one machine, by connection string."""

    account_url: str | None = Field(default=None, description="`https://<account>.blob.core.windows.net`.")
    connection_string: SecretStr | None = Field(
        default=None, description="Only where no identity exists (Azurite).", json_schema_extra=LOCAL
    )
    api_version: str | None = Field(
        default=None, description="Storage service version; the SDK's own if absent.", json_schema_extra=LOCAL
    )

    @model_validator(mode="after")
    def _one_way(self) -> "BlobAccount":
        if (self.account_url is None) == (self.connection_string is None):
            raise ValueError("give either account_url (identity) or connection_string, found both or none")
        return self


class Staging(BlobAccount):
    """The staging account: snapshots on their way, run records and reports."""

    container: str = Field(default="mxferry-staging", description="Holds `runs/<run>/…`; deleted at clean-up.")
    reports_container: str = Field(default="mxferry-reports", description="Run records and reports; kept.")


class Postgres(Section):
    """A PostgreSQL server."""

    host: str = Field(description="Host name of the server.")
    port: int = Field(
        default=5432, ge=1, le=65535, description="TCP port of the server itself, not of a PgBouncer before it."
    )
    user: str = Field(description="Login. With an Entra token: the identity's display name.")
    password: SecretStr | None = Field(default=None, description="Absent: an Entra token of the app's identity.")
    database: str = Field(
        default="postgres",
        description="The target's database; on the temporary server, where CREATE DATABASE is issued.",
    )
    sslmode: Literal["disable", "require", "verify-ca", "verify-full"] = Field(
        default="verify-full",
        description="As libpq's `sslmode`: `verify-full` checks the certificate and the host's name in it, `require` checks "
        "nothing; `disable` also switches Entra tokens off.",
    )
    sslrootcert: str = Field(
        default="system",
        description="Whose certificates are trusted: `system`, the authorities that the machine trusts, or a PEM file.",
    )
    storage_gb: int | None = Field(
        default=None,
        ge=1,
        description="GiB of storage that the databases may fill, for the look at its room; Azure tells it of a server whose "
        "`resource_id` is set.",
    )


class TemporaryPostgres(Postgres):
    """The server that holds the temporary database of a run."""

    resource_id: str | None = Field(
        default=None,
        description="Azure resource id of the flexible server; absent: never started or stopped by the app.",
    )
    stop_when_idle: bool = Field(
        default=True, description="Stop the server after the last run that needs it (needs `resource_id`)."
    )


class TargetPostgres(Postgres):
    """A PostgreSQL database that the target app uses."""

    owner: str | None = Field(
        default=None,
        description="Role that shall own what is made: the runtime's own. Our login must be a member of it.",
    )


class SqlServer(Section):
    """A SQL Server or Azure SQL database."""

    server: str = Field(description="Host, or `host,port`.")
    database: str = Field(description="Name of the target database.")
    user: str | None = Field(default=None, description="SQL login; only together with `password`.")
    password: SecretStr | None = Field(default=None, description="Absent: an Entra token of the app's identity.")
    encrypt: Literal["yes", "strict", "no"] = Field(default="yes", description="`Encrypt` of the ODBC driver.")
    trust_server_certificate: bool = Field(
        default=False, description="For a server with a certificate of its own making.", json_schema_extra=LOCAL
    )
    resource_id: str | None = Field(
        default=None, description="Azure resource id of the database; absent: never scaled by the app."
    )
    scale_up_to: str | None = Field(
        default=None,
        description="SKU name for the time of the load, such as `GP_Gen5_8`; scaled back after (needs `resource_id`).",
    )
    backup_days: int | None = Field(
        default=None, ge=1, description="Days of the database's back-ups, for the report; absent: not known to the app."
    )


class TargetBlob(BlobAccount):
    """The container of the target app's files."""

    container: str = Field(description="Container that the target app reads its files from.")
    soft_delete_days: int | None = Field(
        default=None,
        ge=1,
        description="Days for which deleted blobs can be brought back, for the report; absent: not known to the app.",
    )


class Application(Section):
    """How the target app is stopped and started; without it, people do it and say so at a gate."""

    kind: Literal["manual", "webhook", "azure", "kubernetes", "mendix-operator"] = Field(
        default="manual",
        description="People; a hook of the team; App Service or Container App; a Deployment; a MendixApp resource.",
    )
    admin_url: str | None = Field(
        default=None, description="Admin port of the Mendix runtime (m2ee), for smoke checks."
    )
    admin_password: SecretStr | None = Field(default=None, description="M2EE_ADMIN_PASS of that runtime.")
    address: str | None = Field(
        default=None,
        description="Where users call the app, `https://<host>` without a path: smoke checks that are signed in ask there, "
        "and the password is sent nowhere else.",
    )
    smoke_user: str | None = Field(
        default=None,
        description="User of the app that such checks sign in as, as on its login page: one made for it, which may read the "
        "documents and little else.",
    )
    smoke_password: SecretStr | None = Field(default=None, description="Password of that user.")
    url: SecretStr | None = Field(default=None, description="Address of the `webhook`.")
    secret: SecretStr | None = Field(default=None, description="Signs calls of the `webhook` (Standard Webhooks).")
    resource_id: str | None = Field(default=None, description="Resource id of the `azure` app.")
    server: str | None = Field(default=None, description="Kubernetes API server, https://host:port.")
    namespace: str = Field(default="default", description="Kubernetes namespace.")
    name: str = Field(default="", description="Name of the Deployment or MendixApp.")
    replicas: int = Field(default=1, ge=1, le=50, description="Replicas when started.")
    patience_minutes: int = Field(
        default=15,
        ge=1,
        le=24 * 60,
        description="How long the app may take to stop or to start, its model synchronised.",
    )
    token: SecretStr | None = Field(default=None, description="Token of the Kubernetes service account.")
    ca: str | None = Field(default=None, description="Certificate authority of the API server, PEM.")

    @model_validator(mode="after")
    def _complete(self) -> "Application":
        cluster: dict[str, object] = {"SERVER": self.server, "NAME": self.name, "TOKEN": self.token}
        needed: dict[str, dict[str, object]] = {
            "manual": {},
            "webhook": {"URL": self.url},
            "azure": {"RESOURCE_ID": self.resource_id},
            "kubernetes": cluster,
            "mendix-operator": cluster,
        }
        missing = [f"APP__{name}" for name, value in needed[self.kind].items() if not value]
        if missing:
            raise ValueError(f"an app of kind {self.kind} needs {', '.join(missing)}")
        given = {
            "SERVER": self.server, "ADDRESS": self.address, "URL": self.url.get_secret_value() if self.url else None,
        }  # fmt: skip
        if plain := [f"APP__{name}" for name, address in given.items() if address and not encrypted(address)]:
            raise ValueError(
                f"expected https in {', '.join(plain)}: what is sent there carries a secret or a signature"
            )
        return self

    @field_validator("address")
    @classmethod
    def _origin(cls, address: str | None) -> str | None:
        if not address:
            return None
        parts = urlsplit(address)
        if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc or not parts.hostname:
            raise ValueError("expected scheme, host and port only, such as https://app.example.org")
        return address.removesuffix("/")

    @model_validator(mode="after")
    def _signs_in(self) -> "Application":
        given = {"ADDRESS": self.address, "SMOKE_USER": self.smoke_user, "SMOKE_PASSWORD": self.smoke_password}
        missing = [f"APP__{name}" for name, value in given.items() if not value]
        if 0 < len(missing) < len(given):
            raise ValueError(f"smoke checks that are signed in need {', '.join(missing)} too")
        return self


class TargetProfile(Section):
    """A target environment: one database, one container."""

    kind: Literal["sqlserver", "postgres"] = Field(
        default="sqlserver", description="Which database the target app uses."
    )
    sql: SqlServer | None = Field(default=None, description="The database, if `kind` is `sqlserver`.")
    postgres: TargetPostgres | None = Field(default=None, description="The database, if `kind` is `postgres`.")
    blob: TargetBlob = Field(description="The files.")
    app: Application | None = Field(default=None, description="The target app; absent: people stop and start it.")
    throw_away: bool = Field(default=False, description="True only for a rehearsal target that may be dropped unasked.")
    max_parallel_chunks: int = Field(default=4, ge=1, le=64, description="Chunks of rows loaded at the same time.")
    max_parallel_files: int = Field(default=4, ge=1, le=64, description="Slices of files copied at the same time.")
    load: Literal["heap-first", "keys-first"] = Field(
        default="heap-first", description="Keys after the load, or before it (see docs/sizing.md)."
    )

    @model_validator(mode="after")
    def _has_database(self) -> "TargetProfile":
        if self.kind == "sqlserver" and self.sql is None:
            raise ValueError("a sqlserver target needs TARGET__<NAME>__SQL__SERVER and ...__SQL__DATABASE")
        if self.kind == "postgres" and self.postgres is None:
            raise ValueError("a postgres target needs TARGET__<NAME>__POSTGRES__HOST, ...__USER and ...__DATABASE")
        return self


class MendixCloud(Section):
    """An environment in Mendix Cloud, as the Backups API v2 and the Deploy API name it."""

    project_id: str = Field(description="ProjectId of the app.")
    environment_id: str = Field(description="EnvironmentId whose backup is taken.")
    username: str = Field(description="Mendix user of the API key.")
    api_key: SecretStr = Field(description="API key with the rights to back up and, if asked for, to stop the app.")
    app_id: str | None = Field(default=None, description="AppId (sub-domain) for the Deploy API v1.")
    mode: str = Field(default="Production", description="Environment mode for the Deploy API v1.")
    personal_access_token: SecretStr | None = Field(
        default=None,
        description="Token with scope `mx:deployment:read`: preflight asks the Deploy API v4 for the source's PostgreSQL "
        "version; absent: that is known when the snapshot is there.",
    )
    backups_url: str = Field(
        default="https://deploy.mendix.com/api/v2", description="Backups API.", json_schema_extra=LOCAL
    )
    deploy_url: str = Field(
        default="https://deploy.mendix.com/api/1", description="Deploy API.", json_schema_extra=LOCAL
    )
    platform_url: str = Field(
        default="https://cloud.home.mendix.com/api/v4", description="Deploy API v4.", json_schema_extra=LOCAL
    )


class SourceProfile(Section):
    """Where snapshots come from."""

    mendix_cloud: MendixCloud | None = Field(default=None, description="A Mendix Cloud environment.")
    blob: BlobAccount | None = Field(default=None, description="A storage account that holds snapshots.")


class Retention(Section):
    """How long services keep what they hold by themselves, as the deployment made them; absent: not known to the app."""

    staging_days: int | None = Field(
        default=None, ge=1, description="Days after which a rule of the staging account deletes what a run left."
    )
    postgres_backup_days: int | None = Field(
        default=None, ge=1, description="Days of back-ups of the temporary PostgreSQL server."
    )
    log_days: int | None = Field(default=None, ge=1, description="Days of logs in Log Analytics.")


class Rehearsal(Section):
    """The timer that starts rehearsals; off unless enabled."""

    enabled: bool = Field(default=False, description="Start a rehearsal at every tick of the schedule.")
    request: str = Field(default="", description="The JSON body of a MigrationRequest.")


class Settings(BaseSettings):
    """Everything the app reads from its environment."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="__", extra="ignore", nested_model_default_partial_update=True
    )

    staging: Staging = Field(description="The staging account.")
    postgres: TemporaryPostgres = Field(description="The temporary PostgreSQL server.")
    target: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")], TargetProfile] = Field(
        description="Target profiles by name."
    )
    source: dict[str, SourceProfile] = Field(default_factory=dict, description="Source profiles by name.")
    website_hostname: str | None = Field(
        default=None, description="Host name of this app: messages lead to the run's page.", json_schema_extra=PLATFORM
    )
    notify: dict[str, Channel] = Field(default_factory=dict, description="Where events are told, by name.")
    # Not a part of `rehearsal`: the host resolves it as %REHEARSAL_SCHEDULE% in the timer's binding, and .NET reads a
    # double underscore in a setting's name as a level (https://learn.microsoft.com/azure/azure-functions/functions-app-settings).
    rehearsal_schedule: str = Field(default="0 0 2 * * 6", description="NCRONTAB of the rehearsal timer, UTC.")
    tell_schedule: str = Field(
        default="0 * * * * *",
        description="NCRONTAB of the timer that tells the channels (`NOTIFY__…`); the host needs it also where there are none.",
    )
    keep_days: int = Field(
        default=7,
        ge=0,
        le=365,
        description="Days after its clean-up that a run is kept, where its request asks to keep it and names no number.",
    )
    taskhub_name: str | None = Field(
        default=None,
        description="Name of the durable task hub, `%TASKHUB_NAME%` in host.json: the sweep leaves the runs of another one alone.",
    )
    retention: Retention = Field(default_factory=Retention, description="What services keep.")
    rehearsal: Rehearsal = Field(default_factory=Rehearsal, description="The rehearsal timer.")
    azure_client_id: str | None = Field(default=None, description="Client id of the user-assigned identity.")
    identity_name: str | None = Field(
        default=None, description="Display name of that identity: its login in the databases, for the remedies."
    )
    management_url: str = Field(
        default="https://management.azure.com", description="Azure Resource Manager, for start, stop and scale."
    )
    allow_http_sources: bool = Field(
        default=False, description="Let `url` sources use http; for local stands only.", json_schema_extra=LOCAL
    )
    mask_secret: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="The key of a rehearsal's masks is drawn from it, for each run another one; a run that masks needs it.",
    )
    copy_chunk_bytes: int = Field(
        default=64 * 1024 * 1024, ge=64 * 1024, description="Size of a chunk in PostgreSQL, TOAST included."
    )
    copy_stall_seconds: float = Field(default=180.0, gt=0, description="A load without progress is ended after this.")
    verify_slice_bytes: int = Field(
        default=512 * 1024 * 1024, ge=64 * 1024, description="Size of the part of a table that one activity verifies."
    )
    sql_odbc_driver: str | None = Field(
        default=None, description="ODBC driver name or path; found if absent.", json_schema_extra=LOCAL
    )

    def target_profile(self, name: str) -> TargetProfile:
        """Return the target profile of that name; `Refusal` UNKNOWN_TARGET names the known ones."""
        found = self.target.get(name) or self.target.get(name.replace("-", "_"))
        if found is None:
            known = ", ".join(sorted(self.target)) or "none"
            raise Refusal(
                "UNKNOWN_TARGET",
                name,
                f"expected a target profile from the settings ({known}).",
                f"Add app settings TARGET__{name.upper().replace('-', '_')}__... or use a known profile.",
            )
        return found

    def source_profile(self, name: str) -> SourceProfile:
        """Return the source profile of that name; `Refusal` UNKNOWN_SOURCE names the known ones."""
        found = self.source.get(name) or self.source.get(name.replace("-", "_"))
        if found is None:
            known = ", ".join(sorted(self.source)) or "none"
            raise Refusal(
                "UNKNOWN_SOURCE",
                name,
                f"expected a source profile from the settings ({known}).",
                f"Add app settings SOURCE__{name.upper().replace('-', '_')}__... or use a known profile.",
            )
        return found


@functools.cache
def settings() -> Settings:
    """Return the settings of this process; `Refusal` SETTINGS_INVALID says which names are missing, wrong or unknown."""
    problems = misspelt(list(Settings.model_fields)) + unresolved()
    found: Settings | None = None
    try:
        found = Settings()
    except ValidationError as error:
        problems += [_sentence(item["loc"], item["type"], item["msg"]) for item in error.errors(include_input=False)]
    except SettingsError as error:  # a name that has parts, set as if it had none: its value is no JSON
        name = re.search(r'field "(\w+)"', str(error))
        problems.append(f"{name[1].upper() if name else 'settings'}: expected names below it, with two underscores")
    if problems or found is None:
        raise Refusal(
            "SETTINGS_INVALID",
            "app settings",
            f"expected complete and valid settings, found: {'; '.join(problems)}.",
            "See docs/settings.md for every name and its form.",
        )
    redaction.remember(found)
    return found


def _sentence(location: tuple[int | str, ...], kind: str, message: str) -> str:
    name = "__".join(str(part) for part in location).upper()
    words = {"missing": "missing", "extra_forbidden": "unknown, no setting has this name"}
    return f"{name}: {words.get(kind, message)}"
