"""What the server programs of `local/` written in Python share: the ready line, the signals, the parent's death."""

import ctypes
import json
import logging
import os
import signal
import sys
import threading
from datetime import UTC, datetime

PR_SET_PDEATHSIG = 1


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info or record.exc_text:
            # An app that redacts its records does it in exc_text.
            line["exception"] = record.exc_text or self.formatException(record.exc_info or (None, None, None))
        return json.dumps(line, ensure_ascii=False, default=str)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send every logger's records to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def die_with_parent() -> None:
    """Have the kernel end this process when its parent ends (Linux); at once if that has happened already."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)


def ready(**facts: object) -> None:
    """Say on stdout, in one line, that the program serves, and where."""
    out = sys.__stdout__ or sys.stdout  # the host sends what functions print elsewhere
    out.write(json.dumps({"ready": True, **facts}) + "\n")
    out.flush()


def wait_for_signal() -> None:
    """Return on SIGTERM or SIGINT."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()
