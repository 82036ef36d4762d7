"""The login that a Mendix runtime reads a run's temporary database with (target mode `runtime`).

It may log in to that database alone, read there, and nothing else; it ends by itself, and is dropped with the database.
A password is made anew each time it is handed out: nobody can ask for the one before. The server is sent its SCRAM
verifier, so that the password itself is in no statement, and in no log of the server.
"""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString

import psycopg
from psycopg import sql
from pydantic import SecretStr

from shared.errors import MxferryError, Refusal, TransientError
from shared.postgres import locks
from shared.postgres.connection import QUESTION_SECONDS, connect
from shared.postgres.runrole import no_passwords, role_exists, scram
from shared.settings import Postgres

CONNECTIONS = 25
"""At the same time: a runtime's pool of connections to its source, and a person who looks."""
PASSWORD_BYTES = 24
SUFFIX = "_reader"

# PUBLIC may connect to every new database and make temporary tables there; each run's reader shall see its own only.
RIGHTS: tuple[LiteralString, ...] = (
    "REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC",
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    "GRANT CONNECT ON DATABASE {database} TO {reader}",
    "GRANT USAGE ON SCHEMA public TO {reader}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}",
    "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {reader}",
    "ALTER ROLE {reader} SET default_transaction_read_only = on",
    "ALTER ROLE {reader} SET search_path = public",
)
PROBE_SECONDS = 10
REMEDY = (
    "Switch password logins on for the temporary server: infra/ parameter `postgresPasswordAuth` = `Enabled` (the "
    "server's authConfig.passwordAuth, beside Entra); or use another target mode, which needs no such login."
)


@dataclass(frozen=True)
class Login:
    """A login as it is handed out, once. `valid_until` is in UTC."""

    user: str
    password: str = field(repr=False)
    valid_until: datetime


def reader_name(database: str) -> str:
    """Return the login's name for a run's temporary database: `run_20261122t101500_abc123_reader`."""
    return database + SUFFIX


def make_reader(server: Postgres, database: str, valid_until: datetime) -> Login:
    """Make the database's login, or give it a new password; returns it after logging in with it.

    Raises `Refusal` NOT_OURS, TEMP_SERVER_NO_ROLES, or RUNTIME_LOGIN_IMPOSSIBLE where the server takes no passwords.
    """
    _ours(database)
    login = Login(reader_name(database), secrets.token_urlsafe(PASSWORD_BYTES), valid_until)
    with _alone(server, database) as connection:
        _make_role(connection, login)
        for template in RIGHTS:
            connection.execute(
                sql.SQL(template).format(database=sql.Identifier(database), reader=sql.Identifier(login.user))
            )
        connection.commit()
    _try(server, database, login)
    return login


def drop_reader(server: Postgres, database: str) -> list[str]:
    """Drop the login of a run's temporary database, which is dropped before; return what was done, as sentences."""
    _ours(database)
    name = reader_name(database)
    with connect(
        server, autocommit=True, application_name="mxferry clean-up", statement_timeout=QUESTION_SECONDS
    ) as maintenance:
        if not role_exists(maintenance, name):
            return []
        try:
            _end_sessions(maintenance, name)
            for (owner,) in maintenance.execute("SELECT datname FROM pg_database WHERE datname = %s", (database,)):
                _drop_rights(server, str(owner), name)
            maintenance.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
        except psycopg.Error as error:
            words = error.diag.message_primary or type(error).__name__
            raise TransientError("LOGIN_NOT_DROPPED", name, f"expected to drop it, found: {words}") from None
    return [f"Dropped the login {name} of the temporary PostgreSQL."]


def readers(server: Postgres) -> list[str]:
    """Return the names of the temporary databases whose login is there, also of databases that are gone."""
    with connect(server, autocommit=True, read_only=True, statement_timeout=QUESTION_SECONDS) as session:
        found = session.execute(r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'run\_%\_reader'").fetchall()
    return [str(name).removesuffix(SUFFIX) for (name,) in found]


def try_passwords(server: Postgres) -> None:
    """Make a login that may do nothing, log in with it, drop it: what `make_reader` will do later.

    Raises what `make_reader` raises. For preflight: a server that takes Entra tokens only has no use for a password.
    """
    name = f"mxferry_probe_{secrets.token_hex(6)}"
    with closing(
        connect(server, autocommit=True, application_name="mxferry preflight", statement_timeout=QUESTION_SECONDS)
    ) as connection:
        row = connection.execute("SELECT now() + interval '5 minutes'").fetchone()
        login = Login(name, secrets.token_urlsafe(PASSWORD_BYTES), row[0] if row else datetime.max)
        _make_role(connection, login)
        try:
            _try(server, server.database, login)
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def _make_role(connection: psycopg.Connection, login: Login) -> None:
    verb: LiteralString = "ALTER" if role_exists(connection, login.user) else "CREATE"
    statement = sql.SQL(verb) + sql.SQL(" ROLE {} LOGIN CONNECTION LIMIT {} PASSWORD {} VALID UNTIL {}").format(
        sql.Identifier(login.user),
        sql.Literal(CONNECTIONS),
        scram(connection, login.user, login.password),
        sql.Literal(login.valid_until.isoformat()),
    )
    try:
        connection.execute(statement)
        # Only a member of the role may end its sessions when the database is dropped.
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(login.user)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refusal(
            "TEMP_SERVER_NO_ROLES",
            "temporary PostgreSQL",
            f"expected the right to make a login for the Mendix runtime, found: {error.diag.message_primary}",
            'Give the app\'s login the attribute CREATEROLE: ALTER ROLE "<login>" CREATEROLE.',
        ) from None
    except psycopg.errors.FeatureNotSupported as error:
        raise _impossible(login.user, error.diag.message_primary or "a refusal") from None


def _try(server: Postgres, database: str, login: Login) -> None:
    """Log in as the runtime will: what a server says about passwords is known for certain only then."""
    runtime = server.model_copy(update={"user": login.user, "password": SecretStr(login.password)})
    try:
        connect(runtime, database, connect_timeout=PROBE_SECONDS, application_name="mxferry login test").close()
    except MxferryError as error:
        if not no_passwords(error):
            raise
        raise _impossible(login.user, error.message.partition("found: ")[2]) from None


def _impossible(user: str, found: str) -> Refusal:
    return Refusal(
        "RUNTIME_LOGIN_IMPOSSIBLE",
        "temporary PostgreSQL",
        f"expected the server to take a login by password ({user}), as the Mendix runtime needs one, found: {found}",
        REMEDY,
    )


@contextmanager
def _alone(server: Postgres, database: str) -> Iterator[psycopg.Connection]:
    """A transaction in the database, one at a time: two who ask at once get passwords one after the other."""
    with connect(server, database, application_name="mxferry hand-over") as connection:
        locks.hold(connection, locks.READER, 1, database)
        yield connection


def _end_sessions(maintenance: psycopg.Connection, name: str) -> None:
    maintenance.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (name,))


def _drop_rights(server: Postgres, database: str, name: str) -> None:
    """Take back what was granted in a database that is kept; a role with rights cannot be dropped."""
    with connect(
        server, database, autocommit=True, application_name="mxferry clean-up", statement_timeout=QUESTION_SECONDS
    ) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))


def _ours(database: str) -> None:
    if not database.startswith("run_"):
        raise Refusal("NOT_OURS", database, "expected the name of a run's temporary database (run_…), found another.")
