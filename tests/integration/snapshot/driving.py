"""Drives an orchestrator by hand: activities are called in this process, timers are short, sub-orchestrations nest."""

import json
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

from durabletask import task

from activities import files, reconcile, restore, snapshot, source
from orchestrators import cloud as cloud_orchestrators
from orchestrators import files as files_orchestrators
from orchestrators import restore as restore_orchestrators
from orchestrators import snapshot as snapshot_orchestrators

ACTIVITIES = {
    one.__name__: one for module in (source, snapshot, restore, files, reconcile) for one in module.ACTIVITIES
}
ORCHESTRATORS = {
    one.__name__: one
    for module in (cloud_orchestrators, snapshot_orchestrators, restore_orchestrators, files_orchestrators)
    for one in module.ORCHESTRATORS
}


class DoneTask(task.CompletableTask[Any]):
    """A task that is complete when it is made."""

    def __init__(self, result: Any = None, error: Exception | None = None) -> None:
        super().__init__()
        if error is not None:
            self.fail(str(error), error)
        else:
            self.complete(result)


class HandContext:
    """As much of an orchestration context as our orchestrators use."""

    def __init__(
        self,
        statuses: list[dict[str, Any]],
        calls: list[tuple[str, Any]],
        instance: str = "test",
        now: datetime | None = None,
    ) -> None:
        self.statuses, self.calls = statuses, calls
        self.instance_id = instance
        self.is_replaying = False
        self.current_utc_datetime = now or datetime.now(UTC).replace(tzinfo=None)

    def call_activity(self, name: str, *, input: Any = None, retry_policy: Any = None) -> DoneTask:  # noqa: A002 - durabletask's name
        self.calls.append((name, input))
        for attempt in range(3):
            try:
                return DoneTask(json.loads(json.dumps(ACTIVITIES[name](None, json.loads(json.dumps(input))))))
            except Exception as error:
                if attempt == 2:
                    return DoneTask(error=error)
        raise AssertionError

    def call_sub_orchestrator(self, name: str, *, input: Any = None, instance_id: str) -> DoneTask:  # noqa: A002
        child = HandContext(self.statuses, self.calls, instance_id, self.current_utc_datetime)
        result = _driven(child, ORCHESTRATORS[name], input)
        self.current_utc_datetime = child.current_utc_datetime
        return DoneTask(result)

    def create_timer(self, fire_at: datetime | timedelta) -> DoneTask:
        self.calls.append(("timer", str(fire_at)))
        time.sleep(0.1)  # what is waited for is real, and takes a moment
        self.current_utc_datetime = (
            self.current_utc_datetime + fire_at if isinstance(fire_at, timedelta) else fire_at.replace(tzinfo=None)
        )
        return DoneTask()

    def set_custom_status(self, status: Any) -> None:
        self.statuses.append(json.loads(json.dumps(status)))


def drive(
    orchestrator: Callable[..., Any],
    payload: dict[str, Any],
    statuses: list[dict[str, Any]] | None = None,
    calls: list[tuple[str, Any]] | None = None,
    instance: str = "test",
) -> Any:
    """Run the generator to its end and return what it returns."""
    context = HandContext(statuses if statuses is not None else [], calls if calls is not None else [], instance)
    return _driven(context, orchestrator, payload)


def _driven(context: HandContext, orchestrator: Callable[..., Any], payload: dict[str, Any]) -> Any:
    steps = orchestrator(context, json.loads(json.dumps(payload)))
    if not isinstance(steps, Generator):
        return steps
    try:
        waiting = next(steps)
        while True:
            try:
                result = waiting.get_result()
            except task.TaskFailedError as error:
                waiting = steps.throw(error)
            else:
                waiting = steps.send(result)
    except StopIteration as stop:
        return stop.value
