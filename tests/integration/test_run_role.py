"""The role that a run's temporary database belongs to: what is executed as it, and what it cannot do."""

import io
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from local.postgres import PostgresServer
from shared.errors import Refusal
from shared.postgres import connection as shared_connection
from shared.postgres import postdata, runrole, temporary
from shared.postgres.loading import Destination, load_table
from shared.postgres.temporary import drop, prepare
from shared.settings import Postgres
from shared.snapshot.dump import Dump, read_dump
from shared.snapshot.dumpdata import copy_text
from shared.snapshot.restoring import contents_of
from tests.fixtures.dumps.reading import FOLDER
from tests.fixtures.postgres import dumped, settings_of

RAW = (FOLDER / "16-none.dump").read_bytes()
WHO = "SELECT current_user, session_user"


@pytest.fixture(scope="module")
def dump() -> Dump:
    return read_dump(io.BytesIO(RAW))


@pytest.fixture
def name() -> str:
    return f"run_20261128t200000_{secrets.token_hex(3)}"


@pytest.fixture(params=["CREATEDB CREATEROLE", "CREATEDB"])
def app(postgres_server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """The app's login: as an administrator in Azure, or one that may only make databases."""
    name = f"app_{secrets.token_hex(4)}"
    role = sql.Identifier(name)
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL(f"CREATE ROLE {{}} LOGIN {request.param} PASSWORD 'app'").format(role))
        yield settings_of(postgres_server).model_copy(update={"user": name, "password": SecretStr("app")})
        connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server that takes a password from our own login and from nobody else, as one does that takes Entra tokens only."""
    with PostgresServer(tmp_path / "strict") as server:
        (server.data / "pg_hba.conf").write_text(f"host all {server.user} 127.0.0.1/32 scram-sha-256\n")
        with psycopg.connect(server.dsn()) as connection:
            connection.execute("SELECT pg_reload_conf()")
        yield server


def restored(server: Postgres, name: str, dump: Dump) -> None:
    prepare(server, name, dump, "tests")
    for table in contents_of(dump).tables:
        text = copy_text(iter([RAW[table.offset or 0 :]]), dump.compression, table.entry)
        load_table(Destination(server, name, "UTF8"), table, text)
    for group in (group for wave in postdata.waves(server, name) for group in wave):
        postdata.make(server, name, group)


def roles(server: PostgresServer, name: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.dsn()) as connection:
        query = "SELECT rolsuper, rolcreatedb, rolcreaterole, rolcanlogin FROM pg_roles WHERE rolname = %s"
        return connection.execute(query, (f"{name}_owner",)).fetchall()


def test_what_a_dump_says_is_done_by_a_login_that_owns_one_database_and_can_do_nothing_else(
    postgres_server: PostgresServer, name: str, dump: Dump
) -> None:
    server = settings_of(postgres_server)
    restored(server, name, dump)
    owner = f"{name}_owner"
    with runrole.session(server, name, "tests") as session:
        session.autocommit = True
        for back in ("RESET ROLE", "RESET SESSION AUTHORIZATION", "SELECT set_config('role', 'none', false)"):
            session.execute(back.encode())
            assert session.execute(WHO).fetchone() == (owner, owner)
        for statement in (
            "COPY (SELECT 1) TO PROGRAM 'true'",
            "SELECT pg_read_file('PG_VERSION')",
            "CREATE ROLE intruder",
            "ALTER SYSTEM SET work_mem = '1MB'",
            "CREATE DATABASE intruder",
            f"SET ROLE {postgres_server.user}",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement.encode())
        assert session.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'").fetchall() == [
            (owner,)
        ]
    drop(server, name, "tests")
    assert roles(postgres_server, name) == []


def test_many_activities_log_in_as_it_at_the_same_time(postgres_server: PostgresServer, name: str, dump: Dump) -> None:
    server = settings_of(postgres_server)
    prepare(server, name, dump, "tests")
    assert roles(postgres_server, name) == [(False, False, False, True)]

    def who(_: int) -> object:
        with runrole.session(server, name, "tests") as session:
            return session.execute(WHO).fetchone()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(who, range(24))) == {(f"{name}_owner", f"{name}_owner")}
    drop(server, name, "tests")


def test_a_password_of_ours_that_was_changed_meanwhile_keeps_nobody_out(
    postgres_server: PostgresServer, app: Postgres, name: str, dump: Dump
) -> None:
    prepare(app, name, dump, "tests")
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD 'changed'").format(sql.Identifier(app.user)))
    changed = app.model_copy(update={"password": SecretStr("changed")})
    for _ in range(2):
        with runrole.session(changed, name, "tests") as session:
            (owner,) = session.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'a$wide'").fetchone() or (
                "",
            )
            assert session.execute(WHO).fetchone() == (owner, owner)
    drop(changed, name, "tests")


def test_where_we_have_no_secret_each_session_gets_a_password_of_its_own(
    postgres_server: PostgresServer, name: str, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with Entra tokens on a server that takes passwords too: here the token is one that the server knows."""
    server = settings_of(postgres_server)
    monkeypatch.setattr(shared_connection, "token", lambda _: postgres_server.password)
    monkeypatch.setattr(shared_connection, "tls", lambda _: {"sslmode": "disable"})
    by_token = server.model_copy(update={"password": None, "sslmode": "require"})
    prepare(by_token, name, dump, "tests")

    def who(_: int) -> object:
        with runrole.session(by_token, name, "tests") as session:
            return session.execute(WHO).fetchone()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(who, range(12))) == {(f"{name}_owner", f"{name}_owner")}
    drop(by_token, name, "tests")


