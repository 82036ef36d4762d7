"""The role that a run's temporary database belongs to: all SQL of the dump is executed as it, in sessions of its own.

It owns that database and nothing else, and is dropped with it. Our own login may be an administrator or a superuser, and
the dump's SQL could undo a `SET ROLE`; so the role itself logs in. Its password is derived from ours, or, where
we log in by a token, made anew for each session and forgotten. Where the server takes no passwords (Entra tokens only),
its sessions start with the role put on.
"""

import hmac
import secrets
from hashlib import sha256

import psycopg
from psycopg import sql
from pydantic import SecretStr

from shared.errors import MxferryError, Refusal, TransientError
from shared.postgres import locks
from shared.postgres.connection import connect
from shared.settings import Postgres, TargetPostgres

SUFFIX = "_owner"
PASSING = ("starting up", "shutting down", "recovery mode", "too many", "slots")
"""Words in a FATAL error that will pass: the server is starting or stopping, or has no connection free."""
MAY_PASS = ("08", "25", "40", "53", "55", "57", "58", "XX")
"""Classes of SQLSTATE of a server that is busy, full or going away. Any other answer to a password means that none is taken;
a server for Entra tokens only is not documented to give a certain one.
https://www.postgresql.org/docs/current/errcodes-appendix.html"""
OWNER = """
    SELECT r.rolname, r.rolcanlogin FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba
    WHERE d.datname = current_database()
"""


def role_name(database: str) -> str:
    """Return the name of the role for a run's temporary database: `run_20261122t101500_abc123_owner`."""
    return database + SUFFIX


def make(maintenance: psycopg.Connection, database: str) -> str | None:
    """Make the role, which may not log in yet; return its name.

    None where our login may make no roles: it is no superuser then, and has few rights that the SQL of a dump could misuse.
    """
    mine = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    if maintenance.execute(mine).fetchone() != (True,):
        return None
    name = role_name(database)
    role = sql.Identifier(name)
    if not role_exists(maintenance, name):
        maintenance.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(role))
    # A member may make a database that belongs to the role, read its tables, and drop it.
    maintenance.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
    return name


def let_in(maintenance: psycopg.Connection, server: Postgres, database: str) -> None:
    """Let the role log in by passwords, if the server takes them."""
    try:
        _logged_in(maintenance, server, database, "mxferry login test").close()
    except MxferryError as error:
        if not no_passwords(error):
            raise
        maintenance.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role_name(database))))


def no_passwords(error: MxferryError) -> bool:
    """Say whether a login by password failed because the server takes none: it has answered, and will do so again."""
    refused = error.code == "POSTGRES_LOGIN" or "FATAL" in error.message
    return refused and not any(words in error.message for words in PASSING)


def session(server: Postgres, database: str, application_name: str) -> psycopg.Connection:
    """Connect for what a dump says is to be done: to a run's database as its role, to a target as the settings say."""
    if isinstance(server, TargetPostgres):
        return connect(server, database, application_name=application_name)
    if server.password is not None:
        try:
            return _login(server, database, _password(server, database), application_name)
        except MxferryError as error:  # there is no such login, or our password is another one by now
            if not no_passwords(error):
                raise
    with connect(server, database, autocommit=True, application_name=application_name) as ours:
        owner, may_login = ours.execute(OWNER).fetchone() or (None, False)
        if owner == role_name(database) and may_login:
            return _logged_in(ours, server, database, application_name)
    role = owner if owner == role_name(database) else None
    return connect(server, database, application_name=application_name, role=role)


def drop(maintenance: psycopg.Connection, database: str) -> None:
    """Drop the role; its database must be gone. Raises `TransientError` LOGIN_NOT_DROPPED."""
    name = role_name(database)
    if not role_exists(maintenance, name):
        return
    try:
        maintenance.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
    except psycopg.Error as error:
        words = error.diag.message_primary or type(error).__name__
        raise TransientError("LOGIN_NOT_DROPPED", name, f"expected to drop it, found: {words}") from None


def databases_with_role(connection: psycopg.Connection) -> list[str]:
    """Return the names of the databases that a role was made for, also of those that are gone."""
    found = connection.execute(r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'run\_%\_owner'").fetchall()
    return [str(name).removesuffix(SUFFIX) for (name,) in found]


def role_exists(connection: psycopg.Connection, name: str) -> bool:
    """Say whether the server has a role of that name."""
    return connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).rowcount > 0


def scram(connection: psycopg.Connection, user: str, password: str) -> sql.Literal:
    """Return the password's verifier: it is sent in its place, so that the password is in no log of the server."""
    verifier = connection.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256")
    return sql.Literal(verifier.decode())


def _logged_in(
    administrator: psycopg.Connection, server: Postgres, database: str, application_name: str
) -> psycopg.Connection:
    """Give the role its password and log in with it, before anybody else gives it another one."""
    name, password = role_name(database), _password(server, database)
    with locks.held(administrator, locks.LOGIN, database, database):
        verifier = scram(administrator, name, password)
        try:
            administrator.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), verifier))
        except psycopg.Error as error:
            if error.sqlstate is None or error.sqlstate[:2] in MAY_PASS:
                raise
            raise Refusal("POSTGRES_LOGIN", name, f"expected a password to be taken, found: {error}") from None
        return _login(server, database, password, application_name)


def _login(server: Postgres, database: str, password: str, application_name: str) -> psycopg.Connection:
    role = server.model_copy(update={"user": role_name(database), "password": SecretStr(password)})
    return connect(role, database, application_name=application_name)


def _password(server: Postgres, database: str) -> str:
    """Return a password that every activity finds again without asking; a new one where we have no secret to derive it of."""
    if server.password is None:
        return secrets.token_urlsafe(24)
    secret = server.password.get_secret_value().encode()
    return hmac.new(secret, f"mxferry {role_name(database)}".encode(), sha256).hexdigest()
