"""The control channel: JSON lines over a loopback socket, one answer a line."""

import json
import socket
from types import TracebackType
from typing import Any


class Control:
    """Client of a stand-in's control port: injects faults, asks for counts.

    Args:
        port: `control_port` of the server's ready line.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._lines = self._socket.makefile("rw", encoding="utf-8", newline="\n")
        self._fired_before: dict[str, int] = self.statistics()["faults_fired"]

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends one request and gives its answer.

        Raises:
            ValueError: The server refused it; the text says why.
        """
        self._lines.write(json.dumps(request) + "\n")
        self._lines.flush()
        answer: dict[str, Any] = json.loads(self._lines.readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def fault(self, kind: str, **settings: Any) -> None:
        """Adds a fault; see `local.sqlserver.faults.Fault` for kinds and settings."""
        self.ask(do="fault", kind=kind, **settings)

    def clear(self) -> None:
        """Removes every fault."""
        self.ask(do="clear")

    def statistics(self) -> dict[str, Any]:
        """Logins, live sessions, bulk rows, faults fired by kind, SHA-256 of the access tokens seen."""
        return self.ask(do="statistics")

    def fired(self) -> dict[str, int]:
        """How often each kind of fault has fired since this channel was opened; the server may be older than that."""
        now: dict[str, int] = self.statistics()["faults_fired"]
        since = {kind: count - self._fired_before.get(kind, 0) for kind, count in now.items()}
        return {kind: count for kind, count in since.items() if count}

    def close(self) -> None:
        """Closes the channel; faults stay."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> "Control":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
