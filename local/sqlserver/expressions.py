"""T-SQL expressions → PostgreSQL expressions with their T-SQL types.

Every kind of node is listed; a node or a part of one that is not listed is refused by name, never passed over.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from local.sqlserver.arithmetic import higher_type
from local.sqlserver.casts import Sql, cast, family
from local.sqlserver.collations import refuse_conflict
from local.sqlserver.context import Context
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.scope import Scope
from local.sqlserver.translated import Query


@dataclass(frozen=True, slots=True)
class Language:
    """What is understood: nodes that give a value, nodes that are conditions, functions by their upper-case name, and
    functions written without parentheses."""

    values: "Mapping[type[exp.Expression], Callable[[Expressions, exp.Expression], Sql]]"
    conditions: "Mapping[type[exp.Expression], Callable[[Expressions, exp.Expression], str]]"
    functions: "Mapping[str, Callable[[Expressions, list[exp.Expression]], Sql]]"
    niladic: "Mapping[str, Callable[[Expressions], Sql]]"


class Expressions:
    """Translates expressions of one query.

    Args:
        context: Variables and catalogue.
        scope: Names visible.
        subquery: Translates a nested query.
        language: What nodes and functions mean. This one and `subquery` are given by `local.sqlserver.queries`.
    """

    def __init__(
        self,
        context: Context,
        scope: Scope,
        subquery: Callable[[exp.Expression, Scope], Query],
        language: Language,
    ) -> None:
        self.context = context
        self.scope = scope
        self.subquery = subquery
        self.language = language
        self.grouped: dict[str, str] = {}
        self.in_aggregate = False

    def seeing(self, scope: Scope) -> "Expressions":
        """The same for another scope."""
        return Expressions(self.context, scope, self.subquery, self.language)

    # --- values ----------------------------------------------------------------------------------------------------

    def value(self, node: exp.Expression) -> Sql:
        """Translates an expression that gives a value."""
        handler = self.language.values.get(type(node))
        if handler is None:
            raise NotUnderstoodError(f"{type(node).__name__}: {node.sql(dialect='tsql')}")
        found = handler(self, node)
        if self.grouped and not self.in_aggregate and found.text in self.grouped:
            return replace(found, text=self.grouped[found.text])
        return found

    def call(self, name: str, arguments: list[exp.Expression], node: exp.Expression) -> Sql:
        """A function call."""
        handler = self.language.functions.get(name.upper())
        if handler is None:
            raise NotUnderstoodError(f"function {name.upper()}: {node.sql(dialect='tsql')}")
        try:
            return handler(self, arguments)
        except (IndexError, TypeError) as error:
            if isinstance(error, IndexError) or "argument" in str(error):
                raise SqlError(174, f"The {name.lower()} function has the wrong number of arguments.", 15) from error
            raise

    # --- order -----------------------------------------------------------------------------------------------------

    def ordering(self, node: exp.Expression) -> str:
        """One item of ORDER BY; NULL is the lowest value in SQL Server."""
        descending = bool(node.args.get("desc"))
        text = self.sort_key(self.value(node.this))
        return f"{text} DESC NULLS LAST" if descending else f"{text} ASC NULLS FIRST"

    def sort_key(self, value: Sql) -> str:
        """What stands for a value in ORDER BY, GROUP BY and comparisons."""
        if not value.kind.is_string:
            return value.text
        text = value.text
        if value.constant is None or value.constant != value.constant.rstrip(" "):
            text = f"rtrim({text})"
        return f"lower({text})" if ignores_case(value, self.context) else text

    # --- conditions ------------------------------------------------------------------------------------------------

    def predicate(self, node: exp.Expression) -> str:
        """Translates a condition."""
        handler = self.language.conditions.get(type(node))
        if handler is None:
            raise SqlError(
                4145,
                f"An expression of non-boolean type specified in a context where a condition is expected, near '{node.sql(dialect='tsql')}'.",
                15,
            )
        return handler(self, node)

    def comparison(self, left: Sql, operator: str, right: Sql) -> str:
        """Two values compared under SQL Server's rules of precedence and collation."""
        if "null" in (left.kind.name, right.kind.name):
            return f"(({left.text})::text {operator} ({right.text})::text)"
        if left.kind.is_string and right.kind.is_string:
            refuse_conflict(left, right, {"=": "equal to", "<>": "not equal to"}.get(operator, operator))
            winner = left if left.explicit or not right.explicit else right
            if winner.kind.collation is None and not winner.explicit:
                winner = next((side for side in (left, right) if side.kind.collation), winner)
            sides = [
                self.sort_key(replace(side, kind=side.kind.collated(winner.kind.collation))) for side in (left, right)
            ]
            return f"({sides[0]} {operator} {sides[1]})"
        if family(left.kind) != family(right.kind):
            best = higher_type(left, right, None)
            left, right = (side if family(side.kind) == family(best) else cast(side, best) for side in (left, right))
        return f"({left.text} {operator} {right.text})"


def ignores_case(value: Sql, context: Context) -> bool:
    """Whether a comparison of this string ignores case; without a collation the database's decides."""
    kind = value.kind
    if kind.collation is None:
        kind = kind.collated(context.session.get("collation"))
    return kind.ignores_case
