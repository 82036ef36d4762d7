"""The set-up check: can the app log in to every database of its settings? Where not, and where it may, it makes its user.

Nothing else is written. Preflight checks the rest, for one target, at the beginning of every run.
"""

from collections.abc import Callable
from functools import partial

from shared.azure.arm import ResourceManager
from shared.errors import Finding, MxferryError
from shared.postgres import users as postgres_users
from shared.settings import Settings, SqlServer, TargetProfile, TemporaryPostgres
from shared.sqlserver import users as sqlserver_users
from shared.sqlserver.connection import session


def check_databases(settings: Settings, administrators: str | None = None) -> list[Finding]:
    """Return a finding for the temporary server and for every target; errors say what an administrator has to do.

    `administrators` is the name of the Entra group that administers PostgreSQL servers, if the app's identity is in it.
    """
    found = [_do_check("temporary server", partial(_temporary, settings.postgres, administrators))]
    for name, profile in sorted(settings.target.items()):
        found.append(_do_check(name, partial(_target, profile, settings, administrators)))
    return found


def _do_check(about: str, check: Callable[[], Finding]) -> Finding:
    """Do a check; one for which the app got no token is a finding, too."""
    try:
        found = check()
    except MxferryError as error:
        found = error.finding()
    return found.model_copy(update={"object": about}) if found.code == "NO_TOKEN" else found


def _temporary(server: TemporaryPostgres, administrators: str | None) -> Finding:
    state = "Ready"
    if server.resource_id is not None:
        with ResourceManager() as manager:
            state = manager.postgres_state(server.resource_id)
    if state != "Ready":
        return Finding(
            code="POSTGRES_ASLEEP", severity="info", object=server.host,
            message=f"the temporary server is {state}; a run wakes it, and preflight looks at its login then.",
        )  # fmt: skip
    return postgres_users.check_user(server, administrators)


def _target(profile: TargetProfile, settings: Settings, administrators: str | None) -> Finding:
    if profile.postgres is not None:
        return postgres_users.check_user(profile.postgres, administrators)
    sql, identity = profile.sql, settings.identity_name
    if sql is None:
        raise ValueError("expected a target profile with a database, as its model asks, found one without")
    if sql.password is not None or identity is None:
        return _logged_in(sql)
    return sqlserver_users.check_user(sql, identity, settings.azure_client_id)


def _logged_in(sql: SqlServer) -> Finding:
    """A login by password, or by an identity whose name is not in the settings: it is made by people."""
    where = f"{sql.server}/{sql.database}"
    with session(sql, timeout=60) as connection:
        user = connection.execute("SELECT USER_NAME()").fetchval()
    message = f"the app logs in as {user}; preflight checks what it may."
    return Finding.info("DATABASE_USER_READY", where, message)
