"""Our advisory locks on PostgreSQL: one delivery at a time does what a transaction alone cannot make safe.

A lock has a class and a key, a number each, and is one of the database that its session is on. Installations of different
versions may use one server: no number here is changed, and none that was used is given to something else.
"""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from shared.errors import TransientError

DELIVERY_WAIT = "150s"
LOGIN_WAIT = "60s"
READER_WAIT = "30s"

ENTRIES = 0x6D786665  # "mxfe"


@dataclass(frozen=True)
class Lock:
    """What is held: the class's number, how long it is waited for, and the code and words for who waited in vain."""

    number: int
    wait: str
    code: str
    others: str

    def busy(self, about: str, who: str = "") -> TransientError:
        """Return the error for who waited in vain; `who` names the others."""
        found = self.others.format(wait=self.wait) + (f": {who}" if who else "")
        remedy = "Wait for it to end, or end it: SELECT pg_terminate_backend(<process>)." if who else ""
        return TransientError(self.code, about, f"expected to be alone, found {found}.", remedy)


RESTORE = Lock(ENTRIES, DELIVERY_WAIT, "DATABASE_BUSY", "another delivery at work for {wait}")
"""A run's temporary database is made. Key: its name."""
SCHEMA = Lock(ENTRIES, DELIVERY_WAIT, "SCHEMA_BUSY", "another delivery at work for {wait}")
"""The tables of a PostgreSQL target are made, or our schema is taken off it. Key: the database's name."""
TABLE = Lock(ENTRIES, DELIVERY_WAIT, "TABLE_BUSY", "another delivery loading it for {wait}")
"""A table is loaded. Key: its entry in the dump."""
POST_DATA = Lock(ENTRIES + 1, DELIVERY_WAIT, "POST_DATA_BUSY", "another session at this table for {wait}")
"""A key, an index, a check or a foreign key is made. Key: its ordinal in `mxferry.post_data`."""
LOGIN = Lock(0x6D78666F, LOGIN_WAIT, "DATABASE_BUSY", "others logging in for {wait}")  # "mxfo"
"""The role of a run's temporary database gets its password. Key: the database's name."""
READER = Lock(0x6D786672, READER_WAIT, "DATABASE_BUSY", "somebody else asking")  # "mxfr"
"""The runtime's login for a temporary database is made. Key: 1."""
SETTLING = Lock(0x6D786673, DELIVERY_WAIT, "DATABASE_BUSY", "another delivery")  # "mxfs"
"""Something is done once to a temporary database. Key: what is marked as done; 0 for the table of marks."""


def hold(connection: psycopg.Connection[Any], lock: Lock, key: str | int, about: str) -> None:
    """Hold the lock until the transaction ends, which from then on waits no longer for any other lock either.

    Raises `TransientError`, as `lock.busy(about)`, when others have held it for `lock.wait`.
    """
    _take(connection, "SET LOCAL lock_timeout = {}; SELECT pg_advisory_xact_lock({}, {})", lock, key, about)


@contextmanager
def held(connection: psycopg.Connection[Any], lock: Lock, key: str | int, about: str) -> Generator[None]:
    """Hold the lock over statements that each commit on their own; the session waits no longer for any other lock either.

    A lost connection gives it back. Raises what `hold` raises. The connection is in autocommit mode.
    """
    _take(connection, "SET lock_timeout = {}; SELECT pg_advisory_lock({}, {})", lock, key, about)
    try:
        yield
    finally:
        with suppress(psycopg.Error):  # the connection is gone, and with it the lock; the first error says more
            connection.execute(sql.SQL("SELECT pg_advisory_unlock({}, {})").format(lock.number, _number(key)))


def _take(connection: psycopg.Connection[Any], template: LiteralString, lock: Lock, key: str | int, about: str) -> None:
    try:
        # Two statements at once, which cannot be prepared; psycopg prepares what it has seen five times.
        connection.execute(sql.SQL(template).format(lock.wait, lock.number, _number(key)), prepare=False)
    except psycopg.errors.LockNotAvailable:
        raise lock.busy(about) from None


def _number(key: str | int) -> sql.Composable:
    return sql.Literal(key) if isinstance(key, int) else sql.SQL("hashtext({})").format(key)
