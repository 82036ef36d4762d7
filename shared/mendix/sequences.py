"""AutoNumbers: from PostgreSQL's native sequences to `mendixsystem$sequence.current_value`.

On PostgreSQL the runtime draws AutoNumbers from native sequences and leaves `current_value` stale; on SQL Server it
draws them from `current_value` through usp_nextsequencevalue. Copied as it is, the table would start every AutoNumber
again; so the column is read through an expression: the last number the native sequence gave out, but never less than
the largest number in use.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from shared.mendix.metadata import Metadata, Sequence, physical
from shared.mendix.source import SourceDatabase, SourceSequence

TABLE = "mendixsystem$sequence"
COLUMN = "current_value"


@dataclass(frozen=True)
class AutoNumber:
    """One AutoNumber: what the metadata says, what the native sequence says, what the rows say."""

    sequence: Sequence
    table: str | None
    column: str | None
    native: int | None
    """Last number the native sequence gave out; None when there is no such sequence."""
    largest: int | None
    """Largest number in the rows; None without rows."""
    found_as: str | None = None
    """Name of the native sequence in the database."""

    @property
    def about(self) -> str:
        """The column, or the sequence's name when the column is unknown."""
        return f"{self.table}.{self.column}" if self.table else self.sequence.name

    @property
    def current_value(self) -> int:
        """The last number used, as SQL Server's procedure wants it."""
        given = self.native if self.native is not None else self.sequence.current_value
        return max(given if given is not None else self.sequence.start_value - 1, self.largest or 0)


def read_auto_numbers(
    connection: psycopg.Connection[Any], database: SourceDatabase, metadata: Metadata
) -> list[AutoNumber]:
    """Read every AutoNumber; one aggregate query a column."""
    return [_read(connection, database, metadata, sequence) for sequence in metadata.sequences]


def _read(
    connection: psycopg.Connection[Any], database: SourceDatabase, metadata: Metadata, sequence: Sequence
) -> AutoNumber:
    native = _native(database, metadata, sequence)
    table, column = _column(metadata, sequence)
    largest = None
    known = database.tables.get(table or "")
    if known is not None and column is not None and known.column(column) is not None:
        row = connection.execute(
            sql.SQL("SELECT max({}) FROM public.{}").format(sql.Identifier(column), sql.Identifier(known.name))
        ).fetchone()
        largest = int(row[0]) if row and row[0] is not None else None
    found_as = native.name if native else None
    return AutoNumber(sequence, table, column, native.last_used if native else None, largest, found_as)


def native_names(metadata: Metadata, attribute_id: str) -> Iterator[str]:
    """Yield the names that the runtime gives an AutoNumber's native sequence, as PostgreSQL keeps them."""
    attribute = metadata.attribute_by_id.get(attribute_id)
    entity = metadata.entity_by_id.get(attribute.entity_id) if attribute else None
    if attribute is not None and entity is not None:
        yield physical(f"{entity.table}_{attribute.column}_mxseq")
        yield physical(f"{physical(entity.table)}_{physical(attribute.column)}_mxseq")


def _native(database: SourceDatabase, metadata: Metadata, sequence: Sequence) -> SourceSequence | None:
    """Return the native sequence, by the name in the metadata or else by the column's: a renamed table keeps the old one."""
    names = (physical(sequence.name), *native_names(metadata, sequence.attribute_id))
    return next((database.sequences[name] for name in names if name in database.sequences), None)


def _column(metadata: Metadata, sequence: Sequence) -> tuple[str | None, str | None]:
    attribute = metadata.attribute_by_id.get(sequence.attribute_id)
    entity = metadata.entity_by_id.get(attribute.entity_id) if attribute else None
    if attribute is None or entity is None:
        return None, None
    return physical(entity.table), physical(attribute.column)


def current_value_expression(numbers: list[AutoNumber]) -> str | None:
    """Return the PostgreSQL expression read instead of `current_value`; None without AutoNumbers."""
    if not numbers:
        return None
    cases = " ".join(f"WHEN {_text(n.sequence.attribute_id)} THEN {n.current_value}::bigint" for n in numbers)
    return f'CASE "attribute_id" {cases} ELSE "{COLUMN}" END'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
