"""Conversions between T-SQL types, as PostgreSQL expressions (learn.microsoft.com: CAST and CONVERT)."""

from dataclasses import dataclass

from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.sqltypes import MAX, PRECEDENCE, SqlType, decimal, fixed_size, varchar

_STYLES = {"datetime2": 121, "date": 23, "time": 108}


@dataclass(frozen=True, slots=True)
class Sql:
    """A PostgreSQL expression and the T-SQL type of its value.

    `nullable` is False only for columns that are NOT NULL; `explicit` marks a collation given by COLLATE; `constant`
    is the text of a literal. `ascii` is True when no value can hold a character beyond ASCII, so that code pages do not
    matter; `hexadecimal` is, for the bytes of a hash, the expression of their hexadecimal digits. Both spare PostgreSQL
    work in the row hashes of a verification.
    """

    text: str
    kind: SqlType
    nullable: bool = True
    explicit: bool = False
    constant: str | None = None
    ascii: bool = False
    hexadecimal: str | None = None


def family(kind: SqlType) -> str:
    """number, string, moment, binary, uniqueidentifier or null: within one, PostgreSQL compares without a cast."""
    if kind.is_number:
        return "number"
    if kind.is_string:
        return "string"
    if kind.is_moment:
        return "time" if kind.name == "time" else "moment"
    return "binary" if kind.is_binary else kind.name


def cast(value: Sql, to: SqlType, style: int | None = None, *, assign: bool = False) -> Sql:
    """The value as another type.

    Args:
        value: What is converted.
        to: The type wanted; a string type without a collation keeps the value's.
        style: Third argument of CONVERT.
        assign: Whether this is the implicit conversion of INSERT and UPDATE, which refuses what CAST truncates.

    Raises:
        SqlError: SQL Server does not convert between these types.
        NotUnderstoodError: The stand-in does not.
    """
    kind = value.kind
    if to.is_string and to.collation is None:
        to = to.collated(kind.collation)
    source = family(kind)
    if source == "null":
        return Sql(f"({value.text})::{to.pg}", to, ascii=True)
    if to.is_string:
        text = _to_string(value, to, style, assign=assign)
    elif to.is_binary:
        text = _to_binary(value, to, style, assign=assign)
    elif to.name == "bit":
        text = _to_bit(value)
    elif to.is_number:
        text = _to_number(value, to)
    elif to.is_moment:
        text = _to_moment(value, to, style)
    else:
        text = _to_uuid(value)
    plain = value.ascii or (to.is_string and not (kind.is_string or (kind.is_binary and style not in (1, 2))))
    return Sql(text, to, value.nullable, value.explicit, ascii=plain)


def _refuse(value: Sql, to: SqlType) -> SqlError:
    return SqlError(529, f"Explicit conversion from data type {value.kind.name} to {to.name} is not allowed.")


def _unserved(value: Sql, to: SqlType, style: int | None) -> NotUnderstoodError:
    return NotUnderstoodError(f"CONVERT({to.declared()}, {value.kind.declared()}, {style})")


# --- to strings ------------------------------------------------------------------------------------------------------


def _to_string(value: Sql, to: SqlType, style: int | None, *, assign: bool) -> str:
    text, longest = _as_text(value, to, style)
    if not to.is_unicode and not to.is_utf8 and not value.ascii and (value.kind.is_unicode or value.kind.is_utf8):
        text = f"mssql.cp1252({text})"
    if to.length != MAX and not assign and (longest == MAX or longest > to.length):
        text = f"mssql.units_left({text}, {to.length})"
    if to.name in ("nchar", "char"):
        text = f"rpad({text}, greatest({to.length}, char_length({text})))"
    return text


def _as_text(value: Sql, to: SqlType, style: int | None) -> tuple[str, int]:
    """The string and the most characters it can have (-1: unbounded)."""
    kind = value.kind
    if kind.is_string:
        return value.text, kind.length
    if kind.is_integer:
        return f"({value.text})::text", 20 if kind.name == "bigint" else 11
    if kind.name == "decimal":
        return f"({value.text})::{kind.pg}::text", 41
    if kind.name in ("float", "real"):
        if style not in (None, 0):
            raise _unserved(value, to, style)
        return f"mssql.float_text(({value.text})::float8)", 24
    if kind.is_moment:
        return _moment_text(value, to, style), 27
    if kind.name == "uniqueidentifier":
        return f"upper(({value.text})::text)", 36
    if kind.is_binary and style in (1, 2):
        prefix = "'0x' || " if style == 1 else ""
        digits = value.hexadecimal or f"encode({value.text}, 'hex')"
        return f"({prefix}upper({digits}))", MAX if kind.length == MAX else 2 * kind.length + len(prefix and "0x")
    if kind.is_binary and style in (None, 0) and not to.is_unicode:
        return f"convert_from({value.text}, '{'UTF8' if to.is_utf8 else 'WIN1252'}')", kind.length
    raise _unserved(value, to, style)


