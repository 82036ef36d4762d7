"""Functions of dates and times."""

from sqlglot import exp

from local.sqlserver.casts import Sql, cast
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.expressions import Expressions
from local.sqlserver.functions.registry import FUNCTIONS, Arguments, Function, function, int_of
from local.sqlserver.sqltypes import (
    BIGINT,
    DATETIME,
    INT,
    SqlType,
    datetime2,
)


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


@function("DATEADD")
def _dateadd(e: Expressions, arguments: Arguments) -> Sql:
    part, amount, source = arguments
    name, value = _part(part), _moment(e, source)
    unit = {"millisecond": "milliseconds", "microsecond": "microseconds", "quarter": "3 months"}.get(name, name)
    step = f"interval '{unit}'" if unit[0].isdigit() else f"interval '1 {unit}'"
    return Sql(f"({value.text} + {step} * {int_of(e, amount)})::{value.kind.pg}", value.kind)


@function("DATEPART")
def _datepart(e: Expressions, arguments: Arguments) -> Sql:
    part, source = arguments
    name, value = _part(part), _moment(e, source)
    if name in ("millisecond", "microsecond"):
        size = 1000 if name == "millisecond" else 1
        return Sql(f"((extract(microseconds FROM {value.text})::int8 % 1000000) / {size})::int4", INT)
    return Sql(f"(floor(extract({name} FROM {value.text})))::int4", INT)


def _datepart_of(part: str) -> Function:
    def datepart(e: Expressions, arguments: Arguments) -> Sql:
        return _datepart(e, [exp.Var(this=part), *arguments])

    return datepart


for _name in ("YEAR", "MONTH", "DAY"):
    FUNCTIONS[_name] = _datepart_of(_name)
