"""What the chosen remedies change in the plan. Pure: the same findings make the same plan."""

from collections.abc import Callable, Iterable

from shared.copying.reading import identifier, table_sql
from shared.databaseplan import DatabasePlan, PlannedColumn, PlannedForeignKey, PlannedIndex, PlannedTable
from shared.errors import Finding
from shared.inspection.keys import about, key_columns
from shared.inspection.remedied import raised_sequence, without_bad_value
from shared.mendix.conversion import with_column
from shared.mendix.metadata import Metadata
from shared.mendix.remedies import COLLATION
from shared.sqlserver.connection import quote
from shared.sqlserver.types import is_string

UNLIMITED_STRING = "nvarchar(max)"


def apply_remedies(plan: DatabasePlan, findings: Iterable[Finding], metadata: Metadata) -> DatabasePlan:
    """Return the plan with every chosen remedy applied."""
    for finding in findings:
        if finding.chosen is not None and finding.code in _APPLIED:
            plan = _APPLIED[finding.code](plan, finding, metadata)
    return plan


def keys_left_out(before: DatabasePlan, after: DatabasePlan) -> list[Finding]:
    """Return a warning for each key that is not made because a remedy has widened one of its columns."""
    return [
        Finding.warning(
            "KEY_LEFT_OUT", f"{table.name}.{key.name}",
            f"expected to make the {'unique ' if key.unique else ''}key, found that {key.omitted}: SQL Server has no key on "
            f"{UNLIMITED_STRING}.{' Nothing keeps its values unique on the target.' if key.unique else ''}",
            "Choose `truncate` for TOO_LONG_UTF16 on the column where the key matters more than the ends of its values.",
        )
        for table in after.tables
        for key, was in zip(table.indexes, before.table(table.name).indexes, strict=True)
        if key.omitted and was.omitted is None and _has_widened(key, before.table(table.name), table)
    ]  # fmt: skip


def _has_widened(key: PlannedIndex, before: PlannedTable, after: PlannedTable) -> bool:
    names = {one.name for one in key.columns}
    pairs = zip(before.columns, after.columns, strict=True)
    return any(new.name in names and new.type == UNLIMITED_STRING != old.type for old, new in pairs)


def _with_table(plan: DatabasePlan, table: PlannedTable) -> DatabasePlan:
    return plan.model_copy(update={"tables": [table if one.name == table.name else one for one in plan.tables]})


def _place(plan: DatabasePlan, finding: Finding) -> tuple[PlannedTable, str]:
    table, _, rest = finding.object.partition(".")
    return plan.table(table), rest


def _key(plan: DatabasePlan, finding: Finding, _metadata: Metadata) -> DatabasePlan:
    """Remedies of unique constraints and indexes."""
    table, rest = _place(plan, finding)
    chosen = str(finding.chosen)
    if chosen.startswith(COLLATION):
        return _with_table(plan, _collated(table, finding.object, chosen.removeprefix(COLLATION)))
    concerned = [
        key for key in table.indexes if key.name == rest or (key.unique and about(table, key) == finding.object)
    ]
    if chosen == "nonclustered" and table.primary_key is not None:
        key = table.primary_key.model_copy(update={"nonclustered": True})
        return _with_table(plan, table.model_copy(update={"primary_key": key}))
    changed = [_changed_key(key, finding) if key in concerned else key for key in table.indexes]
    return _with_table(plan, table.model_copy(update={"indexes": changed}))


def _changed_key(key: PlannedIndex, finding: Finding) -> PlannedIndex:
    if finding.chosen == "filtered-index":
        where = " AND ".join(f"{quote(column.name)} IS NOT NULL" for column in key.columns)
        return key.model_copy(update={"constraint": False, "where": where})
    return key.model_copy(update={"omitted": f"{finding.code}: {finding.chosen}, as the request chose"})


def _collated(table: PlannedTable, key_object: str, collation: str) -> PlannedTable:
    keys = [key for key in [*table.indexes, table.primary_key] if key is not None and about(table, key) == key_object]
    names = {column.name for key in keys for column in key_columns(table, key) if is_string(column.type)}
    columns = [
        column.model_copy(update={"collation": collation}) if column.name in names else column
        for column in table.columns
    ]
    return table.model_copy(update={"columns": columns})


