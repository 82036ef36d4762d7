"""Aggregates."""

from sqlglot import exp

from local.sqlserver.casts import Sql
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.expressions import Expressions
from local.sqlserver.functions.registry import FUNCTIONS, Arguments, Function, function
from local.sqlserver.sqltypes import (
    BIGINT,
    FLOAT,
    INT,
    SqlType,
    decimal,
)


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


@function("SUM")
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


@function("AVG")
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
