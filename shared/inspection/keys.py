"""Unique keys that collide on the target, and keys that SQL Server cannot have."""

from collections.abc import Iterator
from dataclasses import replace

from shared.copying.reading import identifier
from shared.databaseplan import PlannedColumn, PlannedIndex, PlannedTable
from shared.errors import Finding
from shared.inspection.look import EXAMPLES, Look, Problem
from shared.inspection.values import UNITS
from shared.sqlserver.columntype import parse
from shared.sqlserver.types import is_string, is_unlimited, key_bytes

KEY_LIMIT, CLUSTERED_KEY_LIMIT = 1700, 900
"""Bytes: https://learn.microsoft.com/sql/sql-server/maximum-capacity-specifications-for-sql-server"""

NULLS = Problem(
    "UNIQUE_NULLS",
    "error",
    "A unique constraint of SQL Server takes one NULL only. Choose `filtered-index` (a unique index on the values that "
    "are not NULL, in the constraint's place) or `drop-constraint`, or fill the values and take a new snapshot.",
    ("filtered-index", "drop-constraint"),
)
UNLIMITED = Problem(
    "UNLIMITED_UNIQUE",
    "error",
    "SQL Server has no unique constraint on an unlimited string. Choose `drop-constraint`, or limit the attribute's "
    "length in the model and take a new snapshot.",
    ("drop-constraint",),
)
TOO_WIDE = Problem(
    "INDEX_KEY_TOO_WIDE",
    "error",
    "Choose `leave-out` to do without the index, or shorten the values and take a new snapshot.",
    ("leave-out",),
)
PRIMARY_TOO_WIDE = replace(
    TOO_WIDE,
    remedy="Choose `nonclustered` (a primary key that is not the order of the table's rows takes 1700 bytes), or shorten "
    "the values and take a new snapshot.",
    choices=["nonclustered"],
)
PRIMARY_FAR_TOO_WIDE = replace(TOO_WIDE, remedy="Shorten the values and take a new snapshot.", choices=[])


def key_findings(look: Look, table: PlannedTable) -> Iterator[Finding]:
    """Find what the table's primary key, unique constraints and indexes would stumble over."""
    for key in table.indexes:
        if key.omitted is not None:
            continue
        columns = key_columns(table, key)
        if key.unique and any(is_unlimited(column.type) for column in columns):
            message = f"expected limited columns in a unique key, found {', '.join(_unlimited(columns))} unlimited."
            yield UNLIMITED.found(about(table, key), message)
            continue
        if key.unique:
            yield from _collisions(look, table, key, columns)
            yield from _nulls(look, table, key, columns)
        yield from _too_wide(look, table, key, columns, KEY_LIMIT, TOO_WIDE)
    if table.primary_key is not None:
        yield from _primary(look, table, table.primary_key)


def _primary(look: Look, table: PlannedTable, key: PlannedIndex) -> Iterator[Finding]:
    """Check the primary key; only remedies are offered that leave the table one."""
    columns = key_columns(table, key)
    yield from _collisions(look, table, key, columns, primary=True)
    found = list(_too_wide(look, table, key, columns, KEY_LIMIT, PRIMARY_FAR_TOO_WIDE))
    if not found and not key.nonclustered:
        found = list(_too_wide(look, table, key, columns, CLUSTERED_KEY_LIMIT, PRIMARY_TOO_WIDE))
    yield from found


def collision(*, strings: bool, primary: bool) -> Problem:
    """Return the problem of keys that differ in the source and are equal on the target, with the remedies to choose from."""
    ways, choices = [], []
    if strings:
        ways.append(
            "a collation that tells them apart for the columns of this key, such as `collation:Latin1_General_100_CS_AS`"
        )
        choices += ["collation:Latin1_General_100_CS_AS", "collation:Latin1_General_100_BIN2"]
    if not primary:
        ways.append("`drop-constraint`")
        choices.append("drop-constraint")
    remedy = f"Choose {', or '.join(ways)}, or correct" if ways else "Correct"
    known = (
        " Trailing blanks are ignored under every collation; characters that it does not know, under each but the binary "
        "ones: emoji and newer letters, where the collation's name has no version number."
    )
    remedy += f" the values and take a new snapshot.{known if strings else ''}"
    return Problem("UNIQUE_COLLISION", "error", remedy, choices)


def about(table: PlannedTable, key: PlannedIndex) -> str:
    """Name a key for findings: `table.column` where it has one column, else `table.key`."""
    return f"{table.name}.{key.columns[0].name if len(key.columns) == 1 else key.name}"


def key_columns(table: PlannedTable, key: PlannedIndex) -> list[PlannedColumn]:
    """Return the planned columns of a key, in its order."""
    by_name = {column.name: column for column in table.columns}
    return [by_name[column.name] for column in key.columns if column.name in by_name]


