"""Foreign keys that the target could not make: rows that refer to nothing, and rules SQL Server does not allow."""

from collections.abc import Iterator

from shared.copying.reading import identifier
from shared.databaseplan import PlannedForeignKey, PlannedTable
from shared.errors import Finding
from shared.inspection.look import Look, Problem

DANGLING = Problem(
    "DANGLING_REFERENCE",
    "error",
    "Choose `null` (the reference is emptied; rows of a link table are left out) or `drop-constraint`, "
    "or remove the references and take a new snapshot.",
    ("null", "drop-constraint"),
)


def reference_findings(look: Look, table: PlannedTable) -> Iterator[Finding]:
    """Find references to rows that are not carried over."""
    for key in table.foreign_keys:
        if key.omitted is None:
            yield from _dangling(look, table, key)


def _dangling(look: Look, table: PlannedTable, key: PlannedForeignKey) -> Iterator[Finding]:
    where = dangling_sql(look, key)
    (count,) = look.one(f"SELECT count(*) FROM {look.rows_of(table)} WHERE {where}")  # noqa: S608
    if count:
        examples = look.examples(table, identifier(key.columns[0]), where)
        message = f"expected rows of {key.referenced_table} behind {key.name}, found references to none."
        yield DANGLING.found(f"{table.name}.{key.columns[0]}", message, int(count), examples)


def dangling_sql(look: Look, key: PlannedForeignKey) -> str:
    """Return the predicate of rows (named `source`) whose reference has no row."""
    referenced = look.plan.table(key.referenced_table)
    present = " AND ".join(f"source.{identifier(column)} IS NOT NULL" for column in key.columns)
    if referenced.content == "empty":
        return f"({present})"
    rows = look.rows_of(referenced).removesuffix(" AS source") + " AS referenced"
    equal = " AND ".join(
        f"referenced.{identifier(theirs)} = source.{identifier(ours)}"
        for ours, theirs in zip(key.columns, key.referenced_columns, strict=True)
    )
    return f"({present} AND NOT EXISTS (SELECT 1 FROM {rows} WHERE {equal}))"  # noqa: S608
