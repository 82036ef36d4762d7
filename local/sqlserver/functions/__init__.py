"""T-SQL's built-in functions, each as a PostgreSQL expression with its T-SQL type."""

from collections.abc import Callable

from local.sqlserver.casts import Sql
from local.sqlserver.expressions import Expressions
from local.sqlserver.functions import aggregates, moments, serverinfo, strings, values
from local.sqlserver.functions.registry import FUNCTIONS

__all__ = ["FUNCTIONS", "MODULES", "NILADIC"]

MODULES = (aggregates, moments, serverinfo, strings, values)

# Functions written without parentheses.
NILADIC: dict[str, Callable[[Expressions], Sql]] = {
    "CURRENT_TIMESTAMP": lambda e: FUNCTIONS["GETDATE"](e, []),
    "CURRENT_USER": lambda e: FUNCTIONS["USER_NAME"](e, []),
    "SESSION_USER": lambda e: FUNCTIONS["USER_NAME"](e, []),
    "SYSTEM_USER": lambda e: FUNCTIONS["SUSER_SNAME"](e, []),
    "USER": lambda e: FUNCTIONS["USER_NAME"](e, []),
}
