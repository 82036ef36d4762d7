"""One client's session: batches, statements, transactions, errors, results."""

import re
import time
from collections.abc import Callable, Sequence

from local.sqlserver import changes, tokens
from local.sqlserver.bulk import BulkTarget
from local.sqlserver.casts import Sql
from local.sqlserver.cells import Encoder, column_codec
from local.sqlserver.changes import Statement
from local.sqlserver.ddl import Change
from local.sqlserver.errors import (
    STATEMENT_ERRORS,
    AttentionError,
    NotUnderstoodError,
    SqlError,
)
from local.sqlserver.expressions import Context, Variable
from local.sqlserver.parsing import Block, If, Simple, Try, parse_batch
from local.sqlserver.scope import Catalogue
from local.sqlserver.server import Hub
from local.sqlserver.sessionstate import Settings, State
from local.sqlserver.sqltypes import INT, SMALLINT, SqlType, decimal, nvarchar
from local.sqlserver.store import Row, Store, Value, literal
from local.sqlserver.storeerrors import StoreError
from local.sqlserver.wire import Channel

VERSION = "Microsoft SQL Server 2022 - 16.0.1000.6 (mxferry SQL Server stand-in over PostgreSQL)"

DISCARDS = " - DISCARDS BULK ROWS: they are counted, none is stored"


# What may run while only metadata is asked for.
_DESCRIBED = frozenset({"SELECT", "WITH", "SET", "EXEC", "EXECUTE", "INSERT", "UPDATE", "DELETE", "DECLARE"})
_OF_THE_MOMENT = re.compile(r"@@|XACT_STATE|ERROR_", re.IGNORECASE)


