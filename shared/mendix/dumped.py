"""A Mendix database as its dump tells of it, before anything is restored: its metadata, and what of it arrives changed.

For a target that is PostgreSQL too. What a Mendix database says about itself lies in small tables; their COPY text is
read from the dump. The rules are those of `shared.mendix.conversion`, for a target that takes COPY text.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.databaseplan import PREFIX
from shared.errors import Finding, Refusal
from shared.mendix import masks, volatile
from shared.mendix.metadata import Metadata, metadata_from
from shared.request import Mask, Options
from shared.snapshot.restoring import TableData
from shared.snapshot.rowtext import NULL, MaskedColumn, RowChanges, rows_of, unescaped

PROPERTIES = PREFIX + "properties"
NUMBERS = {"type", "length", "short_id", "object_sequence", "start_value", "current_value", "storage_format"}
BOOLEANS = {"remote", "is_auto_number"}
STRING, ENUMERATION = 30, 40  # mendixsystem$attribute.type

TextOf = Callable[[TableData], Iterable[bytes]]
"""Gives the COPY text of a table in the dump."""


@dataclass(frozen=True)
class Change:
    """What becomes of one table. `empty` says why it is made, but not filled."""

    empty: str | None = None
    rows: RowChanges = field(default_factory=RowChanges)


def read_dumped_metadata(tables: Sequence[TableData], text_of: TextOf) -> Metadata:
    """Read the metadata from the dump; `Refusal` NOT_A_MENDIX_DATABASE when it has none."""
    known = {table.table: table for table in tables if table.schema_name == "public"}
    if PREFIX + "entity" not in known:
        raise Refusal(
            "NOT_A_MENDIX_DATABASE", "mendixsystem$entity",
            "expected the tables that every Mendix database has, found none of that name in the dump.",
            "Check that the snapshot is a backup of a Mendix app.",
        )  # fmt: skip

    def rows(name: str) -> list[dict[str, Any]]:
        table = known.get(PREFIX + name)
        return _rows(table, text_of(table)) if table else []

    return metadata_from(rows)


def changes(
    metadata: Metadata, options: Options, columns: dict[str, list[str]], nullable: Callable[[str, str], bool]
) -> tuple[dict[str, Change], list[Finding]]:
    """Return what is changed in each table that is not copied as it is, and a finding for each impossible mask.

    `columns` are those of every table of schema public; `nullable` says whether a column may be NULL.
    """
    empty = volatile.volatile_tables(metadata, options.purpose)
    found = {name: Change(empty=reason) for name, reason in empty.items() if name in columns}
    rows: defaultdict[str, RowChanges] = defaultdict(RowChanges)
    if PROPERTIES in columns:
        rows[PROPERTIES] = RowChanges(left_out={"key": sorted(volatile.DROPPED_PROPERTIES)})
    for name, emptied in _references(metadata, options, columns).items():
        rows[name] = rows[name].model_copy(update={"emptied": emptied})
    findings = []
    for mask in options.masks:
        if why := _why_not(mask, metadata, options, columns, nullable):
            findings.append(_impossible(mask, why))
        else:
            masked = MaskedColumn(column=mask.column, how=mask.how, length=_length(metadata, mask))
            rows[mask.table] = rows[mask.table].model_copy(update={"masked": [*rows[mask.table].masked, masked]})
    return found | {name: Change(rows=one) for name, one in rows.items() if name not in found}, findings


def _rows(table: TableData, text: Iterable[bytes]) -> list[dict[str, Any]]:
    return [
        {name: _value(name, value) for name, value in zip(table.columns, row.split(b"\t"), strict=True)}
        for row in rows_of(text)
    ]


def _value(name: str, value: bytes) -> Any:
    if value == NULL:
        return None
    if name in BOOLEANS:
        return value == b"t"
    return int(value) if name in NUMBERS else unescaped(value).decode(errors="replace")


def _references(metadata: Metadata, options: Options, columns: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """Return, by table, the columns that refer to rows of an entity that starts empty."""
    entities = volatile.volatile_entities(metadata, options.purpose)
    found: dict[str, dict[str, str]] = {}
    for table, references in metadata.reference_columns.items():
        for column, one in references.items():
            if one.child_entity_id in entities and column in columns.get(table, []):
                name = metadata.entity_by_id[one.child_entity_id].name
                found.setdefault(table, {})[column] = f"refers to {name}, which starts empty"
    return found


def _why_not(
    mask: Mask,
    metadata: Metadata,
    options: Options,
    columns: dict[str, list[str]],
    nullable: Callable[[str, str], bool],
) -> str | None:
    if options.purpose != "rehearsal":
        return "masks are for rehearsals; a cut-over carries the data as it is"
    if mask.column not in columns.get(mask.table, []):
        return "there is no such column"
    if mask.how == "blank":
        return None if nullable(mask.table, mask.column) else "the column may not be NULL"
    attribute = metadata.attributes_by_table.get(mask.table, {}).get(mask.column)
    if attribute is None or attribute.type not in (STRING, ENUMERATION):
        return f"`{mask.how}` masks strings, and this is no attribute of type String"
    if attribute.length and attribute.length < masks.SHORTEST[mask.how]:
        return f"`{mask.how}` needs {masks.SHORTEST[mask.how]} characters, the column has {attribute.length}"
    return None


def _length(metadata: Metadata, mask: Mask) -> int:
    attribute = metadata.attributes_by_table.get(mask.table, {}).get(mask.column)
    return attribute.length if attribute else 0


def _impossible(mask: Mask, why: str) -> Finding:
    return Finding(
        code="MASK_IMPOSSIBLE", severity="error", object=f"{mask.table}.{mask.column}",
        message=f"expected a column to mask, found: {why}.",
    )  # fmt: skip


def declared_not_null(definition: str) -> set[str]:
    """Return the columns that a dump's CREATE TABLE declares NOT NULL; pg_dump writes one column a line."""
    found = set()
    for line in definition.splitlines():
        named = re.match(r'\s+(?:"((?:[^"]++|"")++)"|(\w+)) .* NOT NULL,?$', line)
        if named:
            found.add((named[1] or named[2]).replace('""', '"'))
    return found
