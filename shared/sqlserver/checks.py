"""Preflight on the target database: reachable, fit, allowed, empty, unused. Reads only."""

from collections.abc import Callable, Collection, Mapping
from typing import Literal

import pyodbc

from shared import sessions
from shared.errors import Finding, Refusal, TransientError
from shared.settings import SqlServer, TargetProfile
from shared.sqlserver import catalogue
from shared.sqlserver.completion import COMPATIBILITY_LEVEL, OPTIONS
from shared.sqlserver.connection import PROGRAM, quote, session
from shared.sqlserver.existing import app_rows
from shared.sqlserver.users import RIGHTS, create_user, grant_rights

Mode = Literal["create", "existing"]

LOGIN_SECONDS = 30
FIRST_MAJOR = 15
"""SQL Server 2019: the first with UTF-8 collations, by which verification hashes rows as PostgreSQL does."""

ASK_RIGHTS = "\n     , ".join(
    ["SELECT HAS_PERMS_BY_NAME(N'dbo', 'SCHEMA', 'ALTER')"]
    + [f"HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', '{right}')" for right in RIGHTS]
)
AZURE_PROGRAMS = ("AutomaticTuningAgent", "BackupService", "DmvCollector", "MetricsDownloader", "TdService")
"""Azure SQL's own sessions, as users of it report them; nobody can end them, and they read only."""
SEES_SESSIONS = """\
SELECT HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW SERVER STATE'), HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW SERVER PERFORMANCE STATE')"""
"""What shows other sessions outside Azure SQL Database, where VIEW DATABASE STATE does; the latter is SQL Server 2022's.
https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/sys-dm-exec-sessions-transact-sql#permissions"""
RESUMING = 40613
"""Azure SQL's error number while a serverless database resumes."""
WAKING = "TARGET_WAKING"
UNREACHABLE = "TARGET_UNREACHABLE"
AWAY = "Check the server's name, its firewall and private endpoints, and that it is running."


def check_target(
    profile: TargetProfile,
    collation: str | None = None,
    *,
    identity: str | None = None,
    mode: Mode = "create",
    of_remedies: Collection[str] = (),
) -> list[Finding]:
    """Return everything that is wrong or noteworthy about a profile's database; all findings at once.

    `collation` is the one the request wants for new columns; `identity` the name of the app's managed identity, for
    the remedies; `mode` the target mode: `create` wants an empty database, `existing` a runtime's schema; `of_remedies`
    the collations that remedies give to columns. Raises TransientError TARGET_UNREACHABLE, or TARGET_WAKING while a paused
    database wakes up.
    """
    if profile.sql is None:
        return [
            Finding.error("TARGET_KIND", "target profile", "expected a SQL Server target, found a profile without one.")
        ]
    where = f"{profile.sql.server}/{profile.sql.database}"
    found: list[Finding] = []
    try:
        with session(profile.sql, timeout=60, login_timeout=LOGIN_SECONDS) as connection:
            for check in _checks(profile.sql, where, collation, identity, mode):
                found.extend(check(connection))
            found.extend(_unknown(connection, where, "options.remedies", of_remedies))
    except TransientError as error:
        code = WAKING if str(RESUMING) in error.message else UNREACHABLE
        raise TransientError(code, where, f"expected to log in, found: {error.message}", AWAY) from None
    except Refusal as error:
        found.append(_unreachable(profile.sql, where, error, identity))
    return found


def _checks(
    sql: SqlServer, where: str, collation: str | None, identity: str | None, mode: Mode
) -> list[Callable[[pyodbc.Connection], list[Finding]]]:
    return [
        lambda connection: _engine(connection, where),
        lambda connection: _rights(connection, sql, where, identity),
        lambda connection: _options(connection, where),
        lambda connection: _empty(connection, where) if mode == "create" else _prepared(connection, where),
        lambda connection: _in_use(connection, where),
        lambda connection: _unseen(connection, where),
        lambda connection: _collation(connection, where, collation),
    ]


def _engine(connection: pyodbc.Connection, where: str) -> list[Finding]:
    engine = catalogue.engine(connection)
    if engine.in_azure or engine.major >= FIRST_MAJOR:
        return []
    message = f"expected SQL Server 2019 (15) or newer, or Azure SQL, found version {engine.version}."
    return [Finding.error("TARGET_TOO_OLD", where, message, "Use a newer server.")]


def _rights(connection: pyodbc.Connection, sql: SqlServer, where: str, identity: str | None) -> list[Finding]:
    asked = ("ALTER ON SCHEMA::dbo", *RIGHTS)
    given = connection.execute(ASK_RIGHTS).fetchone()
    missing = [right for right, allowed in zip(asked, given, strict=True) if allowed != 1]
    if not missing:
        return []
    message = f"expected the login to have each right that the app needs, found these missing: {', '.join(missing)}."
    return [Finding.error("TARGET_NO_RIGHT", where, message, grant(sql, identity))]


def grant(sql: SqlServer, identity: str | None) -> str:
    """Return the statements that give the profile's login what it needs, for a database administrator to run."""
    if sql.password is not None:
        name = sql.user or "<login>"
        create = f"CREATE USER {quote(name)} FOR LOGIN {quote(name)};"
    else:
        name = identity or "<name of the app's managed identity>"
        create = create_user(name)
    return f"In database {sql.database}, as its administrator: {create} (if the user is not there yet) {grant_rights(name)}"


BY_ITSELF = "The run sets it, and says so where it may not."


