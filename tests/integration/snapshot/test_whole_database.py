"""Whole databases from dumps of other PostgreSQL versions: rows, keys, indexes, checks and foreign keys, made once each."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from local.postgres import PostgresServer
from shared.errors import MxferryError, Refusal, TransientError
from shared.postgres import loading, postdata
from shared.postgres.loading import Destination, load_table
from shared.postgres.sequences import set_sequences
from shared.postgres.temporary import make_tables
from shared.settings import Postgres
from shared.snapshot.dump import Dump, read_dump
from shared.snapshot.dumpdata import BlockScanner, copy_text
from shared.snapshot.restoring import contents_of
from tests.fixtures.dumps.older import as_version
from tests.fixtures.dumps.reading import FOLDER, content_of

DUMPS = sorted(FOLDER.glob("*.dump"))
MADE = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    ORDER BY 1, 2, 3
"""


@pytest.fixture
def server(postgres_server: PostgresServer, database: str) -> Postgres:
    return Postgres(
        host=postgres_server.host,
        port=postgres_server.port,
        user=postgres_server.user,
        password=SecretStr(postgres_server.password),
        database=database,
        sslmode="disable",
    )


@pytest.fixture
def connection(postgres_server: PostgresServer, database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_server.dsn(database), autocommit=True) as found:
        yield found


def load(server: Postgres, raw: bytes) -> Dump:
    """Make the tables of a dump in an empty database and load their rows, as the activities do."""
    dump = read_dump(io.BytesIO(raw))
    contents = contents_of(dump)
    scanner = BlockScanner(at=dump.data_offset)
    scanner.scan(raw[dump.data_offset :])
    places = dict(scanner.found)
    with psycopg.connect(**login(server)) as connection:
        make_tables(connection, dump)
        connection.commit()
        for table in contents.tables:
            assert table.offset in (None, places[table.entry])
            start = places[table.entry]
            pieces = (raw[at : at + 50_000] for at in range(start, len(raw), 50_000))
            into = Destination(server, server.database, contents.encoding)
            load_table(into, table, copy_text(pieces, dump.compression, table.entry))
        set_sequences(connection, dump)
    return dump


def login(server: Postgres) -> dict[str, Any]:
    password = server.password.get_secret_value() if server.password else None
    return {
        "host": server.host, "port": server.port, "user": server.user, "password": password, "dbname": server.database,
    }  # fmt: skip


def make_all(server: Postgres) -> list[int]:
    return [
        postdata.make(server, server.database, group)
        for wave in postdata.waves(server, server.database)
        for group in wave
    ]


def made(connection: psycopg.Connection[Any]) -> list[Any]:
    return connection.execute(MADE).fetchall()


@pytest.fixture
def wanted(postgres_server: PostgresServer) -> Iterator[list[Any]]:
    """Keys, indexes and constraints of the database that the dumps were made of."""
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as maintenance:
        maintenance.execute("CREATE DATABASE writer")
        with psycopg.connect(postgres_server.dsn("writer")) as connection:
            connection.execute((FOLDER / "content.sql").read_bytes())
            yield made(connection)
        maintenance.execute("DROP DATABASE writer WITH (FORCE)")


@pytest.mark.parametrize("path", DUMPS, ids=lambda path: path.stem)
def test_a_dump_of_postgresql_15_16_or_18_becomes_the_database_it_was_made_of(
    server: Postgres, connection: psycopg.Connection[Any], wanted: list[Any], path: Path
) -> None:
    dump = load(server, path.read_bytes())
    assert f"{dump.server_major}-{dump.compression}" == path.stem.removesuffix("-piped")
    assert dump.version == {15: (1, 14), 16: (1, 15), 18: (1, 16)}[dump.server_major]
    assert content_of(connection) == (FOLDER / "rows.txt").read_bytes()
    make_all(server)
    assert made(connection) == wanted


@pytest.mark.parametrize("version", [(1, 12), (1, 13), (1, 14)])
def test_the_formats_of_older_postgresql_are_read(
    server: Postgres, connection: psycopg.Connection[Any], version: tuple[int, int]
) -> None:
    raw = as_version((FOLDER / "16-gzip-piped.dump").read_bytes(), version)
    assert load(server, raw).version == version
    assert content_of(connection) == (FOLDER / "rows.txt").read_bytes()


def test_keys_delivered_twice_at_once_are_made_once(
    server: Postgres, connection: psycopg.Connection[Any], wanted: list[Any]
) -> None:
    load(server, (FOLDER / "18-zstd.dump").read_bytes())
    waves = postdata.waves(server, server.database)
    assert [{group.action for group in wave} for wave in waves] == [{"make"}, {"relate"}, {"validate"}]
    for wave in waves:
        with ThreadPoolExecutor(6) as pool:
            twice = [group for group in wave for _ in range(3)]
            list(pool.map(lambda group: postdata.make(server, server.database, group), twice))
    assert made(connection) == wanted
    assert postdata.waves(server, server.database) == []


