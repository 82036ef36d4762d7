"""Keys, indexes, foreign keys and checks → PostgreSQL.

Keys are unique indexes of PostgreSQL, not constraints: a string column of a case-insensitive collation is unique by
`lower(rtrim(column))`, and SQL Server has one NULL in a unique key (NULLS NOT DISTINCT). That is an emulation: what
else a Windows collation holds for equal (width, kana, ligatures) is different here.
"""

import json
from dataclasses import dataclass, field

from local.sqlserver.columns import NewColumn, internal_name, made_up
from local.sqlserver.ddl import Change, Ddl
from local.sqlserver.errors import NotUnderstoodError, SqlError, syntax_error
from local.sqlserver.parsing import parse_expression
from local.sqlserver.queries import Queries
from local.sqlserver.scope import Column, Scope, Source, Table
from local.sqlserver.sqltypes import MAX, SqlType
from local.sqlserver.store import literal, quoted


@dataclass
class Key:
    """A primary key, unique constraint (UQ) or index (IX); columns with whether they descend."""

    kind: str
    name: str
    columns: list[tuple[str, bool]]
    clustered: bool
    included: list[str] = field(default_factory=list)
    where: str = ""
    unique: bool = True


def read_key(ddl: Ddl, table: str, name: str) -> Key:
    """Reads PRIMARY KEY or UNIQUE with its columns."""
    c = ddl.clauses
    kind = "PK" if c.takes("PRIMARY", "KEY") else "UQ"
    if kind == "UQ":
        c.expect("UNIQUE")
    clustered = ddl.clustered(default=kind == "PK")
    columns = key_columns(ddl)
    ddl.storage_options()
    return Key(kind, name or made_up(kind, table, "_".join(each for each, _ in columns)), columns, clustered)


def key_columns(ddl: Ddl) -> list[tuple[str, bool]]:
    """Reads `(column [ASC | DESC], …)`: names with whether they descend."""
    c = ddl.clauses
    c.expect("(")
    found = []
    while True:
        name = c.name()
        found.append((name, c.takes("DESC")))
        c.takes("ASC")
        if not c.takes(","):
            break
    c.expect(")")
    return found


def fix_nullability(table: str, key: Key, columns: list[NewColumn]) -> None:
    """Columns of a primary key are NOT NULL; one declared NULL is refused (8111)."""
    known = {column.name.lower(): column for column in columns}
    for name, _ in key.columns:
        column = known.get(name.lower())
        if column is None:
            raise SqlError(1911, f"Column name '{name}' does not exist in the target table or view.")
        if key.kind == "PK":
            if column.nullable is True:
                raise SqlError(8111, f"Cannot define PRIMARY KEY constraint on nullable column in table '{table}'.")
            column.nullable = False


def key_sql(ddl: Ddl, table: str, key: Key, kinds: dict[str, SqlType], change: Change) -> None:
    """CREATE INDEX and its comment."""
    parts = []
    for name, descending in key.columns:
        kind = kinds.get(name.lower())
        if kind is None:
            raise SqlError(1911, f"Column name '{name}' does not exist in the target table or view.")
        if kind.length == MAX:
            raise SqlError(
                1919,
                f"Column '{name}' in table 'dbo.{table}' is of a type that is invalid for use as a key column in an index.",
            )
        real = ddl.real_name(table, name)
        text = f"lower(rtrim({quoted(real)}))" if kind.ignores_case else quoted(real)
        parts.append(
            f"({text}) {'DESC NULLS LAST' if descending else 'ASC NULLS FIRST'}"
            if "(" in text
            else f"{text}{' DESC NULLS LAST' if descending else ''}"
        )
    stored = internal_name(key.kind, table, key.name)
    told: dict[str, object] = {
        "name": key.name,
        "kind": key.kind,
        "clustered": key.clustered,
        "columns": [{"name": ddl.real_name(table, name), "descending": descending} for name, descending in key.columns],
    }
    if key.included:
        told["included"] = key.included
    if key.where:
        told["where"] = f"({key.where})"
    distinct = " NULLS NOT DISTINCT" if key.unique and key.kind != "PK" else ""
    sql = (
        f"CREATE {'UNIQUE ' if key.unique else ''}INDEX {stored} ON dbo.{quoted(table)} ({', '.join(parts)}){distinct}"
    )
    if key.where:
        sql += f" WHERE {_filter(ddl, table, key.where, kinds)}"
    change.script += [sql, f"COMMENT ON INDEX dbo.{stored} IS {literal(json.dumps(told, ensure_ascii=False))}"]
    change.names[stored] = told


