"""One session of the Rust core under mssql-python: T-SQL and bulk loads in one transaction.

mssql-python's public `bulkcopy_arrow` opens a connection of its own, in autocommit: rows it has sent before a failure
stay, and nothing can be committed together with them. The core below it (`mssql_py_core`) has both `execute` and
`bulkcopy_arrow` on one session, and a bulk load takes part in a transaction begun by T-SQL. That core is not a public
API, so everything we touch of it is in this module, and `tests/integration/rows/test_bulk.py` pins each name and behaviour:
`PyCoreConnection(dict)`, `.cursor()`, `.close()`; `PyCoreCursor.execute(sql)`, `.fetchall()`, `.bulkcopy_arrow(...)`.

The core's own `commit()` and `rollback()` do nothing (they are marked as to be done in its source): T-SQL does it.
"""

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import mssql_py_core
import pyarrow as pa

from shared.credentials import Identity
from shared.settings import SqlServer
from shared.sqlserver.connection import LOGIN_TIMEOUT, PROGRAM, access_token, table_name

# Largest packet the protocol allows without TLS 8.0 limits; measured 25 to 35 % faster than the default of 4,096.
PACKET_SIZE = 32767
LOCK_WAIT_MS = 15_000  # under the 30 s that the core's execute() has built in
_AZURE_REDIRECT_PORTS = range(11000, 12000)

CORE_ERRORS = (RuntimeError, ValueError, OSError, mssql_py_core.Error)
"""What the core raises; the class says nothing, the text does."""

Opening = Callable[[Callable[[], Any]], Any]
"""Calls a connect function, and so lets a watchdog note which sockets that opened."""


class BulkSession:
    """A session on the target that can run T-SQL without parameters and load Arrow data.

    Raises what the core raises: RuntimeError or ValueError with the server's number in the text
    (`shared.sqlserver.errors` reads it). Not to be used by two threads at once.
    """

    def __init__(
        self, profile: SqlServer, *, credential: Identity | None = None, opening: Opening = lambda connect: connect()
    ) -> None:
        context = core_context(profile, credential)  # may fetch a token, which is none of the opening's business
        # The connection must be kept as long as its cursor is used: dropping it shuts its runtime down.
        self._connection: Any = opening(lambda: mssql_py_core.PyCoreConnection(context))
        try:
            self._cursor = self._connection.cursor()
            self.execute(f"SET XACT_ABORT ON; SET LOCK_TIMEOUT {LOCK_WAIT_MS}")
        except BaseException:
            self.close()
            raise

    def execute(self, statement: str) -> None:
        """Run a T-SQL batch; the core gives it 30 seconds."""
        self._cursor.execute(statement)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a SELECT and return its rows."""
        self._cursor.execute(statement)
        return [tuple(row) for row in self._cursor.fetchall()]

    def load(self, table: str, reader: pa.RecordBatchReader, columns: Sequence[str], *, table_lock: bool) -> int:
        """Load a stream of batches into a table of schema dbo; return the rows that the core has sent.

        The columns are matched by the given names, in the order of the batches' columns. All rows are one batch of the
        server. NULL stays NULL where a column has a default. There is no time limit: a watchdog must stand above.
        """
        result = self._cursor.bulkcopy_arrow(
            table_name(table),
            reader,
            batch_size=0,
            timeout=0,
            column_mappings=list(columns),
            keep_identity=True,
            table_lock=table_lock,
            keep_nulls=True,
        )
        return int(result["rows_copied"])

    def rollback(self) -> None:
        """Roll back if a transaction is open."""
        self.execute("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")

    def close(self) -> None:
        """Close the connection; the server rolls back what was not committed. Safe to call twice.

        The core's objects go here and now. Left to the garbage collector, they might go in the middle of another load, on
        a thread of the core's own that calls the load's source, where their runtime panics.
        """
        with contextlib.suppress(Exception):
            self._connection.close()
        self._connection = self._cursor = None


def core_context(profile: SqlServer, credential: Identity | None = None) -> dict[str, Any]:
    """Return the core's connection settings for a profile. They hold the password or a token: never to be logged."""
    context: dict[str, Any] = {
        "server": profile.server,
        "database": profile.database,
        "encryption": profile.encrypt,
        "trust_server_certificate": "yes" if profile.trust_server_certificate else "no",
        "application_name": PROGRAM,
        "packet_size": PACKET_SIZE,
        "connect_timeout": LOGIN_TIMEOUT,
        # A session that was silently connected again would have lost its transaction.
        "connect_retry_count": 0,
        "keep_alive": 30_000,  # milliseconds; Azure drops silent connections
        "keep_alive_interval": 1_000,
    }
    if profile.password is None:
        context["access_token"] = access_token(credential)
    else:
        context["user_name"] = profile.user or ""
        context["password"] = profile.password.get_secret_value()
    return context


def is_sql_port(profile: SqlServer, port: int) -> bool:
    """Say whether a session of the profile may lie on that port: its own, or one to which Azure SQL redirects.

    https://learn.microsoft.com/azure/azure-sql/database/connectivity-architecture#connection-policy
    """
    given = re.search(r",\s*(\d+)\s*$", profile.server)
    return port == (int(given.group(1)) if given else 1433) or port in _AZURE_REDIRECT_PORTS
