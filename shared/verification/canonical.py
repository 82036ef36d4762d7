"""The canonical text of a value, per type, as an expression of each engine: what the row hash is made of.

Both engines must give the same characters for the same value, and different ones for different values. NULL is `0`;
every other value is `1` and then its text:

| kind | text |
| --- | --- |
| whole numbers | decimal digits |
| bit | `1` or `0` |
| decimal(p,s) | always s digits after the point |
| float, real | the IEEE 754 bytes, big-endian, upper-case hex; -0 counts as 0 |
| datetime2(n) | `yyyy-mm-dd hh:mm:ss.f…` with n digits, rounded half up in PostgreSQL as the copy rounds |
| date | `yyyy-mm-dd` |
| nvarchar, varchar | the text itself, in UTF-8 on both sides |
| varbinary | its MD5 in upper-case hex, so that a row of large values stays small |
| uniqueidentifier | lower-case, with dashes |

Fields are parted by CHAR(31). A text that holds CHAR(31) could be read as two fields; the sum of octets per column,
which is checked as well, tells such rows apart.

T-SQL rules relied on: CONVERT of decimal keeps the scale; style 121 of datetime2(n) has n digits; a cast of nvarchar
under a `_UTF8` collation gives UTF-8 bytes (SQL Server 2019, https://learn.microsoft.com/sql/relational-databases/
collations/collation-and-unicode-support#utf8); HASHBYTES has no length limit (SQL Server 2016); CONCAT_WS skips NULL,
which is why no field may be NULL, and is varchar(max) when one field is.
"""

from dataclasses import dataclass

from shared.copying.reading import value_sql
from shared.databaseplan import PlannedColumn
from shared.sqlserver.columntype import ColumnType, parse
from shared.sqlserver.connection import quote

UTF8 = "Latin1_General_100_BIN2_UTF8"
SEPARATOR = "\x1f"
FIELDS_PER_CALL = 90  # PostgreSQL takes 100 arguments, SQL Server 254
HASH_BYTES = 7  # of the MD5: a number below 2**56 is positive in a bigint of either engine


@dataclass(frozen=True, slots=True)
class Canonical:
    """The canonical text of one column: expressions that are never NULL."""

    name: str
    postgres: str
    tsql: str


def canonical(column: PlannedColumn) -> Canonical:
    """Return both expressions of a planned column; Refusal UNKNOWN_TYPE for a type without a rule."""
    kind = parse(column.type)
    return Canonical(column.name, postgres_text(value_sql(column), kind), tsql_text(quote(column.name), kind))


def short(field: Canonical, column: PlannedColumn) -> Canonical:
    """Return the field with a text no larger than a hash, whatever the value, for fetching and comparing."""
    if not parse(column.type).unlimited:
        return field
    tsql = f"CONVERT(varchar(32), HASHBYTES('MD5', {field.tsql}), 2)"
    return Canonical(field.name, f"upper(md5({field.postgres}))", tsql)


def postgres_text(value: str, kind: ColumnType) -> str:
    """Return the PostgreSQL expression for a value expression."""
    if kind.kind == "bit":
        return f"CASE WHEN {value} THEN '11' WHEN NOT {value} THEN '10' ELSE '0' END"
    if kind.kind in ("datetime2", "date"):
        # Infinity has no text; `2` tells it from NULL, and from every moment that the target can hold.
        return f"coalesce('1' || {postgres_moment(value, kind)}, CASE WHEN {value} IS NULL THEN '0' ELSE '2' END)"
    return f"coalesce('1' || {_postgres_plain(value, kind)}, '0')"


def postgres_moment(value: str, kind: ColumnType) -> str:
    """Return the text of a timestamp or date in PostgreSQL; NULL for NULL and for infinity."""
    if kind.kind == "date":
        return f"to_char({value}, 'YYYY-MM-DD')"
    rounded = postgres_rounded(value, kind.scale)
    if kind.scale == 0:
        return f"to_char({rounded}, 'YYYY-MM-DD HH24:MI:SS')"
    digits = {3: "MS", 6: "US"}.get(kind.scale)
    if digits:
        return f"to_char({rounded}, 'YYYY-MM-DD HH24:MI:SS.{digits}')"
    if kind.scale == 7:
        return f"(to_char({rounded}, 'YYYY-MM-DD HH24:MI:SS.US') || '0')"
    return f"left(to_char({rounded}, 'YYYY-MM-DD HH24:MI:SS.US'), {20 + kind.scale})"


