"""The server's parent process: accepts, forks one process a session, decides about faults, counts.

A session is a process because its work (decoding bulk rows) is CPU in Python: two sessions use two cores, and a large
load never delays another's login. The parent has one thread and no PostgreSQL connection, so forking is safe.
"""

import contextlib
import gc
import json
import logging
import mmap
import os
import selectors
import signal
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local.sqlserver.faults import Faults

log = logging.getLogger("local.sqlserver")


@dataclass
class Statistics:
    """What the parent has counted since it started."""

    logins: int = 0
    failed_logins: int = 0
    sessions: int = 0
    bulk_rows: int = 0
    bulk_loads: int = 0
    tokens_sha256: list[str] = field(default_factory=list)


class Hub:
    """A session's line to the parent: one JSON request, one JSON answer."""

    def __init__(self, line: socket.socket, alarm: mmap.mmap) -> None:
        self._line = line
        self._file = line.makefile("rw", encoding="utf-8", newline="\n")
        self._alarm = alarm

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request to the parent and waits for its answer."""
        self._file.write(json.dumps(request) + "\n")
        self._file.flush()
        answer: dict[str, Any] = json.loads(self._file.readline())
        return answer

    def fault(self, point: str, statement: str = "") -> dict[str, Any] | None:
        """The fault that happens now, if any; costs one byte read from shared memory when none is set."""
        if self._alarm[0] == 0:
            return None
        found: dict[str, Any] | None = self.ask(do="chance", point=point, statement=statement[:4000])["fault"]
        return found


class Line:
    """A socket in the parent that carries JSON lines: a session's or a controller's."""

    def __init__(self, sock: socket.socket, process: int | None) -> None:
        self.sock = sock
        self.process = process
        self.received = b""


class Server:
    """Listens for clients and controllers until it is told to stop.

    Args:
        listener: Bound socket for TDS.
        control: Bound socket for the control channel.
        context: TLS context, or None for a server without TLS.
        serve: What a session does in its process: `serve(socket, hub, session_id, context)`.
    """

    def __init__(
        self,
        listener: socket.socket,
        control: socket.socket,
        context: ssl.SSLContext | None,
        serve: Callable[[socket.socket, Hub, int, ssl.SSLContext | None], None],
        die_with_parent: Callable[[], None],
    ) -> None:
        self._listener = listener
        self._control = control
        self._context = context
        self._serve = serve
        self._die_with_parent = die_with_parent
        self._selector = selectors.DefaultSelector()
        self._faults = Faults()
        self._statistics = Statistics()
        self._alarm = mmap.mmap(-1, mmap.PAGESIZE)
        self._children: set[int] = set()
        self._next_session = 51  # SQL Server keeps the lower ones for itself
        self._stopping = False

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then ends every session."""
        awake, wake = socket.socketpair()
        awake.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "_stopping", True))
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for sock in (self._listener, self._control, awake):
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ)
        gc.freeze()
        while not self._stopping:
            for key, _ in self._selector.select():
                self._handle(key, awake)
            self._reap()
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._reap()

    def _handle(self, key: selectors.SelectorKey, awake: socket.socket) -> None:
        if key.fileobj is awake:
            awake.recv(4096)
        elif key.fileobj is self._listener:
            with contextlib.suppress(BlockingIOError):
                self._fork(self._listener.accept()[0])
        elif key.fileobj is self._control:
            with contextlib.suppress(BlockingIOError):
                self._watch(Line(self._control.accept()[0], None))
        else:
            self._read(key.data)

    def _watch(self, line: Line) -> None:
        self._selector.register(line.sock, selectors.EVENT_READ, line)

    def _fork(self, client: socket.socket) -> None:
        client.setblocking(True)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session_id = self._next_session
        self._next_session = 51 + (self._next_session - 50) % 32000
        mine, theirs = socket.socketpair()
        process = os.fork()
        if process == 0:
            self._become_session(client, theirs, session_id)
        client.close()
        theirs.close()
        self._children.add(process)
        self._statistics.sessions += 1
        self._watch(Line(mine, process))

    def _become_session(self, client: socket.socket, line: socket.socket, session_id: int) -> None:
        """Runs in the child; never returns."""
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            self._die_with_parent()
            for key in list(self._selector.get_map().values()):
                os.close(key.fd)
            self._serve(client, Hub(line, self._alarm), session_id, self._context)
        except BaseException:
            log.exception("session %d ended by an error of the stand-in", session_id)
        finally:
            os._exit(0)

    def _reap(self) -> None:
        while self._children:
            try:
                process, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if process == 0:
                return
            self._children.discard(process)

    # --- requests of sessions and controllers ----------------------------------------------------------------------

    def _read(self, line: Line) -> None:
        try:
            data = line.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self._selector.unregister(line.sock)
            line.sock.close()
            if line.process is not None:
                self._statistics.sessions -= 1
            return
        line.received += data
        while b"\n" in line.received:
            request, line.received = line.received.split(b"\n", 1)
            with contextlib.suppress(ConnectionError):
                line.sock.sendall(json.dumps(self._answer(json.loads(request))).encode() + b"\n")

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._do(request.pop("do"), request)
        except (KeyError, TypeError, ValueError) as problem:
            return {"error": str(problem)}

    def _do(self, what: str, request: dict[str, Any]) -> dict[str, Any]:
        if what == "chance":
            return {"fault": self._faults.at(request["point"], request["statement"])}
        if what == "count":
            for name, amount in request.items():
                setattr(self._statistics, name, getattr(self._statistics, name) + amount)
            return {}
        if what == "token":
            self._statistics.tokens_sha256 = [*self._statistics.tokens_sha256[-999:], request["sha256"]]
            return {}
        if what == "fault":
            self._faults.add(request)
        elif what == "clear":
            self._faults.clear()
        elif what == "statistics":
            return {**vars(self._statistics), "faults_fired": self._faults.fired()}
        else:
            raise ValueError(f"no such request: {what!r}")
        self._alarm[0] = 1 if self._faults else 0
        return {}
