"""The app's user in a target database: looked for, made where the app may, the exact statements where it may not.

The app may where its identity logs in as somebody with more rights than it needs: a member of the group that
administers the server is `dbo` in every database. Afterwards it can leave the group: the user stays.
"""

import uuid

import pyodbc

from shared.errors import Finding, MxferryError
from shared.settings import SqlServer
from shared.sqlserver.connection import quote, session
from shared.sqlserver.errors import number_of, text_of

RIGHTS = (
    "ALTER", "CREATE PROCEDURE", "CREATE TABLE", "DELETE", "EXECUTE", "INSERT", "REFERENCES", "SELECT", "UPDATE",
    "VIEW DATABASE STATE",
)  # fmt: skip
"""Rights on the database, all that our statements need: tables, keys and a procedure in schema dbo, their rows, options of
the database (ALTER), other sessions and row counts (VIEW DATABASE STATE). Not db_owner, which may also drop the database and
give rights to others."""

LOOK = """
SELECT USER_NAME()
     , DATABASE_PRINCIPAL_ID(?)
     , HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'ALTER ANY USER')
     , HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'CONTROL')
"""
ASK_RIGHTS = "SELECT " + "\n     , ".join(f"HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', '{right}')" for right in RIGHTS)
ALREADY_THERE = 15023
LOGIN_SECONDS = 30


def create_user(name: str) -> str:
    """Return the statement that makes the user of an Entra identity.

    https://learn.microsoft.com/azure/azure-sql/database/authentication-aad-configure
    """
    return f"CREATE USER {quote(name)} FROM EXTERNAL PROVIDER;"


def create_user_by_id(name: str, client_id: str) -> str:
    """Return the statement that makes it from its client id, without asking the directory.

    An administrator that is an application itself may not ask the directory unless the server's own identity may
    (https://learn.microsoft.com/azure/azure-sql/database/authentication-aad-service-principal).
    """
    return f"CREATE USER {quote(name)} WITH SID = 0x{uuid.UUID(client_id).bytes_le.hex().upper()}, TYPE = E;"


def grant_rights(name: str) -> str:
    """Return the statement that gives a user what the app needs."""
    return f"GRANT {', '.join(RIGHTS)} TO {quote(name)};"


def statements(name: str) -> str:
    """Return what an administrator runs in the target database."""
    return f"{create_user(name)} {grant_rights(name)}"


def check_user(sql: SqlServer, identity: str, client_id: str | None) -> Finding:
    """Look for the user of the app's identity, make it if that is allowed, and say what was found or done.

    Doing it again changes nothing; two at the same time make one user.
    """
    where = f"{sql.server}/{sql.database}"
    try:
        with session(sql, timeout=60, login_timeout=LOGIN_SECONDS) as connection:
            return _looked_at(connection, where, identity, client_id)
    except MxferryError as error:
        if error.code in ("SQL_LOGIN_FAILED", "SQL_NO_RIGHT"):
            return _missing(where, identity, f"expected to log in as {identity}, found: {error.message}")
        return error.finding()


def _looked_at(connection: pyodbc.Connection, where: str, identity: str, client_id: str | None) -> Finding:
    user, known, may_make, may_give = connection.execute(LOOK, identity).fetchone()
    if user == identity:
        return _own(connection, where, identity)
    if known is not None and may_give == 1:
        connection.execute(grant_rights(identity))
        return _there(where, identity, user, f"{identity} is there and has its rights.")
    if may_make != 1 or may_give != 1:
        return _missing(where, identity, f"expected to log in as {identity}, found that the app logs in as {user}.")
    refused = _make(connection, identity, client_id)
    if refused is not None:
        return _missing(where, identity, f"expected to be allowed to make user {identity}, found: {refused}")
    connection.execute(grant_rights(identity))
    return _there(where, identity, user, f"made user {identity} and gave it its rights.")


def _own(connection: pyodbc.Connection, where: str, identity: str) -> Finding:
    given = connection.execute(ASK_RIGHTS).fetchone()
    missing = [right for right, may in zip(RIGHTS, given, strict=True) if may != 1]
    if not missing:
        return Finding(
            code="DATABASE_USER_READY", severity="info", object=where,
            message=f"the app logs in as {identity}, and has the rights it needs.",
        )  # fmt: skip
    return Finding(
        code="DATABASE_USER_RIGHTS", severity="error", object=where,
        message=f"expected {identity} to have each right that the app needs, found these missing: {', '.join(missing)}.",
        remedy=f"In database {where.rpartition('/')[2]}, as its Entra administrator: {grant_rights(identity)}",
    )  # fmt: skip


def _make(connection: pyodbc.Connection, identity: str, client_id: str | None) -> str | None:
    """Make the user; return why not, if not."""
    refused = _try_statement(connection, create_user(identity))
    if refused is not None and client_id is not None:
        refused = _try_statement(connection, create_user_by_id(identity, client_id))
    return refused


def _try_statement(connection: pyodbc.Connection, statement: str) -> str | None:
    try:
        connection.execute(statement)
    except pyodbc.Error as error:
        return None if number_of(error) == ALREADY_THERE else text_of(error)
    return None


def _there(where: str, identity: str, user: str, message: str) -> Finding:
    remedy = (
        f"The app still logs in as {user}: take its identity out of the administrators' group, and it is {identity}."
    )
    return Finding.info("DATABASE_USER_MADE", where, message, remedy)


def _missing(where: str, identity: str, message: str) -> Finding:
    database = where.rpartition("/")[2]
    remedy = (
        f"In database {database}, as its Entra administrator: {statements(identity)} Or make the app's identity a member of "
        "the administrators' group for a while, and POST /api/setup."
    )
    return Finding.error("DATABASE_USER_MISSING", where, message, remedy)
