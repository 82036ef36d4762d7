"""The table of T-SQL's built-in functions, and how they read their arguments."""

from collections.abc import Callable

from sqlglot import exp

from local.sqlserver.casts import Sql, cast, string_of
from local.sqlserver.errors import NotUnderstoodError
from local.sqlserver.expressions import Expressions
from local.sqlserver.sqltypes import (
    INT,
)

Arguments = list[exp.Expression]
Function = Callable[[Expressions, Arguments], Sql]

FUNCTIONS: dict[str, Function] = {}


def function(*names: str) -> Callable[[Function], Function]:
    """Registers a function under its T-SQL names."""

    def register(implementation: Function) -> Function:
        for name in names:
            FUNCTIONS[name] = implementation
        return implementation

    return register


def constant_of(e: Expressions, node: exp.Expression) -> str:
    """The text of an argument that has to be a literal."""
    value = e.value(node)
    if value.constant is None:
        raise NotUnderstoodError(f"an argument that has to be a literal here: {node.sql(dialect='tsql')}")
    return value.constant


def text_of(e: Expressions, node: exp.Expression) -> Sql:
    """An argument as a string."""
    return string_of(e.value(node))


def int_of(e: Expressions, node: exp.Expression) -> str:
    """An argument as an int, in PostgreSQL's words."""
    return cast(e.value(node), INT).text