def test_indexes_of_a_large_table_are_dealt_out_to_sessions_of_their_own(
    server: Postgres, connection: psycopg.Connection[Any], wanted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postdata, "LARGE", 8192)
    load(server, (FOLDER / "18-zstd.dump").read_bytes())
    waves = postdata.waves(server, server.database)
    assert [[group.action for group in wave] for wave in waves[1:]] == [["make"], ["relate"], ["validate"]]
    assert waves[1][0].parallel, "the table is most of the database"
    make_all(server)
    assert made(connection) == wanted


def test_rows_that_break_a_key_or_a_reference_are_named_by_what_they_break(
    server: Postgres, connection: psycopg.Connection[Any]
) -> None:
    load(server, (FOLDER / "18-zstd.dump").read_bytes())
    connection.execute('INSERT INTO "a$entity_entity" VALUES (99999, 1)')
    connection.execute('INSERT INTO "a$wide" VALUES (1, NULL)')
    refused = []
    for wave in postdata.waves(server, server.database):
        for group in wave:
            try:
                postdata.make(server, server.database, group)
            except Refusal as refusal:
                refused.append((refusal.code, refusal.about))
    assert refused == [
        ("DUMP_ENTRY_FAILED", "a$wide a$wide_pkey"),
        ("DUMP_ENTRY_FAILED", "a$entity_entity frn_a$entity_entity_1"),
    ]


def test_our_schema_leaves_a_target_without_a_trace(server: Postgres, connection: psycopg.Connection[Any]) -> None:
    load(server, (FOLDER / "16-gzip.dump").read_bytes())
    make_all(server)
    postdata.forget(connection)
    found = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1").fetchall()
    assert found == [("information_schema",), ("public",)]


FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.id = 300 THEN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON public."a$entity" FOR EACH ROW EXECUTE FUNCTION full_disk();
"""


def test_a_server_without_room_is_a_sentence_with_table_and_remedy(
    server: Postgres, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "COPY_BYTES", 2_000_000)
    raw = (FOLDER / "18-none.dump").read_bytes()
    dump = read_dump(io.BytesIO(raw))
    with psycopg.connect(**login(server)) as ours:
        make_tables(ours, dump)
    connection.execute(FULL)
    table = next(one for one in contents_of(dump).tables if one.table == "a$entity")
    start = table.offset or 0
    text = list(copy_text(iter([raw[start:]]), dump.compression, table.entry))
    # More than the sockets' buffers hold comes after the row that did not fit: the server's words must survive it.
    more = (piece for _ in range(5_000) for piece in text)
    with pytest.raises(Refusal) as caught:
        load_table(Destination(server, server.database, "UTF8"), table, more)
    assert (caught.value.code, caught.value.about) == ("SERVER_FULL", "public.a$entity")
    assert "No space left on device" in caught.value.message
    assert next(more, None) is not None, "it is told long before everything was sent"
    assert "more storage" in str(caught.value.finding().remedy)
    assert connection.execute('SELECT count(*) FROM "a$entity"').fetchone() == (0,)


SLOW = """
    CREATE FUNCTION public.slow(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM pg_sleep(60); RETURN $1; END $$;
    UPDATE mxferry.post_data SET statement = 'CREATE INDEX slow ON public."a$entity" (public.slow(id))' WHERE ordinal = 0;
"""


@pytest.mark.parametrize(
    ("seconds", "kind", "code"), [(1, Refusal, "POST_DATA_SLOW"), (6_600, TransientError, "POST_DATA_CANCELED")]
)
def test_an_index_that_takes_too_long_is_told_and_one_that_somebody_cancels_is_made_again(
    server: Postgres, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch,
    seconds: int, kind: type[MxferryError], code: str,
) -> None:  # fmt: skip
    load(server, (FOLDER / "16-gzip.dump").read_bytes())
    connection.execute(SLOW)
    monkeypatch.setattr(postdata, "INDEX_SECONDS", seconds)
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(postdata.make, server, server.database, postdata.Group(action="make", ordinals=(0,)))
        cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX slow%'"
        while kind is TransientError and not making.done() and not connection.execute(cancel).rowcount:
            pass
        error = making.exception()
    assert isinstance(error, kind)
    assert error.code == code
    assert connection.execute("SELECT count(*) FROM mxferry.made").fetchone() == (0,)