def _unlimited(columns: list[PlannedColumn]) -> list[str]:
    return [column.name for column in columns if is_unlimited(column.type)]


def _collisions(
    look: Look, table: PlannedTable, key: PlannedIndex, columns: list[PlannedColumn], *, primary: bool = False
) -> Iterator[Finding]:
    """Group the keys by what the target holds equal. Numbers that are read as they are stay as unique as they were."""
    if not any(one.expression or is_string(one.type) or one.type.startswith("datetime2") for one in columns):
        return
    names = [identifier(column.name) for column in columns]
    folds = [_folded(look, column) for column in columns]
    present = " AND ".join(f"{name} IS NOT NULL" for name in names)
    groups = (
        f"SELECT count(*) AS n, array_agg({_shown(names)}) AS seen "  # noqa: S608
        f"FROM {look.rows_of(table)} WHERE {present} GROUP BY {', '.join(folds)} HAVING count(*) > 1"
    )
    strings = [look.collation_of(column).name for column in columns if is_string(column.type)]
    expected = f"{strings[0]} tells apart" if strings else "are different as the target keeps them"
    problem = collision(strings=bool(strings), primary=primary)
    yield from _grouped(look, table, key, problem, groups, f"expected values that {expected}, found equal ones")


def _nulls(look: Look, table: PlannedTable, key: PlannedIndex, columns: list[PlannedColumn]) -> Iterator[Finding]:
    if key.where is not None or not any(column.nullable for column in columns):
        return
    names = [identifier(column.name) for column in columns]
    missing = " OR ".join(f"{name} IS NULL" for name in names)
    groups = (
        f"SELECT count(*) AS n, array_agg({_shown(names)}) AS seen "  # noqa: S608
        f"FROM {look.rows_of(table)} WHERE {missing} "
        f"GROUP BY {', '.join(_folded(look, column) for column in columns)} HAVING count(*) > 1"
    )
    yield from _grouped(look, table, key, NULLS, groups, "expected at most one NULL, found several")


def _grouped(
    look: Look, table: PlannedTable, key: PlannedIndex, problem: Problem, groups: str, message: str
) -> Iterator[Finding]:
    rows, group_count = look.one(f"SELECT coalesce(sum(n), 0), count(*) FROM ({groups}) AS g")  # noqa: S608
    if not group_count:
        return
    examples = [
        f"{count} rows: " + " = ".join(look.value(value) for value in (seen or [])[:3])
        for count, seen in look.all(f"SELECT n, seen[1:3] FROM ({groups}) AS g ORDER BY n DESC LIMIT {EXAMPLES}")  # noqa: S608
    ]
    text = f"{message} in {int(rows)} rows ({group_count} values) of {key.name}."
    yield problem.found(about(table, key), text, int(rows), examples)


def _shown(names: list[str]) -> str:
    """Return the text form of a key, for examples."""
    return f"concat_ws(' | ', {', '.join(f"coalesce({name}::text, 'NULL')" for name in names)})"


def _folded(look: Look, column: PlannedColumn) -> str:
    name = identifier(column.name)
    if is_string(column.type):
        return look.collation_of(column).fold(name, look.lower)
    if parse(column.type).kind == "datetime2":
        # The target keeps milliseconds, rounded: of a schema that the runtime has made, any other type is TYPE_DIFFERS.
        return f"date_trunc('milliseconds', {name} + interval '500 microseconds')"
    return name


def _too_wide(
    look: Look, table: PlannedTable, key: PlannedIndex, columns: list[PlannedColumn], limit: int, problem: Problem
) -> Iterator[Finding]:
    """Find keys over the limit. SQL Server makes such an index with a warning and refuses the rows."""
    strings = [column for column in columns if is_string(column.type)]
    fixed = sum(key_bytes(column.type) for column in columns if not is_string(column.type))
    if fixed + sum(key_bytes(column.type) for column in strings) <= limit or not strings:
        return
    names = [identifier(column.name) for column in strings]
    most = " + ".join(f"2 * coalesce(octet_length({name}), 0)" for name in names)
    exact = " + ".join(f"2 * coalesce({UNITS.format(name)}, 0)" for name in names)
    where = f"({most}) > {limit - fixed} AND ({exact}) > {limit - fixed}"
    (count,) = look.one(f"SELECT count(*) FROM {look.rows_of(table)} WHERE {where}")  # noqa: S608
    if count:
        message = f"expected keys of {key.name} of at most {limit} bytes, found longer ones."
        examples = look.examples(table, names[0], where)
        yield problem.found(f"{table.name}.{key.name}", message, int(count), examples)