def postgres_rounded(value: str, digits: int) -> str:
    """Return a timestamp rounded half up to `digits` of a second, as `shared.copying.arrow` rounds it."""
    if digits >= 6:
        return f"{value}::timestamp"
    half = 5 * 10 ** (5 - digits)
    shifted = f"({value} + interval '{half} microseconds')"
    if digits == 3:
        return f"date_trunc('milliseconds', {shifted})"
    if digits == 0:
        return f"date_trunc('second', {shifted})"
    return shifted  # its text is cut after the digits


def _postgres_plain(value: str, kind: ColumnType) -> str:
    if kind.integral or kind.kind == "uniqueidentifier":
        return f"{value}::text"
    if kind.kind == "decimal":
        return f"round({value}, {kind.scale})::text"
    if kind.kind == "float":
        return f"upper(encode(float8send({value}::float8 + 0::float8), 'hex'))"
    if kind.kind == "real":
        return f"upper(encode(float4send({value}::float4 + 0::float4), 'hex'))"
    if kind.kind == "varbinary":
        return f"upper(md5({value}))"
    return value


def tsql_text(column: str, kind: ColumnType) -> str:
    """Return the T-SQL expression for a quoted column."""
    if kind.kind == "bit":
        return f"CASE {column} WHEN 1 THEN '11' WHEN 0 THEN '10' ELSE '0' END"
    return f"COALESCE('1' + {_tsql_plain(column, kind)}, '0')"


def _tsql_plain(column: str, kind: ColumnType) -> str:
    if kind.integral:
        return f"CONVERT(varchar(20), {column})"
    if kind.kind == "decimal":
        return f"CONVERT(varchar(50), {column})"
    if kind.kind == "float":
        return f"CONVERT(varchar(16), CAST({column} + CAST(0 AS float) AS binary(8)), 2)"
    if kind.kind == "real":
        return f"CONVERT(varchar(8), CAST({column} + CAST(0 AS real) AS binary(4)), 2)"
    if kind.kind == "datetime2":
        return f"CONVERT(varchar(27), {column}, 121)"
    if kind.kind == "date":
        return f"CONVERT(varchar(10), {column}, 121)"
    if kind.kind == "varbinary":
        return f"CONVERT(varchar(32), HASHBYTES('MD5', {column}), 2)"
    if kind.kind == "uniqueidentifier":
        return f"LOWER(CONVERT(varchar(36), {column}))"
    return f"CAST({column} COLLATE {UTF8} AS varchar(max))"


def postgres_hash(fields: list[Canonical]) -> str:
    """Return a row's hash in PostgreSQL: the first 7 bytes of the MD5 of its fields, as a bigint from 0 to 2**56."""
    joined = _joined([field.postgres for field in fields], "concat_ws(E'\\x1f', ", ")")
    return f"('x' || left(md5({joined}), {2 * HASH_BYTES}))::bit({8 * HASH_BYTES})::bigint"


def tsql_hash(fields: list[Canonical]) -> str:
    """Return the same hash in T-SQL."""
    joined = _joined([field.tsql for field in fields], "CONCAT_WS(CHAR(31), ", ")")
    return f"CONVERT(bigint, SUBSTRING(HASHBYTES('MD5', {joined}), 1, {HASH_BYTES}))"


def _joined(texts: list[str], before: str, after: str) -> str:
    """Join fields by calls of at most `FIELDS_PER_CALL` each, nested; the text is the same as of one call."""
    while len(texts) > 1:
        groups = [texts[start : start + FIELDS_PER_CALL] for start in range(0, len(texts), FIELDS_PER_CALL)]
        texts = [f"{before}{', '.join(group)}{after}" if len(group) > 1 else group[0] for group in groups]
    return texts[0]
