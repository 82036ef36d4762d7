"""One owner per state file."""

import fcntl
import os
from pathlib import Path


class StateFileInUse(RuntimeError):  # noqa: N818 - the name is the message
    """Another process owns the state file; the text names its process id."""


class StateLock:
    """An exclusive `flock` beside the state file; the kernel frees it whatever way its owner ends."""

    def __init__(self, state: Path) -> None:
        self._path = state.with_name(state.name + ".lock")
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock or raise `StateFileInUse`."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(file, 32).decode().strip() or "unknown"
            os.close(file)
            raise StateFileInUse(
                f"the state file beside {self._path} is owned by process {owner}; "
                "stop that process, or give another state file"
            ) from None
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        self._file = file

    def release(self) -> None:
        """Give the lock back; the file itself stays, so that two owners can never lock two different files."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
