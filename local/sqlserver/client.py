"""What a session's process does from the first packet to the last."""

import logging
import re
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass

from local.sqlserver import bulk, login, principals, rpc, store, tokens, wire
from local.sqlserver.errors import AttentionError, ConnectionClosedError, SqlError
from local.sqlserver.server import Hub
from local.sqlserver.session import Session
from local.sqlserver.statements import VERBS

log = logging.getLogger("local.sqlserver")

_BEGIN, _COMMIT, _ROLLBACK = 5, 7, 8
_LEVELS = {1: "READ UNCOMMITTED", 2: "READ COMMITTED", 3: "REPEATABLE READ", 4: "SERIALIZABLE", 5: "SNAPSHOT"}

# The batch the Rust core of mssql-python sends before a bulk load, to learn the columns: with FMTONLY it selects every
# column by dynamic SQL. It is known by its shape and answered from the catalogue.
_METADATA_BATCH = re.compile(
    r"^\s*SELECT @@TRANCOUNT;\s*DECLARE @Column_Names NVARCHAR\(MAX\) = NULL;.*SET FMTONLY ON;\s*"
    r"EXEC\(N'SELECT ' \+ @Column_Names \+ N' FROM (?P<table>.+?)'\);\s*SET FMTONLY OFF;\s*"
    r"EXEC (?:\S+\.\.)?sp_tablecollations_100 N'(?P=table)';\s*$",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How the server was started."""

    address: str
    user: str
    password: str
    accepts_tokens: bool
    discard: bool


class Client:
    """One client, in its own process."""

    def __init__(self, sock: socket.socket, hub: Hub, number: int, settings: Settings) -> None:
        self.channel = wire.Channel(sock)
        self.hub = hub
        self.number = number
        self.settings = settings
        self.session: Session | None = None

    def run(self, context: ssl.SSLContext | None) -> None:
        """Serves until the client goes."""
        try:
            login.prelogin(self.channel, context)
            session = self._log_in()
            while session is not None:
                self._serve(session, *self.channel.message())
        except ConnectionClosedError:
            return

    def _log_in(self) -> Session | None:
        found = login.read_login(self.channel)
        try:
            login.check(found, self.settings.user, self.settings.password, accepts_tokens=self.settings.accepts_tokens)
            if found.token is not None:
                self.hub.ask(do="token", sha256=login.token_digest(found.token))
            fault = self.hub.fault("login", found.database)
            if fault and fault["kind"] == "refuse_login":
                raise SqlError(fault["number"], f"Injected fault: error {fault['number']} at login.", 14)
            session = self._open(found)
        except SqlError as problem:
            self.hub.ask(do="count", failed_logins=1)
            self.channel.send(tokens.error(problem) + tokens.done(tokens.ERROR))
            return None
        self.hub.ask(do="count", logins=1)
        self.channel.send(login.acknowledge(found, session.database))
        self.channel.packet_size = found.packet_size
        return session

    def _open(self, found: login.Login) -> Session:
        user = "token" if found.token is not None else found.user
        label = "|".join(part.replace("|", " ") for part in (str(self.number), user, found.host[:12], found.program))
        watch = (self.channel.sock.fileno(), self.channel.client_spoke)
        stored = store.stored_name(found.database)
        try:
            opened = store.Store(self.settings.address, stored, label, watch)
        except SqlError as problem:
            log.info("database %s: %s", found.database, problem.message)
            raise SqlError(
                4060, f'Cannot open database "{found.database}" requested by the login. The login failed.', 11
            ) from None
        database_user = principals.user_of(found.token)
        told = store.described(opened, stored)
        if told.get("made_by") != store.TEMPLATE:
            raise SqlError(
                50004,
                f'database "{found.database}" was made by another version of the stand-in, whose catalogue differs: '
                "drop it and create it anew",
            )
        principals.check_user(opened, database_user)
        return Session(
            self.channel,
            self.hub,
            opened,
            {
                "session": str(self.number),
                "database": str(told["name"]),
                "collation": str(told["collation"]),
                "login": user,
                "user": database_user,
                "host": found.host,
                "program": found.program,
                "discard": "yes" if self.settings.discard else "",
            },
            self.settings.address,
            VERBS,
        )

    def _serve(self, session: Session, kind: int, payload: bytes) -> None:
        """One request, one response."""
        handlers: dict[int, Callable[[Session, bytes], None]] = {
            wire.BATCH: self._batch,
            wire.RPC: rpc.run,
            wire.BULK: self._bulk,
            wire.TRANSACTION: self._transaction,
        }
        try:
            if kind == wire.ATTENTION:
                raise AttentionError
            handler = handlers.get(kind)
            if handler is None:
                raise SqlError(17836, f"The stand-in does not know packets of type 0x{kind:02X}.", 20)
            handler(session, payload)
        except AttentionError:
            self._acknowledge_attention(kind)
            return
        except SqlError as problem:
            session.problem(problem)
            session.channel.write(tokens.done(tokens.ERROR))
            session.channel.finish()
            if problem.severity >= 20:
                raise ConnectionClosedError from None
            return
        session.channel.finish()
        if session.state.error_ends_session:
            raise ConnectionClosedError

    def _acknowledge_attention(self, kind: int) -> None:
        """DONE with the attention bit, after the attention itself has been read."""
        if kind != wire.ATTENTION and not self.channel.attention_read:
            while self.channel.packet()[0] != wire.ATTENTION:
                pass
        self.channel.attention_read = False
        self.channel.write(tokens.done(tokens.ATTENTION))
        self.channel.finish()

    def _batch(self, session: Session, payload: bytes) -> None:
        (skip,) = struct.unpack_from("<I", payload, 0)
        text = payload[skip:].decode("utf-16-le")
        known = _METADATA_BATCH.match(text)
        if known:
            table = known["table"]
            text = (
                f"SELECT @@TRANCOUNT; SET FMTONLY ON; SELECT * FROM {table}; SET FMTONLY OFF; "
                f"EXEC sp_tablecollations_100 N'{table}'"
            )
        session.batch(text)

    def _bulk(self, session: Session, payload: bytes) -> None:
        target, session.state.bulk = session.state.bulk, None
        bulk.receive(session, target)

    def _transaction(self, session: Session, payload: bytes) -> None:
        """Transaction manager requests of ODBC: begin, commit, roll back, each perhaps beginning the next."""
        (skip,) = struct.unpack_from("<I", payload, 0)
        (request,) = struct.unpack_from("<H", payload, skip)
        rest = payload[skip + 2 :]
        if request == _BEGIN:
            level = _LEVELS.get(rest[0])
            if level:
                session.settings.isolation = level
            session.transaction.begin()
        elif request in (_COMMIT, _ROLLBACK):
            if request == _COMMIT:
                session.transaction.commit_all()
            else:
                session.transaction.roll_back()
            self._begin_next(session, rest)
        else:
            raise SqlError(17836, f"The stand-in does not know transaction manager request {request}.")
        session.channel.write(tokens.done())

    def _begin_next(self, session: Session, rest: bytes) -> None:
        """`name, flags[, isolation level, name]`: flag 1 begins the next transaction at once."""
        at = 1 + rest[0]
        if at < len(rest) and rest[at] & 1:
            level = _LEVELS.get(rest[at + 1]) if at + 1 < len(rest) else None
            if level:
                session.settings.isolation = level
            session.transaction.begin()
