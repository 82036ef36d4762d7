"""INSERT BULK and the BULK_LOAD message that follows it: rows streamed into COPY inside the session's transaction."""

import struct
import time
from typing import Any

from local.sqlserver import tokens, wire
from local.sqlserver.clauses import Clauses
from local.sqlserver.errors import AttentionError, NotUnderstoodError, SqlError
from local.sqlserver.rowdecoder import COPY_HEADER, COPY_TRAILER, DONE, Cell, Decode, build
from local.sqlserver.session import Session
from local.sqlserver.sessionstate import BulkTarget
from local.sqlserver.store import quoted
from local.sqlserver.wiretypes import read_type

_OPTIONS = {"KEEP_NULLS", "TABLOCK", "CHECK_CONSTRAINTS", "FIRE_TRIGGERS", "KEEP_IDENTITY"}
_STEP = 256 * 1024
_BULK_COMMAND = 0xF0


def prepare_bulk(session: Session, clauses: Clauses) -> BulkTarget:
    """Reads INSERT BULK table (column type, …) [WITH (options)]; the words INSERT BULK have been read.

    Raises:
        SqlError: 208, 207, or a column's type differs from the table's in kind.
        NotUnderstoodError: An option that is not served.
    """
    _, schema, name = clauses.qualified()
    table = session.context({}).catalogue.table(schema, name, f"{schema}.{name}" if schema else name)
    columns = []
    clauses.expect("(")
    while True:
        column = table.column(clauses.name())
        clauses.data_type()
        if clauses.takes("COLLATE"):
            clauses.name()
        columns.append(column)
        if not clauses.takes(","):
            break
    clauses.expect(")")
    options = set()
    if clauses.takes("WITH"):
        options = {part.strip().upper() for part in clauses.parenthesised().split(",")}
    clauses.end()
    if options - _OPTIONS:
        raise NotUnderstoodError(f"INSERT BULK option {', '.join(sorted(options - _OPTIONS))}", clauses.statement)
    if "KEEP_NULLS" not in options and any(column.has_default for column in columns):
        raise NotUnderstoodError("INSERT BULK without KEEP_NULLS into a column with a default", clauses.statement)
    return BulkTarget(table, columns, frozenset(options))


class _Feed:
    """The bytes of a BULK_LOAD message, in pieces that end with whole rows or grow until they do."""

    def __init__(self, session: Session, fault: dict[str, Any] | None) -> None:
        self._channel = session.channel
        self._next: tuple[int, int, bytes] | None = session.channel.first_bulk_packet
        self._fault = fault if fault and fault["kind"] in ("reset_bulk", "stall_bulk") else None
        self.ended = False
        self.received = 0

    def more(self, rest: bytes, rows: int) -> bytes:
        """`rest` and at least as much again, so that a large cell is not decoded over and over.

        Raises:
            AttentionError: The client gave up.
        """
        parts, size = [rest], 0
        wanted = max(_STEP, len(rest))
        while size < wanted and not self.ended:
            kind, status, payload = self._next or self._channel.packet()
            self._next = None
            if kind == wire.ATTENTION:
                self.ended = self._channel.attention_read = True
                raise AttentionError
            self.ended = bool(status & wire.END_OF_MESSAGE)
            if status & wire.IGNORE:
                raise AttentionError
            parts.append(payload)
            size += len(payload)
            self.received += len(payload)
            self._misbehave(rows)
        return b"".join(parts)

    def _misbehave(self, rows: int) -> None:
        fault = self._fault
        if fault is None or self.received < fault["bytes"] or rows < fault["rows"]:
            return
        if fault["kind"] == "stall_bulk":
            time.sleep(fault["seconds"])
            self._fault = None
        else:
            self._channel.reset()

    def drain(self) -> None:
        """Reads what the client still sends, after an error."""
        while not self.ended:
            kind, status, _ = self._next or self._channel.packet()
            self._next = None
            if kind == wire.ATTENTION:
                self.ended = self._channel.attention_read = True
                raise AttentionError
            self.ended = bool(status & wire.END_OF_MESSAGE)