def _moment_text(value: Sql, to: SqlType, style: int | None) -> str:
    kind = value.kind
    chosen = _STYLES.get(kind.name) if style in (None, 0) else style
    if chosen is None:  # datetime without a style is 'Nov 22 2026  9:15PM'
        raise _unserved(value, to, style)
    if kind.name == "date":
        if chosen in (20, 21, 23, 120, 121, 126):
            return f"({value.text})::text"
        if chosen == 112:
            return f"to_char({value.text}, 'YYYYMMDD')"
        raise _unserved(value, to, style)
    if kind.name == "time":
        moment = f"(date '2000-01-01' + ({value.text}))"
        if chosen not in (108, 121, 114):
            raise _unserved(value, to, style)
        return f"substr({moment_text(moment, kind.scale, 121)}, 12)"
    if chosen not in (20, 21, 23, 25, 112, 120, 121, 126, 108):
        raise _unserved(value, to, style)
    return moment_text(value.text, kind.scale, chosen)


def moment_text(text: str, scale: int, style: int) -> str:
    """A date and time as a string. No function of our own: PostgreSQL would call it for every row."""
    plain = {
        20: "YYYY-MM-DD HH24:MI:SS",
        120: "YYYY-MM-DD HH24:MI:SS",
        23: "YYYY-MM-DD",
        112: "YYYYMMDD",
        108: "HH24:MI:SS",
    }
    if style in plain:
        return f"to_char({text}, '{plain[style]}')"
    pattern = 'YYYY-MM-DD"T"HH24:MI:SS' if style == 126 else "YYYY-MM-DD HH24:MI:SS"
    if scale == 0:
        return f"to_char({text}, '{pattern}')"
    if scale in (3, 6):
        return f"to_char({text}, '{pattern}.{'MS' if scale == 3 else 'US'}')"
    return f"left(to_char({text}, '{pattern}.US0'), {20 + scale})"


# --- to bytes --------------------------------------------------------------------------------------------------------


def _to_binary(value: Sql, to: SqlType, style: int | None, *, assign: bool) -> str:
    text = _as_bytes(value, to, style)
    own = fixed_size(value.kind) if not (value.kind.is_binary or value.kind.is_string) else 0
    if to.length != MAX and not assign and (value.kind.is_binary or value.kind.is_string):
        text = f"substr({text}, 1, {to.length})"
    if own and to.length != MAX and own > to.length:  # the rightmost bytes of a number are kept
        text = f"substr({text}, {own - to.length + 1})"
    if to.name == "binary" and own and own < to.length:
        return f"(decode('{'00' * (to.length - own)}', 'hex') || {text})"
    if to.name == "binary" and not own:
        return f"({text} || decode(repeat('00', greatest(0, {to.length} - octet_length({text}))), 'hex'))"
    return text


def _as_bytes(value: Sql, to: SqlType, style: int | None) -> str:
    kind = value.kind
    sends = {
        "bigint": "int8send",
        "int": "int4send",
        "smallint": "int2send",
        "float": "float8send",
        "real": "float4send",
    }
    if kind.is_binary:
        return value.text
    if kind.name in sends:
        return f"{sends[kind.name]}({value.text})"
    if kind.name in ("tinyint", "bit"):
        return f"substr(int2send({value.text}), 2)"
    if kind.name == "uniqueidentifier":
        return f"mssql.uuid_bytes({value.text})"
    if kind.is_string and style in (1, 2):
        return f"mssql.hex_to_bytes({value.text}, {style})"
    if kind.is_string and style in (None, 0):
        return string_bytes(value)
    raise _unserved(value, to, style)


def string_bytes(value: Sql) -> str:
    """The bytes a string has in SQL Server: UTF-16LE, UTF-8 or code page 1252."""
    if value.kind.is_unicode:
        return f"mssql.utf16({value.text})"
    return (
        f"convert_to({value.text}, 'UTF8')"
        if value.kind.is_utf8 or value.ascii
        else f"mssql.cp1252_bytes({value.text})"
    )


# --- to numbers, moments, identifiers --------------------------------------------------------------------------------


def _to_bit(value: Sql) -> str:
    if value.kind.name == "bit":
        return value.text
    if value.kind.is_string:
        return f"mssql.text_to_bit({value.text})"
    if not value.kind.is_number:
        raise _refuse(value, SqlType("bit"))
    if value.constant is not None:
        return f"{int(float(value.constant) != 0)}::int2"
    return f"((({value.text}) <> 0)::int::int2)"