def _value(plan: DatabasePlan, finding: Finding, _metadata: Metadata) -> DatabasePlan:
    """Remedies of single values: the column is read through an expression, or becomes wider."""
    table, name = _place(plan, finding)
    column = next(one for one in table.columns if one.name == name)
    if finding.chosen == "widen":
        return _with_table(plan, _widened(table, column))
    changed = f"{finding.code}: {finding.chosen}, as the request chose"
    if column.changed:
        changed = f"{column.changed}; {changed}"
    expression = without_bad_value(column, finding.code, str(finding.chosen))
    column = column.model_copy(update={"expression": expression, "changed": changed})
    return _with_table(plan, with_column(table, column))


def _widened(table: PlannedTable, column: PlannedColumn) -> PlannedTable:
    """Make a column nvarchar(max), and leave out the keys that SQL Server then cannot have."""
    reason = f"{column.name} became {UNLIMITED_STRING}, as the request chose"
    indexes = [
        key.model_copy(update={"omitted": reason}) if any(one.name == column.name for one in key.columns) else key
        for key in table.indexes
    ]
    wide = with_column(table, column.model_copy(update={"type": UNLIMITED_STRING}))
    return wide.model_copy(update={"indexes": indexes})


def _reference(plan: DatabasePlan, finding: Finding, _metadata: Metadata) -> DatabasePlan:
    """Remedies of references to nothing."""
    table, name = _place(plan, finding)
    keys = [key for key in table.foreign_keys if key.columns[0] == name and key.omitted is None]
    if finding.chosen == "drop-constraint":
        omitted = {"omitted": f"{finding.code}: {finding.chosen}, as the request chose"}
        changed = [key.model_copy(update=omitted) if key in keys else key for key in table.foreign_keys]
        return _with_table(plan, table.model_copy(update={"foreign_keys": changed}))
    for key in keys:
        table = _without_dangling(plan, table, key)
    return _with_table(plan, table)


def _without_dangling(plan: DatabasePlan, table: PlannedTable, key: PlannedForeignKey) -> PlannedTable:
    """Empty the references, or leave the rows out where the column may not be empty (link tables)."""
    ours = next(column for column in table.columns if column.name == key.columns[0])
    referenced = plan.table(key.referenced_table)
    theirs = next(column for column in referenced.columns if column.name == key.referenced_columns[0])
    value = ours.expression or f"{table_sql(table)}.{identifier(ours.source_name)}"
    where = f" WHERE {referenced.where}" if referenced.where else ""
    rows = f"SELECT {theirs.expression or identifier(theirs.source_name)} FROM {table_sql(referenced)}{where}"  # noqa: S608
    exists = "false" if referenced.content == "empty" else f"{value} IN ({rows})"
    if not ours.nullable:
        return table.model_copy(update={"where": f"({table.where}) AND {exists}" if table.where else exists})
    column = ours.model_copy(
        update={
            "expression": f"CASE WHEN {exists} THEN {value} END",
            "changed": f"emptied where {key.referenced_table} has no such row, as the request chose",
        }
    )
    return with_column(table, column)


def _sequence(plan: DatabasePlan, finding: Finding, metadata: Metadata) -> DatabasePlan:
    """Raise object_sequence over the ids in use."""
    table, guid = _place(plan, finding)
    if finding.chosen != "raise":
        return plan
    column = next(one for one in table.columns if one.name == "object_sequence")
    expression = raised_sequence(column, guid, metadata)
    changed = "raised over the largest id in use, as the request chose"
    return _with_table(
        plan, with_column(table, column.model_copy(update={"expression": expression, "changed": changed}))
    )


_APPLIED: dict[str, Callable[[DatabasePlan, Finding, Metadata], DatabasePlan]] = {
    "UNIQUE_COLLISION": _key,
    "UNIQUE_NULLS": _key,
    "UNLIMITED_UNIQUE": _key,
    "INDEX_KEY_TOO_WIDE": _key,
    "TOO_LONG_UTF16": _value,
    "DATE_OUT_OF_RANGE": _value,
    "NUMERIC_NOT_FINITE": _value,
    "NUMERIC_OVERFLOW": _value,
    "NUMERIC_SCALE": _value,
    "DANGLING_REFERENCE": _reference,
    "OBJECT_SEQUENCE_BEHIND": _sequence,
}
CODES = frozenset({*_APPLIED, "UNKNOWN_SHORT_ID"})
"""Codes of findings that remedies of the data preflight belong to."""
