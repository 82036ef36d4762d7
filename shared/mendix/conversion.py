"""From the source database to the plan of the target: types, names, keys, what is read differently, what stays empty.

Pure functions of what was read; nothing here talks to a server.
"""

import re
from dataclasses import dataclass, field

from shared.databaseplan import DatabasePlan, IndexColumn, PlannedColumn, PlannedForeignKey, PlannedIndex, PlannedTable
from shared.errors import Finding, Severity
from shared.mendix import masks, sequences, volatile
from shared.mendix.metadata import Metadata
from shared.mendix.remedies import decide
from shared.mendix.sequences import AutoNumber, current_value_expression
from shared.mendix.source import SourceColumn, SourceDatabase, SourceForeignKey, SourceKey, SourceTable
from shared.request import Options
from shared.sqlserver import cascades, procedures
from shared.sqlserver.types import by_attribute, by_postgres_type, is_unlimited

LEFTOVER = re.compile(r"^[0-9a-f]{32}$")
NAME_LIMIT = 128
"""Longest identifier of SQL Server, in UTF-16 units."""
PROPERTIES_TABLE = "mendixsystem$properties"


@dataclass
class Conversion:
    """A conversion under way: its inputs, and the findings gathered."""

    database: SourceDatabase
    metadata: Metadata
    options: Options
    run: str
    numbers: list[AutoNumber] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    """Rows that are read, by source table."""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def found(self, severity: Severity, code: str, about: str, message: str, remedy: str = "") -> None:
        """Note a finding."""
        self.findings.append(Finding(code=code, severity=severity, object=about, message=message, remedy=remedy))


def convert(conversion: Conversion) -> DatabasePlan:
    """Make the plan; what is odd or impossible goes to `conversion.findings`."""
    empty = volatile.volatile_tables(conversion.metadata, conversion.options.purpose)
    tables = [
        _table(conversion, table, empty.get(name))
        for name, table in sorted(conversion.database.tables.items())
        if not _left_over(conversion, name)
    ]
    _check_metadata(conversion)
    tables = _without_refused_cascades(conversion, _with_references(tables))
    tables = _masked(conversion, tables)
    for other in conversion.database.others:
        conversion.found("info", "NOT_A_TABLE", other, "a view or function of the dump, which is not carried over.")
    return DatabasePlan(
        run=conversion.run,
        collation=conversion.options.collation,
        tables=tables,
        procedures=[procedures.NEXT_SEQUENCE_VALUE] if sequences.TABLE in conversion.database.tables else [],
        notes=conversion.notes,
    )


def _left_over(conversion: Conversion, name: str) -> bool:
    """Whether a table is what the runtime renamed before dropping it; such tables are not carried over."""
    known = name in conversion.metadata.entity_by_table or name in conversion.metadata.association_by_table
    if known or not LEFTOVER.match(name):
        return False
    conversion.found(
        "info",
        "LEFTOVER_TABLE",
        name,
        "a table that the runtime renamed for deletion and no entity uses; it is not carried over.",
    )
    return True


def _table(conversion: Conversion, table: SourceTable, reason: str | None) -> PlannedTable:
    metadata = conversion.metadata
    owner = metadata.entity_by_table.get(table.name) or metadata.association_by_table.get(table.name)
    keys = {
        kind: [_index(conversion, table, key) for key in table.keys if key.kind == kind]
        for kind in ("primary", "unique", "index")
    }
    key_columns = {column.name for key in table.keys if key.kind == "primary" for column in key.columns}
    planned = PlannedTable(
        name=_name(conversion, table.name, table.name),
        source_name=table.name,
        entity=owner.name if owner else None,
        columns=[_column(conversion, table, column, in_key=column.name in key_columns) for column in table.columns],
        primary_key=keys["primary"][0] if keys["primary"] else None,
        indexes=[*keys["unique"], *keys["index"]],
        foreign_keys=[_foreign_key(conversion, table, key) for key in table.foreign_keys],
        content="empty" if reason else "copy",
        reason=reason,
        where=_where(conversion, table.name),
        rows=conversion.rows.get(table.name, 0),
        source_bytes=table.bytes,
    )
    if planned.primary_key is None:
        conversion.found("warning", "NO_PRIMARY_KEY", table.name, "the source has no primary key on this table.")
    return _without_impossible_indexes(conversion, planned)


