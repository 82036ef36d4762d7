"""Completes the target after the rows are there: keys, indexes, foreign keys, the procedure, database options.

A table's statements look in the catalogue first, under the table's application lock, so that they may be delivered
twice, and twice at once.
"""

import pyodbc

from shared.databaseplan import DatabasePlan, PlannedForeignKey, PlannedIndex, PlannedTable
from shared.errors import Finding
from shared.sqlserver import catalogue, ddl
from shared.sqlserver.connection import literal, quote, table_name
from shared.sqlserver.errors import number_of, text_of
from shared.sqlserver.locks import locked

BUILD_SECONDS = 110 * 60
"""Time-out of one statement that builds a key or an index, which cannot be done in parts. With the wait for another
delivery it stays below `functionTimeout` of host.json, so that an activity makes one key of a large table."""
DELIVERY_WAIT = 150
"""Seconds to wait for another delivery that makes keys of the same table."""

DUPLICATES = (1505, 2601, 2627)
CONSTRAINT_FAILED = 1750  # "Could not create constraint. See previous errors."
VIOLATES_FOREIGN_KEY = 547
CASCADE_REFUSED = 1785
KEY_TOO_WIDE = 1946  # "Operation failed. The index entry of length … exceeds the maximum length"
MINDED = (*DUPLICATES, CONSTRAINT_FAILED, VIOLATES_FOREIGN_KEY, CASCADE_REFUSED, KEY_TOO_WIDE)

COMPATIBILITY_LEVEL = 140  # https://docs.mendix.com/refguide/system-requirements/#databases
OPTIONS = (
    ("read_committed_snapshot", "ALTER DATABASE CURRENT SET READ_COMMITTED_SNAPSHOT ON WITH NO_WAIT"),
    ("snapshot_isolation", "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON"),
)
COMPATIBILITY = f"ALTER DATABASE CURRENT SET COMPATIBILITY_LEVEL = {COMPATIBILITY_LEVEL}"


def keys_to_add(table: PlannedTable) -> list[PlannedIndex]:
    """Return what `add_keys` makes, in its order: the primary key, unique constraints, the other indexes."""
    first = [table.primary_key] if table.primary_key is not None else []
    return first + sorted((one for one in table.indexes if one.omitted is None), key=lambda one: not one.unique)


def add_keys(connection: pyodbc.Connection, table: PlannedTable, keys: list[PlannedIndex]) -> list[Finding]:
    """Make some of a table's `keys_to_add`; what is there already is left alone."""
    found: list[Finding] = []
    with locked(connection, f"table:{table.name}", DELIVERY_WAIT):
        present = catalogue.indexes(connection, table.name)
        for key in keys:
            if key is table.primary_key:
                if not any(present.values()):
                    found += _build(connection, table, key, ddl.add_primary_key(table, key))
            elif key.name not in present:
                found += _build(connection, table, key, ddl.add_index(table, key))
    return found


def foreign_keys_to_add(table: PlannedTable) -> list[PlannedForeignKey]:
    """Return what `add_foreign_keys` makes."""
    return [key for key in table.foreign_keys if key.omitted is None]


def add_foreign_keys(
    connection: pyodbc.Connection, table: PlannedTable, keys: list[PlannedForeignKey]
) -> list[Finding]:
    """Make some of a table's `foreign_keys_to_add`; existing rows are checked."""
    found: list[Finding] = []
    with locked(connection, f"table:{table.name}", DELIVERY_WAIT):
        present = {name for owner, name in catalogue.foreign_keys(connection) if owner == table.name}
        for key in keys:
            if key.name not in present:
                error = _attempt(connection, ddl.add_foreign_key(table, key))
                if error is not None:
                    found.append(_foreign_key_finding(table, key, error))
    return found


def add_procedures(connection: pyodbc.Connection, plan: DatabasePlan) -> None:
    """Make the stored procedures of the plan; CREATE OR ALTER may be done again."""
    for procedure in plan.procedures:
        connection.execute(procedure)


