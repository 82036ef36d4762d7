"""The PostgreSQL behind the stand-in: one connection a session, one database for each SQL Server database."""

import hashlib
import json
import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import conninfo, pq

from local.sqlserver import storeerrors
from local.sqlserver.errors import AttentionError, SqlError
from local.sqlserver.sqltypes import DEFAULT_COLLATION
from local.sqlserver.storeerrors import nul_refused

PREFIX = "sqlserver_"

_HERE = Path(__file__).parent
_SCHEMA = (_HERE / "functions.sql").read_text() + (_HERE / "catalogue.sql").read_text()
TEMPLATE = "sqlserverbase_" + hashlib.sha256(_SCHEMA.encode()).hexdigest()[:12]

_SETTINGS = """
SET client_min_messages = error; SET timezone = 'UTC'; SET datestyle = 'ISO'; SET bytea_output = 'hex';
SET search_path = pg_catalog; SET synchronous_commit = off; SET jit = off; SET check_function_bodies = off;
SET client_encoding = 'UTF8'; SET lock_timeout = 0; SET statement_timeout = 0; SET extra_float_digits = 1
"""

_ROWS_AT_ONCE = 200
_OLDEST = 150000  # NULLS NOT DISTINCT came with PostgreSQL 15

Row = Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class Value:
    """A parameter: PostgreSQL's text format, or its binary format for bytea."""

    data: bytes | None
    oid: int
    binary: bool = False


class Store:
    """A connection to one database of the store.

    Args:
        address: libpq connection string of the maintenance database.
        stored_as: PostgreSQL's name of the database; None for the maintenance database itself.
        label: `application_name`, which sys.dm_exec_sessions reads.
        interrupted: Asked while a statement runs: whether the client has sent something (then the statement is
            cancelled and AttentionError raised). Its socket comes first.
    """

    def __init__(
        self,
        address: str,
        stored_as: str | None = None,
        label: str = "",
        interrupted: tuple[int, Callable[[], bool]] | None = None,
    ) -> None:
        settings = {"application_name": label.encode()[:63].decode(errors="ignore")}
        if stored_as:
            settings["dbname"] = stored_as
        self._interrupted = interrupted
        self._pg = pq.PGconn.connect(conninfo.make_conninfo(address, **settings).encode())
        if self._pg.status != pq.ConnStatus.OK:
            raise SqlError(40613, f"The store is not available: {self._pg.error_message.decode().strip()}", 20)
        self.script(_SETTINGS)

    @property
    def in_transaction(self) -> bool:
        """Whether PostgreSQL has a transaction open, sound or failed."""
        return self._pg.transaction_status != pq.TransactionStatus.IDLE

    @property
    def failed(self) -> bool:
        """Whether the transaction has failed, or the connection is gone: only a rollback is possible."""
        return self._pg.transaction_status in (pq.TransactionStatus.INERROR, pq.TransactionStatus.UNKNOWN)

    @property
    def version(self) -> int:
        """PostgreSQL's version, such as 150018."""
        return self._pg.server_version

    def close(self) -> None:
        """Closes the connection; an open transaction is rolled back."""
        self._pg.finish()

    # --- statements ------------------------------------------------------------------------------------------------

    def script(self, sql: str) -> None:
        """Runs statements of our own without parameters, all in one go."""
        self._pg.send_query(sql.encode())
        for _ in self._results():
            pass

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """All rows of a query that gives few."""
        found: list[Row] = []
        with self.stream(sql, values) as stream:
            for batch in stream:
                found.extend(batch)
        return found

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Runs one statement and gives the number of rows it touched."""
        self._send(sql, values)
        touched = 0
        for result in self._results():
            touched += result.command_tuples or 0
        return touched

    @contextmanager
    def stream(self, sql: str, values: Sequence[Value] = ()) -> Iterator[Iterator[list[Row]]]:
        """Rows in batches, without holding the whole result."""
        self._send(sql, values)
        self._pg.set_chunked_rows_mode(_ROWS_AT_ONCE)
        results = self._results()
        try:
            yield (_rows_of(result) for result in results)
        finally:
            for _ in results:
                pass

    def _send(self, sql: str, values: Sequence[Value]) -> None:
        if not values:
            self._pg.send_query_params(sql.encode(), [])
            return
        if any(value.data is not None and not value.binary and b"\0" in value.data for value in values):
            raise nul_refused()  # a text parameter ends at its first NUL: it would be cut without a word
        self._pg.send_query_params(
            sql.encode(),
            [value.data for value in values],
            param_types=[value.oid for value in values],
            param_formats=[pq.Format.BINARY if value.binary else pq.Format.TEXT for value in values],
        )

    def _results(self) -> Iterator[pq.abc.PGresult]:
        """Results of what was sent; the first error is raised when all have been read."""
        problem: SqlError | None = None
        while (result := self._next_result()) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                problem = problem or storeerrors.translate(result)
            elif result.status in (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT):
                return
            elif problem is None:
                yield result
        if problem:
            raise problem

    def _next_result(self) -> pq.abc.PGresult | None:
        self._wait()
        return self._pg.get_result()

    def _wait(self) -> None:
        """Until a result is there; an attention of the client cancels the statement."""
        pg, watched = self._pg, [self._pg.socket]
        if self._interrupted:
            watched.append(self._interrupted[0])
        while pg.is_busy():
            readable = select.select(watched, [], [])[0]
            if pg.socket in readable:
                pg.consume_input()
            elif self._interrupted and self._interrupted[1]():
                self._cancel()
                raise AttentionError

    def _cancel(self) -> None:
        self._pg.get_cancel().cancel()
        while self._pg.get_result() is not None:
            pass

    # --- COPY ------------------------------------------------------------------------------------------------------

    def start_copy(self, sql: str) -> None:
        """Starts COPY … FROM STDIN."""
        self._pg.send_query(sql.encode())
        for _ in self._results():
            pass

    def copy_data(self, data: bytes) -> None:
        """Hands data to COPY. An error of the server is told by `end_copy`."""
        self._pg.put_copy_data(data)

    def end_copy(self, failure: str | None = None) -> int:
        """Ends COPY, or makes it fail; gives the rows PostgreSQL has taken.

        Raises:
            SqlError: What PostgreSQL found wrong.
        """
        self._pg.put_copy_end(failure.encode() if failure else None)
        return sum(result.command_tuples or 0 for result in self._results())

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """While a load is read, bytes of the client are its rows, not an attention."""
        watched, self._interrupted = self._interrupted, None
        try:
            yield
        finally:
            self._interrupted = watched


def _rows_of(result: pq.abc.PGresult) -> list[Row]:
    columns = range(result.nfields)
    return [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]


def text(value: str | int | None) -> Value:
    """A text parameter."""
    return Value(None if value is None else str(value).encode(), 25)


# --- databases -------------------------------------------------------------------------------------------------------


def quoted(name: str) -> str:
    """A PostgreSQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A PostgreSQL string literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f" E'{escaped}'" if "\\" in value else f"'{escaped}'"


