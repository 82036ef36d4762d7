"""ALTER TABLE."""

import hashlib
import json

from local.sqlserver.casts import cast
from local.sqlserver.columns import (
    check_sql,
    column_comment,
    column_sql,
    column_told,
    default_text,
    internal_name,
    made_up,
    new_column,
)
from local.sqlserver.ddl import Change, Ddl
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.keys import (
    add_check,
    add_foreign_key,
    key_sql,
    read_key,
    refuse_known_index,
)
from local.sqlserver.parsing import parse_query
from local.sqlserver.queries import Queries
from local.sqlserver.scope import Scope, Table
from local.sqlserver.store import literal, quoted


def alter_table(ddl: Ddl) -> Change:
    """ALTER TABLE table ADD | DROP | ALTER COLUMN | CHECK CONSTRAINT | NOCHECK CONSTRAINT."""
    c = ddl.clauses
    c.expect("ALTER", "TABLE")
    table = ddl.existing()
    change = Change("ALTER TABLE", table=table.name)
    trusted = True
    checked = c.takes("WITH", "CHECK")
    if not checked and c.takes("WITH", "NOCHECK"):
        trusted = False
    if c.takes("ADD"):
        _add(ddl, table, change, trusted=trusted)
    elif c.takes("DROP"):
        _drop(ddl, table, change)
    elif c.takes("ALTER", "COLUMN"):
        _alter_column(ddl, table, change)
    elif c.takes("CHECK", "CONSTRAINT"):
        _trust(ddl, table, change, c.name(), validate=checked)
    elif c.takes("NOCHECK", "CONSTRAINT"):
        _distrust(ddl, table, change, c.name())
    else:
        raise NotUnderstoodError(c.near(), ddl.statement)
    c.end()
    return change


def _add(ddl: Ddl, table: Table, change: Change, *, trusted: bool) -> None:
    c = ddl.clauses
    while True:
        name = c.name() if c.takes("CONSTRAINT") else ""
        kinds = {column.name.lower(): column.kind for column in table.columns}
        if c.word() in ("PRIMARY", "UNIQUE"):
            key = read_key(ddl, table.name, name)
            ddl.refuse_known_name(key.name)
            refuse_known_index(ddl, table, key)
            nullable = {column.name.lower() for column in table.columns if column.nullable}
            if key.kind == "PK" and any(column.lower() in nullable for column, _ in key.columns):
                raise SqlError(
                    8111, f"Cannot define PRIMARY KEY constraint on nullable column in table '{table.name}'."
                )
            key_sql(ddl, table.name, key, kinds, change)
        elif c.word() == "FOREIGN":
            change.script += add_foreign_key(ddl, table.name, name, change, trusted=trusted)
        elif c.word() == "CHECK":
            change.script += add_check(ddl, table.name, name, list(table.columns), change)
        elif c.takes("DEFAULT"):
            _add_default(ddl, table, change, name)
        elif name:
            raise NotUnderstoodError(c.near(), ddl.statement)
        else:
            _add_column(ddl, table, change)
        if not c.takes(","):
            return


def _add_column(ddl: Ddl, table: Table, change: Change) -> None:
    column = new_column(ddl)
    if any(known.name.lower() == column.name.lower() for known in table.columns):
        raise SqlError(
            2705,
            f"Column names in each table must be unique. Column name '{column.name}' in table 'dbo.{table.name}' is specified more than once.",
        )
    if column.key:
        raise NotUnderstoodError("a key in ALTER TABLE ADD column", ddl.statement)
    place = int(hashlib.md5(column.name.encode(), usedforsecurity=False).hexdigest()[:8], 16)
    change.script.append(
        f"ALTER TABLE dbo.{quoted(table.name)} ADD COLUMN {column_sql(ddl, table.name, column, place)}"
    )
    change.script.append(column_comment(table.name, column))


def _add_default(ddl: Ddl, table: Table, change: Change, name: str) -> None:
    text = default_text(ddl)
    ddl.clauses.expect("FOR")
    column = table.column(ddl.clauses.name())
    e = Queries(ddl.context).expressions(Scope())
    value = cast(e.value(parse_query(f"SELECT {text} AS v").expressions[0].this), column.kind, assign=True)
    told = column_told(column.kind) | {
        "default": text,
        "default_name": name or made_up("DF", table.name, column.name),
    }
    place = f"dbo.{quoted(table.name)}"
    change.script.append(f"ALTER TABLE {place} ALTER COLUMN {quoted(column.name)} SET DEFAULT {value.text}")
    change.script.append(
        f"COMMENT ON COLUMN {place}.{quoted(column.name)} IS {literal(json.dumps(told, ensure_ascii=False))}"
    )


