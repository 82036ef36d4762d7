"""Opens and closes the environment of a run: the temporary PostgreSQL server, the size of the target database.

Waiting is done here, with durable timers; the activities only look and ask.
"""

from datetime import timedelta

from durabletask import task

from orchestrators.calling import Payload, StageRefused, Steps, call
from shared.errors import Finding

LOOK_EVERY = timedelta(seconds=20)
PATIENCE = timedelta(minutes=30)
"""Azure starts a server or changes a size within minutes."""


def open_environment(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Start the temporary PostgreSQL server and wait until it is ready. Input: `RunWork`; output: `ServerState`."""
    return (yield from _until_reached(ctx, "start_postgres", payload))


def scale_for_load(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Bring the target database to its size for the load, and wait. Input: `RunWork`; output: `Scaled` and findings."""
    scaled = yield from _until_reached(ctx, "scale_sql", payload | {"to": "load"})
    return scaled | {"findings": [] if scaled["reached"] else [_still_small(scaled)]}


def close_environment(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Bring the target database back to its size and stop the server if no other run needs it; also after a failure.

    Input: `RunWork`; output: `{"sql": Scaled, "postgres": ServerState, "findings": [...]}`. A size that cannot be brought back is a
    finding, and the server is stopped all the same; a server that is left running for others is one, too.
    """
    scaled, findings = yield from _scaled_back(ctx, payload)
    power = yield from call(ctx, "stop_postgres", payload)
    if power["needed_by"]:
        power = yield from _until_reached(ctx, "restart_postgres", payload)
    return {"sql": scaled, "postgres": power, "findings": findings + power.get("findings", [])}


def _scaled_back(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    try:
        scaled = yield from _until_reached(ctx, "scale_sql", payload | {"to": "before"})
    except StageRefused as refused:
        return {}, [refused.finding.model_copy(update={"severity": "warning"}).model_dump(mode="json")]
    except task.TaskFailedError as failed:
        return {}, [_still_large("its size could not be asked for", str(failed.details.message))]
    if not scaled["reached"]:
        return scaled, [_still_large(f"expected {scaled['wanted']} again", f"{scaled['sku']} after {PATIENCE}")]
    return scaled, []


def _still_small(scaled: Payload) -> Payload:
    return Finding(
        code="NOT_SCALED_UP", severity="warning", object="target database",
        message=f"expected {scaled['wanted']} for the load, found {scaled['sku']} after {PATIENCE}.",
        remedy="The load runs at the size that is there, and takes longer. Look in the Azure portal why the size does not "
        "change: quota, region or a change that is stuck.",
    ).model_dump(mode="json")  # fmt: skip


def _still_large(expected: str, found: str) -> Payload:
    return Finding(
        code="NOT_SCALED_BACK", severity="warning", object="target database", message=f"{expected}, found {found}.",
        remedy="az sql db update --service-objective <its own size>; until then the larger size is paid for.",
    ).model_dump(mode="json")  # fmt: skip


def _until_reached(ctx: task.OrchestrationContext, activity: str, payload: Payload) -> Steps:
    """Call the activity until it says `reached`; after `PATIENCE` return what it said last, for the caller to judge."""
    until = ctx.current_utc_datetime + PATIENCE
    look = 0
    answer = yield from call(ctx, activity, payload | {"look": look})
    while not answer["reached"] and ctx.current_utc_datetime < until:
        yield ctx.create_timer(ctx.current_utc_datetime + LOOK_EVERY)
        look += 1
        answer = yield from call(ctx, activity, payload | {"look": look})
    return answer
