"""Functions of any value: conditions, numbers, identifiers."""

from local.sqlserver.casts import Sql, cast, common_type
from local.sqlserver.expressions import Expressions
from local.sqlserver.functions.registry import FUNCTIONS, Arguments, Function, function, int_of
from local.sqlserver.sqltypes import (
    UNIQUEIDENTIFIER,
    decimal,
)


@function("COALESCE")
def _coalesce(e: Expressions, arguments: Arguments) -> Sql:
    values = [e.value(argument) for argument in arguments]
    kind = common_type([value.kind for value in values])
    explicit = next((value for value in values if value.explicit), None)
    if explicit:
        kind = kind.collated(explicit.kind.collation)
    texts = ", ".join(cast(value, kind).text for value in values)
    plain = all(value.ascii for value in values)
    return Sql(f"coalesce({texts})", kind, explicit=explicit is not None, ascii=plain)


@function("ISNULL")
def _isnull(e: Expressions, arguments: Arguments) -> Sql:
    first, second = (e.value(argument) for argument in arguments)
    kind = second.kind if first.kind.name == "null" else first.kind
    return Sql(f"coalesce({first.text}, {cast(second, kind).text})", kind, explicit=first.explicit)


@function("NULLIF")
def _nullif(e: Expressions, arguments: Arguments) -> Sql:
    first, second = (e.value(argument) for argument in arguments)
    return Sql(f"(CASE WHEN {e.comparison(first, '=', second)} THEN NULL ELSE {first.text} END)", first.kind)


@function("IIF")
def _iif(e: Expressions, arguments: Arguments) -> Sql:
    condition, yes, no = arguments
    values = [e.value(yes), e.value(no)]
    kind = common_type([value.kind for value in values])
    texts = [cast(value, kind).text for value in values]
    return Sql(f"(CASE WHEN {e.predicate(condition)} THEN {texts[0]} ELSE {texts[1]} END)", kind)


@function("ABS")
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


@function("ROUND")
def _round(e: Expressions, arguments: Arguments) -> Sql:
    source, digits = arguments
    value = e.value(source)
    return Sql(f"(round(({value.text})::numeric, {int_of(e, digits)}))::{value.kind.pg}", value.kind)


@function("NEWID")
def _newid(e: Expressions, arguments: Arguments) -> Sql:
    return Sql("gen_random_uuid()", UNIQUEIDENTIFIER, False)