def _options(connection: pyodbc.Connection, where: str) -> list[Finding]:
    state = catalogue.database_state(connection)
    found = [
        Finding.info("TARGET_OPTION", where, f"{name} is off; a Mendix runtime needs it. {BY_ITSELF}", statement)
        for name, statement in OPTIONS
        if not getattr(state, name)
    ]
    if state.compatibility_level < COMPATIBILITY_LEVEL:
        message = (
            f"expected compatibility level {COMPATIBILITY_LEVEL} or higher, found {state.compatibility_level}. "
            f"{BY_ITSELF}"
        )
        statement = f"ALTER DATABASE CURRENT SET COMPATIBILITY_LEVEL = {COMPATIBILITY_LEVEL}"
        found.append(Finding.info("TARGET_OPTION", where, message, statement))
    return found


def _empty(connection: pyodbc.Connection, where: str) -> list[Finding]:
    rows = catalogue.table_rows(connection)
    if not rows:
        return []
    message = f"expected no tables in schema dbo, found {len(rows)} with {sum(rows.values()):,} rows."
    remedy = 'Use an empty database, or say `"target_not_empty": "drop"` with the profile\'s name in `"confirm"`.'
    return [_not_empty(where, message, remedy, rows)]


def _prepared(connection: pyodbc.Connection, where: str) -> list[Finding]:
    """Target mode `existing`: a runtime has made the schema, and nobody has worked in it yet."""
    if not catalogue.table_exists(connection, "mendixsystem$entity"):
        message = "expected the schema that a Mendix runtime makes at its first start, found no mendixsystem$entity."
        remedy = 'Start the app once on this database and stop it, or use `"target_mode": "create"`.'
        return [Finding.error("TARGET_HAS_NO_SCHEMA", where, message, remedy)]
    rows = app_rows(catalogue.table_rows(connection))
    if not rows:
        return []
    message = f"expected no rows of the app on the target, found {sum(rows.values()):,} rows in {len(rows)} tables."
    remedy = 'Use a fresh database, or say `"target_not_empty": "drop"` with the profile\'s name in `"confirm"`.'
    return [_not_empty(where, message, remedy, rows)]


def _not_empty(where: str, message: str, remedy: str, rows: Mapping[str, int]) -> Finding:
    largest = sorted(rows.items(), key=lambda item: (-item[1], item[0]))[:10]
    examples = [f"{name}: {n} rows" for name, n in largest]
    return Finding.error("TARGET_NOT_EMPTY", where, message, remedy, count=len(rows), examples=examples)


def in_use(sql: SqlServer) -> list[Finding]:
    """Return who else is on the database, as TARGET_IN_USE; empty when nobody is."""
    with session(sql, timeout=60, login_timeout=LOGIN_SECONDS) as connection:
        return _in_use(connection, f"{sql.server}/{sql.database}")


def _in_use(connection: pyodbc.Connection, where: str) -> list[Finding]:
    others = [group for group in catalogue.sessions(connection) if group.program not in (PROGRAM, *AZURE_PROGRAMS)]
    seen = [
        f"{group.count} × {group.program or 'unnamed program'} on {group.host or 'unknown host'}" for group in others
    ]
    return sessions.in_use(where, sum(group.count for group in others), seen)


def _unseen(connection: pyodbc.Connection, where: str) -> list[Finding]:
    """Say so where the login sees its own sessions only: that nobody else is there would be no more than a guess."""
    if catalogue.engine(connection).edition == catalogue.AZURE_SQL_DATABASE:
        return []
    if 1 in tuple(connection.execute(SEES_SESSIONS).fetchone() or ()):
        return []
    message = "expected to see every session, found that the login sees its own only: who else is there is not checked."
    remedy = "See to it that the target app is stopped, or, in master: GRANT VIEW SERVER STATE to the login."
    return [Finding.warning("TARGET_SESSIONS_UNSEEN", where, message, remedy)]


def _collation(connection: pyodbc.Connection, where: str, wanted: str | None) -> list[Finding]:
    own = catalogue.database_state(connection).collation
    if wanted is not None and (unknown := _unknown(connection, where, "options.collation", [wanted])):
        return unknown
    if wanted is None or wanted == own:
        return [
            Finding.info("TARGET_COLLATION", where, f"the database's collation is {own}; unique keys are judged by it.")
        ]
    message = f"new string columns get {wanted}, the database's own collation is {own}."
    remedy = (
        "Comparing columns of two collations fails in T-SQL; tables made later by the runtime get the database's own."
    )
    return [Finding.warning("TARGET_COLLATION", where, message, remedy)]


def _unknown(connection: pyodbc.Connection, where: str, option: str, names: Collection[str]) -> list[Finding]:
    """Find names that no collation of the server has; one would end the run where its column or index is made."""
    found = []
    for name in sorted(set(names)):
        row = connection.execute("SELECT CAST(COLLATIONPROPERTY(?, 'CodePage') AS int)", name).fetchone()
        if row is None or row[0] is None:
            message = f"expected {option} to name a collation of the target, found {name}."
            remedy = "See SELECT name FROM sys.fn_helpcollations()."
            found.append(Finding.error("UNKNOWN_COLLATION", where, message, remedy))
    return found


def _unreachable(sql: SqlServer, where: str, error: Refusal, identity: str | None) -> Finding:
    remedy = error.remedy or AWAY
    if error.code in ("SQL_LOGIN_FAILED", "SQL_NO_RIGHT"):
        remedy = f"{remedy} {grant(sql, identity)}"
    return Finding.error(UNREACHABLE, where, f"expected to log in, found: {error.message}", remedy)
