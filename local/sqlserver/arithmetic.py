"""Arithmetic: the type of a result, and decimals as SQL Server rounds them."""

from sqlglot import exp

from local.sqlserver.casts import Sql, as_decimal, cast
from local.sqlserver.sqltypes import INT, PRECEDENCE, SqlType, decimal


def higher_type(left: Sql, right: Sql, node: exp.Expression | None) -> SqlType:
    """The type two values meet in, by precedence; with a `node` that is arithmetic, NULL counts as an int."""
    kinds = sorted((left.kind, right.kind), key=lambda kind: PRECEDENCE.index(kind.name))
    if node is not None and kinds[0].name == "null":
        return INT
    best = kinds[0]
    if best.name == "decimal":
        return as_decimal(best)
    return best


def decimal_arithmetic(left: Sql, right: Sql, operator: str) -> Sql:
    """Precision and scale of the result: learn.microsoft.com, "Precision, scale, and length (Transact-SQL)"."""
    sides = [
        side if side.kind.is_number else cast(side, as_decimal(higher_type(left, right, None)))
        for side in (left, right)
    ]
    a, b = (as_decimal(side.kind) for side in sides)
    if operator in "+-":
        scale = max(a.scale, b.scale)
        precision = max(a.precision - a.scale, b.precision - b.scale) + scale + 1
    elif operator == "*":
        scale, precision = a.scale + b.scale, a.precision + b.precision + 1
    elif operator == "/":
        scale = max(6, a.scale + b.precision + 1)
        precision = a.precision - a.scale + b.scale + scale
    else:
        scale = max(a.scale, b.scale)
        precision = min(a.precision - a.scale, b.precision - b.scale) + scale
    if precision > 38:
        whole = precision - scale
        scale = (
            max(min(scale, 38 - whole), min(scale, 6)) if operator in "*/" else max(0, min(scale, 38 - min(whole, 38)))
        )
        precision = 38
    kind = decimal(precision, scale)
    texts = [f"({side.text})::numeric" for side in sides]
    return Sql(f"({texts[0]} {operator} {texts[1]})::{kind.pg}", kind)
