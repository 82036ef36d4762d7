"""T-SQL conditions → PostgreSQL conditions."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from local.sqlserver.casts import Sql, string_of
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.expressions import Expressions, ignores_case
from local.sqlserver.parsing import only
from local.sqlserver.store import literal

_COMPARISONS: dict[type[exp.Expression], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
PREDICATES = (*_COMPARISONS, exp.And, exp.Or, exp.Not, exp.Is, exp.In, exp.Between, exp.Like, exp.Exists)


def _and(e: Expressions, node: exp.Expression) -> str:
    return f"({e.predicate(node.this)} AND {e.predicate(node.expression)})"


def _or(e: Expressions, node: exp.Expression) -> str:
    return f"({e.predicate(node.this)} OR {e.predicate(node.expression)})"


def _not(e: Expressions, node: exp.Expression) -> str:
    return f"(NOT {e.predicate(node.this)})"


def _condition_paren(e: Expressions, node: exp.Expression) -> str:
    return f"({e.predicate(node.this)})"


def _is(e: Expressions, node: exp.Expression) -> str:
    if not isinstance(node.expression, exp.Null):
        raise NotUnderstoodError(node.sql(dialect="tsql"))
    return f"({e.value(node.this).text} IS NULL)"


def _in(e: Expressions, node: exp.Expression) -> str:
    only(node, "this", "expressions", "query")
    left = e.value(node.this)
    if node.args.get("query") is not None:
        query = e.subquery(node.args["query"].this, e.scope)
        if len(query.columns) != 1:
            raise SqlError(
                116,
                "Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.",
            )
        column = query.columns[0]
        test = e.comparison(left, "=", Sql("found.c1", column.kind))
        return f"EXISTS (SELECT FROM ({query.sql}) AS found (c1) WHERE {test})"
    return "(" + " OR ".join(e.comparison(left, "=", e.value(item)) for item in node.expressions) + ")"


def _between(e: Expressions, node: exp.Expression) -> str:
    only(node, "this", "low", "high")
    value = e.value(node.this)
    low = e.comparison(value, ">=", e.value(node.args["low"]))
    return f"({low} AND {e.comparison(value, '<=', e.value(node.args['high']))})"


def _like(e: Expressions, node: exp.Expression) -> str:
    escape = ""
    inner = node
    if isinstance(node, exp.Escape):
        inner = node.this
        escape = e.value(node.expression).constant or ""
    if not isinstance(inner, exp.Like):
        raise NotUnderstoodError(node.sql(dialect="tsql"))
    value, pattern = e.value(inner.this), e.value(inner.expression)
    if pattern.constant is None or "[" in pattern.constant or "\\" in pattern.constant.replace(escape or "\\\\", ""):
        raise NotUnderstoodError(f"a pattern that is no literal, or has [ or \\: {node.sql(dialect='tsql')}")
    word = "ILIKE" if ignores_case(value, e.context) else "LIKE"
    return f"({string_of(value).text} {word} {pattern.text} ESCAPE {literal(escape)})"


def _exists(e: Expressions, node: exp.Expression) -> str:
    query = e.subquery(node.this, e.scope)
    return f"EXISTS ({query.sql})"


def _compared(e: Expressions, node: exp.Expression) -> str:
    return e.comparison(e.value(node.this), _COMPARISONS[type(node)], e.value(node.expression))


CONDITIONS: dict[type[exp.Expression], Callable[[Expressions, exp.Expression], str]] = {
    exp.And: _and,
    exp.Or: _or,
    exp.Not: _not,
    exp.Paren: _condition_paren,
    exp.Is: _is,
    exp.In: _in,
    exp.Between: _between,
    exp.Like: _like,
    exp.Escape: _like,
    exp.Exists: _exists,
}

CONDITIONS.update(dict.fromkeys(_COMPARISONS, _compared))
