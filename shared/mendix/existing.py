"""Target mode `existing`: the runtime has made the schema already; the plan is fitted to it by GUID.

The target keeps its own description of itself (`mendixsystem$entity`, `$attribute`, `$index` …), because names are
shortened differently by database. It gets the source's identities: `entityidentifier`, without which the runtime cannot
tell what an object id belongs to, the AutoNumbers in `sequence`, and the `properties`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from shared.databaseplan import PREFIX, DatabasePlan, PlannedColumn, PlannedIndex, PlannedTable
from shared.errors import Finding, Severity
from shared.mendix import sequences
from shared.mendix.metadata import Association, Attribute, Metadata
from shared.sqlserver.schema import TargetColumn, TargetTable
from shared.sqlserver.types import string_length

REPLACED = ("mendixsystem$entityidentifier", sequences.TABLE, "mendixsystem$properties")
"""Metadata tables whose rows the source gives; the target's own rows describe the target and stay."""

LEAVE_OUT = ("leave-out",)


@dataclass(frozen=True)
class Existing:
    """A target whose schema the runtime has made: what it says about itself, and what is really there."""

    metadata: Metadata
    schema: dict[str, TargetTable]


@dataclass
class _Fitting:
    """A plan being fitted: both sides, and what differs."""

    source: Metadata
    existing: Existing
    findings: list[Finding] = field(default_factory=list)

    def found(
        self, severity: Severity, code: str, about: str, message: str, choices: tuple[str, ...] = (), remedy: str = ""
    ) -> None:
        self.findings.append(
            Finding(code=code, severity=severity, object=about, message=message, remedy=remedy, choices=list(choices))
        )


def fit(plan: DatabasePlan, source: Metadata, existing: Existing) -> tuple[DatabasePlan, list[Finding]]:
    """Return the plan with the target's names, types, keys and foreign keys, and everything that differs."""
    fitting = _Fitting(source, existing)
    _compare_versions(fitting)
    _compare_entities(fitting)
    _compare_members(fitting)
    _compare_sequences(fitting)
    tables = [fitted for table in plan.tables if (fitted := _table(fitting, table)) is not None]
    tables = _with_known_references(tables)
    notes = [*plan.notes, "The target's schema is the runtime's own; rows go into it, and nothing of it is altered."]
    fitted_plan = plan.model_copy(update={"mode": "existing", "tables": tables, "procedures": [], "notes": notes})
    return fitted_plan, fitting.findings


def _with_known_references(tables: list[PlannedTable]) -> list[PlannedTable]:
    """Keep the foreign keys between filled tables: those are looked at before rows are copied."""
    names = {table.name for table in tables}
    return [
        table.model_copy(update={"foreign_keys": [key for key in table.foreign_keys if key.referenced_table in names]})
        for table in tables
    ]


def _compare_versions(fitting: _Fitting) -> None:
    ours, theirs = fitting.source.version, fitting.existing.metadata.version
    if ours and theirs and (ours.model, ours.runtime) != (theirs.model, theirs.runtime):
        fitting.found(
            "warning", "MODEL_VERSION_DIFFERS", "mendixsystem$version",
            f"the snapshot is of model {ours.model} on runtime {ours.runtime}, the target of model {theirs.model} on "
            f"runtime {theirs.runtime}.", remedy="Deploy the snapshot's model and runtime version to the target.",
        )  # fmt: skip


def _compare_entities(fitting: _Fitting) -> None:
    """An entity that only the target knows loses its row in entityidentifier, so it must be said."""
    known = set(fitting.source.entity_by_id) | {one.id for one in fitting.source.identifiers}
    for entity in fitting.existing.metadata.entities:
        if entity.id not in known:
            fitting.found(
                "error", "ENTITY_ONLY_ON_TARGET", entity.table,
                f"the target has {entity.name}, which the snapshot does not know; its row of entityidentifier would be "
                "lost with the others.", ("accept",), "Deploy the snapshot's model to the target, or choose `accept`.",
            )  # fmt: skip