def _column(conversion: Conversion, table: SourceTable, column: SourceColumn, *, in_key: bool) -> PlannedColumn:
    about = f"{table.name}.{column.name}"
    type_, expression, changed = _type(conversion, table, column), None, None
    if type_ is None:
        type_, expression = "nvarchar(max)", f'"{column.name}"::text'
        changed = f"{column.type} as text, a remedy the request chose"
        conversion.findings.append(_unknown_type(conversion, about, column))
    elif table.name == sequences.TABLE and column.name == sequences.COLUMN:
        expression = current_value_expression(conversion.numbers)
        changed = "last number of PostgreSQL's native sequence, at least the largest number in use"
    elif reason := _volatile_reference(conversion, table.name, column.name):
        expression, changed = f"NULL::{column.type}", reason
    return PlannedColumn(
        name=_name(conversion, column.name, about),
        source_name=column.name,
        source_type=column.type,
        type=type_,
        nullable=column.nullable and not in_key,
        expression=expression,
        changed=changed if expression else None,
    )


def _type(conversion: Conversion, table: SourceTable, column: SourceColumn) -> str | None:
    attribute = conversion.metadata.attributes_by_table.get(table.name, {}).get(column.name)
    if attribute is not None:
        return by_attribute(attribute.type, attribute.length, column.type)
    return by_postgres_type(column.type)


def _unknown_type(conversion: Conversion, about: str, column: SourceColumn) -> Finding:
    attribute = conversion.metadata.attributes_by_table.get(about.rpartition(".")[0], {}).get(column.name)
    code = f" of an attribute with type code {attribute.type}" if attribute else ""
    return Finding(
        code="UNKNOWN_TYPE",
        severity="error",
        object=about,
        message=f"expected a type that a Mendix database has, found {column.type}{code}.",
        remedy="Choose `as-text` to carry its text form over, or change the attribute and take a new snapshot.",
        choices=["as-text"],
    )


def _volatile_reference(conversion: Conversion, table: str, column: str) -> str | None:
    """Say why an association column is read as NULL: it points to rows that are not carried over."""
    one = conversion.metadata.reference_columns.get(table, {}).get(column)
    if one is None:
        return None
    entities = volatile.volatile_entities(conversion.metadata, conversion.options.purpose)
    if one.child_entity_id not in entities:
        return None
    return f"refers to {conversion.metadata.entity_by_id[one.child_entity_id].name}, which starts empty"


def _where(conversion: Conversion, table: str) -> str | None:
    if table != PROPERTIES_TABLE:
        return None
    for key in sorted(conversion.metadata.properties):
        if reason := volatile.DROPPED_PROPERTIES.get(key):
            conversion.notes.append(f"Property {key} is not carried over: it {reason}.")
        elif key not in volatile.KEPT_PROPERTIES:
            conversion.notes.append(f"Property {key} is carried over, although we do not know its meaning.")
    dropped = ", ".join(f"'{key}'" for key in volatile.DROPPED_PROPERTIES)
    return f'"key" NOT IN ({dropped})'


def _index(conversion: Conversion, table: SourceTable, key: SourceKey) -> PlannedIndex:
    about = f"{table.name}.{key.name}"
    # The runtime leaves primary keys unnamed on SQL Server, which then invents a name; ours says what it belongs to.
    name = f"pk_{table.name}" if key.kind == "primary" else key.name
    return PlannedIndex(
        name=_name(conversion, name, about),
        columns=[
            IndexColumn(name=conversion.metadata.whole_name(column.name), descending=column.descending)
            for column in key.columns
        ],
        unique=key.unique,
        constraint=key.kind == "unique",
        omitted=key.unsupported,
    )


def _without_impossible_indexes(conversion: Conversion, table: PlannedTable) -> PlannedTable:
    """Leave out plain indexes on unlimited strings, which SQL Server cannot have; unique ones are data preflight."""
    unlimited = {column.name for column in table.columns if is_unlimited(column.type)}
    indexes = []
    for index in table.indexes:
        wide = [column.name for column in index.columns if column.name in unlimited]
        if wide and not index.unique and index.omitted is None:
            reason = f"SQL Server cannot index {', '.join(wide)}: the column is unlimited"
            conversion.found("warning", "INDEX_UNLIMITED", f"{table.name}.{index.name}", f"left out: {reason}.")
            indexes.append(index.model_copy(update={"omitted": reason}))
        else:
            indexes.append(index)
    return table.model_copy(update={"indexes": indexes})


def _foreign_key(conversion: Conversion, table: SourceTable, key: SourceForeignKey) -> PlannedForeignKey:
    whole = conversion.metadata.whole_name
    return PlannedForeignKey(
        name=_name(conversion, key.name, f"{table.name}.{key.name}"),
        columns=[whole(column) for column in key.columns],
        referenced_table=whole(key.referenced_table),
        referenced_columns=[whole(column) for column in key.referenced_columns],
        on_delete=key.on_delete,
    )