def test_a_login_that_is_no_superuser_restores_reads_and_drops_what_belongs_to_the_run(
    postgres_server: PostgresServer, app: Postgres, name: str, dump: Dump
) -> None:
    restored(app, name, dump)
    with temporary.connect(app, name) as session:
        assert session.execute('SELECT count(*) FROM public."a$entity"').fetchone() == (400,)
        (owner,) = session.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'a$entity'").fetchone() or ("",)
        may_make_roles = session.execute("SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user").fetchone()
    assert owner == (f"{name}_owner" if may_make_roles == (True,) else app.user)
    assert drop(app, name, "tests") == [f"Dropped the temporary database {name}."]
    assert drop(app, name, "tests") == []
    assert roles(postgres_server, name) == []


def test_on_a_server_that_takes_no_passwords_sessions_start_as_the_role(
    strict: PostgresServer, name: str, dump: Dump
) -> None:
    server = settings_of(strict)
    restored(server, name, dump)
    assert roles(strict, name) == [(False, False, False, False)]
    with runrole.session(server, name, "tests") as session:
        for back in ("RESET ROLE", "RESET ALL", "DISCARD ALL"):
            session.rollback()
            session.autocommit = True
            session.execute(back.encode())
            assert session.execute(WHO).fetchone() == (f"{name}_owner", strict.user)
    drop(server, name, "tests")
    assert roles(strict, name) == []


class Refusing(psycopg.Connection[Any]):
    """A session in which the server answers whoever gives a role a password with an error of its own."""

    code = ""

    def execute(self, query: Any, *arguments: Any, **more: Any) -> Any:
        if isinstance(query, sql.Composed) and "PASSWORD" in query.as_string(self):
            query = f"DO $$ BEGIN RAISE EXCEPTION 'no passwords here' USING ERRCODE = '{self.code}'; END $$"
        return super().execute(query, *arguments, **more)


@pytest.mark.parametrize(
    ("code", "passes"),
    [
        ("0A000", False),
        ("42501", False),
        ("22023", False),
        ("28000", False),
        ("P0001", False),
        ("57014", True),
        ("40001", True),
    ],
)
def test_whichever_error_a_server_that_takes_no_passwords_answers_the_role_stays_without_a_login(
    postgres_server: PostgresServer, name: str, code: str, passes: bool
) -> None:
    with Refusing.connect(postgres_server.dsn(), autocommit=True) as maintenance:
        runrole.make(maintenance, name)
        maintenance.code = code
        try:
            if passes:
                with pytest.raises(psycopg.Error) as raised:
                    runrole.let_in(maintenance, settings_of(postgres_server), name)
                assert raised.value.sqlstate == code
            else:
                runrole.let_in(maintenance, settings_of(postgres_server), name)
            assert roles(postgres_server, name) == [(False, False, False, False)]
        finally:
            runrole.drop(maintenance, name)


def test_a_role_whose_database_never_came_to_be_is_found_and_dropped(
    postgres_server: PostgresServer, name: str
) -> None:
    server = settings_of(postgres_server)
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        runrole.make(connection, name)
        assert name in runrole.databases_with_role(connection)
    assert drop(server, name, "tests") == []
    assert roles(postgres_server, name) == []


def test_a_server_that_is_read_only_because_it_is_full_says_so_where_the_database_is_made(
    postgres_server: PostgresServer, app: Postgres, name: str, dump: Dump
) -> None:
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} NOCREATEROLE").format(sql.Identifier(app.user)))
        read_only = sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on")
        connection.execute(read_only.format(sql.Identifier(app.user)))
    with pytest.raises(Refusal) as caught:
        prepare(app, name, dump, "tests")
    assert (caught.value.code, caught.value.about) == ("SERVER_FULL", name)
    assert "more storage" in caught.value.remedy


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("CREATE TABLE t (a text CHECK (set_config('role', 'none', false) IS NOT NULL))", "set_config"),
        ("CREATE TABLE t (a text DEFAULT lower(pg_read_file('/etc/passwd')))", "pg_read_file"),
        ("CREATE TABLE t (a text DEFAULT query_to_xml('SELECT 1', true, true, '')::text)", "query_to_xml"),
        ("CREATE DOMAIN d AS text CHECK (pg_sleep(1) IS NOT NULL); CREATE TABLE t (a d)", "pg_sleep"),
    ],
)
def test_an_expression_that_does_more_than_compute_is_refused_by_its_entry(
    postgres_server: PostgresServer, database: str, name: str, table: str, found: str
) -> None:
    with psycopg.connect(postgres_server.dsn(database)) as connection:
        connection.execute(table.encode())
        harmless = "CREATE TABLE fine (id serial, at timestamptz DEFAULT now(), u uuid DEFAULT gen_random_uuid())"
        connection.execute(harmless)
    server = settings_of(postgres_server)
    hostile = read_dump(io.BytesIO(dumped(postgres_server, database)))
    with pytest.raises(Refusal) as caught:
        prepare(server, name, hostile, "tests")
    about = "DOMAIN public.d" if "DOMAIN" in table else "TABLE public.t"
    assert (caught.value.code, caught.value.about) == ("DUMP_FUNCTION", about)
    assert found in caught.value.message
    drop(server, name, "tests")
