"""More tables than the server has locks for: made in several transactions, or refused with what to do."""

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from local.postgres import PostgresServer
from shared.errors import Refusal
from shared.postgres import temporary
from shared.settings import Postgres
from shared.snapshot.dump import Dump, read_dump

TABLES = 150
SMALL = {"max_connections": "10", "max_locks_per_transaction": "10", "max_worker_processes": "2"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server with locks for some seventy new tables in one transaction."""
    with PostgresServer(tmp_path_factory.mktemp("small"), settings=SMALL) as found:
        yield found


@pytest.fixture
def many(postgres_server: PostgresServer, database: str, tmp_path: Path) -> Dump:
    with psycopg.connect(postgres_server.dsn(database), autocommit=True) as connection:
        for number in range(TABLES):
            connection.execute(f'CREATE TABLE "many${number}" (id bigint, name text)'.encode())
    command = [str(postgres_server.binaries / "pg_dump"), "-O", "-x", "-Fc", "-d", postgres_server.dsn(database)]
    return read_dump(io.BytesIO(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def test_a_temporary_database_gets_them_a_part_at_a_time(
    small: PostgresServer, many: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary, "AT_ONCE", 20)
    server = Postgres(
        host=small.host, port=small.port, user=small.user, password=SecretStr(small.password), sslmode="disable"
    )
    temporary.prepare(server, "run_many", many, "tests")
    with psycopg.connect(small.dsn("run_many")) as connection:
        count = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert count == (TABLES,)
        assert connection.execute("SELECT FROM mxferry.prepared").rowcount == 1


def test_a_target_gets_them_at_once_or_is_told_what_it_lacks(small: PostgresServer, many: Dump) -> None:
    with psycopg.connect(small.dsn()) as connection, pytest.raises(Refusal) as caught:
        temporary.make_tables(connection, many)
    assert (caught.value.code, caught.value.about[:17]) == ("SERVER_LOCKS", "TABLE public.many")
    assert "max_locks_per_transaction" in caught.value.remedy