def _with_references(tables: list[PlannedTable]) -> list[PlannedTable]:
    """Leave out foreign keys to tables that are not planned."""
    known = {table.name for table in tables}
    return [
        table.model_copy(
            update={
                "foreign_keys": [
                    key
                    if key.referenced_table in known
                    else key.model_copy(update={"omitted": f"{key.referenced_table} is not carried over"})
                    for key in table.foreign_keys
                ]
            }
        )
        for table in tables
    ]


def _without_refused_cascades(conversion: Conversion, tables: list[PlannedTable]) -> list[PlannedTable]:
    """Make the foreign keys that SQL Server refuses for their rule without one, or leave them out if so chosen."""
    refused = {(table.name, key.name) for table, key in cascades.refused(tables)}
    changed = []
    for table in tables:
        keys = []
        for key in table.foreign_keys:
            if (table.name, key.name) in refused:
                finding = _cascade_finding(conversion, table, key)
                leave_out = {"omitted": "CASCADE_PATHS: leave-out, as the request chose"}
                key = key.model_copy(update=leave_out if finding.chosen else {"on_delete": "NO ACTION"})
            keys.append(key)
        changed.append(table.model_copy(update={"foreign_keys": keys}))
    return changed


def _cascade_finding(conversion: Conversion, table: PlannedTable, key: PlannedForeignKey) -> Finding:
    finding = Finding(
        code="CASCADE_PATHS",
        severity="warning",
        object=f"{table.name}.{key.columns[0]}",
        message=f"SQL Server allows one path of cascading rules to a table, so {key.name} (ON DELETE {key.on_delete}) "
        "is made with NO ACTION: a delete in the referenced table is refused while rows refer to it.",
        remedy="Choose `leave-out` to do without this foreign key.",
        choices=["leave-out"],
    )
    (finding,) = decide([finding], conversion.options.remedies)
    conversion.findings.append(finding)
    return finding


def _name(conversion: Conversion, name: str, about: str) -> str:
    whole = conversion.metadata.whole_name(name)
    if len(whole.encode("utf-16-le")) // 2 > NAME_LIMIT:
        conversion.found(
            "error",
            "NAME_TOO_LONG",
            about,
            f"expected a name of at most {NAME_LIMIT} characters, found {len(whole)}: {whole}.",
            "Shorten the name in the model, deploy, and take a new snapshot.",
        )
        return whole[:NAME_LIMIT]
    return whole


def _check_metadata(conversion: Conversion) -> None:
    """Find entities whose table is missing, and attributes whose column is missing."""
    database, metadata = conversion.database, conversion.metadata
    for table, entity in metadata.entity_by_table.items():
        if table not in database.tables:
            if not entity.remote:
                message = f"the metadata names this table for {entity.name}, the dump does not have it."
                conversion.found("warning", "MISSING_TABLE", table, message)
            continue
        for column, attribute in metadata.attributes_by_table.get(table, {}).items():
            if database.tables[table].column(column) is None:
                message = f"the metadata names this column for {entity.name}.{attribute.name}, the dump has none."
                conversion.found("warning", "MISSING_COLUMN", f"{table}.{column}", message)


def _masked(conversion: Conversion, tables: list[PlannedTable]) -> list[PlannedTable]:
    for mask in conversion.options.masks:
        about = f"{mask.table}.{mask.column}"
        table = next((table for table in tables if table.name == mask.table), None)
        column = next((one for one in table.columns if one.name == mask.column), None) if table else None
        if conversion.options.purpose != "rehearsal":
            why: str | None = "masks are for rehearsals; a cut-over carries the data as it is"
        else:
            why = "there is no such column" if column is None else masks.why_not(mask, column)
        if why is not None or table is None or column is None:
            conversion.found("error", "MASK_IMPOSSIBLE", about, f"expected a column to mask, found: {why}.")
            continue
        tables[tables.index(table)] = with_column(
            table,
            column.model_copy(
                update={
                    "expression": masks.expression(mask, column),
                    "changed": f"masked ({mask.how})",
                }
            ),
        )
    return tables


def with_column(table: PlannedTable, column: PlannedColumn) -> PlannedTable:
    """Return the table with one column replaced (by name)."""
    columns = [column if one.name == column.name else one for one in table.columns]
    return table.model_copy(update={"columns": columns})
