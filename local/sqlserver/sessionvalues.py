"""What a statement can ask of its session: @@ROWCOUNT and the like, XACT_STATE(), ERROR_NUMBER()."""

from collections.abc import Callable

from local.sqlserver import tokens
from local.sqlserver.casts import Sql
from local.sqlserver.sessionstate import Settings, State
from local.sqlserver.sqltypes import INT, SMALLINT, SqlType, decimal, nvarchar
from local.sqlserver.store import literal

VERSION = "Microsoft SQL Server 2022 - 16.0.1000.6 (mxferry SQL Server stand-in over PostgreSQL)"

DISCARDS = " - DISCARDS BULK ROWS: they are counted, none is stored"


def session_values(settings: Settings, state: State, told: dict[str, str]) -> dict[str, Callable[[], Sql]]:
    """Each by its name, as a constant of the statement that asks."""

    def number(value: int | None, kind: SqlType = INT) -> Callable[[], Sql]:
        if value is None:
            return lambda: Sql(f"NULL::{kind.pg}", kind)
        return lambda: Sql(f"{value}::{kind.pg}", kind, False)

    def text(value: str | None, length: int) -> Callable[[], Sql]:
        shown = "NULL" if value is None else literal(value)
        return lambda: Sql(f"{shown}::text", nvarchar(length))

    caught = state.caught
    return {
        "TRANCOUNT": number(state.trancount),
        "ROWCOUNT": number(state.rowcount),
        "ERROR": number(state.error),
        "SPID": number(int(told["session"]), SMALLINT),
        "LOCK_TIMEOUT": number(settings.lock_timeout),
        "VERSION": text(VERSION + (DISCARDS if told.get("discard") else ""), 300),
        "SERVERNAME": text(tokens.SERVER_NAME, 128),
        "MICROSOFTVERSION": number(0x10000000 + 1000),
        "MAX_PRECISION": number(38),
        "IDENTITY": lambda: Sql("NULL::numeric", decimal(38, 0)),
        "SCOPE_IDENTITY": lambda: Sql("NULL::numeric", decimal(38, 0)),
        "XACT_STATE": number(-1 if state.doomed else 1 if state.trancount else 0),
        "ERROR_NUMBER": number(caught.number if caught else None),
        "ERROR_SEVERITY": number(caught.severity if caught else None),
        "ERROR_STATE": number(caught.state if caught else None),
        "ERROR_MESSAGE": text(caught.message if caught else None, 4000),
    }
