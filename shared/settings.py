"""The app's settings, typed: one place that reads the environment.

In Azure they are app settings and Key Vault references; on one machine `local/` writes them. Names are upper case,
levels are parted by two underscores: `TARGET__PRODUCTION__SQL__SERVER`. Profiles are the entries of `TARGET` and
`SOURCE`; there may be any number of them.
"""

import functools
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import Refusal


class Section(BaseModel):
    """Base of the nested settings: unknown names are refused."""

    model_config = ConfigDict(extra="forbid")


class BlobAccount(Section):
    """How to reach a storage account: by identity (`account_url`) or, on one machine, by connection string."""

    account_url: str | None = Field(default=None, description="https://<account>.blob.core.windows.net")
    connection_string: SecretStr | None = Field(default=None, description="Only where no identity exists (Azurite).")
    api_version: str | None = Field(default=None, description="Storage service version; the SDK's own if absent.")

    @model_validator(mode="after")
    def _one_way(self) -> "BlobAccount":
        if (self.account_url is None) == (self.connection_string is None):
            raise ValueError("give either account_url (identity) or connection_string, found both or none")
        return self


class Staging(BlobAccount):
    """The staging account: snapshots on their way, run records and reports."""

    container: str = "mxferry-staging"
    reports_container: str = "mxferry-reports"


class Postgres(Section):
    """The server that holds the temporary database of a run."""

    host: str
    port: int = 5432
    user: str
    password: SecretStr | None = Field(default=None, description="Absent: an Entra token of the app's identity.")
    database: str = Field(default="postgres", description="Where CREATE DATABASE is issued.")
    sslmode: Literal["disable", "require", "verify-ca", "verify-full"] = "require"


class SqlServer(Section):
    """A SQL Server or Azure SQL database."""

    server: str = Field(description="Host, or host,port.")
    database: str
    user: str | None = None
    password: SecretStr | None = Field(default=None, description="Absent: an Entra token of the app's identity.")
    encrypt: Literal["yes", "strict", "no"] = "yes"
    trust_server_certificate: bool = False


class TargetBlob(BlobAccount):
    """The container of the target app's files."""

    container: str


class TargetProfile(Section):
    """A target environment: one database, one container."""

    kind: Literal["sqlserver", "postgres"] = "sqlserver"
    sql: SqlServer | None = None
    postgres: Postgres | None = None
    blob: TargetBlob
    throw_away: bool = Field(default=False, description="True only for a rehearsal target that may be dropped unasked.")
    max_parallel_chunks: int = Field(default=4, ge=1, le=64)
    max_parallel_files: int = Field(default=4, ge=1, le=64)
    load: Literal["heap-first", "keys-first"] = "heap-first"

    @model_validator(mode="after")
    def _has_database(self) -> "TargetProfile":
        if self.kind == "sqlserver" and self.sql is None:
            raise ValueError("a sqlserver target needs TARGET__<NAME>__SQL__SERVER and ...__SQL__DATABASE")
        if self.kind == "postgres" and self.postgres is None:
            raise ValueError("a postgres target needs TARGET__<NAME>__POSTGRES__HOST, ...__USER and ...__DATABASE")
        return self


class MendixCloud(Section):
    """An environment in Mendix Cloud, as the Backups API v2 and the Deploy API name it."""

    project_id: str
    environment_id: str
    username: str
    api_key: SecretStr
    app_id: str | None = Field(default=None, description="AppId (sub-domain) for the Deploy API v1.")
    mode: str = Field(default="Production", description="Environment mode for the Deploy API v1.")
    backups_url: str = "https://deploy.mendix.com/api/v2"
    deploy_url: str = "https://deploy.mendix.com/api/1"


class SourceProfile(Section):
    """Where snapshots come from."""

    mendix_cloud: MendixCloud | None = None
    blob: BlobAccount | None = None


class Rehearsal(Section):
    """The timer that starts rehearsals; off unless enabled."""

    enabled: bool = False
    schedule: str = Field(default="0 0 2 * * 6", description="NCRONTAB, UTC.")
    request: str = Field(default="", description="The JSON body of a MigrationRequest.")


class Settings(BaseSettings):
    """Everything the app reads from its environment."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="__", extra="ignore", nested_model_default_partial_update=True
    )

    staging: Staging
    postgres: Postgres
    target: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")], TargetProfile]
    source: dict[str, SourceProfile] = Field(default_factory=dict)
    rehearsal: Rehearsal = Field(default_factory=Rehearsal)
    azure_client_id: str | None = Field(default=None, description="Client id of the user-assigned identity.")
    allow_http_sources: bool = Field(default=False, description="Let `url` sources use http; for local stands only.")
    sql_odbc_driver: str | None = Field(default=None, description="ODBC driver name or path; found if absent.")

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
    """Return the settings of this process; `Refusal` SETTINGS_INVALID says which names are missing or wrong."""
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"{'__'.join(str(part) for part in item['loc']).upper()}: {item['msg']}" for item in error.errors()
        )
        raise Refusal(
            "SETTINGS_INVALID",
            "app settings",
            f"expected complete and valid settings, found: {problems}.",
            "See docs/settings.md for every name and its form.",
        ) from None