def set_options(connection: pyodbc.Connection) -> list[Finding]:
    """Set what a Mendix runtime needs of the database; a warning with the statement where the login may not."""
    state = catalogue.database_state(connection)
    wanted = [(name, statement) for name, statement in OPTIONS if not getattr(state, name)]
    if state.compatibility_level < COMPATIBILITY_LEVEL:
        wanted.append(("compatibility_level", COMPATIBILITY))
    found = []
    for name, statement in wanted:
        try:
            connection.execute(statement)
        except pyodbc.Error as error:
            found.append(
                Finding(
                    code="DATABASE_OPTION", severity="warning", object=name,
                    message=f"a Mendix runtime needs it on the target, and it could not be set: {text_of(error)}",
                    remedy=f"Let a database owner run, with no other session on the database: {statement};",
                )
            )  # fmt: skip
    return found


def options_script() -> str:
    """Return the statements of `set_options` as the head of a script that sqlcmd takes; each may be run twice."""
    level = "(SELECT compatibility_level FROM sys.databases WHERE name = DB_NAME())"
    lines = [f"{statement};" for _, statement in OPTIONS]
    return "\nGO\n".join(
        [
            "-- What a Mendix runtime needs of the database. The run sets what is not so yet, after the rows are there.",
            *lines,
            f"IF {level} < {COMPATIBILITY_LEVEL} {COMPATIBILITY};",
            "",
        ]
    )


def _build(connection: pyodbc.Connection, table: PlannedTable, key: PlannedIndex, statement: str) -> list[Finding]:
    error = _attempt(connection, statement)
    if error is None:
        return []
    number = number_of(error)
    if number in DUPLICATES or (number == CONSTRAINT_FAILED and key.unique):
        return [_duplicates_finding(connection, table, key)]
    return [
        Finding(
            code="INDEX_REFUSED", severity="error", object=f"{table.name}.{key.name}",
            message=f"SQL Server refused to make it: {text_of(error)}",
            remedy="Correct the rows in the source, or choose the remedy of the data preflight that leaves it out.",
        )
    ]  # fmt: skip


def _attempt(connection: pyodbc.Connection, statement: str) -> pyodbc.Error | None:
    """Run a statement; return the error if it is one that belongs in the report."""
    try:
        connection.execute(statement)
    except pyodbc.Error as error:
        if number_of(error) not in MINDED:
            raise
        return error
    return None


def _duplicates_finding(connection: pyodbc.Connection, table: PlannedTable, key: PlannedIndex) -> Finding:
    """Say how many values are there more than once; never which, since the report keeps no production data."""
    columns = ", ".join(quote(column.name) for column in key.columns)
    counts = connection.execute(
        f"SELECT TOP (10) COUNT_BIG(*) AS [n] FROM {table_name(table.name)} GROUP BY {columns} "  # noqa: S608
        "HAVING COUNT_BIG(*) > 1 ORDER BY COUNT_BIG(*) DESC"
    ).fetchall()
    names = " + ".join(column.name for column in key.columns)
    return Finding(
        code="UNIQUE_VIOLATION",
        severity="error",
        object=f"{table.name}.{key.name}",
        message=f"SQL Server holds rows equal in {names}, which {key.name} must keep unique, so it was not made.",
        remedy=f"Find them with SELECT {columns}, COUNT(*) FROM {table_name(table.name)} GROUP BY {columns} "  # noqa: S608
        "HAVING COUNT(*) > 1; correct the source or choose a remedy (collation, filtered-index, drop-constraint).",
        examples=[f"a value that {int(row[0])} rows share" for row in counts],
        count=sum(int(row[0]) for row in counts),
    )


def _foreign_key_finding(table: PlannedTable, key: PlannedForeignKey, error: pyodbc.Error) -> Finding:
    return Finding(
        code="FOREIGN_KEY_REFUSED",
        severity="error",
        object=f"{table.name}.{key.name}",
        message=f"SQL Server refused the foreign key to {key.referenced_table}: {text_of(error)}",
        remedy=f"Look for rows of {literal(table.name)} whose {', '.join(key.columns)} has no row there.",
    )
