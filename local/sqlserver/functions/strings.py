"""Functions of strings and bytes."""

from dataclasses import replace

from local.sqlserver.casts import Sql, concatenated_type, string_bytes
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.expressions import Expressions
from local.sqlserver.functions.registry import FUNCTIONS, Arguments, Function, constant_of, function, int_of, text_of
from local.sqlserver.sqltypes import (
    BIGINT,
    INT,
    MAX,
    SqlType,
    fixed_size,
    nvarchar,
    varbinary,
)
from local.sqlserver.store import literal


@function("LEN")
def _len(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    value = text_of(e, argument)
    kind = BIGINT if value.kind.length == MAX else INT
    count = "mssql.units" if value.kind.is_unicode else "char_length"
    return Sql(f"({count}(rtrim({value.text}, ' ')))::{kind.pg}", kind)


@function("DATALENGTH")
def _datalength(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    value = e.value(argument)
    kind = BIGINT if value.kind.length == MAX else INT
    if value.kind.is_unicode:
        text = f"2 * mssql.units({value.text})"
    elif value.kind.is_string:
        text = f"octet_length({value.text})" if value.kind.is_utf8 else f"char_length({value.text})"
    elif value.kind.is_binary:
        text = f"octet_length({value.text})"
    else:
        text = f"CASE WHEN {value.text} IS NOT NULL THEN {fixed_size(value.kind)} END"
    return Sql(f"({text})::{kind.pg}", kind)


def _mapped(function: str) -> Function:
    def mapped(e: Expressions, arguments: Arguments) -> Sql:
        (argument,) = arguments
        value = text_of(e, argument)
        return Sql(f"{function}({value.text})", value.kind, explicit=value.explicit)

    return mapped


for _name, _target in {
    "UPPER": "upper",
    "LOWER": "lower",
    "LTRIM": "ltrim",
    "RTRIM": "rtrim",
    "TRIM": "btrim",
    "REVERSE": "reverse",
}.items():
    FUNCTIONS[_name] = _mapped(_target)


@function("SUBSTRING")
def _substring(e: Expressions, arguments: Arguments) -> Sql:
    source, start, length = arguments
    value = e.value(source)
    if not (value.kind.is_string or value.kind.is_binary):
        raise SqlError(8116, f"Argument data type {value.kind.name} is invalid for argument 1 of substring function.")
    kind = value.kind
    wanted = e.value(length).constant
    if wanted is not None and (kind.length == MAX or int(wanted) < kind.length) and 0 < int(wanted) <= 4000:
        kind = replace(kind, length=int(wanted))
    kind = replace(kind, name={"nchar": "nvarchar", "char": "varchar", "binary": "varbinary"}.get(kind.name, kind.name))
    text = f"substr({value.text}, {int_of(e, start)}, {int_of(e, length)})"
    digits = None
    if value.hexadecimal and e.value(start).constant == "1" and kind.length <= 16:
        digits = f"left({value.hexadecimal}, {2 * kind.length})"
    return Sql(text, kind, explicit=value.explicit, ascii=value.ascii, hexadecimal=digits)


@function("LEFT")
def _left(e: Expressions, arguments: Arguments) -> Sql:
    source, length = arguments
    value = text_of(e, source)
    return Sql(f"left({value.text}, {int_of(e, length)})", value.kind, explicit=value.explicit)


@function("RIGHT")
def _right(e: Expressions, arguments: Arguments) -> Sql:
    source, length = arguments
    value = text_of(e, source)
    return Sql(f"right({value.text}, {int_of(e, length)})", value.kind, explicit=value.explicit)


@function("REPLACE")
def _replace(e: Expressions, arguments: Arguments) -> Sql:
    value, old, new = (text_of(e, argument) for argument in arguments)
    kind = nvarchar(MAX if value.kind.length == MAX else 4000) if value.kind.is_unicode else value.kind
    return Sql(f"replace({value.text}, {old.text}, {new.text})", replace(kind, collation=value.kind.collation))


@function("REPLICATE")
def _replicate(e: Expressions, arguments: Arguments) -> Sql:
    source, times = arguments
    value = text_of(e, source)
    limit = 4000 if value.kind.is_unicode else 8000
    text = f"repeat({value.text}, {int_of(e, times)})"
    if value.kind.length == MAX:
        return Sql(text, value.kind)
    return Sql(f"mssql.units_left({text}, {limit})", replace(value.kind, length=limit))


@function("CHARINDEX")
def _charindex(e: Expressions, arguments: Arguments) -> Sql:
    needle, hay = (text_of(e, argument) for argument in arguments)
    return Sql(f"strpos(lower({hay.text}), lower({needle.text}))", INT)


@function("CHAR")
def _char(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    code = e.value(argument).constant
    return Sql(
        f"chr({int_of(e, argument)})", SqlType("char", 1), ascii=bool(code and code.isdigit() and int(code) < 128)
    )


@function("NCHAR")
def _nchar(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    return Sql(f"chr({int_of(e, argument)})", SqlType("nchar", 1))


@function("UNICODE", "ASCII")
def _unicode(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    return Sql(f"ascii({text_of(e, argument).text})", INT)


@function("CONCAT")
def _concat(e: Expressions, arguments: Arguments) -> Sql:
    values = [text_of(e, argument) for argument in arguments]
    kind = concatenated_type(values)
    text = " || ".join(f"coalesce({value.text}, '')" for value in values)
    return _limited(f"({text})", kind, values)


@function("CONCAT_WS")
def _concat_ws(e: Expressions, arguments: Arguments) -> Sql:
    """NULLs are left out with their separator; the result is cut like any string that is not max."""
    if len(arguments) < 3:
        raise SqlError(189, "The concat_ws function requires 3 to 254 arguments.", 15)
    values = [text_of(e, argument) for argument in arguments]
    kind = concatenated_type(values)
    return _limited(f"concat_ws({', '.join(value.text for value in values)})", kind, values)


def _limited(text: str, kind: SqlType, values: list[Sql]) -> Sql:
    explicit = any(value.explicit for value in values)
    plain = all(value.ascii for value in values)
    if not kind.is_unicode and not kind.is_utf8 and not plain and any(value.kind.is_utf8 for value in values):
        text = f"mssql.cp1252({text})"
    limit = 4000 if kind.is_unicode else 8000
    if kind.length != MAX and sum(value.kind.length for value in values) * 2 > limit:
        text = f"mssql.units_left({text}, {limit})"
    return Sql(text, replace(kind, length=kind.length if kind.length == MAX else limit), explicit=explicit, ascii=plain)


@function("QUOTENAME")
def _quotename(e: Expressions, arguments: Arguments) -> Sql:
    value = text_of(e, arguments[0])
    quote = constant_of(e, arguments[1]) if len(arguments) > 1 else "["
    return Sql(f"mssql.quotename({value.text}, {literal(quote)})", nvarchar(258))


@function("HASHBYTES")
def _hashbytes(e: Expressions, arguments: Arguments) -> Sql:
    """The hash of the bytes SQL Server would see: UTF-8 or code page for varchar, UTF-16LE for nvarchar."""
    algorithm, source = arguments
    name = constant_of(e, algorithm).upper()
    value = e.value(source)
    if not (value.kind.is_string or value.kind.is_binary):
        raise SqlError(8116, f"Argument data type {value.kind.name} is invalid for argument 2 of hashbytes function.")
    data = value.text if value.kind.is_binary else string_bytes(value)
    if name == "MD5":
        if value.kind.is_string and not value.kind.is_unicode and (value.kind.is_utf8 or value.ascii):
            data = value.text
        return Sql(f"decode(md5({data}), 'hex')", varbinary(8000), hexadecimal=f"md5({data})")
    if name in ("SHA2_256", "SHA2_512"):
        return Sql(f"sha{name[-3:]}({data})", varbinary(8000))
    raise NotUnderstoodError(f"HASHBYTES algorithm {name}")
