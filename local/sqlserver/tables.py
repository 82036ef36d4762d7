"""CREATE, DROP and TRUNCATE TABLE; CREATE and DROP INDEX."""

from local.sqlserver.columns import NewColumn, column_comment, column_sql, internal_name, made_up, new_column
from local.sqlserver.ddl import Change, Ddl
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.keys import (
    Key,
    add_check,
    add_foreign_key,
    fix_nullability,
    key_columns,
    key_sql,
    read_key,
    refuse_known_index,
)
from local.sqlserver.scope import Column
from local.sqlserver.store import quoted


def create_table(ddl: Ddl) -> Change:
    """CREATE TABLE."""
    c = ddl.clauses
    c.expect("CREATE", "TABLE")
    schema, name = ddl.target()
    if ddl.context.catalogue.find(schema, name):
        raise SqlError(2714, f"There is already an object named '{name}' in the database.")
    change = Change("CREATE TABLE", table=name)
    columns: list[NewColumn] = []
    keys: list[Key] = []
    after: list[str] = []
    c.expect("(")
    while True:
        if c.word() in ("CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK"):
            _table_constraint(ddl, name, columns, keys, after, change)
        else:
            columns.append(new_column(ddl))
            _declare(ddl, columns[-1], name)
        if not c.takes(","):
            break
    c.expect(")")
    ddl.storage_options()
    c.end()
    keys += [
        Key(
            column.key,
            column.key_name or made_up(column.key, name, column.name),
            [(column.name, False)],
            column.clustered,
        )
        for column in columns
        if column.key
    ]
    for key in keys:
        fix_nullability(name, key, columns)
    listed = ", ".join(column_sql(ddl, name, column, place) for place, column in enumerate(columns, 1))
    change.script.append(f"CREATE TABLE dbo.{quoted(name)} ({listed})")
    change.script.append(f"COMMENT ON TABLE dbo.{quoted(name)} IS '{{}}'")
    change.script += [column_comment(name, column) for column in columns]
    known = {column.name.lower(): column for column in columns}
    for key in keys:
        key_sql(ddl, name, key, {each: known[each].kind for each in known}, change)
    change.script += after
    return change


def _declare(ddl: Ddl, column: NewColumn, table: str) -> None:
    if column.name.lower() in ddl.declared:
        raise SqlError(
            2705,
            "Column names in each table must be unique. "
            f"Column name '{column.name}' in table '{table}' is specified more than once.",
        )
    ddl.declared[column.name.lower()] = column.name


def _table_constraint(
    ddl: Ddl, table: str, columns: list[NewColumn], keys: list[Key], after: list[str], change: Change
) -> None:
    c = ddl.clauses
    name = c.name() if c.takes("CONSTRAINT") else ""
    if c.word() in ("PRIMARY", "UNIQUE"):
        keys.append(read_key(ddl, table, name))
    elif c.word() == "FOREIGN":
        after += add_foreign_key(ddl, table, name, change, trusted=True)
    elif c.word() == "CHECK":
        source = [Column(column.name, column.kind, True, quoted(column.name)) for column in columns]
        after += add_check(ddl, table, name, source, change)
    else:
        raise NotUnderstoodError(c.near(), ddl.statement)


def create_index(ddl: Ddl) -> Change:
    """CREATE [UNIQUE] [CLUSTERED | NONCLUSTERED] INDEX."""
    c = ddl.clauses
    c.expect("CREATE")
    unique = c.takes("UNIQUE")
    clustered = ddl.clustered(default=False)
    c.expect("INDEX")
    name = c.name()
    c.expect("ON")
    table = ddl.existing()
    key = Key("IX", name, key_columns(ddl), clustered, unique=unique)
    if c.takes("INCLUDE"):
        key.included = [table.column(column).name for column in c.names()]
    if c.takes("WHERE"):
        key.where = c.until("WITH", "ON")
    ddl.storage_options()
    c.end()
    change = Change("CREATE INDEX", table=table.name)
    refuse_known_index(ddl, table, key)
    key_sql(ddl, table.name, key, {column.name.lower(): column.kind for column in table.columns}, change)
    return change


def drop_index(ddl: Ddl) -> Change:
    """DROP INDEX [IF EXISTS] name ON table."""
    c = ddl.clauses
    c.expect("DROP", "INDEX")
    optional = c.takes("IF", "EXISTS")
    name = c.name()
    c.expect("ON")
    table = ddl.existing()
    c.end()
    change = Change("DROP INDEX", table=table.name)
    for known, kind, _ in ddl.context.catalogue.indexes(table):
        if known.lower() == name.lower():
            if kind != "IX":
                raise SqlError(
                    3723,
                    f"An explicit DROP INDEX is not allowed on index 'dbo.{table.name}.{name}'. It is being used for constraint enforcement.",
                )
            change.script.append(f"DROP INDEX dbo.{internal_name(kind, table.name, known)}")
            return change
    if not optional:
        raise SqlError(
            3701,
            f"Cannot drop the index 'dbo.{table.name}.{name}', because it does not exist or you do not have permission.",
            11,
        )
    return change


def drop_table(ddl: Ddl) -> Change:
    """DROP TABLE [IF EXISTS] table, …"""
    c = ddl.clauses
    c.expect("DROP", "TABLE")
    optional = c.takes("IF", "EXISTS")
    change = Change("DROP TABLE")
    while True:
        _, name = ddl.target()
        table = ddl.context.catalogue.find("dbo", name)
        if table:
            change.script.append(f"DROP TABLE dbo.{quoted(table.name)}")
            change.table = table.name
        elif not optional:
            raise SqlError(
                3701,
                f"Cannot drop the table 'dbo.{name}', because it does not exist or you do not have permission.",
                11,
            )
        if not c.takes(","):
            break
    c.end()
    return change


def truncate_table(ddl: Ddl) -> Change:
    """TRUNCATE TABLE table."""
    c = ddl.clauses
    c.expect("TRUNCATE", "TABLE")
    table = ddl.context.catalogue.table("dbo", ddl.target()[1])
    c.end()
    return Change("TRUNCATE TABLE", [f"TRUNCATE TABLE dbo.{quoted(table.name)}"], table=table.name)
