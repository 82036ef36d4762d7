"""Application locks: one delivery of an activity at a time does what the catalogue alone cannot make atomic."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Literal

import pyodbc

from shared.errors import TransientError
from shared.sqlserver.connection import literal

LOCK_SECONDS = 60
LOCKED = "TARGET_LOCKED"
SHOWN = 32
"""Characters of an application lock's name that the server shows."""
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
        alike = " Where it names several, do not guess: wait." if len(resource) > SHOWN else ""
        raise TransientError(
            LOCKED,
            resource,
            f"expected the application lock of this name within {seconds} s, found another session of mxferry holding it: an "
            "earlier delivery of this activity is at work, or the server is still at its last statement.",
            f"Wait for it to end. In this database, {_holder(resource)} names the session that holds it; KILL ends it.{alike}",
        )


def _holder(resource: str) -> str:
    """Return the query for who holds the lock, whose description is `0:[<its first 32 characters>]:(<hash>)`.

    https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/sys-dm-tran-locks-transact-sql
    """
    shown = literal(f"[{resource[:SHOWN]}]")
    return (  # for people to run
        "SELECT request_session_id, resource_description FROM sys.dm_tran_locks WHERE resource_type = N'APPLICATION' "  # noqa: S608
        f"AND resource_database_id = DB_ID() AND request_status = N'GRANT' AND CHARINDEX({shown}, resource_description) > 0"
    )


def _roll_back(connection: pyodbc.Connection) -> None:
    with suppress(pyodbc.Error):  # the connection is gone, and with it the transaction; the first error says more
        connection.execute("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
