"""The set-up check: it makes the app's database users where the identity may, and says the statements where it may not.

Tokens are made by a double of the identity. The SQL Server stand-in takes a token's claim `mxf_user` for the database user; the
PostgreSQL is a real one over TLS, in which a function stands in for Azure's `pgaadauth_create_principal`: it gives the new
role the app's token as its password.
"""

import base64
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyodbc
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from psycopg import sql

from local.postgres import PostgresServer
from shared import credentials, setup
from shared.postgres import users as postgres_users
from shared.postgres.checks import check_server
from shared.settings import Postgres, Settings, SqlServer, TargetPostgres, TargetProfile
from shared.setup import check_databases
from shared.sqlserver import users as sqlserver_users
from shared.sqlserver.checks import check_target
from shared.sqlserver.connection import SQL_COPT_SS_ACCESS_TOKEN, connection_string, session, token_struct
from tests.fixtures.identity import IdentityDouble, identified_by

APP = "mxf-app-id"
CLIENT = "00112233-4455-6677-8899-aabbccddeeff"
GROUP = "mxferry-administrators"


class Identity(IdentityDouble):
    """A double of the app's identity; `user` is who its tokens say it is, nobody for an administrator."""

    user: str | None = None

    def token(self, scope: str = "") -> str:
        claims = base64.urlsafe_b64encode(json.dumps({"mxf_user": self.user}).encode()).rstrip(b"=").decode()
        return f"e30.{claims}.c2lnbmF0dXJl"


@pytest.fixture
def identity() -> Iterator[Identity]:
    with identified_by(Identity()) as double:
        yield double


# --- Azure SQL -------------------------------------------------------------------------------------------------------


@pytest.fixture
def target(sql_server_tls: Any) -> SqlServer:
    return SqlServer(
        server=f"127.0.0.1,{sql_server_tls.port}", database=sql_server_tls.new_database(), trust_server_certificate=True
    )


def test_an_identity_that_administers_the_server_makes_its_own_user_with_the_least_rights(
    target: SqlServer, identity: Identity
) -> None:
    made = sqlserver_users.check_user(target, APP, CLIENT)
    assert (made.code, made.severity) == ("DATABASE_USER_MADE", "info")
    assert "out of the administrators' group" in made.remedy
    identity.user = APP
    with session(target) as connection:
        asked = "SELECT USER_NAME(), " + ", ".join(
            f"HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', '{right}')" for right in (*sqlserver_users.RIGHTS, "CONTROL")
        )
        assert list(connection.execute(asked).fetchone()) == [APP, *[1] * len(sqlserver_users.RIGHTS), 0]
    assert sqlserver_users.check_user(target, APP, CLIENT).code == "DATABASE_USER_READY"


def test_asking_again_as_administrator_changes_nothing(target: SqlServer, identity: Identity) -> None:
    sqlserver_users.check_user(target, APP, CLIENT)
    again = sqlserver_users.check_user(target, APP, CLIENT)
    assert (again.code, again.message) == ("DATABASE_USER_MADE", f"{APP} is there and has its rights.")


def test_preflight_is_content_with_the_rights_that_the_set_up_gives(target: SqlServer, identity: Identity) -> None:
    sqlserver_users.check_user(target, APP, CLIENT)
    identity.user = APP
    blob = {"account_url": "https://files.example", "container": "files"}
    profile = TargetProfile.model_validate({"sql": target.model_dump(), "blob": blob})
    assert [one.code for one in check_target(profile, identity=APP) if one.severity == "error"] == []


def test_an_unknown_identity_is_told_the_exact_statements(target: SqlServer, identity: Identity) -> None:
    identity.user = APP
    found = sqlserver_users.check_user(target, APP, CLIENT)
    assert (found.code, found.severity) == ("DATABASE_USER_MISSING", "error")
    assert f"CREATE USER [{APP}] FROM EXTERNAL PROVIDER; GRANT ALTER, CREATE PROCEDURE, " in found.remedy
    assert found.remedy.count("POST /api/setup") == 1
    assert identity.token() not in found.model_dump_json()


def test_a_user_without_its_rights_is_told_the_statement_that_gives_them(target: SqlServer, identity: Identity) -> None:
    with session(target) as connection:
        connection.execute(sqlserver_users.create_user(APP))
        connection.execute(f"GRANT SELECT, INSERT TO [{APP}]")
    identity.user = APP
    found = sqlserver_users.check_user(target, APP, CLIENT)
    assert (found.code, found.severity) == ("DATABASE_USER_RIGHTS", "error")
    assert (
        "found these missing: ALTER, CREATE PROCEDURE, CREATE TABLE, DELETE, EXECUTE, REFERENCES, UPDATE"
        in found.message
    )
    assert found.remedy.endswith(f"VIEW DATABASE STATE TO [{APP}];")


