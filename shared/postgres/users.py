"""The app's role on a PostgreSQL flexible server: looked for, made where the app may, the exact statements where not.

The app may where its identity is a member of the Entra group that administers the server: then it logs in under the
group's name, and makes a role of its own. https://learn.microsoft.com/azure/postgresql/flexible-server/security-manage-entra-users
"""

from typing import LiteralString

import psycopg
from psycopg import sql

from shared.azure.users import postgres_user
from shared.errors import Finding, MxferryError
from shared.postgres.connection import QUESTION_SECONDS, connect
from shared.settings import Postgres, TargetPostgres

MAKE = "SELECT * FROM pgaadauth_create_principal(%s, false, false)"
"""Name, no administrator, no multi-factor claim; the function is in database postgres only."""
KNOWN = "SELECT 1 FROM pg_roles WHERE rolname = %s"
TEMPORARY_GRANTS: tuple[LiteralString, ...] = ("ALTER ROLE {role} CREATEDB",)
TARGET_GRANTS: tuple[LiteralString, ...] = (
    "GRANT CREATE ON DATABASE {database} TO {role}",
    "GRANT CREATE, USAGE ON SCHEMA public TO {role}",
)


def check_user(server: Postgres, administrators: str | None = None) -> Finding:
    """Look for the role that the settings name, make it if that is allowed, and say what was found or done.

    `administrators` is the name of the group, if the app's identity is a member of it. Doing it again changes nothing.
    """
    where = f"{server.host}/{server.database}"
    try:
        connect(server, autocommit=True, application_name="mxferry setup", statement_timeout=QUESTION_SECONDS).close()
    except MxferryError as error:
        if error.code != "POSTGRES_LOGIN":
            return error.finding()
        if server.password is not None or administrators is None:
            return _missing(where, server, error.message)
        return _made(where, server, administrators)
    return Finding(
        code="DATABASE_USER_READY", severity="info", object=where,
        message=f"the app logs in as {server.user}; preflight checks what it may.",
    )  # fmt: skip


def _made(where: str, server: Postgres, administrators: str) -> Finding:
    """Make the role as the administrators' group, and log in as it."""
    as_group = Postgres(**server.model_dump(include=set(Postgres.model_fields)) | {"user": administrators})
    try:
        with connect(
            as_group, "postgres", autocommit=True, application_name="mxferry setup", statement_timeout=QUESTION_SECONDS
        ) as connection:
            _make(connection, server.user)
            _give(connection, server, as_group)
        connect(server, autocommit=True, application_name="mxferry setup", statement_timeout=QUESTION_SECONDS).close()
    except MxferryError as error:
        return _missing(where, server, error.message)
    except psycopg.Error as error:
        return _missing(where, server, f"expected {administrators} to be allowed to make roles, found: {_words(error)}")
    return Finding(
        code="DATABASE_USER_MADE", severity="info", object=where,
        message=f"made role {server.user} as {administrators} and gave it its rights.",
        remedy=f"Take the app's identity out of {administrators} again.",
    )  # fmt: skip


def _make(connection: psycopg.Connection, role: str) -> None:
    if connection.execute(KNOWN, [role]).fetchone() is None:
        connection.execute(MAKE, [role])


def _give(connection: psycopg.Connection, server: Postgres, as_group: Postgres) -> None:
    if not isinstance(server, TargetPostgres):
        for statement in TEMPORARY_GRANTS:
            connection.execute(sql.SQL(statement).format(role=sql.Identifier(server.user)))
        return
    names = {"role": sql.Identifier(server.user), "database": sql.Identifier(server.database)}
    with connect(
        as_group, server.database, autocommit=True, application_name="mxferry setup", statement_timeout=QUESTION_SECONDS
    ) as there:
        for statement in TARGET_GRANTS:
            there.execute(sql.SQL(statement).format(**names))


def _words(error: psycopg.Error) -> str:
    return " ".join(str(error).split())


def _missing(where: str, server: Postgres, message: str) -> Finding:
    remedy = (
        f"As an Entra administrator of {server.host}, {postgres_user(server)} Or make the app's identity a member of the "
        'administrators\' group for a while, and POST /api/setup with {"administrators": "<name of the group>"}.'
    )
    return Finding.error("DATABASE_USER_MISSING", where, message, remedy)
