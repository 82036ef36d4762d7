"""Connections to PostgreSQL: the temporary database of a run, or a PostgreSQL target.

A password comes from the settings; without one, the app's identity gets an Entra token, which PostgreSQL takes in the
password's place (https://learn.microsoft.com/azure/postgresql/flexible-server/security-entra-configure).
"""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import make_conninfo

from shared.credentials import token
from shared.errors import Refusal, TransientError
from shared.postgres.tls import REFUSED, REMEDY, tls
from shared.settings import Postgres, TargetPostgres

ENTRA_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"

STATEMENT_SECONDS = 25 * 60
"""Seconds of one statement at most, of an activity that is done within minutes. What may last longer, such as an index,
sets its own: below `functionTimeout` of host.json, of which the server knows nothing."""
QUESTION_SECONDS = 60
"""Seconds of a statement that only asks, or changes the catalogue."""

# Azure's load balancer drops a silent connection after four minutes, and a long COPY or index build is silent. Both sides
# look for the other, and give up after two minutes without an answer.
CLIENT_SIDE = {
    "keepalives_idle": "60", "keepalives_interval": "15", "keepalives_count": "4", "tcp_user_timeout": "120000",
}  # fmt: skip
SERVER_SIDE = {  # settings of a session that any login may set, also on a flexible server
    "tcp_keepalives_idle": "60", "tcp_keepalives_interval": "15", "tcp_keepalives_count": "4",
    "tcp_user_timeout": "120000",
    # A transaction waits while the other side of a copy is slow; a dead peer is found by the keepalives.
    "idle_in_transaction_session_timeout": "0",
}  # fmt: skip

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
    statement_timeout: int = STATEMENT_SECONDS,
    role: str | None = None,
    session: Mapping[str, str] | None = None,
) -> psycopg.Connection:
    """Connect to a database of the server (its own maintenance database if none is named).

    `connect_timeout` and `statement_timeout` are in seconds; `role` is put on before anything else, a target's owner if
    none is named; `session` are further settings of the session. Raises `Refusal` POSTGRES_LOGIN or POSTGRES_CERTIFICATE
    when trying again will not help, and `TransientError` POSTGRES_UNREACHABLE when the server cannot be reached; none
    names the password.
    """
    name = database or server.database
    try:
        where = make_conninfo(
            host=server.host,
            port=server.port,
            user=server.user,
            password=_password(server),
            dbname=name,
            application_name=application_name,
            connect_timeout=connect_timeout,
            options=_options(server, statement_timeout, role, session),
            **tls(server),
            **CLIENT_SIDE,
        )
        connection = psycopg.connect(where, autocommit=autocommit)
    except psycopg.OperationalError as error:
        raise _unreachable(server, name, str(error)) from None
    connection.read_only = read_only or None
    return connection


def adbc_uri(
    server: Postgres, database: str, *, application_name: str = "mxferry", session: Mapping[str, str] | None = None
) -> str:
    """Return the libpq URI that ADBC takes. It holds the password or a token: pass it on, never log it."""
    parameters = {
        "application_name": application_name,
        "connect_timeout": 15,
        "options": _options(server, STATEMENT_SECONDS, session=session),
        **tls(server),
        **CLIENT_SIDE,
    }
    password = _password(server)
    login = quote(server.user, safe="") + (f":{quote(password, safe='')}" if password else "")
    # quote, not quote_plus: libpq takes a plus sign for a plus sign.
    query = urlencode(parameters, quote_via=quote)
    return f"postgresql://{login}@{server.host}:{server.port}/{quote(database, safe='')}?{query}"


def database_name(run_id: str) -> str:
    """Return the temporary database's name: `run_20261122t101500_abc123`."""
    return "run_" + run_id.replace("-", "_")


def _options(
    server: Postgres, statement_timeout: int, role: str | None = None, session: Mapping[str, str] | None = None
) -> str:
    """Return the session's settings from its start: time-outs, and the role that it acts as."""
    if isinstance(server, TargetPostgres) and role is None:
        role = server.owner
    settings = SERVER_SIDE | {"statement_timeout": f"{statement_timeout}s"} | dict(session or {})
    settings |= {"role": role} if role else {}
    # libpq parts options at blanks; a backslash keeps a blank, or a backslash, as it is.
    kept = {name: value.replace("\\", "\\\\").replace(" ", "\\ ") for name, value in settings.items()}
    return " ".join(f"-c {name}={value}" for name, value in kept.items())


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
    if any(words in reason for words in REFUSED):
        return Refusal("POSTGRES_CERTIFICATE", where, message, REMEDY)
    if any(words in reason for words in HOPELESS):
        return Refusal("POSTGRES_LOGIN", where, message, "Check the POSTGRES__... settings and the login's rights.")
    return TransientError("POSTGRES_UNREACHABLE", where, message, "Check the host name, the firewall and the network.")
