"""What a statement is translated in: its variables, the tables there are, what its session tells."""

from collections.abc import Callable
from dataclasses import dataclass, field

from local.sqlserver.casts import Sql
from local.sqlserver.errors import SqlError
from local.sqlserver.scope import Catalogue
from local.sqlserver.sqltypes import SqlType


@dataclass(slots=True)
class Variable:
    """A T-SQL variable or parameter; `value` in PostgreSQL's text format, raw bytes for binary types."""

    kind: SqlType
    value: bytes | None = None


@dataclass
class Context:
    """What a statement is translated in.

    `used` collects the variables that became `$1`, `$2`, … in that order. `globals` gives @@ROWCOUNT and the like.
    """

    catalogue: Catalogue
    variables: dict[str, Variable]
    globals: dict[str, Callable[[], Sql]] = field(default_factory=dict)
    session: dict[str, str] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)

    def parameter(self, name: str) -> Sql:
        """A variable as a parameter of the PostgreSQL statement.

        Raises:
            SqlError: 137 when it is not declared.
        """
        key = name.lower()
        if key not in self.variables:
            raise SqlError(137, f'Must declare the scalar variable "@{name}".', 15)
        if key not in self.used:
            self.used.append(key)
        return Sql(f"${self.used.index(key) + 1}", self.variables[key].kind)