def _to_number(value: Sql, to: SqlType) -> str:
    kind = value.kind
    if kind.is_string:
        cleaned = f"btrim({value.text})"
        if to.is_integer or to.name in ("float", "real"):
            cleaned = f"coalesce(nullif({cleaned}, ''), CASE WHEN {value.text} IS NULL THEN NULL ELSE '0' END)"
        return _ranged(f"({cleaned})::{to.pg}", to)
    if kind.is_binary and to.name == "bigint" and value.hexadecimal and 0 < kind.length <= 8:
        return f"('x{'0' * (16 - 2 * kind.length)}' || {value.hexadecimal})::bit(64)::int8"
    if kind.is_binary and to.name in ("bigint", "int"):
        return f"mssql.bytes_to_{to.name}({value.text})"
    if not kind.is_number:
        raise _refuse(value, to)
    text = value.text
    if to.is_integer and not kind.is_integer:
        text = f"trunc(({text})::numeric)"
    if to.name == kind.name and to.pg == kind.pg:
        return text
    return _ranged(f"({text})::{to.pg}", to)


def _ranged(text: str, to: SqlType) -> str:
    """tinyint is stored as smallint: its range has to be checked."""
    return f"mssql.to_tinyint({text})" if to.name == "tinyint" else text


def _to_moment(value: Sql, to: SqlType, style: int | None) -> str:
    kind = value.kind
    if kind.is_string:
        if style not in (None, 0, 20, 21, 25, 112, 120, 121, 126, 23):
            raise _unserved(value, to, style)
        text = f"mssql.moment_of(btrim({value.text}))" if to.name != "time" else f"btrim({value.text})"
    elif family(kind) == family(to) or to.name == "time":
        text = value.text
    else:
        raise _refuse(value, to)
    if to.name == "datetime":
        return f"mssql.to_datetime(({text})::timestamp)"
    if to.name == "smalldatetime":
        return f"mssql.to_smalldatetime(({text})::timestamp)"
    return f"({text})::{to.pg}"


def _to_uuid(value: Sql) -> str:
    if value.kind.name == "uniqueidentifier":
        return value.text
    if value.kind.is_string:
        return f"(btrim({value.text}, ' {{}}'))::uuid"
    if value.kind.is_binary:
        return f"mssql.bytes_uuid({value.text})"
    raise _refuse(value, SqlType("uniqueidentifier"))


# --- common types ----------------------------------------------------------------------------------------------------


def common_type(kinds: list[SqlType]) -> SqlType:
    """The type of CASE, COALESCE, UNION and the like over values of these types."""
    known = [kind for kind in kinds if kind.name != "null"]
    if not known:
        return kinds[0]
    best = min(known, key=lambda kind: PRECEDENCE.index(kind.name))
    if best.name == "decimal":
        return _common_decimal(known)
    if best.is_string or best.is_binary:
        lengths = [kind.length if family(kind) == family(best) else 41 for kind in known]
        length = MAX if MAX in lengths else max(lengths)
        name = (
            best.name
            if best.name.startswith(("nvar", "var"))
            else {"nchar": "nvarchar", "char": "varchar"}.get(best.name, "varbinary")
        )
        collation = next((kind.collation for kind in known if kind.collation), None)
        return SqlType(name, length, collation=collation)
    if best.is_moment:
        scale = max(kind.scale for kind in known)
        return SqlType(best.name, precision=best.precision, scale=scale)
    return best


def concatenated_type(parts: list[Sql]) -> SqlType:
    """The type of strings put together."""
    strings = [string_of(part) for part in parts if part.kind.name != "null"]
    unicode = any(part.kind.is_unicode for part in strings)
    limit = 4000 if unicode else 8000
    total = (
        MAX
        if any(part.kind.length == MAX for part in strings)
        else min(limit, sum(part.kind.length for part in strings))
    )
    chosen = next((part for part in strings if part.explicit), None) or next(
        (part for part in strings if part.kind.collation), None
    )
    collation = chosen.kind.collation if chosen else None
    return SqlType("nvarchar" if unicode else "varchar", total or 1, collation=collation)


def _common_decimal(kinds: list[SqlType]) -> SqlType:
    sized = [as_decimal(kind) for kind in kinds if kind.is_number]
    scale = max(kind.scale for kind in sized)
    whole = max(kind.precision - kind.scale for kind in sized)
    return decimal(min(38, whole + scale), min(scale, 38))


def as_decimal(kind: SqlType) -> SqlType:
    """The decimal an integer counts as in arithmetic."""
    sizes = {"bit": 1, "tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}
    return kind if kind.name == "decimal" else decimal(sizes.get(kind.name, 19), 4 if kind.name == "money" else 0)


def string_of(value: Sql) -> Sql:
    """The value as CONCAT and `+` with a string see it."""
    if value.kind.is_string:
        return value
    return cast(value, varchar(MAX if value.kind.is_binary else 41))
