"""How orchestrators call activities: retry policy, refusals, bounded fan-out.

An activity answers `{"refused": {...Finding...}}` for what a retry cannot mend; `call` turns that into `StageRefused`.
Whatever an activity raises is transient, and the retry policy repeats it.
"""

import functools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from datetime import timedelta
from typing import Any

from durabletask import task

from shared.errors import Finding

# An Azure SQL database that fails over, scales or wakes up is away for seconds to some minutes, a PostgreSQL server as
# long: https://learn.microsoft.com/azure/azure-sql/database/scale-resources#impact,
# https://learn.microsoft.com/azure/reliability/reliability-azure-database-postgresql. The pauses are 2, 4, 8, 16, 32 s
# and then a minute each, 12 minutes together; after them it is no failover any more. A refusal is never repeated.
RETRY = task.RetryPolicy(
    first_retry_interval=timedelta(seconds=2),
    max_number_of_attempts=17,
    backoff_coefficient=2.0,
    max_retry_interval=timedelta(minutes=1),
)

MOST_STEPS = 150
"""Calls of one activity for one payload: of three minutes each, and more where a table is long (`shared.budget`)."""
MOST_WAITS = 50
"""Calls in which one part of the work finds another session at it, each after two and a half minutes (`DELIVERY_WAIT`):
two hours, for the server may go on making a key for 110 minutes though the activity that began it has died."""
HELD_SHOWN = 3
"""Parts of the work that wait for a lock, of which a stage tells at a time."""

Payload = dict[str, Any]
Steps = Generator[task.Task[Any], Any, Any]
Orchestrator = Callable[[task.OrchestrationContext, Payload], Steps]


class StageRefused(Exception):  # noqa: N818 - a refusal is an outcome, not a fault
    """An activity refused; `finding` says what, why and what to do."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(f"[{finding.code}] {finding.object}: {finding.message}")


def result_of(result: Payload) -> Payload:
    """Return an activity's result, or raise `StageRefused` when it is a refusal."""
    if "refused" in result:
        raise StageRefused(Finding.model_validate(result["refused"]))
    return result


def call(ctx: task.OrchestrationContext, activity: str, payload: Payload) -> Steps:
    """Call one activity with the retry policy: `result = yield from call(ctx, "report", {...})`."""
    result = yield ctx.call_activity(activity, input=payload, retry_policy=RETRY)
    return result_of(result)


def call_sub(ctx: task.OrchestrationContext, orchestrator: str, payload: Payload, instance: str) -> Steps:
    """Run a sub-orchestration under a deterministic instance id; its refusal is raised here as `StageRefused`."""
    result = yield ctx.call_sub_orchestrator(orchestrator, input=payload, instance_id=instance)
    return result_of(result)


def answering(orchestrator: Orchestrator) -> Orchestrator:
    """Make a sub-orchestration answer `{"refused": ...}` when a refusal ends it, so that the remedy is not lost."""

    @functools.wraps(orchestrator)
    def answer(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
        try:
            return (yield from orchestrator(ctx, payload))
        except StageRefused as refusal:
            return {"refused": refusal.finding.model_dump(mode="json")}

    return answer


def until_finished(
    ctx: task.OrchestrationContext,
    activity: str,
    payload: Payload,
    unfinished: Callable[[Payload], Finding],
    on_result: Callable[[Payload], None] = lambda _: None,
    carried: str | None = None,
) -> Steps:
    """Call an activity until its answer says that it is finished; returns that answer. `on_result` sees every one.

    `carried` names the field of the next call's payload that takes the previous answer. After `MOST_STEPS` calls the stage
    is refused with what `unfinished` makes of the last answer.
    """
    result: Payload = {}
    for look in range(MOST_STEPS):
        result = yield from call(ctx, activity, payload | {"look": look})
        on_result(result)
        if result["finished"]:
            return result
        if carried is not None:
            payload = payload | {carried: result}
    raise StageRefused(unfinished(result))


def race(tasks: Mapping[str, task.CancellableTask[Any]]) -> Steps:
    """Wait for the first of some events and timers; returns its name and cancels the rest.

    An open timer keeps an orchestration from completing in Azure, so losers are always cancelled.
    """
    winner = yield task.when_any(list(tasks.values()))
    for one in tasks.values():
        if one is not winner:
            one.cancel()
    return next(name for name, one in tasks.items() if one is winner)


def fan_out(
    ctx: task.OrchestrationContext,
    activity: str,
    payloads: Iterable[Payload],
    window: int,
    on_result: Callable[[Payload], None],
    on_held: Callable[[str], None] = lambda _: None,
) -> Steps:
    """Call an activity once for each payload, at most `window` at a time; `on_result` sees every result as it comes.

    A result that says `"finished": false` is a part of the work: the activity is called again before others, with the
    number of the `step`, at most `MOST_STEPS` times; the same step again where it says that another session has it
    `held`, at most `MOST_WAITS` times, and `on_held` sees in words what is waited for, "" when that is over. A payload
    that fails for good stops new calls; those already running are waited for, then the failure is raised. Keep it to
    about 200 payloads an orchestration: history is replayed whole at every turn.
    """
    unfinished: deque[tuple[int, Payload]] = deque()
    waiting = iter(enumerate(payloads))
    running: list[tuple[task.Task[Any], int, Payload]] = []
    held: dict[int, str] = {}
    failure: Exception | None = None
    while True:
        while failure is None and len(running) < window:
            part = unfinished.popleft() if unfinished else next(waiting, None)
            if part is None:
                break
            number, payload = part
            running.append((ctx.call_activity(activity, input=payload, retry_policy=RETRY), number, payload))
        if not running:
            break
        yield task.when_any([one for one, _, _ in running])
        ended = [one for one in running if one[0].is_complete]
        running = [one for one in running if not one[0].is_complete]
        before = list(held.values())
        for one, number, payload in ended:
            held.pop(number, None)
            try:
                result = result_of(one.get_result())
                on_result(result)
                if not result.get("finished", True):
                    unfinished.append((number, _next_call(activity, payload, result)))
                if result.get("held"):
                    held[number] = _held_words(unfinished[-1][1], result)
            except (task.TaskFailedError, StageRefused) as error:
                failure = failure or error
        if list(held.values()) != before:
            on_held("; ".join(list(held.values())[:HELD_SHOWN]))
    if failure is not None:
        raise failure


def _next_call(activity: str, payload: Payload, result: Payload) -> Payload:
    held = result.get("held")
    if held is None:
        return _next_step(activity, {name: value for name, value in payload.items() if name != "waits"})
    waits = payload.get("waits", 0) + 1
    if waits >= MOST_WAITS:
        found = Finding.model_validate(held)
        message = f"{found.message} That was so in {waits} calls, one after another."
        raise StageRefused(found.model_copy(update={"message": message}))
    return payload | {"waits": waits}


def _held_words(payload: Payload, result: Payload) -> str:
    found = Finding.model_validate(result["held"])
    who = found.message.partition("found ")[2].rstrip(".") or found.message
    return f"{found.object} waits for a lock, call {payload['waits']} of {MOST_WAITS}: {who}"


def _next_step(activity: str, payload: Payload) -> Payload:
    step = payload.get("step", 0) + 1
    if step > MOST_STEPS:
        finding = Finding(
            code="NEVER_FINISHED", severity="error", object=activity,
            message=f"expected it to finish within {MOST_STEPS} calls of some minutes, found it unfinished.",
            remedy="Look at how busy its server is, give it more room to work, and start the migration again.",
        )  # fmt: skip
        raise StageRefused(finding)
    return payload | {"step": step}