def _compare_members(fitting: _Fitting) -> None:
    """Attributes and associations of known entities that only the target knows: nothing goes into them."""
    ours, theirs = fitting.source, fitting.existing.metadata
    for attribute in theirs.attributes:
        entity = ours.entity_by_id.get(attribute.entity_id)
        if entity is not None and attribute.id not in ours.attribute_by_id:
            fitting.found(
                "warning", "ATTRIBUTE_ONLY_ON_TARGET", f"{entity.table}.{attribute.column}",
                f"the target has {entity.name}.{attribute.name}, which the snapshot does not know; it stays empty.",
                remedy="Deploy the snapshot's model to the target.",
            )  # fmt: skip
    known = {one.id for one in ours.associations}
    for one in theirs.associations:
        if one.id not in known and one.parent_entity_id in ours.entity_by_id:
            fitting.found(
                "warning", "ASSOCIATION_ONLY_ON_TARGET", one.table if one.own_table else f"{one.table}.{one.child_column}",
                f"the target has {one.name}, which the snapshot does not know; it stays empty.",
                remedy="Deploy the snapshot's model to the target.",
            )  # fmt: skip


def _compare_sequences(fitting: _Fitting) -> None:
    """An AutoNumber that only the target knows loses its row of the sequence table, and could count no more."""
    counted = {one.attribute_id for one in fitting.source.sequences}
    for one in fitting.existing.metadata.sequences:
        if one.attribute_id not in counted:
            fitting.found(
                "error", "AUTONUMBER_ONLY_ON_TARGET", one.name,
                "the target has this AutoNumber, which the snapshot does not know; its row of mendixsystem$sequence would "
                "be lost with the others, and usp_nextsequencevalue would find nothing to count with.", ("accept",),
                "Deploy the snapshot's model to the target, or choose `accept` and add the row again after the run.",
            )  # fmt: skip


def _compare_keys(fitting: _Fitting, table: PlannedTable, target: TargetTable, names: Mapping[str, str | None]) -> None:
    """Indexes and unique constraints that one side has and the other has not, by their columns; the target's stay."""
    ours = {(key.unique, tuple(names.get(one.name) for one in key.columns)): key for key in _made(table.indexes)}
    theirs = {(key.unique, tuple(one.name for one in key.columns)): key for key in target.indexes}
    for code, keys, words in (
        (
            "KEY_ONLY_ON_TARGET",
            [theirs[one] for one in theirs.keys() - ours],
            "the target has and the snapshot has not",
        ),
        (
            "KEY_MISSING_ON_TARGET",
            [ours[one] for one in ours.keys() - theirs],
            "the snapshot has and the target has not",
        ),
    ):
        for key in sorted(keys, key=lambda one: one.name):
            columns = ", ".join(one.name for one in key.columns)
            kind = "a unique key" if key.unique else "an index"
            fitting.found(
                "warning" if key.unique else "info",
                code,
                f"{target.name}.{key.name}",
                f"{kind} on {columns}, which {words}.",
            )


def _made(keys: Iterable[PlannedIndex]) -> Iterator[PlannedIndex]:
    return (key for key in keys if key.omitted is None)


def _table(fitting: _Fitting, table: PlannedTable) -> PlannedTable | None:
    if table.name.startswith(PREFIX) and table.name not in REPLACED:
        return None
    name = _target_name(fitting, table)
    target = fitting.existing.schema.get(name or "")
    if target is None:
        _missing_table(fitting, table)
        return None
    if target.name != table.name:
        fitting.found("info", "NAME_DIFFERS", table.name, f"the table is called {target.name} on the target.")
    names = dict(_column_names(fitting, table, target))
    _compare_keys(fitting, table, target, names)
    columns = [_column(fitting, table, column, target, names[column.name]) for column in table.columns]
    fitted = table.model_copy(
        update={
            "name": target.name,
            "columns": [column for column in columns if column is not None],
            "primary_key": target.primary_key,
            "indexes": target.indexes,
            "foreign_keys": target.foreign_keys,
        }
    )
    return _own_sequences(fitting, fitted) if table.name == sequences.TABLE else fitted


def _target_name(fitting: _Fitting, table: PlannedTable) -> str | None:
    """Return the target's name of a table: by the entity's or the association's GUID, else the same name."""
    target = fitting.existing.metadata
    entity = fitting.source.entity_by_table.get(table.source_name)
    if entity is not None:
        there = target.entity_by_id.get(entity.id)
        return there.table if there else None
    link = fitting.source.association_by_table.get(table.source_name)
    if link is not None:
        other = _association(target, link.id)
        return other.table if other is not None and other.own_table else None
    return table.name


