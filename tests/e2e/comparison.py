"""Compares a migration's result with its source, by means that share nothing with the migration's own code.

The dump is restored with PostgreSQL's `pg_restore`, the archive is read with `tarfile`, the target with plain pyodbc.
"""

import hashlib
import os
import subprocess
import tarfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

EMPTIED = {  # volatile by purpose: a cut-over makes them, and leaves them empty
    "system$session", "system$session_user", "system$tokeninformation", "system$tokeninformation_user",
    "system$xasinstance", "system$processedqueuetask", "system$unreferencedfile",
}  # fmt: skip


def restored(archive: Path, dsn: str, programs: Path, folder: Path) -> None:
    """Restore the archive's dump into the database of `dsn` with pg_restore."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile("db/db.backup")
        assert member is not None
        (folder / "db.backup").write_bytes(member.read())
    command = [programs / "pg_restore", "-O", "-x", "--no-comments", "-d", dsn, folder / "db.backup"]
    subprocess.run(command, check=True, env=os.environ | {"PGOPTIONS": "-c client_min_messages=error"})


def tables(source: psycopg.Connection[Any]) -> list[str]:
    """Names of the source's tables."""
    rows = source.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
    return [name for (name,) in rows]


def columns(source: psycopg.Connection[Any], table: str) -> list[str]:
    """Names of a table's columns, in their order."""
    rows = source.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s "
        "ORDER BY ordinal_position",
        (table,),
    ).fetchall()
    return [name for (name,) in rows]


def source_rows(source: psycopg.Connection[Any], table: str, names: list[str]) -> Iterator[tuple[Any, ...]]:
    """Rows of the source in the form in which the target should hold them."""
    wanted = ", ".join(f'"{name}"' for name in names)
    for row in source.execute(f'SELECT {wanted} FROM "{table}"'):
        yield tuple(plain(value) for value in row)


def target_rows(target: Any, table: str, names: list[str]) -> Iterator[tuple[Any, ...]]:
    """Rows of the target."""
    wanted = ", ".join(f"[{name}]" for name in names)
    for row in target.cursor().execute(f"SELECT {wanted} FROM [dbo].[{table}]"):
        yield tuple(plain(value) for value in row)


def plain(value: Any) -> Any:
    """One form for what the two drivers give: milliseconds for times, exact decimals, bytes as their hash."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        milliseconds, rest = divmod(naive.microsecond, 1000)
        return naive.replace(microsecond=0) + timedelta(milliseconds=milliseconds + (rest >= 500))
    if isinstance(value, Decimal):
        return value.normalize()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return hashlib.sha256(bytes(value)).hexdigest()
    return value


def differences(source: psycopg.Connection[Any], target: Any, table: str, names: list[str]) -> list[str]:
    """Rows that one side has and the other has not, as sentences; empty when both hold the same rows."""
    want, have = Counter(source_rows(source, table, names)), Counter(target_rows(target, table, names))
    missing, surplus = want - have, have - want
    return [f"{table}: missing {row}" for row in list(missing)[:3]] + [
        f"{table}: surplus {row}" for row in list(surplus)[:3]
    ]


def archive_files(archive: Path) -> dict[str, str]:
    """UUID → SHA-256 of the files in the archive's tree."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.startswith("tree/"):
                content = tar.extractfile(member)
                assert content is not None
                found[member.name.rsplit("/", 1)[1]] = hashlib.sha256(content.read()).hexdigest()
    return found


def container_files(container: Any) -> dict[str, str]:
    """Blob name → SHA-256 of the blobs in a container."""
    return {
        blob.name: hashlib.sha256(container.download_blob(blob.name).readall()).hexdigest()
        for blob in container.list_blobs()
    }