def test_somebody_without_the_right_makes_no_user_and_is_told_the_statements(
    target: SqlServer, identity: Identity
) -> None:
    with session(target) as connection:
        connection.execute(sqlserver_users.create_user("somebody"))
    identity.user = "somebody"
    found = sqlserver_users.check_user(target, APP, CLIENT)
    assert found.code == "DATABASE_USER_MISSING"
    assert "found that the app logs in as somebody" in found.message


def test_where_the_directory_cannot_be_asked_the_client_id_makes_the_user(
    sql_server_tls: Any, target: SqlServer, identity: Identity
) -> None:
    """33134: the server's own identity may not read the directory for an administrator that is an application."""
    with sql_server_tls.faults("error", number=33134, text="FROM EXTERNAL PROVIDER"):
        made = sqlserver_users.check_user(target, APP, CLIENT)
    assert made.code == "DATABASE_USER_MADE"
    identity.user = APP
    assert sqlserver_users.check_user(target, APP, CLIENT).code == "DATABASE_USER_READY"


def test_the_client_id_becomes_the_sid_as_a_guid_is_stored() -> None:
    statement = sqlserver_users.create_user_by_id("o]k", CLIENT)
    assert statement == "CREATE USER [o]]k] WITH SID = 0x33221100554477668899AABBCCDDEEFF, TYPE = E;"


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


@pytest.fixture
def flexible(postgres_tls: PostgresServer, identity: Identity) -> Iterator[psycopg.Connection]:
    """The server with its group of administrators, which may make principals, as a flexible server has it."""
    password = sql.Literal(identity.token())
    with psycopg.connect(postgres_tls.dsn(), autocommit=True) as connection:
        for role in (APP, GROUP):
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
        statement = "CREATE ROLE {} LOGIN CREATEROLE CREATEDB PASSWORD {}"
        connection.execute(sql.SQL(statement).format(sql.Identifier(GROUP), password))
        connection.execute(
            sql.SQL(
                """
                CREATE OR REPLACE FUNCTION pgaadauth_create_principal(name text, is_admin boolean, is_mfa boolean)
                RETURNS text LANGUAGE plpgsql AS $$
                BEGIN
                    IF NOT pg_has_role(current_user, {group}, 'member') THEN
                        RAISE EXCEPTION 'permission denied to create role' USING ERRCODE = '42501';
                    END IF;
                    EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L', name, {token});
                    RETURN 'Created role for ' || name;
                END $$
                """
            ).format(group=sql.Literal(GROUP), token=password)
        )
        yield connection
        for role in (APP, GROUP):
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None:
                connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.fixture
def temporary(postgres_tls: PostgresServer, certificate: Path) -> Postgres:
    return Postgres(host="127.0.0.1", port=postgres_tls.port, user=APP, sslrootcert=str(certificate))


def test_a_member_of_the_administrators_makes_the_apps_role_and_logs_in_as_it(
    flexible: psycopg.Connection, temporary: Postgres
) -> None:
    made = postgres_users.check_user(temporary, GROUP)
    assert (made.code, made.severity) == ("DATABASE_USER_MADE", "info"), made.message
    assert postgres_users.check_user(temporary).code == "DATABASE_USER_READY"
    assert check_server(temporary) == []  # CREATEDB is there
    row = flexible.execute("SELECT rolcreaterole, rolsuper FROM pg_roles WHERE rolname = %s", [APP]).fetchone()
    assert row == (False, False)


def test_asking_postgresql_again_changes_nothing(flexible: psycopg.Connection, temporary: Postgres) -> None:
    assert [postgres_users.check_user(temporary, GROUP).code for _ in range(2)] == [
        "DATABASE_USER_MADE",
        "DATABASE_USER_READY",
    ]


def test_without_the_group_the_exact_statements_are_told(
    flexible: psycopg.Connection, temporary: Postgres, identity: Identity
) -> None:
    found = postgres_users.check_user(temporary)
    assert (found.code, found.severity) == ("DATABASE_USER_MISSING", "error")
    assert (
        f"SELECT * FROM pgaadauth_create_principal('{APP}', false, false); ALTER ROLE \"{APP}\" CREATEDB;"
        in found.remedy
    )
    assert identity.token() not in found.model_dump_json()