def _missing_table(fitting: _Fitting, table: PlannedTable) -> None:
    severity: Severity = "error" if table.rows and table.content == "copy" else "info"
    fitting.found(
        severity, "ENTITY_MISSING_ON_TARGET", table.name,
        f"the target has no table for {table.entity or table.name} (by its GUID); {table.rows:,} rows have no place.",
        LEAVE_OUT, "Deploy the snapshot's model to the target, or choose `leave-out`.",
    )  # fmt: skip


def _column_names(fitting: _Fitting, table: PlannedTable, target: TargetTable) -> Iterator[tuple[str, str | None]]:
    """Yield the target's name of each column: by GUID, else the same name if the target has it."""
    source, there = fitting.source, fitting.existing.metadata
    attributes = source.attributes_by_table.get(table.source_name, {})
    references = source.reference_columns.get(table.source_name, {})
    link = source.association_by_table.get(table.source_name)
    for column in table.columns:
        name: str | None = column.name
        if attribute := attributes.get(column.source_name):
            name = _attribute_name(there, attribute)
        elif reference := references.get(column.source_name):
            other = _association(there, reference.id)
            name = other.child_column if other is not None and not other.own_table else column.name
        elif link is not None and (other := _association(there, link.id)) is not None:
            ours = (link.parent_column, link.child_column)
            pairs = dict(zip(ours, (other.parent_column, other.child_column), strict=True))
            name = pairs.get(column.name, column.name)
        yield column.name, name if name in target.columns else None


def _attribute_name(target: Metadata, attribute: Attribute) -> str | None:
    there = target.attribute_by_id.get(attribute.id)
    return there.column if there else None


def _association(target: Metadata, guid: str) -> Association | None:
    return next((one for one in target.associations if one.id == guid), None)


def _column(
    fitting: _Fitting, table: PlannedTable, column: PlannedColumn, target: TargetTable, name: str | None
) -> PlannedColumn | None:
    about = f"{table.name}.{column.name}"
    if name is None:
        fitting.found(
            "error" if table.rows and table.content == "copy" else "info", "ATTRIBUTE_MISSING_ON_TARGET", about,
            f"the target's table {target.name} has no column for it (by its GUID).",
            LEAVE_OUT, "Deploy the snapshot's model to the target, or choose `leave-out`.",
        )  # fmt: skip
        return None
    there = target.columns[name]
    if there.name != column.name:
        fitting.found("info", "NAME_DIFFERS", about, f"the column is called {there.name} on the target.")
    _compare_types(fitting, about, column, there)
    own = {"name": there.name, "type": there.type, "nullable": there.nullable, "collation": there.collation}
    return column.model_copy(update=own)


def _compare_types(fitting: _Fitting, about: str, column: PlannedColumn, there: TargetColumn) -> None:
    if there.type == column.type or (column.type, there.type) == ("int", "bigint"):
        return
    if there.type == "nvarchar(max)" and column.type.startswith("nvarchar"):
        return
    ours, theirs = string_length(column.type), string_length(there.type)
    if theirs is not None and column.type.startswith("nvarchar"):
        if ours is None or theirs < ours:
            message = f"expected {column.type}, found {there.type}; longer values are looked for."
            fitting.found("warning", "LENGTH_DIFFERS", about, message)
        return
    fitting.found(
        "error", "TYPE_DIFFERS", about, f"expected {column.type} on the target, found {there.type}.",
        remedy="Deploy the snapshot's model to the target.",
    )  # fmt: skip


def _own_sequences(fitting: _Fitting, table: PlannedTable) -> PlannedTable:
    """Give the target's AutoNumbers their values, under the names that the target's runtime asks for."""
    there = {one.attribute_id: one.name for one in fitting.existing.metadata.sequences}
    if not there:
        return table.model_copy(update={"where": "false", "rows": 0})
    cases = " ".join(f"WHEN '{guid}' THEN '{name}'" for guid, name in sorted(there.items()))
    guids = ", ".join(f"'{guid}'" for guid in sorted(there))
    columns = [
        column.model_copy(
            update={
                "expression": f'CASE "attribute_id" {cases} END',
                "changed": "the target's own name of the sequence",
            }
        )
        if column.source_name == "name"
        else column
        for column in table.columns
    ]
    rows = sum(one.attribute_id in there for one in fitting.source.sequences)
    return table.model_copy(update={"columns": columns, "where": f'"attribute_id" IN ({guids})', "rows": rows})