def _filter(ddl: Ddl, table: str, where: str, kinds: dict[str, SqlType]) -> str:
    scope = Scope()
    found = [Column(name, kind, True, quoted(name)) for name, kind in kinds.items()]
    real = ddl.context.catalogue.find("dbo", table)
    scope.add(Source(table, quoted(table), list(real.columns) if real else found))
    return Queries(ddl.context).expressions(scope).predicate(parse_expression(where))


def add_foreign_key(ddl: Ddl, table: str, name: str, change: Change, *, trusted: bool) -> list[str]:
    """Reads FOREIGN KEY … REFERENCES …; without `trusted` the rows that are there are not looked at."""
    c = ddl.clauses
    c.expect("FOREIGN", "KEY")
    columns = c.names()
    c.expect("REFERENCES")
    _, schema, referenced = c.qualified()
    other = table if referenced.lower() == table.lower() else ""
    found = ddl.context.catalogue.find(schema or "dbo", referenced)
    if found is None and not other:
        raise SqlError(1767, f"Foreign key '{name}' references invalid table '{referenced}'.")
    other = found.name if found else other
    if c.word() != "(":
        raise NotUnderstoodError("a foreign key that does not name the columns it references", ddl.statement)
    theirs = c.names()
    actions = _actions(ddl)
    name = name or made_up("FK", table, "_".join(columns))
    ddl.refuse_known_name(name)
    stored = internal_name("FK", table, name)
    mine = ", ".join(quoted(ddl.real_name(table, column)) for column in columns)
    their = ", ".join(quoted(found.column(column).name if found else column) for column in theirs)
    told: dict[str, object] = {"name": name, "kind": "FK", "referenced": other, "column": theirs[0]}
    change.names[stored] = told
    valid = "" if trusted else " NOT VALID"
    script = [
        f"ALTER TABLE dbo.{quoted(table)} ADD CONSTRAINT {stored} FOREIGN KEY ({mine}) REFERENCES dbo.{quoted(other)} ({their}){actions}{valid}",
        f"COMMENT ON CONSTRAINT {stored} ON dbo.{quoted(table)} IS {literal(json.dumps(told, ensure_ascii=False))}",
    ]
    if not trusted:
        script.append(f"INSERT INTO mssql.untrusted SELECT oid FROM pg_constraint WHERE conname = '{stored}'")
    return script


def _actions(ddl: Ddl) -> str:
    c, text = ddl.clauses, ""
    while c.takes("ON"):
        event = c.name().upper()
        for words in (("NO", "ACTION"), ("CASCADE",), ("SET", "NULL"), ("SET", "DEFAULT")):
            if event in ("DELETE", "UPDATE") and c.takes(*words):
                text += f" ON {event} {' '.join(words)}"
                break
        else:
            raise syntax_error(c.near())
    return text


def add_check(ddl: Ddl, table: str, name: str, columns: list[Column], change: Change) -> list[str]:
    """Reads CHECK (condition)."""
    c = ddl.clauses
    c.expect("CHECK")
    text = c.parenthesised()
    name = name or made_up("CK", table, text)
    ddl.refuse_known_name(name)
    scope = Scope()
    scope.add(Source(table, quoted(table), columns))
    condition = Queries(ddl.context).expressions(scope).predicate(parse_expression(text))
    stored = internal_name("CK", table, name)
    told: dict[str, object] = {"name": name, "definition": f"({text})"}
    change.names[stored] = told
    return [
        f"ALTER TABLE dbo.{quoted(table)} ADD CONSTRAINT {stored} CHECK ({condition})",
        f"COMMENT ON CONSTRAINT {stored} ON dbo.{quoted(table)} IS {literal(json.dumps(told, ensure_ascii=False))}",
    ]


def refuse_known_index(ddl: Ddl, table: Table, key: Key) -> None:
    """Refuses a second index of a name, a second primary key, a second clustered index."""
    for name, kind, clustered in ddl.context.catalogue.indexes(table):
        if name.lower() == key.name.lower():
            raise SqlError(
                1913,
                f"The operation failed because an index or statistics with name '{key.name}' already exists on table 'dbo.{table.name}'.",
            )
        if kind == "PK" and key.kind == "PK":
            raise SqlError(1779, f"Table '{table.name}' already has a primary key defined on it.")
        if clustered and key.clustered:
            raise SqlError(
                1902,
                f"Cannot create more than one clustered index on table 'dbo.{table.name}'. Drop the existing clustered index '{name}' before creating another.",
            )
