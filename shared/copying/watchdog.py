"""A watchdog above the drivers' time-outs: work that makes no progress is really ended.

`bulkcopy_arrow`'s own timeout is looked at only between batches (measured: with a server that stopped reading, 5 s had
not fired after 58 s), and libpq waits for ever for rows. So the work runs on a thread of its own, beats at every step,
and when the beats stop its sockets are shut down: a blocked send or receive then returns with an error, and the server,
seeing the connection gone, rolls the transaction back. If even that does not wake the thread it is left behind as a
daemon, and the caller goes on with a `TransientError`; should the thread wake up later, its next beat ends it.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from shared.errors import TransientError

GRACE = 15.0  # seconds between cutting the sockets and leaving the thread behind
ALONE = 20.0  # seconds to wait for another connect of the process to end
STALLED = (
    "Look what the session waits for (on the target sys.dm_exec_requests, on PostgreSQL pg_stat_activity). If it is only "
    "slow, scale that side up or raise COPY_STALL_SECONDS."
)
_DESCRIPTORS = Path("/proc/self/fd")
_connecting = threading.Lock()


class Heartbeat:
    """When the work last made progress, and what it was doing."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._ended = False
        self.doing = "starting"

    def beat(self, doing: str) -> None:
        """Note progress; `doing` names what comes next, for the error.

        Raises TransientError STALLED after `end`: nobody waits for this work any more, and nobody watches it.
        """
        if self._ended:
            raise TransientError("STALLED", doing, "the watchdog had given this work up; nothing more of it is done.")
        self.doing = doing
        self._at = time.monotonic()

    def end(self) -> None:
        """Let the work end at its next beat."""
        self._ended = True

    @property
    def silence(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - self._at


class Sockets:
    """The TCP sockets of one session, by inode: a descriptor's number may be used again, an inode is the socket.

    Those count whose peer has a port for which `is_peer` is true. Neither the Rust core nor libpq under ADBC gives out
    its socket, so the process's descriptors are compared before and after, one connect at a time. A connect that hangs
    does not keep others from connecting: after `ALONE` seconds they go on beside it. Then, or when another thread
    connects to the same server by itself, a socket may be counted twice: it is cut with either session, and is retried.
    """

    def __init__(self, is_peer: Callable[[int], bool]) -> None:
        self._is_peer = is_peer
        self._before: frozenset[int] | None = None  # while a connect is under way: what was open when it began
        self._opened: frozenset[int] = frozenset()

    def opened_by[T](self, connect: Callable[[], T]) -> T:
        """Connect, and note which sockets that opened."""
        alone = _connecting.acquire(timeout=ALONE)
        try:
            self._before = frozenset(_open_sockets())
            result = connect()
            self._opened |= self._new()
        finally:
            self._before = None
            if alone:
                _connecting.release()
        return result

    def cut(self) -> int:
        """Shut those down that are still open, those of a connect under way too; return how many."""
        inodes = self._opened | self._new()
        return sum(_shut(descriptor, inode) for inode, descriptor in _open_sockets().items() if inode in inodes)

    def _new(self) -> frozenset[int]:
        before = self._before
        if before is None:
            return frozenset()
        now = _open_sockets().items()
        return frozenset(inode for inode, fd in now if inode not in before and _peer_port_is(fd, self._is_peer))


def run_watched[T](
    work: Callable[[], T], heartbeat: Heartbeat, limit: float, cut: Callable[[], object], about: str
) -> T:
    """Run `work` on a thread and return its result or raise its error; end it after `limit` seconds without a beat.

    Raises TransientError STALLED about `about` when the watchdog ended it.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            failure.append(error)

    heartbeat.beat(heartbeat.doing)
    thread = threading.Thread(target=body, name=f"watched {about}", daemon=True)
    thread.start()
    stalled: str | None = None
    while thread.is_alive():
        thread.join(min(1.0, limit / 5))
        if thread.is_alive() and heartbeat.silence > limit:
            stalled = heartbeat.doing
            heartbeat.end()
            cut()
            thread.join(GRACE)
            break
    if stalled is not None and not outcome:
        message = f"expected progress within {limit:.0f} s, found none while {stalled}; the session was ended."
        raise TransientError("STALLED", about, message, STALLED) from (failure[0] if failure else None)
    if failure and not isinstance(failure[0], Exception):
        # A panic in a driver's Rust code is a BaseException, which would take the worker's thread with it.
        message = f"a driver gave up while {heartbeat.doing}: {failure[0]}"
        raise TransientError(
            "DRIVER_PANIC", about, message, "Report it as an error of mxferry, with the log of the run."
        )
    if failure:
        raise failure[0]
    return outcome[0]


def _open_sockets() -> dict[int, int]:
    """Return inode → descriptor of this process's sockets; empty where there is no /proc (not Linux)."""
    found: dict[int, int] = {}
    if not _DESCRIPTORS.exists():
        return found
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - the descriptor of the listing itself is in the list
        with contextlib.suppress(OSError):
            target = str((_DESCRIPTORS / name).readlink())
            if target.startswith("socket:["):
                found[int(target[8:-1])] = int(name)
    return found


def _peer_port_is(descriptor: int, is_peer: Callable[[int], bool]) -> bool:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
        if copy.family in (socket.AF_INET, socket.AF_INET6) and copy.type == socket.SOCK_STREAM:
            return is_peer(int(copy.getpeername()[1]))
    return False


def _shut(descriptor: int, inode: int) -> int:
    """Shut a socket down through a copy of its descriptor, checked to be that very socket."""
    with contextlib.suppress(OSError):
        copy = os.dup(descriptor)
        if os.fstat(copy).st_ino != inode:
            os.close(copy)
            return 0
        with socket.socket(fileno=copy) as own:
            own.shutdown(socket.SHUT_RDWR)
            return 1
    return 0
