"""What SET has set, and where a session stands in its transaction."""

from dataclasses import dataclass, field

from local.sqlserver.errors import SqlError
from local.sqlserver.scope import Column, Table


@dataclass(frozen=True, slots=True)
class BulkTarget:
    """What INSERT BULK announced."""

    table: Table
    columns: list[Column]
    options: frozenset[str]


@dataclass
class Settings:
    """What SET has set."""

    xact_abort: bool = False
    fmtonly: bool = False
    lock_timeout: int = -1
    isolation: str = "READ COMMITTED"


@dataclass
class State:
    """What @@ variables tell, the transaction, and the bulk load that was announced."""

    trancount: int = 0
    descriptor: int = 0
    doomed: bool = False
    rowcount: int = 0
    error: int = 0
    caught: SqlError | None = None
    savepoints: list[str] = field(default_factory=list)
    error_ends_session: bool = False
    bulk: BulkTarget | None = None
