"""Child server programs: start one, wait until it serves, stop it, and leave nothing behind when the parent is killed.

Output goes to files, never to pipes, so that a child outlives a parent that meant it to (`make up`) and a talkative
child cannot block.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = ROOT / "local" / "launcher.py"
POLL_SECONDS = 0.03


class ProcessError(RuntimeError):
    """A server program did not start or died; the text holds the end of its log."""


@dataclass(frozen=True)
class Program:
    """What to run and how to treat it.

    `who` is `same`, `mapped` or a uid (see `local.launcher`). With `with_parent` the child dies when the *thread* that
    started it ends (that is what PR_SET_PDEATHSIG means), so start children from the main thread.
    """

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    who: str = "same"
    with_parent: bool = True
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL

    @property
    def log(self) -> Path:
        """Where standard error goes."""
        return self.folder / f"{self.name}.log"

    @property
    def output(self) -> Path:
        """Where standard output goes."""
        return self.folder / f"{self.name}.out"


class Child:
    """A running server program."""

    def __init__(self, program: Program, process: subprocess.Popen[bytes]) -> None:
        self.program = program
        self.process = process

    @property
    def pid(self) -> int:
        """The process id; the program's own, since the launcher becomes the program."""
        return self.process.pid

    def running(self) -> bool:
        """Tell whether the program has not ended."""
        return self.process.poll() is None

    def wait_until[T](self, probe: Callable[["Child"], T | None], timeout: float) -> T:
        """Call `probe` until it returns something true; `ProcessError` after `timeout` seconds or when it dies."""
        deadline = time.monotonic() + timeout
        while True:
            if found := probe(self):
                return found
            if not self.running():
                raise ProcessError(f"{self.program.name} ended with code {self.process.returncode}.{self._tail()}")
            if time.monotonic() > deadline:
                self.stop()
                raise ProcessError(f"{self.program.name} did not serve within {timeout:.0f} s.{self._tail()}")
            time.sleep(POLL_SECONDS)

    def stop(self, grace: float = 8.0) -> None:
        """Send the program's stop signal, and SIGKILL after `grace` seconds. Stopping twice is harmless."""
        if not self.running():
            return
        self.process.send_signal(self.program.stop_signal)
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """SIGKILL, for tests of what survives it."""
        self.process.kill()
        self.process.wait()

    def _tail(self) -> str:
        lines = tail(self.program.log) or tail(self.program.output)
        return f" The end of {self.program.log}:\n{lines}" if lines else f" Its log {self.program.log} is empty."


def start(program: Program) -> Child:
    """Start a program; it has not yet begun to serve when this returns."""
    program.folder.mkdir(parents=True, exist_ok=True)
    parent = os.getpid() if program.with_parent else 0
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(parent), str(int(program.death_signal)), program.who]
    with program.output.open("wb") as output, program.log.open("ab") as log:
        process = subprocess.Popen(
            [*launcher, "--", *program.command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=log,
            cwd=ROOT if program.who in ("same", "mapped") else "/",
            env={**os.environ, **program.environment},
            # A group of its own: Ctrl-C at the terminal reaches the parent alone, which then stops parts in order.
            start_new_session=True,
        )
    return Child(program, process)


def ready_line(child: Child) -> dict[str, Any] | None:
    """Probe for our own server programs: the JSON line `{"ready": true, …}` on standard output."""
    for line in child.program.output.read_text(errors="replace").splitlines(keepends=True):
        if line.startswith("{") and line.endswith("\n"):
            with contextlib.suppress(ValueError):
                answer = json.loads(line)
                if isinstance(answer, dict) and answer.get("ready") is True:
                    return answer
    return None


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now. Prefer port 0 where the program can take it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tail(path: Path, lines: int = 20) -> str:
    """Return the last lines of a text file, or nothing if there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16_384))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def stop_pid(pid: int, stop_signal: signal.Signals, grace: float = 8.0) -> bool:
    """Stop a process that an earlier command started (not our child); tell whether it was there."""
    try:
        os.kill(pid, stop_signal)
    except ProcessLookupError:
        return False
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline:
        if not _exists(pid):
            return True
        time.sleep(POLL_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return True


def _exists(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")
