"""Connections to PostgreSQL: the temporary database of a run, or a PostgreSQL target.

A password comes from the settings; without one, the app's identity gets an Entra token, which PostgreSQL takes in the
password's place (https://learn.microsoft.com/azure/postgresql/flexible-server/security-entra-configure).
"""

from typing import LiteralString
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from shared.credentials import token
from shared.errors import Refusal, TransientError
from shared.settings import Postgres, TargetPostgres

ENTRA_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"

# libpq gives no SQLSTATE for a connection that never came to be, so its words are all there is to tell these apart.
HOPELESS = ("password authentication failed", "does not exist", "no pg_hba.conf entry", "does not support SSL")


def connect(
    server: Postgres,
    database: str | None = None,
    *,
    autocommit: bool = False,
    read_only: bool = False,
    application_name: str = "mxferry",
    connect_timeout: int = 15,
    role: str | None = None,
) -> psycopg.Connection:
    """Connect to a database of the server (its own maintenance database if none is named).

    `connect_timeout` is in seconds; `role` is put on before anything else, a target's owner if none is named. Raises `Refusal` POSTGRES_LOGIN when the server refuses us for good, and
    `TransientError` POSTGRES_UNREACHABLE when it cannot be reached; neither names the password.
    """
    name = database or server.database
    try:
        connection = psycopg.connect(
            host=server.host,
            port=server.port,
            user=server.user,
            password=_password(server),
            dbname=name,
            sslmode=server.sslmode,
            application_name=application_name,
            options=_options(server, role),
            connect_timeout=connect_timeout,
            # Azure's load balancer drops a silent connection after four minutes; a long COPY or index build is silent.
            keepalives_idle=60,
            keepalives_interval=15,
            autocommit=autocommit,
        )
    except psycopg.OperationalError as error:
        raise _unreachable(server, name, str(error)) from None
    connection.read_only = read_only or None
    return connection


def adbc_uri(server: Postgres, database: str, *, application_name: str = "mxferry") -> str:
    """Return the libpq URI that ADBC takes. It holds the password or a token: pass it on, never log it."""
    options = urlencode(
        {
            "sslmode": server.sslmode,
            "application_name": application_name,
            "connect_timeout": 15,
            "keepalives_idle": 60,
            "keepalives_interval": 15,
        }
    )
    password = _password(server)
    login = quote(server.user, safe="") + (f":{quote(password, safe='')}" if password else "")
    return f"postgresql://{login}@{server.host}:{server.port}/{quote(database, safe='')}?{options}"


def database_name(run_id: str) -> str:
    """Return the temporary database's name: `run_20261122t101500_abc123`."""
    return "run_" + run_id.replace("-", "_")


def quoted(name: str) -> sql.Identifier:
    """Return a quoted identifier for `psycopg.sql` composition."""
    return sql.Identifier(name)


def statement(template: LiteralString, **names: str) -> sql.Composed:
    """Return a statement with its identifiers quoted: `statement("TRUNCATE TABLE {table}", table="system$user")`."""
    return sql.SQL(template).format(**{key: sql.Identifier(name) for key, name in names.items()})


def _options(server: Postgres, role: str | None) -> str | None:
    """Return the start-up options: the role that the session acts as, such as the owner of the target's tables."""
    if isinstance(server, TargetPostgres) and role is None:
        role = server.owner
    if not role:
        return None
    # libpq parts options at blanks; a backslash keeps a blank, or a backslash, as it is.
    return "-c role=" + role.replace("\\", "\\\\").replace(" ", "\\ ")


def _password(server: Postgres) -> str | None:
    """Return the settings' password, or a fresh Entra token when there is none (None on a server that asks for none)."""
    if server.password is not None:
        return server.password.get_secret_value()
    if server.sslmode == "disable":
        return None  # a token must never travel in the clear; local servers trust their loopback
    return token(ENTRA_SCOPE)


def _unreachable(server: Postgres, database: str, reason: str) -> Refusal | TransientError:
    where = f"{server.host}:{server.port}/{database}"
    message = f"expected to log in as {server.user}, found: {' '.join(reason.split())}"
    if any(words in reason for words in HOPELESS):
        return Refusal("POSTGRES_LOGIN", where, message, "Check the POSTGRES__... settings and the login's rights.")
    return TransientError("POSTGRES_UNREACHABLE", where, message, "Check the host name, the firewall and the network.")
