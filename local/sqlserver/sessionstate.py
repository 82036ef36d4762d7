"""What SET has set, and where a session stands in its transaction."""

from dataclasses import dataclass, field

from local.sqlserver.errors import SqlError


@dataclass
class Settings:
    """What SET has set."""

    xact_abort: bool = False
    fmtonly: bool = False
    noexec: bool = False
    lock_timeout: int = -1
    isolation: str = "READ COMMITTED"
    implicit_transactions: bool = False


@dataclass
class State:
    """What @@ variables tell, and the transaction."""

    trancount: int = 0
    descriptor: int = 0
    doomed: bool = False
    rowcount: int = 0
    error: int = 0
    caught: SqlError | None = None
    savepoints: list[str] = field(default_factory=list)
    error_ends_session: bool = False