def stored_name(database: str) -> str:
    """PostgreSQL's name of a SQL Server database; names differ in case only cannot both exist, as in SQL Server."""
    return PREFIX + database.lower()


def prepare(address: str) -> None:
    """Makes the template database every new database is a copy of, if this version's is not there yet."""
    store = Store(address)
    try:
        if store.version < _OLDEST:
            raise SqlError(50004, f"the stand-in needs PostgreSQL 15 or newer as its store, found {store.version}")
        store.script(f"SELECT pg_advisory_lock({int(TEMPLATE[-8:], 16)})")
        if not store.rows("SELECT 1 FROM pg_database WHERE datname = $1", [text(TEMPLATE)]):
            making = TEMPLATE + "_making"
            store.script(f"DROP DATABASE IF EXISTS {making}")
            store.script(
                f"CREATE DATABASE {making} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE {_ctype(store)}"
            )
            base = Store(address, making)
            base.script(_SCHEMA)
            base.close()
            store.script(f"ALTER DATABASE {making} RENAME TO {TEMPLATE}")
    finally:
        store.close()


def _ctype(store: Store) -> str:
    """A character type that knows upper and lower case beyond ASCII: lower() of unique keys needs it."""
    found = store.rows(
        "SELECT collctype FROM pg_collation WHERE collctype IN ('C.UTF-8', 'C.utf8', 'en_US.utf8', 'en_US.UTF-8')"
        " ORDER BY collctype LIMIT 1"
    )
    return literal(found[0][0].decode()) if found and found[0][0] else "'C'"


def create_database(address: str, name: str, collation: str | None = None) -> None:
    """Creates a SQL Server database.

    Raises:
        SqlError: 1801 when it exists.
    """
    store = Store(address)
    try:
        stored = stored_name(name)
        if described(store, stored).get("made_by", TEMPLATE) != TEMPLATE and _is_empty(address, stored):
            store.script(f"DROP DATABASE {quoted(stored)}")
        if store.rows("SELECT 1 FROM pg_database WHERE datname = $1", [text(stored)]):
            raise SqlError(1801, f"Database '{name}' already exists. Choose a different database name.")
        store.script(f"SELECT pg_advisory_lock({int(TEMPLATE[-8:], 16)})")
        store.script(f"CREATE DATABASE {quoted(stored)} TEMPLATE {TEMPLATE}")
        describe_database(
            store, stored, {"name": name, "collation": collation or DEFAULT_COLLATION, "made_by": TEMPLATE}
        )
    finally:
        store.close()


def _is_empty(address: str, stored: str) -> bool:
    """Whether a database that an older stand-in made holds nothing, so that it can be made anew."""
    old = Store(address, stored)
    try:
        return not old.rows("SELECT 1 FROM pg_class WHERE relnamespace = 'dbo'::regnamespace LIMIT 1")
    finally:
        old.close()


def drop_database(address: str, name: str) -> None:
    """Drops a SQL Server database.

    Raises:
        SqlError: 3701 when it is not there.
    """
    store = Store(address)
    try:
        if not store.rows("SELECT 1 FROM pg_database WHERE datname = $1", [text(stored_name(name))]):
            raise SqlError(
                3701, f"Cannot drop the database '{name}', because it does not exist or you do not have permission.", 11
            )
        store.script(f"DROP DATABASE {quoted(stored_name(name))} WITH (FORCE)")
    finally:
        store.close()


def describe_database(store: Store, stored: str, told: dict[str, object]) -> None:
    """Writes what SQL Server tells about a database into the database's comment."""
    comment = json.dumps({"sqlserver": told}, ensure_ascii=False)
    store.script(f"COMMENT ON DATABASE {quoted(stored)} IS {literal(comment)}")


def described(store: Store, stored: str) -> dict[str, object]:
    """What `describe_database` wrote."""
    found = store.rows(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", [text(stored)]
    )
    told: dict[str, object] = json.loads(found[0][0] or b"{}").get("sqlserver", {}) if found else {}
    return told