def _drop(ddl: Ddl, table: Table, change: Change) -> None:
    c = ddl.clauses
    place = f"dbo.{quoted(table.name)}"
    if c.takes("COLUMN"):
        c.takes("IF", "EXISTS")
        change.script.append(f"ALTER TABLE {place} DROP COLUMN {quoted(table.column(c.name()).name)} RESTRICT")
        return
    c.takes("CONSTRAINT")
    optional = c.takes("IF", "EXISTS")
    name = c.name()
    for known, kind, _ in ddl.context.catalogue.indexes(table):
        if known.lower() == name.lower() and kind != "IX":
            change.script.append(f"DROP INDEX dbo.{internal_name(kind, table.name, known)}")
            return
    stored = ddl.context.catalogue.constraint(table, name)
    if stored:
        change.script.append(f"ALTER TABLE {place} DROP CONSTRAINT {stored}")
        return
    column = ddl.context.catalogue.default_column(table, name)
    if column:
        told = literal(json.dumps(column_told(table.column(column).kind), ensure_ascii=False))
        change.script.append(f"ALTER TABLE {place} ALTER COLUMN {quoted(column)} DROP DEFAULT")
        change.script.append(f"COMMENT ON COLUMN {place}.{quoted(column)} IS {told}")
    elif not optional:
        raise SqlError(3728, f"'{name}' is not a constraint.")


def _alter_column(ddl: Ddl, table: Table, change: Change) -> None:
    """Another length or nullability; a change of the kind of type is refused."""
    column = new_column(ddl)
    old = table.column(column.name)
    if old.kind.name != column.kind.name or column.default or column.key:
        raise NotUnderstoodError("ALTER COLUMN to another type", ddl.statement)
    place, name = f"dbo.{quoted(table.name)}", quoted(old.name)
    for stored in ddl.context.catalogue.own_checks(table, old.name):
        change.script.append(f"ALTER TABLE {place} DROP CONSTRAINT {stored}")
    change.script.append(f"ALTER TABLE {place} ALTER COLUMN {name} TYPE {column.kind.pg}")
    word = "SET" if column.nullable is False else "DROP"
    change.script.append(f"ALTER TABLE {place} ALTER COLUMN {name} {word} NOT NULL")
    check = check_sql(ddl, table.name, old.name, column.kind)
    if check:
        number = int(hashlib.md5(old.name.encode(), usedforsecurity=False).hexdigest()[:8], 16)
        change.script.append(f"ALTER TABLE {place} ADD CONSTRAINT {check[0]}_{number} CHECK ({check[1]})")
    told = literal(json.dumps(column_told(column.kind), ensure_ascii=False))
    change.script.append(f"COMMENT ON COLUMN {place}.{name} IS {told}")


def _distrust(ddl: Ddl, table: Table, change: Change, name: str) -> None:
    """NOCHECK CONSTRAINT: PostgreSQL's triggers behind the foreign keys no longer fire, on neither side."""
    catalogue = ddl.context.catalogue
    for stored in catalogue.foreign_keys(table, None if name.upper() == "ALL" else name):
        change.script += [f"ALTER TABLE {on} DISABLE TRIGGER {trigger}" for on, trigger in catalogue.triggers(stored)]
        change.script.append(
            "INSERT INTO mssql.untrusted SELECT oid FROM pg_constraint"
            f" WHERE conname = '{stored}' ON CONFLICT DO NOTHING"
        )


def _trust(ddl: Ddl, table: Table, change: Change, name: str, *, validate: bool) -> None:
    """CHECK CONSTRAINT: enables, and WITH CHECK looks at the rows that are there."""
    for stored in ddl.context.catalogue.foreign_keys(table, None if name.upper() == "ALL" else name):
        if validate:
            change.script.append(ddl.context.catalogue.revalidation(table, stored))
        else:
            triggers = ddl.context.catalogue.triggers(stored)
            change.script += [f"ALTER TABLE {on} ENABLE TRIGGER {trigger}" for on, trigger in triggers]
        change.names[stored] = ddl.context.catalogue.key_told(stored)