def test_a_group_that_may_not_make_roles_is_named_in_the_finding(
    flexible: psycopg.Connection, temporary: Postgres, identity: Identity
) -> None:
    statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
    flexible.execute(statement.format(sql.Identifier("readers"), sql.Literal(identity.token())))
    try:
        found = postgres_users.check_user(temporary, "readers")
    finally:
        flexible.execute("DROP ROLE readers")
    assert found.code == "DATABASE_USER_MISSING"
    assert "expected readers to be allowed to make roles, found: permission denied" in found.message


def test_a_target_gets_rights_in_its_own_database_and_no_right_to_make_others(
    flexible: psycopg.Connection, postgres_tls: PostgresServer, certificate: Path
) -> None:
    name = f"app_{secrets.token_hex(4)}"
    flexible.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(GROUP)))
    target = TargetPostgres(
        host="127.0.0.1", port=postgres_tls.port, user=APP, database=name, sslrootcert=str(certificate)
    )
    try:
        with psycopg.connect(postgres_tls.dsn(name), autocommit=True) as there:
            there.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(GROUP)))
        assert postgres_users.check_user(target, GROUP).code == "DATABASE_USER_MADE"
        with psycopg.connect(postgres_tls.dsn(name)) as there:
            asked = "SELECT has_database_privilege(%s, current_database(), 'CREATE'), has_schema_privilege(%s, 'public', 'CREATE')"
            assert there.execute(asked, [APP, APP]).fetchone() == (True, True)
        row = flexible.execute("SELECT rolcreatedb FROM pg_roles WHERE rolname = %s", [APP]).fetchone()
        assert row == (False,)
    finally:
        flexible.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


# --- all of the settings' databases ----------------------------------------------------------------------------------


def test_every_database_of_the_settings_gets_its_finding(
    flexible: psycopg.Connection, temporary: Postgres, target: SqlServer
) -> None:
    blob = {"account_url": "https://files.example", "container": "files"}
    settings = Settings.model_validate(
        {
            "staging": {"account_url": "https://staging.example"},
            "postgres": temporary.model_dump(),
            "target": {"production": {"sql": target.model_dump(), "blob": blob}},
            "identity_name": APP,
            "azure_client_id": CLIENT,
        }
    )
    found = check_databases(settings, GROUP)
    assert [one.code for one in found] == ["DATABASE_USER_MADE", "DATABASE_USER_MADE"]
    assert [one.object for one in found] == ["127.0.0.1/postgres", f"{target.server}/{target.database}"]


def test_an_app_without_an_identity_is_told_so_for_every_database(
    temporary: Postgres, target: SqlServer, identity: Identity
) -> None:
    class Nobody:
        """A double of an identity that is not there."""

        def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
            raise ClientAuthenticationError("no identity: 12345")

    blob = {"account_url": "https://files.example", "container": "files"}
    settings = Settings.model_validate(
        {
            "staging": {"account_url": "https://staging.example"},
            "postgres": temporary.model_dump(),
            "target": {"production": {"sql": target.model_dump(), "blob": blob}},
            "identity_name": APP,
        }
    )
    credentials.use_credential(Nobody())
    found = check_databases(settings)
    assert [(one.code, one.object) for one in found] == [
        ("NO_TOKEN", "temporary server"),
        ("NO_TOKEN", "production"),
    ]
    assert "12345" not in "".join(one.model_dump_json() for one in found)


def test_a_server_that_sleeps_is_left_asleep(
    temporary: Postgres, target: SqlServer, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sleeping:
        """A double of Azure Resource Manager: the server is stopped."""

        def __enter__(self) -> "Sleeping":
            return self

        def __exit__(self, *_error: object) -> None:
            return

        def postgres_state(self, _server: str) -> str:
            return "Stopped"

    monkeypatch.setattr(setup, "ResourceManager", Sleeping)
    settings = Settings.model_validate(
        {
            "staging": {"account_url": "https://staging.example"},
            "postgres": temporary.model_dump() | {"resource_id": "/subscriptions/1/flexibleServers/pg"},
            "target": {},
        }
    )
    (found,) = check_databases(settings)
    assert (found.code, found.severity) == ("POSTGRES_ASLEEP", "info")


def test_the_driver_says_18456_to_a_user_that_is_not_there(target: SqlServer, identity: Identity) -> None:
    """The stand-in behaves as Azure SQL does: a token of nobody in the database opens no session."""
    identity.user = "nobody"
    with pytest.raises(pyodbc.InterfaceError, match="18456"):
        pyodbc.connect(
            connection_string(target), attrs_before={SQL_COPT_SS_ACCESS_TOKEN: token_struct(identity.token())}
        )
