"""What the run did to the two apps, and how it left them, as sentences of the report."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.contracts import Run, StageState
from shared.reporting.model import StageReport
from shared.request import MendixCloudSource
from shared.wording import clock


def sentences(run: Run, stages: Sequence[StageState], answers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return one sentence on the source app, one on the target app."""
    known = {stage.name: stage for stage in stages}
    return [_source(run, known, answers.get("source-start", {})), _target(known)]


def was_started(stages: Sequence[StageReport]) -> bool:
    """Tell whether the target app was started in the run, as far as the run knows: by it, for it, or by people it asked."""
    states = {stage.name: stage.state for stage in stages}
    asked = states.get("start-gate") == "done" and "app-start" not in states
    return asked or any(states.get(name, "skipped") != "skipped" for name in ("hand-over", "app-start"))


def _source(run: Run, known: Mapping[str, StageState], answer: Mapping[str, Any]) -> str:
    source = run.request.source
    if not isinstance(source, MendixCloudSource) or not source.stop_app or "snapshot" not in known:
        return "Source app: neither stopped nor started by this run."
    again = known.get("source-start")
    if again is None:
        return "Source app: stopped before the snapshot was taken, and left stopped."
    if answer.get("outcome") == "not-ours":
        return "Source app: not stopped by this run, which left it as it was."
    if again.state == "done":
        return f"Source app: stopped before the snapshot was taken; it runs again since {_at(again.ended_at)}."
    return "Source app: stopped before the snapshot was taken, and not running again. See the findings."


def _target(known: Mapping[str, StageState]) -> str:
    said = []
    stopped, started = known.get("app-stop"), known.get("app-start")
    if stopped is not None:
        done = stopped.state == "done"
        said.append(f"stopped before the target was written, {_at(stopped.ended_at)}" if done else "not stopped")
    if started is not None:
        done = started.state == "done"
        said.append(f"started when everything was verified, {_at(started.ended_at)}" if done else "not started")
    elif (asked := known.get("start-gate")) is not None:
        said.append("started by people" if asked.state == "done" else "not started")
    elif stopped is not None and "app-restart" not in known:
        said.append("left stopped")
    for name, words in (("app-restart", "started again"), ("app-end", "stopped at the end of the rehearsal")):
        if (end := known.get(name)) is not None:
            said.append(f"{words}, {_at(end.ended_at)}" if end.state == "done" else f"not {words}")
    return f"Target app: {', '.join(said)}." if said else "Target app: neither stopped nor started by this run."


def _at(moment: datetime | None) -> str:
    return f"{clock(moment)} UTC"
