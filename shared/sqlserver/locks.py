"""Application locks: one delivery of an activity at a time does what the catalogue alone cannot make atomic."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Literal

import pyodbc

from shared.errors import TransientError
from shared.sqlserver.connection import literal

LOCK_SECONDS = 60
LOCKED = "TARGET_LOCKED"
SCHEMA_LOCK = "schema"
"""Held by who makes the tables of a run, makes room for them, or takes the run's marker off."""


@contextmanager
def locked_transaction(
    connection: pyodbc.Connection, resource: str, seconds: int = LOCK_SECONDS
) -> Generator[pyodbc.Connection]:
    """Run a transaction that holds the application lock `mxferry:<resource>` of this database.

    The lock belongs to the transaction, so a lost connection gives both back. Raises TransientError TARGET_LOCKED when
    another delivery has held it for `seconds`. The connection is in autocommit mode.
    """
    connection.execute("SET XACT_ABORT ON")
    connection.execute("BEGIN TRANSACTION")
    try:
        _lock(connection, f"mxferry:{resource}", "Transaction", seconds)
        yield connection
        connection.execute("COMMIT TRANSACTION")
    except BaseException:
        _roll_back(connection)
        raise


@contextmanager
def locked(connection: pyodbc.Connection, resource: str, seconds: int = LOCK_SECONDS) -> Generator[pyodbc.Connection]:
    """Hold the application lock `mxferry:<resource>` of this database over statements that each commit on their own.

    The lock belongs to the session, so a lost connection gives it back. Raises TransientError TARGET_LOCKED.
    """
    name = f"mxferry:{resource}"
    _lock(connection, name, "Session", seconds)
    try:
        yield connection
    finally:
        with suppress(pyodbc.Error):  # the connection is gone, and with it the lock; the first error says more
            connection.execute(f"EXEC sp_releaseapplock @Resource = {literal(name[:255])}, @LockOwner = N'Session'")


def _lock(connection: pyodbc.Connection, resource: str, owner: Literal["Session", "Transaction"], seconds: int) -> None:
    row = connection.execute(
        "SET NOCOUNT ON; DECLARE @result int; "
        f"EXEC @result = sp_getapplock @Resource = {literal(resource[:255])}, @LockMode = N'Exclusive', "
        f"@LockOwner = N'{owner}', @LockTimeout = {seconds * 1000}; SELECT @result"
    ).fetchone()
    if row is None or int(row[0]) < 0:
        raise TransientError(
            LOCKED,
            resource,
            f"expected the application lock of this name within {seconds} s, found another session of mxferry holding it: an "
            "earlier delivery of this activity is at work, or the server is still at its last statement.",
            "Wait for it to end. SELECT request_session_id FROM sys.dm_tran_locks WHERE resource_type = N'APPLICATION' names "
            "the session; KILL ends it.",
        )


def _roll_back(connection: pyodbc.Connection) -> None:
    with suppress(pyodbc.Error):  # the connection is gone, and with it the transaction; the first error says more
        connection.execute("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
