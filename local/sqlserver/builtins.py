"""T-SQL's built-in functions, each as a PostgreSQL expression with its T-SQL type."""

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from local.sqlserver.collations import PATTERN
from local.sqlserver.casts import Sql, cast, common_type, string_bytes, string_of
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.expressions import Expressions, concatenated_type
from local.sqlserver.sqltypes import (
    BIGINT,
    DATETIME,
    FLOAT,
    INT,
    MAX,
    SYSNAME,
    UNIQUEIDENTIFIER,
    SqlType,
    datetime2,
    decimal,
    fixed_size,
    nvarchar,
    varbinary,
)
from local.sqlserver.store import literal

Arguments = list[exp.Expression]
Function = Callable[[Expressions, Arguments], Sql]

FUNCTIONS: dict[str, Function] = {}


def _function(*names: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        for name in names:
            FUNCTIONS[name] = function
        return function

    return register


def _constant(e: Expressions, node: exp.Expression) -> str:
    value = e.value(node)
    if value.constant is None:
        raise NotUnderstoodError(f"an argument that has to be a literal here: {node.sql(dialect='tsql')}")
    return value.constant


def _text(e: Expressions, node: exp.Expression) -> Sql:
    return string_of(e.value(node))


def _int(e: Expressions, node: exp.Expression) -> str:
    return cast(e.value(node), INT).text


# --- aggregates ------------------------------------------------------------------------------------------------------


def _aggregated(e: Expressions, node: exp.Expression) -> tuple[Sql, str]:
    """The argument of an aggregate, and DISTINCT or nothing."""
    distinct = ""
    if isinstance(node, exp.Distinct):
        if len(node.expressions) != 1 or node.args.get("on"):
            raise NotUnderstoodError(node.sql(dialect="tsql"))
        distinct, node = "DISTINCT ", node.expressions[0]
    inside, e.in_aggregate = e.in_aggregate, True
    try:
        return e.value(node), distinct
    finally:
        e.in_aggregate = inside


def _count(kind: SqlType) -> Function:
    def count(e: Expressions, arguments: Arguments) -> Sql:
        (argument,) = arguments
        if isinstance(argument, exp.Star):
            return _counted("count(*)", kind)
        value, distinct = _aggregated(e, argument)
        text = e.sort_key(value) if distinct else value.text
        return _counted(f"count({distinct}{text})", kind)

    return count


def _counted(text: str, kind: SqlType) -> Sql:
    return Sql(text if kind is BIGINT else f"({text})::int4", kind)


FUNCTIONS["COUNT"] = _count(INT)
FUNCTIONS["COUNT_BIG"] = _count(BIGINT)


@_function("SUM")
def _sum(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    value, distinct = _aggregated(e, argument)
    kind = value.kind
    if not kind.is_number or kind.name == "bit":
        raise SqlError(8117, f"Operand data type {kind.name} is invalid for sum operator.")
    if kind.is_integer:
        result = BIGINT if kind.name == "bigint" else INT
    elif kind.name == "decimal":
        result = decimal(38, kind.scale)
    else:
        result = FLOAT if kind.name in ("float", "real") else kind
    return Sql(f"(sum({distinct}{value.text}))::{result.pg}", result)


@_function("AVG")
def _avg(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    value, distinct = _aggregated(e, argument)
    if not value.kind.is_number:
        raise SqlError(8117, f"Operand data type {value.kind.name} is invalid for avg operator.")
    if value.kind.is_integer:
        result = BIGINT if value.kind.name == "bigint" else INT
        return Sql(f"(trunc(avg({distinct}{value.text})))::{result.pg}", result)
    result = decimal(38, max(6, value.kind.scale)) if value.kind.name == "decimal" else FLOAT
    return Sql(f"(avg({distinct}{value.text}))::{result.pg}", result)


def _extreme(name: str) -> Function:
    def extreme(e: Expressions, arguments: Arguments) -> Sql:
        (argument,) = arguments
        value, _ = _aggregated(e, argument)
        if value.kind.name == "bit":
            raise SqlError(8117, f"Operand data type bit is invalid for {name} operator.")
        if value.kind.is_binary or value.kind.name == "uniqueidentifier":
            raise NotUnderstoodError(f"{name} of {value.kind.name}")
        return Sql(f"{name}({value.text})", value.kind)

    return extreme


FUNCTIONS["MIN"] = _extreme("min")
FUNCTIONS["MAX"] = _extreme("max")


# --- strings ---------------------------------------------------------------------------------------------------------


@_function("LEN")
def _len(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    value = _text(e, argument)
    kind = BIGINT if value.kind.length == MAX else INT
    count = "mssql.units" if value.kind.is_unicode else "char_length"
    return Sql(f"({count}(rtrim({value.text}, ' ')))::{kind.pg}", kind)


@_function("DATALENGTH")
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
        value = _text(e, argument)
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


@_function("SUBSTRING")
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
    text = f"substr({value.text}, {_int(e, start)}, {_int(e, length)})"
    digits = None
    if value.hexadecimal and e.value(start).constant == "1" and kind.length <= 16:
        digits = f"left({value.hexadecimal}, {2 * kind.length})"
    return Sql(text, kind, explicit=value.explicit, ascii=value.ascii, hexadecimal=digits)


@_function("LEFT")
def _left(e: Expressions, arguments: Arguments) -> Sql:
    source, length = arguments
    value = _text(e, source)
    return Sql(f"left({value.text}, {_int(e, length)})", value.kind, explicit=value.explicit)


@_function("RIGHT")
def _right(e: Expressions, arguments: Arguments) -> Sql:
    source, length = arguments
    value = _text(e, source)
    return Sql(f"right({value.text}, {_int(e, length)})", value.kind, explicit=value.explicit)


@_function("REPLACE")
def _replace(e: Expressions, arguments: Arguments) -> Sql:
    value, old, new = (_text(e, argument) for argument in arguments)
    kind = nvarchar(MAX if value.kind.length == MAX else 4000) if value.kind.is_unicode else value.kind
    return Sql(f"replace({value.text}, {old.text}, {new.text})", replace(kind, collation=value.kind.collation))


@_function("REPLICATE")
def _replicate(e: Expressions, arguments: Arguments) -> Sql:
    source, times = arguments
    value = _text(e, source)
    limit = 4000 if value.kind.is_unicode else 8000
    text = f"repeat({value.text}, {_int(e, times)})"
    if value.kind.length == MAX:
        return Sql(text, value.kind)
    return Sql(f"mssql.units_left({text}, {limit})", replace(value.kind, length=limit))


@_function("CHARINDEX")
def _charindex(e: Expressions, arguments: Arguments) -> Sql:
    needle, hay = (_text(e, argument) for argument in arguments)
    return Sql(f"strpos(lower({hay.text}), lower({needle.text}))", INT)


@_function("CHAR")
def _char(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    code = e.value(argument).constant
    return Sql(f"chr({_int(e, argument)})", SqlType("char", 1), ascii=bool(code and code.isdigit() and int(code) < 128))


@_function("NCHAR")
def _nchar(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    return Sql(f"chr({_int(e, argument)})", SqlType("nchar", 1))


@_function("UNICODE", "ASCII")
def _unicode(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    return Sql(f"ascii({_text(e, argument).text})", INT)


@_function("CONCAT")
def _concat(e: Expressions, arguments: Arguments) -> Sql:
    values = [_text(e, argument) for argument in arguments]
    kind = concatenated_type(values)
    text = " || ".join(f"coalesce({value.text}, '')" for value in values)
    return _limited(f"({text})", kind, values)


@_function("CONCAT_WS")
def _concat_ws(e: Expressions, arguments: Arguments) -> Sql:
    """NULLs are left out with their separator; the result is cut like any string that is not max."""
    if len(arguments) < 3:
        raise SqlError(189, "The concat_ws function requires 3 to 254 arguments.", 15)
    values = [_text(e, argument) for argument in arguments]
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


@_function("QUOTENAME")
def _quotename(e: Expressions, arguments: Arguments) -> Sql:
    value = _text(e, arguments[0])
    quote = _constant(e, arguments[1]) if len(arguments) > 1 else "["
    return Sql(f"mssql.quotename({value.text}, {literal(quote)})", nvarchar(258))


@_function("HASHBYTES")
def _hashbytes(e: Expressions, arguments: Arguments) -> Sql:
    """The hash of the bytes SQL Server would see: UTF-8 or code page for varchar, UTF-16LE for nvarchar."""
    algorithm, source = arguments
    name = _constant(e, algorithm).upper()
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


# --- values ----------------------------------------------------------------------------------------------------------


@_function("COALESCE")
def _coalesce(e: Expressions, arguments: Arguments) -> Sql:
    values = [e.value(argument) for argument in arguments]
    kind = common_type([value.kind for value in values])
    explicit = next((value for value in values if value.explicit), None)
    if explicit:
        kind = kind.collated(explicit.kind.collation)
    texts = ", ".join(cast(value, kind).text for value in values)
    plain = all(value.ascii for value in values)
    return Sql(f"coalesce({texts})", kind, explicit=explicit is not None, ascii=plain)


@_function("ISNULL")
def _isnull(e: Expressions, arguments: Arguments) -> Sql:
    first, second = (e.value(argument) for argument in arguments)
    kind = second.kind if first.kind.name == "null" else first.kind
    return Sql(f"coalesce({first.text}, {cast(second, kind).text})", kind, explicit=first.explicit)


@_function("NULLIF")
def _nullif(e: Expressions, arguments: Arguments) -> Sql:
    first, second = (e.value(argument) for argument in arguments)
    return Sql(f"(CASE WHEN {e.comparison(first, '=', second)} THEN NULL ELSE {first.text} END)", first.kind)


@_function("IIF")
def _iif(e: Expressions, arguments: Arguments) -> Sql:
    condition, yes, no = arguments
    values = [e.value(yes), e.value(no)]
    kind = common_type([value.kind for value in values])
    texts = [cast(value, kind).text for value in values]
    return Sql(f"(CASE WHEN {e.predicate(condition)} THEN {texts[0]} ELSE {texts[1]} END)", kind)


@_function("ABS")
def _abs(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    value = e.value(argument)
    return Sql(f"abs({value.text})", value.kind)


def _rounded(name: str) -> Function:
    def rounded(e: Expressions, arguments: Arguments) -> Sql:
        (argument,) = arguments
        value = e.value(argument)
        kind = decimal(value.kind.precision, 0) if value.kind.name == "decimal" else value.kind
        return Sql(f"{name}({value.text})::{kind.pg}", kind)

    return rounded


FUNCTIONS["FLOOR"] = _rounded("floor")
FUNCTIONS["CEILING"] = _rounded("ceil")


@_function("ROUND")
def _round(e: Expressions, arguments: Arguments) -> Sql:
    source, digits = arguments
    value = e.value(source)
    return Sql(f"(round(({value.text})::numeric, {_int(e, digits)}))::{value.kind.pg}", value.kind)


@_function("NEWID")
def _newid(e: Expressions, arguments: Arguments) -> Sql:
    return Sql("gen_random_uuid()", UNIQUEIDENTIFIER, False)


# --- dates -----------------------------------------------------------------------------------------------------------


def _now(kind: SqlType) -> Function:
    def now(e: Expressions, arguments: Arguments) -> Sql:
        if arguments:
            raise SqlError(174, "The function requires 0 arguments.", 15)
        return cast(Sql("(statement_timestamp() AT TIME ZONE 'UTC')", datetime2(6), False), kind)

    return now


FUNCTIONS["SYSUTCDATETIME"] = FUNCTIONS["SYSDATETIME"] = _now(datetime2(7))
FUNCTIONS["GETUTCDATE"] = FUNCTIONS["GETDATE"] = _now(DATETIME)

_PARTS = {
    "year": "year", "yy": "year", "yyyy": "year", "quarter": "quarter", "qq": "quarter", "q": "quarter",
    "month": "month", "mm": "month", "m": "month", "day": "day", "dd": "day", "d": "day",
    "hour": "hour", "hh": "hour", "minute": "minute", "mi": "minute", "n": "minute", "second": "second", "ss": "second",
    "s": "second", "millisecond": "millisecond", "ms": "millisecond", "microsecond": "microsecond", "mcs": "microsecond",
}  # fmt: skip


def _part(node: exp.Expression) -> str:
    name = node.name.lower()
    if not isinstance(node, (exp.Column, exp.Var)) or name not in _PARTS:
        raise NotUnderstoodError(f"date part {node.sql(dialect='tsql')}")
    return _PARTS[name]


def _moment(e: Expressions, node: exp.Expression) -> Sql:
    value = e.value(node)
    return value if value.kind.is_moment else cast(value, datetime2(7))


def _boundaries(part: str, first: str, last: str) -> str:
    """Boundaries crossed between two moments. Written out: a function of our own costs a call a row (measured: 100 µs)."""
    per_second = {
        "microsecond": "* 1000000",
        "millisecond": "* 1000",
        "second": "* 1",
        "minute": "/ 60",
        "hour": "/ 3600",
    }
    if part == "day":
        return f"({last})::date - ({first})::date"
    if part in per_second:
        ends = [f"floor(extract(epoch FROM {moment}) {per_second[part]})" for moment in (last, first)]
        return f"{ends[0]} - {ends[1]}"
    months = {"month": 1, "quarter": 3, "year": 12}[part]
    ends = [
        f"floor((extract(year FROM {moment}) * 12 + extract(month FROM {moment}) - 1) / {months})"
        for moment in (last, first)
    ]
    return f"{ends[0]} - {ends[1]}"


def _datediff(kind: SqlType) -> Function:
    def datediff(e: Expressions, arguments: Arguments) -> Sql:
        part, start, end = arguments
        first, last = (f"({_moment(e, node).text})::timestamp" for node in (start, end))
        return Sql(f"({_boundaries(_part(part), first, last)})::{kind.pg}", kind)

    return datediff


FUNCTIONS["DATEDIFF"] = _datediff(INT)
FUNCTIONS["DATEDIFF_BIG"] = _datediff(BIGINT)


@_function("DATEADD")
def _dateadd(e: Expressions, arguments: Arguments) -> Sql:
    part, amount, source = arguments
    name, value = _part(part), _moment(e, source)
    unit = {"millisecond": "milliseconds", "microsecond": "microseconds", "quarter": "3 months"}.get(name, name)
    step = f"interval '{unit}'" if unit[0].isdigit() else f"interval '1 {unit}'"
    return Sql(f"({value.text} + {step} * {_int(e, amount)})::{value.kind.pg}", value.kind)


@_function("DATEPART")
def _datepart(e: Expressions, arguments: Arguments) -> Sql:
    part, source = arguments
    name, value = _part(part), _moment(e, source)
    if name in ("millisecond", "microsecond"):
        size = 1000 if name == "millisecond" else 1
        return Sql(f"((extract(microseconds FROM {value.text})::int8 % 1000000) / {size})::int4", INT)
    return Sql(f"(floor(extract({name} FROM {value.text})))::int4", INT)


for _name in ("YEAR", "MONTH", "DAY"):
    FUNCTIONS[_name] = lambda e, arguments, part=_name: _datepart(e, [exp.Var(this=part), *arguments])


# --- the server, the database, the session ---------------------------------------------------------------------------

SERVER_PROPERTIES = {
    "engineedition": "3",
    "edition": "mxferry SQL Server stand-in",
    "productversion": "16.0.1000.6",
    "productlevel": "RTM",
    "productmajorversion": "16",
    "collation": "SQL_Latin1_General_CP1_CI_AS",
    "servername": "mxferry-sqlserver-stand-in",
    "machinename": "mxferry-sqlserver-stand-in",
    "isintegratedsecurityonly": "0",
}


@_function("SERVERPROPERTY")
def _serverproperty(e: Expressions, arguments: Arguments) -> Sql:
    """sql_variant in SQL Server; nvarchar(128) here. A property SQL Server does not know is NULL, here it is refused."""
    (argument,) = arguments
    name = _constant(e, argument)
    if name.lower() not in SERVER_PROPERTIES:
        raise NotUnderstoodError(f"SERVERPROPERTY('{name}')")
    return Sql(f"{literal(SERVER_PROPERTIES[name.lower()])}::text", nvarchar(128))


@_function("DATABASEPROPERTYEX")
def _databasepropertyex(e: Expressions, arguments: Arguments) -> Sql:
    database, wanted = arguments
    name = _constant(e, wanted)
    columns = {
        "collation": "collation_name",
        "status": "'ONLINE'",
        "updateability": "'READ_WRITE'",
        "recovery": "'FULL'",
        "isreadcommittedsnapshoton": "rcsi::int::text",
        "edition": "'mxferry SQL Server stand-in'",
    }
    if name.lower() not in columns:
        raise NotUnderstoodError(f"DATABASEPROPERTYEX('{name}')")
    where = f"lower(name) = lower({_text(e, database).text})"
    return Sql(f"(SELECT {columns[name.lower()]} FROM mssql.databases WHERE {where})", nvarchar(128))


@_function("DB_NAME")
def _db_name(e: Expressions, arguments: Arguments) -> Sql:
    if arguments:
        return Sql(f"(SELECT name FROM mssql.databases WHERE database_id = {_int(e, arguments[0])})", SYSNAME)
    return Sql("mssql.db_name()", SYSNAME)


@_function("DB_ID")
def _db_id(e: Expressions, arguments: Arguments) -> Sql:
    name = _text(e, arguments[0]).text if arguments else "mssql.db_name()"
    return Sql(f"mssql.db_id({name})", INT)


@_function("OBJECT_ID")
def _object_id(e: Expressions, arguments: Arguments) -> Sql:
    kind = _text(e, arguments[1]).text if len(arguments) > 1 else "NULL"
    return Sql(f"mssql.object_id({_text(e, arguments[0]).text}, {kind})", INT)


@_function("OBJECT_NAME")
def _object_name(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    return Sql(f"(SELECT name FROM sys.objects AS o WHERE o.object_id = {_int(e, argument)})", SYSNAME)


@_function("SCHEMA_NAME")
def _schema_name(e: Expressions, arguments: Arguments) -> Sql:
    if not arguments:
        return Sql("'dbo'::text", SYSNAME)
    return Sql(f"(SELECT name FROM sys.schemas AS s WHERE s.schema_id = {_int(e, arguments[0])})", SYSNAME)


@_function("SCHEMA_ID")
def _schema_id(e: Expressions, arguments: Arguments) -> Sql:
    if not arguments:
        return Sql("1::int4", INT)
    return Sql(
        f"(SELECT schema_id FROM sys.schemas AS s WHERE lower(s.name) = lower({_text(e, arguments[0]).text}))", INT
    )


@_function("TYPE_NAME")
def _type_name(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    return Sql(f"(SELECT name FROM mssql.types AS t WHERE t.user_type_id = {_int(e, argument)})", SYSNAME)


@_function("COL_LENGTH")
def _col_length(e: Expressions, arguments: Arguments) -> Sql:
    table, column = (_text(e, argument).text for argument in arguments)
    where = f"c.object_id = mssql.object_id({table}, 'U') AND lower(c.name) = lower({column})"
    return Sql(f"(SELECT c.max_length FROM sys.columns AS c WHERE {where})", SqlType("smallint"))


_PERMISSIONS = frozenset(
    [
        "any", "alter", "alter any schema", "connect", "control", "control server", "create database", "create function",
        "create procedure", "create schema", "create table", "create type", "create view", "delete", "execute", "insert",
        "references", "select", "update", "view any definition", "view database performance state",
        "view database state", "view definition", "view server state",
    ]
)  # fmt: skip


@_function("HAS_PERMS_BY_NAME")
def _has_perms(e: Expressions, arguments: Arguments) -> Sql:
    """The stand-in's one login may do everything; a permission it has never heard of is NULL, as in SQL Server."""
    securable, kind, permission = arguments[:3]
    what = e.value(kind)
    asked = f"lower({_text(e, permission).text})"
    if what.constant and what.constant.upper() == "OBJECT":
        return Sql(f"(CASE WHEN mssql.object_id({_text(e, securable).text}, NULL) IS NOT NULL THEN 1 END)::int4", INT)
    known = ", ".join(literal(name) for name in sorted(_PERMISSIONS))
    return Sql(f"(CASE WHEN {asked} IN ({known}) THEN 1 END)::int4", INT)


@_function("COLLATIONPROPERTY")
def _collationproperty(e: Expressions, arguments: Arguments) -> Sql:
    collation, wanted = arguments
    if _constant(e, wanted).lower() != "codepage":
        raise NotUnderstoodError(f"COLLATIONPROPERTY {wanted.sql(dialect='tsql')}")
    name = _text(e, collation).text
    return Sql(
        f"(CASE WHEN {name} ~* {literal(PATTERN)} THEN CASE WHEN {name} ~* '_UTF8$' THEN 65001 ELSE 1252 END END)::int4",
        INT,
    )


@_function("IS_ROLEMEMBER", "IS_SRVROLEMEMBER", "IS_MEMBER")
def _is_rolemember(e: Expressions, arguments: Arguments) -> Sql:
    """The one login is db_owner and sysadmin, and nothing else."""
    role = f"lower({_text(e, arguments[0]).text})"
    roles = "'db_owner', 'sysadmin', 'public'"
    others = "'db_ddladmin', 'db_datareader', 'db_datawriter', 'db_securityadmin', 'db_accessadmin', 'serveradmin', 'dbcreator'"
    return Sql(f"(CASE WHEN {role} IN ({roles}) THEN 1 WHEN {role} IN ({others}) THEN 0 END)::int4", INT)


def _told(key: str, kind: SqlType) -> Function:
    def told(e: Expressions, arguments: Arguments) -> Sql:
        return Sql(f"{literal(e.context.session[key])}::text", kind)

    return told


for _name, _key in {
    "SUSER_SNAME": "login", "SUSER_NAME": "login", "ORIGINAL_LOGIN": "login", "USER_NAME": "user", "HOST_NAME": "host",
    "APP_NAME": "program", "PROGRAM_NAME": "program",
}.items():  # fmt: skip
    FUNCTIONS[_name] = _told(_key, nvarchar(128))


@_function("XACT_STATE")
def _xact_state(e: Expressions, arguments: Arguments) -> Sql:
    return replace(e.context.globals["XACT_STATE"](), kind=SqlType("smallint"))


for _name in ("ERROR_NUMBER", "ERROR_MESSAGE", "ERROR_SEVERITY", "ERROR_STATE", "SCOPE_IDENTITY"):
    FUNCTIONS[_name] = lambda e, arguments, name=_name: e.context.globals[name]()


# Functions written without parentheses.
NILADIC: dict[str, Callable[[Expressions], Sql]] = {
    "CURRENT_TIMESTAMP": lambda e: FUNCTIONS["GETDATE"](e, []),
    "CURRENT_USER": lambda e: FUNCTIONS["USER_NAME"](e, []),
    "SESSION_USER": lambda e: FUNCTIONS["USER_NAME"](e, []),
    "SYSTEM_USER": lambda e: FUNCTIONS["SUSER_SNAME"](e, []),
    "USER": lambda e: FUNCTIONS["USER_NAME"](e, []),
}
