"""What a translation gives: PostgreSQL's text, and the columns of its result with their T-SQL types."""

from dataclasses import dataclass, field

from local.sqlserver.sqltypes import SqlType


@dataclass(frozen=True, slots=True)
class Output:
    """A column of a result."""

    name: str
    kind: SqlType
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """A translated query: PostgreSQL text and the columns it gives, named c1, c2, … there."""

    sql: str
    columns: list[Output]
    assigned: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Statement:
    """A translated statement.

    `columns` is None for statements without a result set. `assigned` names the variables that take the columns of the
    last row instead of a result set. `used` are the variables behind `$1`, `$2`, …
    """

    verb: str
    sql: str
    used: list[str]
    columns: list[Output] | None = None
    assigned: list[str] = field(default_factory=list)
    table: str = ""