class ReturnError(Exception):
    """RETURN: ends a batch or procedure."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Session:
    """A logged-in client."""

    def __init__(self, channel: Channel, hub: Hub, store: Store, told: dict[str, str], address: str) -> None:
        self.channel = channel
        self.hub = hub
        self.store = store
        self.told = told
        self.address = address
        self.settings = Settings()
        self.state = State()
        self.descriptors = 0
        self.handles: dict[int, tuple[dict[str, SqlType] | None, str]] = {}
        self.bulk: BulkTarget | None = None
        self.translated: dict[tuple[str, tuple[SqlType, ...]], Statement] = {}
        self.in_procedure = False
        self.in_try = 0
        self.last_handle = 0

    # --- context ---------------------------------------------------------------------------------------------------

    @property
    def database(self) -> str:
        """The SQL Server database's name."""
        return self.told["database"]

    def context(self, variables: dict[str, Variable]) -> Context:
        """A fresh context for one statement."""
        return Context(Catalogue(self.store, self.database), variables, self._globals(), self.told)

    def _globals(self) -> dict[str, Callable[[], Sql]]:
        state = self.state

        def number(value: int, kind: SqlType = INT) -> Callable[[], Sql]:
            return lambda: Sql(f"{value}::{kind.pg}", kind, False)

        def text(value: str | None, length: int) -> Callable[[], Sql]:
            shown = "NULL" if value is None else literal(value)
            return lambda: Sql(f"{shown}::text", nvarchar(length))

        caught = state.caught
        return {
            "TRANCOUNT": number(state.trancount),
            "ROWCOUNT": number(state.rowcount),
            "ERROR": number(state.error),
            "SPID": number(int(self.told["session"]), SMALLINT),
            "LOCK_TIMEOUT": number(self.settings.lock_timeout),
            "VERSION": text(VERSION + (DISCARDS if self.told.get("discard") else ""), 300),
            "SERVERNAME": text(tokens.SERVER_NAME, 128),
            "MICROSOFTVERSION": number(0x10000000 + 1000),
            "MAX_PRECISION": number(38),
            "IDENTITY": lambda: Sql("NULL::numeric", decimal(38, 0)),
            "SCOPE_IDENTITY": lambda: Sql("NULL::numeric", decimal(38, 0)),
            "XACT_STATE": number(-1 if state.doomed else 1 if state.trancount else 0),
            "ERROR_NUMBER": number(caught.number) if caught else (lambda: Sql("NULL::int4", INT)),
            "ERROR_SEVERITY": number(caught.severity) if caught else (lambda: Sql("NULL::int4", INT)),
            "ERROR_STATE": number(caught.state) if caught else (lambda: Sql("NULL::int4", INT)),
            "ERROR_MESSAGE": text(caught.message if caught else None, 4000),
        }

    # --- batches ---------------------------------------------------------------------------------------------------

    def batch(self, text: str) -> None:
        """Runs a batch and writes its response, errors included."""
        self.state.doomed = False
        variables: dict[str, Variable] = {}
        try:
            block = parse_batch(text)
            self.misbehave(text)
            self.block(block, variables)
        except ReturnError:
            pass
        except SqlError as problem:
            self.problem(problem)
        self.channel.write(tokens.done())

    def problem(self, problem: SqlError) -> None:
        """Writes an error and what follows from it for the transaction."""
        self._consequences(problem)
        self.channel.write(_error_tokens(problem) + tokens.done(tokens.ERROR | tokens.MORE, token=self.done_token))

    def problem_in_procedure(self, problem: SqlError) -> None:
        """The same at the end of an RPC: DONEPROC ends it."""
        self._consequences(problem)
        self.channel.write(_error_tokens(problem) + tokens.done(tokens.ERROR, token=tokens.DONE_PROC))

    def _consequences(self, problem: SqlError) -> None:
        self.state.error = problem.number
        self.state.error_ends_session = problem.severity >= 20
        fatal = problem.number in (1205, 3960) or problem.severity >= 20
        if self.state.trancount and (self.settings.xact_abort or fatal or self.state.doomed):
            self.roll_back()

    def new_handle(self) -> int:
        """A number for a prepared statement."""
        self.last_handle += 1
        return self.last_handle

    def commit_all(self) -> None:
        """What the transaction manager's commit does: the whole transaction, whatever its depth."""
        self.state.trancount = min(self.state.trancount, 1)
        self.commit()

    def block(self, block: Block, variables: dict[str, Variable]) -> None:
        """Runs statements one after the other."""
        for statement in block.statements:
            if isinstance(statement, If):
                chosen = statement.then if self.condition(statement.condition, variables) else statement.otherwise
                if chosen:
                    self.block(chosen, variables)
            elif isinstance(statement, Try):
                self._try(statement, variables)
            elif isinstance(statement, Block):
                self.block(statement, variables)
            else:
                self._simple(statement, variables)

    def _try(self, statement: Try, variables: dict[str, Variable]) -> None:
        self.in_try += 1
        try:
            self.block(statement.body, variables)
        except SqlError as problem:
            self.in_try -= 1
            if problem.severity >= 20:
                raise
            self.state.caught = problem
            if self.state.trancount and (self.settings.xact_abort or problem.number in (1205, 3960)):
                self.state.doomed = True
            self.block(statement.catch, variables)
            self.state.caught = None
        else:
            self.in_try -= 1

    def _simple(self, statement: Simple, variables: dict[str, Variable]) -> None:
        """One statement; some errors leave the batch running, as in SQL Server with XACT_ABORT OFF."""
        try:
            self.statement(statement, variables)
            self.state.error = 0
        except SqlError as problem:
            if (
                isinstance(problem, NotUnderstoodError)
                and "\n" not in problem.message
                and " in: " not in problem.message
            ):
                problem = NotUnderstoodError(problem.what, statement.text)
            inside_try = self.in_try > 0
            if self.settings.xact_abort or inside_try or problem.number not in STATEMENT_ERRORS:
                raise problem from None
            self.problem(problem)

    def condition(self, text: str, variables: dict[str, Variable]) -> bool:
        """The condition of IF."""
        translated = changes.condition(self.context(variables), text)
        return self.guarded(lambda: self.store.rows(translated.sql, values_of(translated, variables)))[0][0] == b"1"

    def statement(self, statement: Simple, variables: dict[str, Variable]) -> None:
        """Runs one statement.

        Raises:
            SqlError: It failed, or the stand-in does not understand it.
        """
        from local.sqlserver.statements import VERBS

        handler = VERBS.get(statement.verb)
        if handler is None or (self.settings.fmtonly and statement.verb not in _DESCRIBED):
            raise NotUnderstoodError(statement.text)
        if self.state.doomed and statement.verb not in ("ROLLBACK", "IF", "SELECT", "SET", "THROW", "PRINT"):
            raise SqlError(
                3930,
                "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the transaction.",
            )
        handler(self, statement.text, variables)

    def translate(
        self, translator: Callable[[Context, str], Statement], text: str, variables: dict[str, Variable]
    ) -> Statement:
        """A statement in PostgreSQL's words.

        The many executions of one prepared statement in one message (fast_executemany) are translated once, unless the
        text asks for something of the session, which is written into the translation.
        """
        key = (text, tuple(variable.kind for variable in variables.values()))
        if key in self.translated:
            return self.translated[key]
        statement = translator(self.context(variables), text)
        if self.in_procedure and not _OF_THE_MOMENT.search(text):
            self.translated[key] = statement
        return statement

    # --- running translated statements -----------------------------------------------------------------------------

    def guarded[T](
        self, action: Callable[[], T], verb: str = "SELECT", names: dict[str, dict[str, object]] | None = None
    ) -> T:
        """Runs something in PostgreSQL so that an error of it leaves an open transaction usable.

        A statement that fails undoes itself alone, so there is a savepoint before it; with XACT_ABORT ON it undoes the
        transaction anyway, and none is needed.
        """
        protected = self.state.trancount > 0 and not self.settings.xact_abort
        if self.state.trancount and not self.store.in_transaction:
            self._begin_in_store()
        if protected:
            self.store.script("SAVEPOINT statement")
        try:
            result = action()
        except (SqlError, AttentionError) as problem:
            if protected:
                self.store.script("ROLLBACK TO SAVEPOINT statement")
            elif self.state.trancount:
                self.roll_back()
            if isinstance(problem, StoreError):
                problem = self._complete(problem, verb, names or {})
            raise problem from None
        if protected:
            self.store.script("RELEASE SAVEPOINT statement")
        return result

    def _complete(self, problem: StoreError, verb: str, names: dict[str, dict[str, object]]) -> SqlError:
        completed = problem.complete(self.store, self.database, verb, names)
        if verb == "ALTER TABLE" and completed.number in (1505, 1776, 1778):
            completed.followed_by = SqlError(1750, "Could not create constraint or index. See previous errors.")
        return completed

    def run(self, statement: Statement, variables: dict[str, Variable]) -> None:
        """Runs a translated query or change and writes its result."""
        values = values_of(statement, variables)
        if self.settings.fmtonly:
            if statement.columns is not None and not statement.assigned:
                self.channel.write(
                    self._metadata(statement) + tokens.done(tokens.MORE | tokens.COUNT, tokens.COMMAND["SELECT"])
                )
            return
        if statement.columns is None:
            touched = self.guarded(lambda: self.store.execute(statement.sql, values), statement.verb)
            self.state.rowcount = touched
            self.count(touched, statement.verb)
        elif statement.assigned:
            rows = self.guarded(lambda: self.store.rows(statement.sql, values), statement.verb)
            self.state.rowcount = len(rows)
            if rows:
                self._assign(statement, rows[-1], variables)
            if statement.verb != "SELECT":
                self.count(len(rows), statement.verb)
        else:
            self.guarded(lambda: self._send_rows(statement, values), statement.verb)

    def count(self, rows: int, verb: str) -> None:
        """DONE with a row count, unless NOCOUNT is on."""
        if self.told.get("nocount") != "ON":
            self.channel.write(
                tokens.done(tokens.MORE | tokens.COUNT, tokens.COMMAND.get(verb, 0), rows, self.done_token)
            )

    @property
    def done_token(self) -> int:
        """DONEINPROC inside a procedure or RPC, DONE in a batch."""
        return tokens.DONE_IN_PROC if self.in_procedure else tokens.DONE

    def _metadata(self, statement: Statement) -> bytes:
        return tokens.column_metadata(
            [(column.name, column.kind, column.nullable) for column in statement.columns or []]
        )

    def _send_rows(self, statement: Statement, values: Sequence[Value]) -> None:
        """Rows leave as they come; an error after the first row follows them, as in SQL Server."""
        columns = statement.columns or []
        codecs = [column_codec(column.kind, nullable=column.nullable) for column in columns]
        total = 0
        with self.store.stream(statement.sql, values) as stream:
            metadata = self._metadata(statement)
            for batch in stream:
                if metadata:
                    self.channel.write(metadata)
                    metadata = b""
                parts = _row_tokens(batch, codecs)
                self.channel.write(b"".join(parts))
                total += len(batch)
        self.state.rowcount = total
        status = tokens.MORE | tokens.COUNT
        self.channel.write(
            metadata + tokens.done(status, tokens.COMMAND.get(statement.verb, 0xC1), total, self.done_token)
        )

    def _assign(self, statement: Statement, row: Sequence[bytes | None], variables: dict[str, Variable]) -> None:
        for name, cell in zip(statement.assigned, row, strict=True):
            variable = variables[name]
            variable.value = raw_value(variable.kind, cell)

    # --- transactions ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """BEGIN TRANSACTION; only the first one begins anything."""
        if self.state.trancount == 0:
            self.descriptors += 1
            self.state.descriptor = self.descriptors
            self._begin_in_store()
            self.channel.write(tokens.transaction_begun(self.state.descriptor))
        self.state.trancount += 1

    def _begin_in_store(self) -> None:
        level = {"READ UNCOMMITTED": "READ COMMITTED", "SNAPSHOT": "REPEATABLE READ"}.get(
            self.settings.isolation, self.settings.isolation
        )
        self.store.script(f"BEGIN ISOLATION LEVEL {level}")

    def commit(self) -> None:
        """COMMIT TRANSACTION.

        Raises:
            SqlError: 3902 without a transaction.
        """
        if self.state.trancount == 0:
            raise SqlError(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        if self.state.trancount > 1:
            self.state.trancount -= 1
            return
        fault = self.hub.fault("commit")
        if fault and fault["kind"] == "reset_before_commit":
            self.channel.reset()
        if fault and fault["kind"] == "error_commit":
            self.roll_back()
            raise SqlError(fault["number"], f"Injected fault: error {fault['number']} at COMMIT.", 16)
        try:
            self.store.script("COMMIT")
        except SqlError:
            self.roll_back()
            raise
        if fault and fault["kind"] == "reset_after_commit":
            self.channel.reset()
        self.state.trancount = 0
        self.state.savepoints.clear()
        self.channel.write(tokens.transaction_ended(self.state.descriptor, committed=True))

    def roll_back(self) -> None:
        """Undoes the whole transaction, whatever its depth."""
        if self.store.in_transaction:
            self.store.script("ROLLBACK")
        if self.state.trancount:
            self.channel.write(tokens.transaction_ended(self.state.descriptor, committed=False))
        self.state.trancount = 0
        self.state.doomed = False
        self.state.savepoints.clear()

    def assign(self, name: str, text: str, variables: dict[str, Variable]) -> None:
        """SET @name = expression."""
        statement, kind = changes.set_variable(self.context(variables), name, text)
        rows = self.guarded(lambda: self.store.rows(statement.sql, values_of(statement, variables)))
        variables[name.lower()] = Variable(kind, raw_value(kind, rows[0][0]))

    def change(self, change: Change) -> None:
        """Runs DDL; all of a statement or nothing of it."""
        self.translated.clear()
        if change.script:
            self.guarded(lambda: self.store.script("; ".join(change.script)), change.verb, change.names)

    def scalar(self, text: str, variables: dict[str, Variable]) -> bytes | None:
        """The value of one expression, in PostgreSQL's text format."""
        _, statement = changes.scalar(self.context(variables), text)
        return self.guarded(lambda: self.store.rows(statement.sql, values_of(statement, variables)))[0][0]

    # --- faults ----------------------------------------------------------------------------------------------------

    def misbehave(self, statement: str) -> None:
        """What an injected fault does to a statement."""
        fault = self.hub.fault("statement", statement)
        if fault is None:
            return
        if fault["kind"] == "reset":
            self.channel.reset()
        if fault["kind"] == "error":
            number = fault["number"]
            severity = 13 if number == 1205 else 20 if number == 40501 else 16
            raise SqlError(number, f"Injected fault: error {number}.", severity)
        time.sleep(fault["seconds"])


def _row_tokens(batch: list[Row], codecs: list[tuple[Encoder, bytes | None]]) -> list[bytes]:
    parts = []
    for row in batch:
        parts.append(b"\xd1")
        for cell, (encode, null) in zip(row, codecs, strict=True):
            found = null if cell is None else encode(cell)
            if found is None:
                raise SqlError(50003, "the stand-in told a column that cannot be NULL, and found a NULL in it")
            parts.append(found)
    return parts


def _error_tokens(problem: SqlError) -> bytes:
    following = problem.followed_by
    return tokens.error(problem) + (tokens.error(following) if following else b"")


def values_of(statement: Statement, variables: dict[str, Variable]) -> list[Value]:
    """Parameters of a translated statement, in order."""
    return [
        Value(variables[name].value, variables[name].kind.oid, variables[name].kind.is_binary)
        for name in statement.used
    ]


def raw_value(kind: SqlType, cell: bytes | None) -> bytes | None:
    """A cell of a result as the value of a variable."""
    if cell is not None and kind.is_binary:
        return bytes.fromhex(cell[2:].decode("ascii"))
    return cell
