"""Columns: read from a declaration, written as PostgreSQL's, described in a comment."""

import hashlib
import json
from dataclasses import dataclass

from local.sqlserver.casts import cast
from local.sqlserver.collations import check_collation
from local.sqlserver.ddl import LONGEST_NAME, Ddl
from local.sqlserver.errors import NotUnderstoodError
from local.sqlserver.parsing import parse_query
from local.sqlserver.queries import Queries
from local.sqlserver.scope import Scope
from local.sqlserver.sqltypes import MAX, SqlType
from local.sqlserver.store import literal, quoted


@dataclass
class NewColumn:
    """A column as it is declared."""

    name: str
    kind: SqlType
    nullable: bool | None = None
    default: str = ""
    default_name: str = ""
    key: str = ""
    key_name: str = ""
    clustered: bool = False


def new_column(ddl: Ddl) -> NewColumn:
    """Reads `name type options`."""
    c = ddl.clauses
    name = c.name()
    if len(name.encode()) > LONGEST_NAME:
        raise NotUnderstoodError(f"a column name of more than {LONGEST_NAME} bytes: {name}", ddl.statement)
    if c.word() == "AS":
        raise NotUnderstoodError(f"computed column {name}", ddl.statement)
    column = NewColumn(name, c.data_type())
    while c.word() not in (",", ")") and not c.done:
        _column_option(ddl, column)
    if column.kind.is_string and column.kind.collation is None:
        column.kind = column.kind.collated(ddl.collation)
    return column


def _column_option(ddl: Ddl, column: NewColumn) -> None:
    c = ddl.clauses
    constraint = c.name() if c.takes("CONSTRAINT") else ""
    if c.takes("COLLATE"):
        name = c.name()
        check_collation(name)
        column.kind = column.kind.collated(ddl.collation if name.lower() == "database_default" else name)
    elif c.takes("NOT", "NULL"):
        column.nullable = False
    elif c.takes("NULL"):
        column.nullable = True
    elif c.takes("DEFAULT"):
        column.default, column.default_name = default_text(ddl), constraint
    elif c.takes("PRIMARY", "KEY"):
        column.key, column.key_name = "PK", constraint
        column.clustered = ddl.clustered(default=True)
    elif c.takes("UNIQUE"):
        column.key, column.key_name = "UQ", constraint
        column.clustered = ddl.clustered(default=False)
    else:
        raise NotUnderstoodError(c.near(), ddl.statement)


def default_text(ddl: Ddl) -> str:
    """Reads what stands after DEFAULT."""
    c = ddl.clauses
    if c.word() == "(":
        return f"({c.parenthesised()})"
    start = c.at
    c.at += 1 if c.word() not in ("-", "@") else 2
    if c.word() == "(":
        c.parenthesised()
    return c.slice(start, c.at)


def column_sql(ddl: Ddl, table: str, column: NewColumn, place: int) -> str:
    """The column as CREATE TABLE of PostgreSQL has it; `place` makes its CHECK constraint's name unique."""
    text = f"{quoted(column.name)} {column.kind.pg}"
    if column.nullable is False:
        text += " NOT NULL"
    if column.default:
        e = Queries(ddl.context).expressions(Scope())
        value = cast(
            e.value(parse_query(f"SELECT {column.default} AS v").expressions[0].this), column.kind, assign=True
        )
        text += f" DEFAULT {value.text}"
    check = check_sql(ddl, table, column.name, column.kind)
    return f"{text} CONSTRAINT {check[0]}_{place} CHECK ({check[1]})" if check else text


def check_sql(ddl: Ddl, table: str, name: str, kind: SqlType) -> tuple[str, str] | None:
    """What PostgreSQL's type does not check: name and condition of a CHECK constraint."""
    text = quoted(name)
    place = f"{literal(f'{ddl.context.catalogue.database}.dbo.{table}')}, {literal(name)}"
    if kind.name == "bit":
        return "range_bit", f"{text} IN (0, 1)"
    if kind.name == "tinyint":
        return "range_tinyint", f"{text} BETWEEN 0 AND 255"
    if kind.name in ("float", "real"):
        return "finite", f"{text} NOT IN ('NaN', 'Infinity', '-Infinity')"
    if kind.length in (0, MAX):
        return None
    if kind.is_unicode:
        return "fits", f"octet_length({text}) <= {kind.length} OR mssql.fits({text}, {kind.length}, {place})"
    size = f"char_length({text})" if kind.is_string and not kind.is_utf8 else f"octet_length({text})"
    return "fits", f"{size} <= {kind.length} OR mssql.fits_bytes({size}, {kind.length}, {place})"


def column_comment(table: str, column: NewColumn) -> str:
    """COMMENT ON COLUMN: the declared type and default."""
    told = column_told(column.kind)
    if column.default:
        told["default"] = column.default
        told["default_name"] = column.default_name or made_up("DF", table, column.name)
    text = literal(json.dumps(told, ensure_ascii=False))
    return f"COMMENT ON COLUMN dbo.{quoted(table)}.{quoted(column.name)} IS {text}"


def column_told(kind: SqlType) -> dict[str, object]:
    """What a column's comment says about its type."""
    precision = kind.precision
    if kind.name == "datetime2":
        precision = 19 if kind.scale == 0 else 20 + kind.scale
    told: dict[str, object] = {
        "type": kind.name,
        "length": kind.length,
        "precision": precision,
        "scale": kind.scale,
        "max_length": kind.bytes_stored(),
    }
    return told | ({"collation": kind.collation} if kind.is_string else {})


def internal_name(kind: str, table: str, name: str) -> str:
    """PostgreSQL's name of an index or constraint: SQL Server's may be longer than PostgreSQL's 63 bytes, and the same
    on two tables."""
    digest = hashlib.md5(f"{table.lower()}\0{name.lower()}".encode(), usedforsecurity=False).hexdigest()
    return f"{kind.lower()}_{digest[:24]}"


def made_up(kind: str, table: str, rest: str) -> str:
    """A name for a constraint that was given none, in the manner of SQL Server's `PK__table__3213E83F`."""
    digest = hashlib.md5(f"{table}\0{rest}".encode(), usedforsecurity=False).hexdigest()
    return f"{kind}__{table[:20]}__{digest[:8].upper()}"
