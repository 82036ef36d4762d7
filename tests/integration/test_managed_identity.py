"""The app's identity end to end: blobs, PostgreSQL, Azure SQL. No password, no key, one credential object.

The identity is a double that makes tokens as Entra does in form; the servers are Azurite with `--oauth basic` over HTTPS,
a PostgreSQL over TLS whose role has the token as its password, and the SQL Server stand-in, which tells the digest of
the tokens that it was given.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import adbc_driver_postgresql.dbapi as adbc
import psycopg
import pyarrow as pa
import pytest
from azure.storage.blob import BlobServiceClient
from psycopg import sql

from local.azurite import Azurite
from local.postgres import PostgresServer
from shared import settings
from shared.blobs import clients
from shared.errors import Refusal
from shared.postgres import connection as postgres
from shared.postgres.checks import check_server
from shared.settings import BlobAccount, Postgres, SqlServer
from shared.sqlserver import connection as sqlserver
from shared.sqlserver.bulk import BulkSession
from tests.fixtures.identity import IdentityDouble, identified_by

STORAGE = "https://storage.azure.com/.default"


class Identity(IdentityDouble):
    """A double of a managed identity whose tokens a server can check, renewed on demand."""

    serial = 0

    def token(self, scope: str) -> str:
        return jwt(scope.removesuffix("/.default"), self.serial)


def jwt(audience: str, serial: int) -> str:
    """A token in the form of Entra's; the signature is anybody's."""
    tenant = "00000000-0000-0000-0000-000000000002"
    now = int(time.time()) // 3600 * 3600
    claims = {
        "aud": audience, "iss": f"https://sts.windows.net/{tenant}/", "iat": now - 60, "nbf": now - 60,
        "exp": now + 7200, "oid": "00000000-0000-0000-0000-000000000003", "tid": tenant, "ver": "1.0", "n": serial,
    }  # fmt: skip
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in parts]
    return ".".join([*encoded, base64.urlsafe_b64encode(b"signature").rstrip(b"=").decode()])


@pytest.fixture
def identity() -> Iterator[Identity]:
    with identified_by(Identity()) as double:
        yield double


# --- blobs -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def azurite_https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with Azurite(tmp_path_factory.mktemp("azurite-https"), https=True) as server:
        yield server


@pytest.fixture
def account(azurite_https: Azurite, identity: Identity, monkeypatch: pytest.MonkeyPatch) -> BlobAccount:
    """The account by its URL only: whoever uses it has nothing but the identity."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(azurite_https.certificate))
    monkeypatch.setenv("SSL_CERT_FILE", str(azurite_https.certificate))
    return BlobAccount(account_url=azurite_https.account_url, api_version="2025-07-05")


def test_blobs_are_written_and_read_by_the_identity(account: BlobAccount, identity: Identity) -> None:
    container = clients.container_of(account, f"test-{secrets.token_hex(4)}")
    container.create_container()
    container.upload_blob("runs/a/plan.json", b"{}")
    assert container.download_blob("runs/a/plan.json").readall() == b"{}"
    assert set(identity.scopes) == {STORAGE}


def test_a_server_side_copy_reads_by_a_sas_of_a_user_delegation_key(account: BlobAccount) -> None:
    container = clients.container_of(account, f"test-{secrets.token_hex(4)}")
    container.create_container()
    content = secrets.token_bytes(3000)
    source = container.upload_blob("runs/a/snapshot.tar", content)
    url = clients.copy_source_url(account, source)
    query = parse_qs(urlsplit(url).query)
    assert query["skoid"] == ["00000000-0000-0000-0000-000000000003"]
    assert query["sp"] == ["r"]
    target = container.get_blob_client("file")
    target.stage_block_from_url("AAAA", url, source_offset=1000, source_length=500)
    target.commit_block_list(["AAAA"])
    assert target.download_blob().readall() == content[1000:1500]


def test_a_token_for_somebody_else_opens_no_blob(
    account: BlobAccount, identity: Identity, azurite_https: Azurite
) -> None:
    class Wrong(Identity):
        def token(self, scope: str) -> str:
            return jwt("https://other.example", 0)

    service = BlobServiceClient(str(account.account_url), credential=Wrong(), api_version=account.api_version)
    with pytest.raises(Exception, match=r"AuthenticationFailed|AuthorizationFailure|InvalidAuthenticationInfo"):
        service.create_container("refused-container")


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


def set_password(server: PostgresServer, user: str, password: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(user)))
        statement = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}")
        connection.execute(statement.format(sql.Identifier(user), sql.Literal(password)))


