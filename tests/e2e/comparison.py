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

EMPTIED = {  # rows of the source environment's own running, which a cut-over leaves behind
    "system$session", "system$session_user", "system$tokeninformation", "system$tokeninformation_user",
    "system$xasinstance", "system$processedqueuetask", "system$unreferencedfile", "system$offlinesynchronizationhistory",
    "system$scheduledeventinformation", "system$scheduledeventinformation_xasinstance", "system$backgroundjob",
    "system$taskqueuetoken",
}  # fmt: skip
NOT_CARRIED_OVER = {"Mendix.Runtime.DeploymentID"}  # the runtime writes its own
PROPERTIES, SEQUENCES = "mendixsystem$properties", "mendixsystem$sequence"


def restored(archive: Path, dsn: str, programs: Path, folder: Path) -> None:
    """Restore the archive's dump into the database of `dsn` with pg_restore."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile("db/db.backup")
        assert member is not None
        (folder / "db.backup").write_bytes(member.read())
    command = [programs / "pg_restore", "-O", "-x", "--no-comments", "-d", dsn, folder / "db.backup"]
    subprocess.run(command, check=True, env=os.environ | {"PGOPTIONS": "-c client_min_messages=error"})


def database_differences(source: psycopg.Connection[Any], target: Any) -> list[str]:
    """What differs between the whole databases, as sentences, beyond the documented deviations."""
    have = target_columns(target)
    wanted = {table: columns(source, table) for table in tables(source)}
    found = [f"table {name} is missing or surplus" for name in sorted(set(wanted) ^ set(have))]
    for table, names in wanted.items():
        if sorted(names) != sorted(have.get(table, [])):
            found.append(f"{table}: expected the columns {names}, found {have.get(table)}")
        elif table in EMPTIED:
            found += [f"{table}: expected to be empty"] if list(target_rows(target, table, names)) else []
        else:
            found += row_differences(source_rows(source, table, names), target_rows(target, table, names), table)
    return found


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
    """Rows of the source in the form in which the target should hold them, the documented deviations included."""
    numbers = last_numbers(source) if table == SEQUENCES else {}
    wanted = ", ".join(f'"{name}"' for name in names)
    for row in source.execute(f'SELECT {wanted} FROM "{table}"'):
        known = dict(zip(names, row, strict=True))
        if table == SEQUENCES:
            known["current_value"] = numbers[known["name"]]
        if table != PROPERTIES or known["key"] not in NOT_CARRIED_OVER:
            yield tuple(plain(value) for value in known.values())


def last_numbers(source: psycopg.Connection[Any]) -> dict[str, int]:
    """The last number that each native sequence of an AutoNumber gave out."""
    names = source.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'").fetchall()
    found = {}
    for (name,) in names:
        row = source.execute(f'SELECT last_value, is_called FROM "{name}"').fetchone()
        assert row is not None
        found[name] = row[0] if row[1] else row[0] - 1
    return found


def target_rows(target: Any, table: str, names: list[str]) -> Iterator[tuple[Any, ...]]:
    """Rows of the target."""
    wanted = ", ".join(f"[{name}]" for name in names)
    for row in target.cursor().execute(f"SELECT {wanted} FROM [dbo].[{table}]"):
        yield tuple(plain(value) for value in row)


def target_columns(target: Any) -> dict[str, list[str]]:
    """Columns of the target's tables."""
    found: dict[str, list[str]] = {}
    statement = "SELECT t.name, c.name FROM sys.tables AS t JOIN sys.columns AS c ON c.object_id = t.object_id"
    for table, column in target.cursor().execute(statement).fetchall():
        found.setdefault(table, []).append(column)
    return found


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


def row_differences(wanted: Iterator[tuple[Any, ...]], found: Iterator[tuple[Any, ...]], table: str) -> list[str]:
    """Rows that one side has and the other has not, as sentences; a row twice is one too many."""
    want, have = Counter(wanted), Counter(found)
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


def file_differences(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """Files that one side has and the other has not, or with other bytes."""
    names = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    return [f"file {name}: expected {wanted.get(name)}, found {found.get(name)}" for name in names]


def source_keys(source: psycopg.Connection[Any]) -> set[tuple[Any, ...]]:
    """Primary keys, unique keys and indexes of the source: table, columns with direction, unique, primary."""
    rows = source.execute(
        "SELECT t.relname, i.indisunique, i.indisprimary, array_agg(a.attname ORDER BY k.n), "
        "array_agg(i.indoption[k.n - 1] & 1 = 1 ORDER BY k.n) "
        "FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid "
        "JOIN pg_namespace AS s ON s.oid = t.relnamespace AND s.nspname = 'public' "
        "CROSS JOIN LATERAL unnest(i.indkey::int[]) WITH ORDINALITY AS k (number, n) "
        "JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.number GROUP BY i.indexrelid, 1, 2, 3"
    ).fetchall()
    return {
        (table, tuple(zip(names, down, strict=True)), unique, primary) for table, unique, primary, names, down in rows
    }


def target_keys(target: Any) -> set[tuple[Any, ...]]:
    """The same of the target."""
    statement = (
        "SELECT t.name, i.index_id, i.is_unique, i.is_primary_key, c.name, k.is_descending_key "
        "FROM sys.indexes AS i JOIN sys.tables AS t ON t.object_id = i.object_id "
        "JOIN sys.index_columns AS k ON k.object_id = i.object_id AND k.index_id = i.index_id "
        "JOIN sys.columns AS c ON c.object_id = k.object_id AND c.column_id = k.column_id "
        "ORDER BY t.name, i.index_id, k.key_ordinal"
    )
    found: dict[tuple[Any, ...], list[tuple[str, bool]]] = {}
    for table, number, unique, primary, column, down in target.cursor().execute(statement).fetchall():
        found.setdefault((table, number, bool(unique), bool(primary)), []).append((column, bool(down)))
    return {(table, tuple(parts), unique, primary) for (table, _, unique, primary), parts in found.items()}
