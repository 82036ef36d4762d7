"""The migration's own events: one log line each, which alerts and the workbook of `infra/` read.

A line is `mxferry-event {"event": …, "run": …, …}`. The Functions worker forwards the text of a log record and nothing
else of it, so the facts are in the text. Sampling leaves traces alone (host.json, `excludedTypes`).
"""

import json
import logging
from typing import Any, Literal

from pydantic import BaseModel

from shared.contracts import Run

log = logging.getLogger("mxferry.event")

MARK = "mxferry-event"
Kind = Literal[
    "run-started",
    "run-ended",
    "staging-cleaned",
    "staging-kept",
    "activity-done",
    "activity-refused",
    "activity-failed",
    "environment-changed",
    "source-password-handed-out",
]
FACTS = ("rows", "bytes", "files", "stopped", "log_write_percent")  # of an activity's answer, where it has them


def emit(event: Kind, run: str, **facts: str | float | None) -> None:
    """Log one event of a run; facts that are None are left out. Never pass a secret, nor a value of the source."""
    known = {name: value for name, value in facts.items() if value is not None}
    log.info("%s %s", MARK, json.dumps({"event": event, "run": run, **known}))


def run_started(run: Run) -> None:
    """A run began; says when its migration window ends, for the alert `window-ending`."""
    window = run.request.window
    emit(
        "run-started",
        run.id,
        purpose=run.request.options.purpose,
        target=run.request.target,
        window_end=window.end.isoformat() if window else None,
    )


def activity_ended(
    name: str, work: BaseModel | None, seconds: float, result: dict[str, Any] | None, code: str = ""
) -> None:
    """An activity ended: done, refused (its answer says so) or failed (no answer; `code` says why)."""
    run = getattr(work, "run", None)
    run_id = run.id if isinstance(run, Run) else ""
    if result is None:
        emit("activity-failed", run_id, activity=name, seconds=round(seconds, 3), code=code)
    elif "refused" in result:
        emit("activity-refused", run_id, activity=name, seconds=round(seconds, 3), code=result["refused"]["code"])
    else:
        facts = {key: result[key] for key in FACTS if isinstance(result.get(key), int | float | str)}
        emit("activity-done", run_id, activity=name, seconds=round(seconds, 3), **facts)
