"""The app settings of a local stack, under the names that `shared.settings` reads."""

from collections.abc import Mapping

from local.odbc import SqlTarget
from local.postgres import PostgresServer

PROFILE = "demo"
STAGING, REPORTS, FILES = "mxferry-staging", "mxferry-reports", "app-files"
TARGET = f"TARGET__{PROFILE.upper()}"

HOST_SETTINGS = {
    "ALLOW_HTTP_SOURCES": "true",
    "REHEARSAL_SCHEDULE": "0 0 2 * * 6",
    "TELL_SCHEDULE": "0 * * * * *",
    "TASKHUB_NAME": "mxferry",
    "PYTHON_THREADPOOL_THREAD_COUNT": "16",
}


def blob_settings(connection_string: str) -> dict[str, str]:
    """Return the settings of the staging account and of the target's container, both in this account."""
    return {
        "STAGING__CONNECTION_STRING": connection_string,
        "STAGING__CONTAINER": STAGING,
        "STAGING__REPORTS_CONTAINER": REPORTS,
        f"{TARGET}__BLOB__CONNECTION_STRING": connection_string,
        f"{TARGET}__BLOB__CONTAINER": FILES,
    }


def postgres_settings(server: PostgresServer, user: str, password: str) -> dict[str, str]:
    """Return the settings of the temporary PostgreSQL."""
    return {
        "POSTGRES__HOST": server.host,
        "POSTGRES__PORT": str(server.port),
        "POSTGRES__USER": user,
        "POSTGRES__PASSWORD": password,
        "POSTGRES__SSLMODE": "disable",
    }


def target_settings(target: SqlTarget, *, throw_away: bool = False) -> dict[str, str]:
    """Return the settings of the target database; `throw_away` lets rehearsals drop it (the stand-in, never a real one)."""
    settings = {
        f"{TARGET}__THROW_AWAY": str(throw_away).lower(),
        f"{TARGET}__SQL__SERVER": target.server,
        f"{TARGET}__SQL__DATABASE": target.database,
        f"{TARGET}__SQL__ENCRYPT": target.encrypt,
        f"{TARGET}__SQL__TRUST_SERVER_CERTIFICATE": str(target.trust).lower(),
    }
    if target.user and target.password:
        settings |= {f"{TARGET}__SQL__USER": target.user, f"{TARGET}__SQL__PASSWORD": target.password}
    if target.driver:
        settings["SQL_ODBC_DRIVER"] = target.driver
    return settings


def target_postgres_settings(server: PostgresServer, database: str, user: str, password: str) -> dict[str, str]:
    """Return the settings of a target database that is PostgreSQL; rehearsals may drop what it holds."""
    return {
        f"{TARGET}__KIND": "postgres",
        f"{TARGET}__THROW_AWAY": "true",
        f"{TARGET}__POSTGRES__HOST": server.host,
        f"{TARGET}__POSTGRES__PORT": str(server.port),
        f"{TARGET}__POSTGRES__DATABASE": database,
        f"{TARGET}__POSTGRES__USER": user,
        f"{TARGET}__POSTGRES__PASSWORD": password,
        f"{TARGET}__POSTGRES__SSLMODE": "disable",
    }


def smoke_settings(app: Mapping[str, object], password: str) -> dict[str, str]:
    """Return the settings of the target app from its stand-in's ready line: where smoke checks sign in, and as whom."""
    return {
        f"{TARGET}__APP__ADDRESS": str(app["address"]),
        f"{TARGET}__APP__SMOKE_USER": str(app["user"]),
        f"{TARGET}__APP__SMOKE_PASSWORD": password,
    }


def source_settings(cloud: Mapping[str, object] | None, api_key: str) -> dict[str, str]:
    """Return the settings of the Mendix Cloud profile from the stand-in's ready line; none without a stand-in."""
    if cloud is None:
        return {}
    platform = str(cloud["deploy_url"]).replace("/api/1", "/api/v4")
    names = ("project_id", "environment_id", "app_id", "username", "backups_url", "deploy_url")
    prefix = f"SOURCE__{PROFILE.upper()}__MENDIX_CLOUD"
    told = {f"{prefix}__{name.upper()}": str(cloud[name]) for name in names}
    return told | {
        f"{prefix}__API_KEY": api_key,
        f"{prefix}__PERSONAL_ACCESS_TOKEN": api_key,
        f"{prefix}__PLATFORM_URL": platform,
    }
