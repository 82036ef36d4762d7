"""Material for benches: archives of any size, made as a stream, and a database of some millions of rows."""

import io
import os
import random
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import psycopg
from isal import igzip

from bench.stand import Stand
from local.postgres import PostgresServer

WORDS = b"order invoice customer ticket document amount date street city remark approved rejected pending ".split()


def contents(size: int, files: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield files of `size` bytes together: half cannot be compressed, half are words."""
    rng = random.Random(seed)
    each = size // files
    text = b" ".join(rng.choice(WORDS) for _ in range(max(2000, each // 4)))
    for number in range(files):
        name = str(uuid.UUID(int=rng.getrandbits(128)))
        start = rng.randrange(len(text) // 2)
        data = rng.randbytes(each) if number % 2 else (text[start:] * (each // max(1, len(text) - start) + 1))[:each]
        yield name, data


def archive(path: Path, dump: bytes, size: int, files: int, plain: Path | None = None) -> None:
    """Write a backup of that many files and bytes as a tar.gz, and the same tar as it is to `plain`."""
    with igzip.open(path, "wb", compresslevel=1) as zipped, (plain or Path(os.devnull)).open("wb") as unzipped:
        both = cast("IO[bytes]", _Both(zipped, unzipped))
        with tarfile.open(fileobj=both, mode="w|") as tar:
            _add(tar, "db/db.backup", dump)
            for name, data in contents(size, files):
                _add(tar, f"tree/{name[:2]}/{name[2:4]}/{name}", data)


class _Both:
    """A file that writes to two."""

    def __init__(self, *files: IO[bytes]) -> None:
        self._files = files

    def write(self, data: bytes) -> int:
        for file in self._files:
            file.write(data)
        return len(data)


def give(one: Stand, size: int, files: int, dump: bytes) -> None:
    """Put such a backup where the runs of a stand look for it."""
    path = one.folder / "snapshot.tar.gz"
    archive(path, dump, size, files)
    with path.open("rb") as file:
        # With an MD5 the emulator leaves out a slow checksum of its own.
        one.service.get_blob_client("source", "snapshot").upload_blob(file, max_concurrency=4, validate_content=True)
    path.unlink()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def small_dump(server: PostgresServer) -> bytes:
    """Return the dump of a database with one small table."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE small")
    with psycopg.connect(server.dsn("small")) as connection:
        connection.execute("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 100) g")
    return dump(server, "small")


def dump(server: PostgresServer, database: str, *options: str) -> bytes:
    """Return a dump as Mendix Cloud makes it: custom format, no owner, no privileges."""
    path = server.folder / "dump"
    command = [str(server.binaries / "pg_dump"), "-O", "-x", "-Fc", *options, "-d", server.dsn(database)]
    subprocess.run([*command, "-f", str(path)], check=True)
    data = path.read_bytes()
    path.unlink()
    return data


def fill(server: PostgresServer, database: str, tables: int, rows: int) -> None:
    """Make a database of some tables with keys and indexes, of some 150 bytes a row."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{database}"')
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        for number in range(tables):
            connection.execute(f"""
                CREATE TABLE t{number} AS
                SELECT g::bigint AS id, 'row ' || g AS name, md5(g::text) || md5((g * 7)::text) AS body,
                       (g % 1000) / 7.0 AS amount, timestamp '2026-01-01' + g * interval '1 second' AS at, g % 2 = 0 AS flag
                FROM generate_series(1, {rows}) g;
                ALTER TABLE t{number} ADD PRIMARY KEY (id);
                CREATE INDEX ON t{number} (name); CREATE INDEX ON t{number} (at, id)
            """)