def test_postgresql_takes_the_token_as_password_and_a_new_one_after_it(
    postgres_tls: PostgresServer, certificate: Path, identity: Identity
) -> None:
    server = Postgres(host="127.0.0.1", port=postgres_tls.port, user="mxf-app-id", sslrootcert=str(certificate))
    set_password(postgres_tls, server.user, identity.token(postgres.ENTRA_SCOPE))
    with postgres.connect(server) as connection:
        assert connection.info.user == "mxf-app-id"
    identity.serial = 1
    with pytest.raises(Refusal) as caught:
        postgres.connect(server)
    assert identity.token(postgres.ENTRA_SCOPE) not in str(caught.value)
    set_password(postgres_tls, server.user, identity.token(postgres.ENTRA_SCOPE))
    postgres.connect(server).close()
    assert set(identity.scopes) == {postgres.ENTRA_SCOPE}


def test_a_token_that_postgresql_does_not_take_is_told_how_to_make_the_user(
    postgres_tls: PostgresServer, certificate: Path, identity: Identity
) -> None:
    server = Postgres(host="127.0.0.1", port=postgres_tls.port, user="mxf-unknown-id", sslrootcert=str(certificate))
    found = check_server(server)
    assert [one.code for one in found] == ["POSTGRES_LOGIN"]
    assert "pgaadauth_create_principal('mxf-unknown-id', false, false)" in found[0].remedy
    assert identity.token(postgres.ENTRA_SCOPE) not in found[0].model_dump_json()


def test_the_uri_for_adbc_carries_the_token_too(
    postgres_tls: PostgresServer, certificate: Path, identity: Identity
) -> None:
    server = Postgres(host="127.0.0.1", port=postgres_tls.port, user="mxf-app-id", sslrootcert=str(certificate))
    set_password(postgres_tls, server.user, identity.token(postgres.ENTRA_SCOPE))
    with adbc.connect(postgres.adbc_uri(server, "postgres")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_user::text")
        assert cursor.fetchone() == ("mxf-app-id",)


# --- Azure SQL -------------------------------------------------------------------------------------------------------


@pytest.fixture
def profile(sql_server_tls: Any, identity: Identity) -> SqlServer:
    """A target without user and password."""
    return SqlServer(
        server=f"127.0.0.1,{sql_server_tls.port}", database=sql_server_tls.new_database(), trust_server_certificate=True
    )


def digests(server: Any) -> list[str]:
    return list(server.statistics()["tokens_sha256"])


def test_the_odbc_driver_logs_in_with_the_identitys_token(
    sql_server_tls: Any, profile: SqlServer, identity: Identity
) -> None:
    with sqlserver.session(profile) as connection:
        assert connection.execute("SELECT DB_NAME()").fetchval() == profile.database
    expected = hashlib.sha256(identity.token(sqlserver.TOKEN_SCOPE).encode()).hexdigest()
    assert digests(sql_server_tls)[-1] == expected


def test_the_bulk_core_logs_in_with_the_identitys_token(
    sql_server_tls: Any, profile: SqlServer, identity: Identity
) -> None:
    identity.serial = 7
    session = BulkSession(profile)
    session.execute("CREATE TABLE [dbo].[t] ([id] bigint NOT NULL)")
    table = pa.table({"id": pa.array([1, 2, 3], pa.int64())})
    session.execute("BEGIN TRANSACTION")
    assert session.load("t", table.to_reader(), ["id"], table_lock=False) == 3
    session.execute("COMMIT TRANSACTION")
    assert session.query("SELECT COUNT_BIG(*) FROM [dbo].[t]") == [(3,)]
    expected = hashlib.sha256(identity.token(sqlserver.TOKEN_SCOPE).encode()).hexdigest()
    assert digests(sql_server_tls)[-1] == expected


def test_a_new_token_is_asked_for_with_every_session(
    sql_server_tls: Any, profile: SqlServer, identity: Identity
) -> None:
    seen = set()
    for serial in (1, 2):
        identity.serial = serial
        sqlserver.connect(profile).close()
        seen.add(digests(sql_server_tls)[-1])
    assert len(seen) == 2


# --- settings --------------------------------------------------------------------------------------------------------


def test_a_key_vault_reference_that_was_not_resolved_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform hands the reference itself to the app when it may not read the secret."""
    for name, value in {
        "STAGING__ACCOUNT_URL": "https://staging.example",
        "POSTGRES__HOST": "pg.example",
        "POSTGRES__USER": "app",
        "POSTGRES__PASSWORD": "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/postgres-password/)",
        "TARGET__A__SQL__SERVER": "sql.example",
        "TARGET__A__SQL__DATABASE": "app",
        "TARGET__A__BLOB__ACCOUNT_URL": "https://files.example",
        "TARGET__A__BLOB__CONTAINER": "files",
    }.items():
        monkeypatch.setenv(name, value)
    settings.settings.cache_clear()
    with pytest.raises(Refusal) as caught:
        settings.settings()
    settings.settings.cache_clear()
    assert "POSTGRES__PASSWORD: a Key Vault reference that was not resolved" in str(caught.value)
