"""The login that a Mendix runtime reads the temporary database with: what it may, what it may not, and its end."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from local.postgres import PostgresServer
from shared.errors import Refusal
from shared.postgres import readers, temporary
from shared.settings import Postgres


def made_database(server: PostgresServer) -> str:
    name = f"run_20261128t200000_{secrets.token_hex(3)}"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with psycopg.connect(server.dsn(name)) as connection:
        connection.execute("CREATE TABLE kept (id bigint); INSERT INTO kept VALUES (7); CREATE SEQUENCE numbers")
        connection.execute("CREATE SCHEMA mxferry; CREATE TABLE mxferry.ours (id int)")
    return name


@pytest.fixture
def app_login(postgres_server: PostgresServer) -> Iterator[Postgres]:
    """A login as the app has it in Azure: no superuser, may make databases and roles."""
    name = f"app_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        role = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD 'app'").format(role))
        yield Postgres(
            host=postgres_server.host,
            port=postgres_server.port,
            user=name,
            password=SecretStr("app"),
            sslmode="disable",
        )
        connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


@pytest.fixture
def database(postgres_server: PostgresServer, app_login: Postgres) -> Iterator[str]:
    as_app = PostgresServer(
        postgres_server.folder, postgres_server.port, app_login.user, "app", binaries=postgres_server.binaries
    )
    name = made_database(as_app)
    yield name
    temporary.drop(app_login, name, "tests")
    readers.drop_reader(app_login, name)


def made(server: Postgres, database: str) -> readers.Login:
    return readers.make_reader(server, database, datetime.now(UTC) + timedelta(hours=1))


@contextmanager
def session(server: Postgres, login: readers.Login, database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(
        host=server.host, port=server.port, user=login.user, password=login.password, dbname=database
    ) as connection:
        yield connection


def test_the_login_reads_its_database_and_nothing_else(
    postgres_server: PostgresServer, app_login: Postgres, database: str
) -> None:
    login = made(app_login, database)
    assert login.user == f"{database}_reader"
    with session(app_login, login, database) as connection:
        assert connection.execute("SELECT id FROM kept").fetchall() == [(7,)]
        assert connection.execute("SELECT last_value FROM numbers").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM kept")
    for statement in ("DELETE FROM kept", "CREATE TABLE more (id int)", "CREATE TEMP TABLE more (id int)", "TABLE mxferry.ours"):  # fmt: skip
        with session(app_login, login, database) as connection:
            connection.execute("SET default_transaction_read_only = off; COMMIT")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
    other = made_database(postgres_server)
    made_there = readers.make_reader(app_login_of(postgres_server), other, datetime.now(UTC) + timedelta(hours=1))
    with (
        pytest.raises(psycopg.OperationalError, match="permission denied for database"),
        session(app_login, login, other),
    ):
        pass
    temporary.drop(app_login_of(postgres_server), other, "tests")
    assert readers.drop_reader(app_login_of(postgres_server), other) == [
        f"Dropped the login {made_there.user} of the temporary PostgreSQL."
    ]


def app_login_of(server: PostgresServer) -> Postgres:
    return Postgres(
        host=server.host, port=server.port, user=server.user, password=SecretStr(server.password), sslmode="disable"
    )


def test_a_new_password_ends_the_one_before_and_the_server_never_sees_it_in_a_statement(
    postgres_server: PostgresServer, app_login: Postgres, database: str
) -> None:
    first, second = made(app_login, database), made(app_login, database)
    assert first.password != second.password
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"), session(app_login, first, database):  # fmt: skip
        pass
    with session(app_login, second, database) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with psycopg.connect(postgres_server.dsn()) as connection:
        query = "SELECT rolvaliduntil, rolconnlimit, rolpassword FROM pg_authid WHERE rolname = %s"
        until, limit, kept = connection.execute(query, (second.user,)).fetchone() or (None, 0, "")
    assert (until, limit) == (second.valid_until, readers.CONNECTIONS)
    assert kept.startswith("SCRAM-SHA-256$")
    assert second.password not in repr(second)


def test_a_login_whose_time_is_over_is_refused(app_login: Postgres, database: str) -> None:
    with pytest.raises(Refusal) as refused:
        readers.make_reader(app_login, database, datetime.now(UTC) - timedelta(minutes=1))
    assert refused.value.code == "RUNTIME_LOGIN_IMPOSSIBLE"


def test_database_and_login_are_dropped_while_the_runtime_is_still_connected(
    app_login: Postgres, database: str
) -> None:
    login = made(app_login, database)
    with session(app_login, login, database) as connection:
        connection.execute("SELECT 1")
        assert readers.readers(app_login).count(database) == 1
        assert temporary.drop(app_login, database, "tests") == [f"Dropped the temporary database {database}."]
        assert readers.drop_reader(app_login, database) == [
            f"Dropped the login {login.user} of the temporary PostgreSQL."
        ]
        assert readers.drop_reader(app_login, database) == []
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert database not in readers.readers(app_login)


def test_the_login_goes_while_its_database_is_kept(app_login: Postgres, database: str) -> None:
    login = made(app_login, database)
    with session(app_login, login, database):
        assert readers.drop_reader(app_login, database) == [
            f"Dropped the login {login.user} of the temporary PostgreSQL."
        ]
    with pytest.raises(psycopg.OperationalError), session(app_login, login, database):
        pass


def test_a_server_login_that_may_not_make_roles_is_told_so(
    postgres_server: PostgresServer, app_login: Postgres
) -> None:
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} NOCREATEROLE").format(sql.Identifier(app_login.user)))
    with pytest.raises(Refusal) as refused:
        readers.try_passwords(app_login)
    assert (refused.value.code, "CREATEROLE" in refused.value.remedy) == ("TEMP_SERVER_NO_ROLES", True)


def test_a_probe_of_passwords_leaves_nothing_behind(postgres_server: PostgresServer, app_login: Postgres) -> None:
    readers.try_passwords(app_login)
    with psycopg.connect(postgres_server.dsn()) as connection:
        assert connection.execute("SELECT FROM pg_roles WHERE rolname LIKE 'mxferry\\_probe%'").fetchall() == []
