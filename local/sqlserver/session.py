"""One client's session: batches, statements, errors, results."""

import re
import time
from collections.abc import Callable, Mapping, Sequence

from local.sqlserver import changes, constrainterrors, tokens
from local.sqlserver.cells import column_codec
from local.sqlserver.context import Context, Variable
from local.sqlserver.ddl import Change
from local.sqlserver.errors import (
    STATEMENT_ERRORS,
    AttentionError,
    NotUnderstoodError,
    ReturnError,
    SqlError,
)
from local.sqlserver.parsing import Block, If, Simple, Try, parse_batch
from local.sqlserver.results import error_tokens, metadata, raw_value, row_tokens, values_of
from local.sqlserver.scope import Catalogue
from local.sqlserver.server import Hub
from local.sqlserver.sessionstate import Settings, State
from local.sqlserver.sessionvalues import session_values
from local.sqlserver.sqltypes import SqlType
from local.sqlserver.store import Store, Value
from local.sqlserver.storeerrors import StoreError
from local.sqlserver.transactions import Transaction
from local.sqlserver.translated import Statement
from local.sqlserver.wire import Channel

# What may run while only metadata is asked for.
_DESCRIBED = frozenset({"SELECT", "WITH", "SET", "EXEC", "EXECUTE", "INSERT", "UPDATE", "DELETE", "DECLARE"})
_OF_THE_MOMENT = re.compile(r"@@|XACT_STATE|ERROR_", re.IGNORECASE)


type Verb = Callable[[Session, str, dict[str, Variable]], None]


class Session:
    """A logged-in client.

    Args:
        channel: Takes the responses.
        hub: Asked for faults.
        store: The database that was logged in to.
        told: What the login said, and what the client sees of the session.
        address: The store's maintenance database, for CREATE and DROP DATABASE.
        verbs: What runs a statement, by its first word.
    """

    def __init__(
        self,
        channel: Channel,
        hub: Hub,
        store: Store,
        told: dict[str, str],
        address: str,
        verbs: Mapping[str, Verb],
    ) -> None:
        self.channel = channel
        self.hub = hub
        self.store = store
        self.told = told
        self.address = address
        self.verbs = verbs
        self.settings = Settings()
        self.state = State()
        self.transaction = Transaction(channel, hub, store, self.settings, self.state)
        self.handles: dict[int, tuple[dict[str, SqlType] | None, str]] = {}
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
        return Context(
            Catalogue(self.store, self.database),
            variables,
            session_values(self.settings, self.state, self.told),
            self.told,
        )

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
        self.channel.write(error_tokens(problem) + tokens.done(tokens.ERROR | tokens.MORE, token=self.done_token))

    def problem_in_procedure(self, problem: SqlError) -> None:
        """The same at the end of an RPC: DONEPROC ends it."""
        self._consequences(problem)
        self.channel.write(error_tokens(problem) + tokens.done(tokens.ERROR, token=tokens.DONE_PROC))

    def _consequences(self, problem: SqlError) -> None:
        self.state.error = problem.number
        self.state.error_ends_session = problem.severity >= 20
        fatal = problem.number in (1205, 3960) or problem.severity >= 20
        if self.state.trancount and (self.settings.xact_abort or fatal or self.state.doomed):
            self.transaction.roll_back()

    def new_handle(self) -> int:
        """A number for a prepared statement."""
        self.last_handle += 1
        return self.last_handle

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
        handler = self.verbs.get(statement.verb)
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
        self.transaction.hold()
        if protected:
            self.store.script("SAVEPOINT statement")
        try:
            result = action()
        except (SqlError, AttentionError) as problem:
            if protected:
                self.store.script("ROLLBACK TO SAVEPOINT statement")
            elif self.state.trancount:
                self.transaction.roll_back()
            if isinstance(problem, StoreError):
                problem = self._complete(problem, verb, names or {})
            raise problem from None
        if protected:
            self.store.script("RELEASE SAVEPOINT statement")
        return result

    def _complete(self, problem: StoreError, verb: str, names: dict[str, dict[str, object]]) -> SqlError:
        completed = constrainterrors.complete(problem, self.store, self.database, verb, names)
        if verb == "ALTER TABLE" and completed.number in (1505, 1776, 1778):
            completed.followed_by = SqlError(1750, "Could not create constraint or index. See previous errors.")
        return completed

    def run(self, statement: Statement, variables: dict[str, Variable]) -> None:
        """Runs a translated query or change and writes its result."""
        values = values_of(statement, variables)
        if self.settings.fmtonly:
            if statement.columns is not None and not statement.assigned:
                self.channel.write(
                    metadata(statement) + tokens.done(tokens.MORE | tokens.COUNT, tokens.COMMAND["SELECT"])
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

    def _send_rows(self, statement: Statement, values: Sequence[Value]) -> None:
        """Rows leave as they come; an error after the first row follows them, as in SQL Server."""
        columns = statement.columns or []
        codecs = [column_codec(column.kind, nullable=column.nullable) for column in columns]
        total = 0
        with self.store.stream(statement.sql, values) as stream:
            head = metadata(statement)
            for batch in stream:
                if head:
                    self.channel.write(head)
                    head = b""
                parts = row_tokens(batch, codecs)
                self.channel.write(b"".join(parts))
                total += len(batch)
        self.state.rowcount = total
        status = tokens.MORE | tokens.COUNT
        self.channel.write(head + tokens.done(status, tokens.COMMAND.get(statement.verb, 0xC1), total, self.done_token))

    def _assign(self, statement: Statement, row: Sequence[bytes | None], variables: dict[str, Variable]) -> None:
        for name, cell in zip(statement.assigned, row, strict=True):
            variable = variables[name]
            variable.value = raw_value(variable.kind, cell)

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
