"""How PostgreSQL is connected to: the server proves who it is, and no session waits for ever; by psycopg and by ADBC."""

import ssl
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import adbc_driver_postgresql.dbapi as adbc
import certifi
import psycopg
import pytest
from pydantic import SecretStr

from local.certificates import self_signed
from local.postgres import PostgresServer
from shared.errors import Refusal
from shared.postgres.connection import adbc_uri, connect
from shared.postgres.tls import roots, tls
from shared.settings import Postgres, TargetPostgres
from tests.fixtures.postgres import settings_of

Asked = Callable[[Postgres, str], str]


def by_psycopg(server: Postgres, query: str) -> str:
    with connect(server, autocommit=True) as connection:
        return str((connection.execute(query.encode()).fetchone() or ("",))[0])


def by_adbc(server: Postgres, query: str) -> str:
    with adbc.connect(adbc_uri(server, server.database)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return str((cursor.fetchone() or ("",))[0])


both = pytest.mark.parametrize("ask", [by_psycopg, by_adbc])
ENCRYPTED = "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture
def server(postgres_tls: PostgresServer) -> Postgres:
    """The settings as they are where nothing is said about TLS."""
    return Postgres(
        host="localhost",
        port=postgres_tls.port,
        user=postgres_tls.user,
        password=SecretStr(postgres_tls.password),
    )


@both
def test_a_server_whose_certificate_the_machine_trusts_is_connected_to(
    server: Postgres, certificate: Path, monkeypatch: pytest.MonkeyPatch, ask: Asked
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert server.sslmode == "verify-full"
    assert ask(server, ENCRYPTED) == "true"


@both
def test_an_authority_of_ones_own_is_named_by_its_file(server: Postgres, certificate: Path, ask: Asked) -> None:
    assert ask(server.model_copy(update={"sslrootcert": str(certificate)}), ENCRYPTED) == "true"


@both
def test_a_server_that_cannot_prove_who_it_is_gets_no_password(
    postgres_tls: PostgresServer, server: Postgres, tmp_path: Path, ask: Asked
) -> None:
    other = tmp_path / "other.pem"
    self_signed(other, tmp_path / "other.key")
    for trusted in ("system", str(other), str(tmp_path / "nothing.pem")):
        with pytest.raises((Refusal, adbc.Error)) as caught:
            ask(server.model_copy(update={"sslrootcert": trusted}), ENCRYPTED)
        if isinstance(caught.value, Refusal):
            assert caught.value.code == "POSTGRES_CERTIFICATE"
            assert "POSTGRES__SSLROOTCERT" in caught.value.remedy
        assert server.password
        assert server.password.get_secret_value() not in str(caught.value)


@both
def test_a_certificate_of_another_host_is_refused_and_only_verify_full_looks_for_that(
    server: Postgres, certificate: Path, monkeypatch: pytest.MonkeyPatch, ask: Asked
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")
    elsewhere = server.model_copy(update={"host": "pg.example.com", "sslrootcert": str(certificate)})
    with pytest.raises((Refusal, adbc.Error), match="does not match host name"):
        ask(elsewhere, ENCRYPTED)
    assert ask(elsewhere.model_copy(update={"sslmode": "verify-ca"}), ENCRYPTED) == "true"


@both
def test_require_encrypts_and_checks_nothing(server: Postgres, ask: Asked) -> None:
    assert ask(server.model_copy(update={"sslmode": "require"}), ENCRYPTED) == "true"


def test_a_server_without_tls_is_refused(postgres_server: PostgresServer) -> None:
    with pytest.raises(Refusal) as caught:
        connect(settings_of(postgres_server).model_copy(update={"sslmode": "verify-full"}))
    assert "does not support SSL" in caught.value.message


def test_where_the_machine_has_no_authorities_those_of_certifi_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: SimpleNamespace(cafile=None))
    assert roots() == certifi.where()
    anywhere = Postgres(host="pg.example.com", user="app")
    assert tls(anywhere) == {"sslmode": "verify-full", "sslrootcert": certifi.where()}
    assert tls(anywhere.model_copy(update={"sslmode": "require"})) == {"sslmode": "require"}


@both
def test_both_ends_of_a_session_look_for_the_other_and_no_statement_lasts_for_ever(
    postgres_server: PostgresServer, ask: Asked
) -> None:
    server = settings_of(postgres_server)
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
    query = " || ' ' || ".join(f"current_setting('{name}')" for name in names)
    assert ask(server, f"SELECT {query}") == "60 15 4 120000"
    assert ask(server, "SELECT current_setting('statement_timeout')") == "25min"


@both
def test_time_outs_that_somebody_set_for_the_login_end_no_session_of_ours(
    postgres_server: PostgresServer, ask: Asked
) -> None:
    server = settings_of(postgres_server)
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute("CREATE ROLE hasty LOGIN PASSWORD 'hasty'")
        connection.execute("ALTER ROLE hasty SET statement_timeout = '1ms'")
        connection.execute("ALTER ROLE hasty SET idle_in_transaction_session_timeout = '1ms'")
        hasty = server.model_copy(update={"user": "hasty", "password": SecretStr("hasty")})
        try:
            assert ask(hasty, "SELECT current_setting('idle_in_transaction_session_timeout')") == "0"
            assert ask(hasty, "SELECT current_setting('statement_timeout')") == "25min"
        finally:
            connection.execute("DROP ROLE hasty")


def test_a_question_has_the_time_out_that_its_asker_gives_it(postgres_server: PostgresServer) -> None:
    with (
        connect(settings_of(postgres_server), statement_timeout=1) as connection,
        pytest.raises(psycopg.errors.QueryCanceled),
    ):
        connection.execute("SELECT pg_sleep(60)")


def test_a_target_is_written_as_its_owner_whatever_his_name(postgres_server: PostgresServer) -> None:
    owner = "the \\ app's owner"
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute('CREATE ROLE "the \\ app\'s owner"')
        fields = settings_of(postgres_server).model_dump(exclude={"password"})
        target = TargetPostgres(**fields, password=SecretStr(postgres_server.password), owner=owner)
        try:
            assert by_psycopg(target, "SELECT current_user") == owner
        finally:
            connection.execute('DROP ROLE "the \\ app\'s owner"')


def test_a_server_whose_log_begins_at_log_quotes_no_row_in_it(tmp_path: Path) -> None:
    """As infra/modules/postgres.bicep has it; with PostgreSQL's own values the same errors quote them."""
    wrong = (
        "INSERT INTO person VALUES (1, 'duplicate@example.org')",
        "SELECT 'number@example.org'::integer",
        "SELECT no_such_column FROM person WHERE mail = 'statement@example.org'",
    )
    with PostgresServer(tmp_path / "quiet") as server, psycopg.connect(server.dsn(), autocommit=True) as connection:
        log = next(server.folder.glob("*.log"))
        connection.execute("CREATE TABLE person (id integer, mail text UNIQUE)")
        connection.execute("INSERT INTO person VALUES (1, 'duplicate@example.org')")
        for quiet in (False, True):
            if quiet:
                connection.execute("SET log_min_messages = 'log'")
                connection.execute("SET log_min_error_statement = 'panic'")
            before = len(log.read_text())
            for statement in wrong:
                with pytest.raises(psycopg.Error):
                    connection.execute(statement.encode())
            connection.execute("CHECKPOINT")
            assert ("@example.org" in log.read_text()[before:]) is not quiet