def receive(session: Session, target: BulkTarget | None) -> None:
    """Takes a BULK_LOAD message and writes the response: the rows the store has taken, or the error."""
    fault = session.hub.fault("bulk")
    feed = _Feed(session, fault)
    try:
        if target is None:
            raise SqlError(4022, "Bulk load data was expected but not sent: no INSERT BULK came before it.")
        with session.store.uninterrupted():
            rows = session.guarded(lambda: _load(session, target, feed, fault), "INSERT")
    except AttentionError:
        _end_transaction(session)
        raise
    except SqlError as problem:
        feed.drain()
        _end_transaction(session)
        session.problem(problem)
        session.channel.write(tokens.done())
        return
    session.hub.ask(do="count", bulk_rows=rows, bulk_loads=1)
    session.state.rowcount = rows
    session.channel.write(tokens.done(tokens.COUNT, _BULK_COMMAND, rows))


def _end_transaction(session: Session) -> None:
    """An injected fault: the failed load has doomed the transaction, which the server rolls back at the end of the batch."""
    if session.state.trancount and session.hub.fault("bulk_failed"):
        session.transaction.roll_back()


def _load(session: Session, target: BulkTarget, feed: _Feed, fault: dict[str, Any] | None) -> int:
    buffer = feed.more(b"", 0)
    cells, start = _read_metadata(buffer, target)
    if session.told.get("discard"):
        return _discard(session, build(cells, discard=True), buffer, start, feed)
    store = session.store
    unchecked = "CHECK_CONSTRAINTS" not in target.options and _stop_foreign_keys(session, target)
    try:
        listed = ", ".join(quoted(cell.target.name) for cell in cells)
        store.start_copy(f"COPY {target.table.sql} ({listed}) FROM STDIN (FORMAT BINARY)")
        store.copy_data(COPY_HEADER)
        try:
            _stream(build(cells), buffer, start, feed, store.copy_data)
            if fault and fault["kind"] == "error_bulk":
                raise SqlError(
                    fault["number"],
                    f"Injected fault: error {fault['number']} on bulk load.",
                    20 if fault["number"] == 40501 else 16,
                )
        except BaseException as problem:
            _give_up(session)
            raise problem from None
        store.copy_data(COPY_TRAILER)
        rows = store.end_copy()
    finally:
        if unchecked and not store.failed:
            store.script("SET session_replication_role = origin")
    if fault and fault["kind"] == "latency_bulk":
        time.sleep(fault["seconds"])
    return rows


def _give_up(session: Session) -> None:
    try:
        session.store.end_copy("the load was given up")
    except SqlError:
        return


def _stream(decode: Decode, buffer: bytes, start: int, feed: _Feed, take: Any) -> int:
    """Decodes until DONE. Memory: the rows of one step, or twice the largest row."""
    total = 0
    while True:
        out: list[bytes] = []
        start, rows = decode(buffer, start, len(buffer), out)
        total += rows
        if out:
            take(b"".join(out))
        if start < len(buffer) and buffer[start] == DONE:
            return total
        if feed.ended:
            if start < len(buffer):
                raise SqlError(4804, "Premature end-of-message while reading the bulk load.")
            return total
        buffer, start = feed.more(buffer[start:], total), 0


def _discard(session: Session, decode: Decode, buffer: bytes, start: int, feed: _Feed) -> int:
    """The benchmark's sink: rows are counted and thrown away, and the client is told."""
    rows = _stream(decode, buffer, start, feed, lambda _: None)
    session.channel.write(
        tokens.information(50000, f"THE STAND-IN DISCARDS BULK ROWS: {rows} rows were counted, none is stored.")
    )
    return rows


def _read_metadata(buffer: bytes, target: BulkTarget) -> tuple[list[Cell], int]:
    """COLMETADATA of the load, by position the columns that INSERT BULK named."""
    if buffer[:1] != b"\x81":
        raise SqlError(4804, "A bulk load has to start with COLMETADATA.")
    (count,) = struct.unpack_from("<H", buffer, 1)
    if count != len(target.columns):
        raise SqlError(4804, f"The bulk load has {count} columns, INSERT BULK named {len(target.columns)}.")
    at, cells = 3, []
    for column in target.columns:
        kind, at = read_type(buffer, at + 6)
        at += 1 + 2 * buffer[at]
        cells.append(Cell(kind, column))
    return cells, at


def _stop_foreign_keys(session: Session, target: BulkTarget) -> bool:
    """Without CHECK_CONSTRAINTS a bulk load does not look at foreign keys, and they are no longer trusted."""
    keys = session.context({}).catalogue.foreign_keys(target.table, None)
    if not keys:
        return False
    names = ", ".join(f"'{key}'" for key in keys)
    session.store.script(
        "INSERT INTO mssql.untrusted SELECT oid FROM pg_constraint"
        f" WHERE conname IN ({names}) ON CONFLICT DO NOTHING; SET session_replication_role = replica"
    )
    return True
