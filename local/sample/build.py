"""Builds a sample: rows into a throw-away PostgreSQL, `pg_dump` of it, and the archive around dump and files.

Memory stays at a few tens of MB whatever the size: rows stream through COPY, files are computed piece by piece. On
disk lie the database and its dump while it runs.
"""

import json
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import IO, cast

import psycopg
from isal import igzip
from psycopg import sql

from local.postgres import PostgresServer, bin_folder
from local.processes import ROOT
from local.sample import app_modules, metadata, problems, rows, system_module
from local.sample.files import Files
from local.sample.model import Model, guid
from local.sample.plan import Plan
from local.sample.schema import Schema, Table

MODEL = Model(
    (*system_module.ENTITIES, *app_modules.ENTITIES), (*system_module.ASSOCIATIONS, *app_modules.ASSOCIATIONS)
)
MADE_AT = 1_795_000_000  # seconds; the time of every member, so that it does not tell when a sample was made
PG_DUMP = ("-O", "-x", "-Fc")  # as Mendix Cloud makes its backups
SEQUENCE_OWNERS = {"system$queuedtask": 699, "orders$order": 100_000}  # AutoNumbers that did not start at 1


@dataclass(frozen=True)
class Request:
    """What is wanted. `mean_file_bytes` is the average size of a file in bytes."""

    rows: int = 200_000
    files: int = 2_000
    seed: int = 1
    mean_file_bytes: int = 20_000
    with_problems: bool = False
    pg_bin: Path | None = None


@dataclass
class Summary:
    """What was made."""

    tables: dict[str, int] = field(default_factory=dict)
    files: int = 0
    file_bytes: int = 0
    database_bytes: int = 0
    dump_bytes: int = 0
    archive_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        """Rows in all tables."""
        return sum(self.tables.values())


def build(request: Request, out: Path, dump_only: bool = False) -> Summary:
    """Write a full snapshot (or the dump alone) to `out`. ValueError if `rows` is too few for the app."""
    started = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="sample-", dir=_scratch()))
    summary = Summary()
    try:
        schema, plan = _planned(request)
        dump = out if dump_only else work / "db.backup"
        with _server(work, request.pg_bin) as server:
            with psycopg.connect(server.dsn()) as connection:
                _load(connection, schema, plan, request, summary)
            _dump(server, dump)
        summary.dump_bytes = dump.stat().st_size
        if not dump_only:
            _archive(out, dump, plan.files, summary)
        summary.archive_bytes = out.stat().st_size
    finally:
        shutil.rmtree(work, ignore_errors=True)
    summary.seconds = time.monotonic() - started
    return summary


def _scratch() -> Path:
    folder = ROOT / ".local"
    folder.mkdir(exist_ok=True)
    return folder


def _planned(request: Request) -> tuple[Schema, Plan]:
    model = problems.with_legacy(MODEL) if request.with_problems else MODEL
    schema = Schema(model, guid(request.seed))
    described = sum(len(made) for made in metadata.rows(schema, None).values())
    described += sum(problems.ROWS_MADE.values()) if request.with_problems else 0
    files = Files(request.seed, request.files, request.mean_file_bytes)
    plan = Plan.make(model, request.seed, request.rows, files, described)
    rows.check_links(model, plan)
    return schema, plan


@contextmanager
def _server(work: Path, pg_bin: Path | None) -> Iterator[PostgresServer]:
    server = PostgresServer(work, binaries=pg_bin or bin_folder())
    try:
        yield server.start()
    finally:
        server.destroy()


def _load(connection: psycopg.Connection, schema: Schema, plan: Plan, request: Request, summary: Summary) -> None:
    # One transaction: with wal_level=minimal the rows of a table made in it are not written to the WAL.
    connection.execute(metadata.DDL.encode())
    for name, described in metadata.rows(schema, plan).items():
        with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(name))) as copy:
            for row in described:
                copy.write_row(row)
        summary.tables[name] = len(described)
    for table in schema.tables:
        connection.execute(table.create.encode())
        with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table.name))) as copy:
            for text in rows.copy_text(table, plan):
                copy.write(text)
        summary.tables[table.name] = rows.count(table, plan)
        _sequences(connection, table, plan)
    if request.with_problems:
        _spoil(connection, summary)
    _finish(connection, schema, request.with_problems)
    size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    summary.database_bytes = size[0] if size else 0


def _sequences(connection: psycopg.Connection, table: Table, plan: Plan) -> None:
    for sequence in table.sequences.values():
        start = SEQUENCE_OWNERS.get(table.name, 0)
        used = rows.count(table, plan)
        name = sql.Identifier(sequence)
        connection.execute(sql.SQL("CREATE SEQUENCE {} START WITH {}").format(name, start + 1))
        if used:
            connection.execute("SELECT setval(quote_ident(%s)::regclass, %s)", (sequence, start + used))


def _spoil(connection: psycopg.Connection, summary: Summary) -> None:
    for problem in problems.PROBLEMS:
        for statement in problem.statements:
            connection.execute(statement.encode())
        summary.problems.append(f"{problem.name}: {problem.where}")
    for table, made in problems.ROWS_MADE.items():
        summary.tables[table] = summary.tables.get(table, 0) + made


def _finish(connection: psycopg.Connection, schema: Schema, with_problems: bool) -> None:
    for table in schema.tables:
        for statement in table.post_data():
            connection.execute(statement.encode())
    for table in schema.tables:
        unchecked = " NOT VALID" if with_problems and table.name in problems.NOT_VALID else ""
        for statement in table.add_foreign_keys():
            connection.execute((statement + unchecked).encode())


def _dump(server: PostgresServer, out: Path) -> None:
    command = [str(server.binaries / "pg_dump"), *PG_DUMP, "-f", str(out), "-d", server.dsn_without_password()]
    done = subprocess.run(command, env={"PGPASSWORD": server.password}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pg_dump ended with code {done.returncode}: {done.stderr}")


def _archive(out: Path, dump: Path, files: Files, summary: Summary) -> None:
    for number in range(files.count):
        summary.file_bytes += files.file(number).size
    summary.files = files.count
    about = {
        "duration": "0",
        "dumpSize": str(summary.dump_bytes),
        "modelVersion": metadata.MODEL_VERSION,
        "databaseSize": str(summary.database_bytes),
        "filesSize": str(summary.file_bytes),
    }
    described = json.dumps(about, separators=(",", ":")).encode()
    with (
        out.open("wb") as raw,
        # No time and no name in the header: the same content gives the same bytes.
        igzip.IGzipFile(filename="", fileobj=raw, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=cast(IO[bytes], packed), mode="w|", format=tarfile.GNU_FORMAT) as archive,
    ):
        _add(archive, ".metadata", len(described), iter([described]))
        with dump.open("rb") as file:
            _add(archive, "db/db.backup", summary.dump_bytes, iter(lambda: file.read(1 << 20), b""))
        for number in range(files.count):
            one = files.file(number)
            _add(archive, one.path, one.size, files.content(one))
            # tarfile keeps every member it wrote; a million would be a gigabyte. Its stub does not know the list.
            archive.members.clear()  # type: ignore[attr-defined]


def _add(archive: tarfile.TarFile, name: str, size: int, content: Iterator[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, MADE_AT, 0o644
    archive.addfile(member, cast(IO[bytes], _Pieces(content)))


class _Pieces(RawIOBase):
    """A readable file over an iterator of pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.left = b""

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; fewer only at the end."""
        while len(self.left) < size and (piece := next(self.pieces, None)) is not None:
            self.left += piece
        taken, self.left = self.left[:size], self.left[size:]
        return taken
