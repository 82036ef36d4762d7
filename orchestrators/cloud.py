"""From a Mendix Cloud environment to an archive that can be downloaded: ask, wait by durable timers, ask again."""

from datetime import timedelta
from typing import Any

from durabletask import task

from orchestrators.calling import Payload, Steps, call, call_sub

FIRST_WAIT, LONGEST_WAIT = 1.0, 120.0  # seconds between two polls
POLLS_OF_CHILD = 90  # some three hours
CHILDREN = 16  # two days: large environments take "several hours" to back up


def obtain_archive(ctx: task.OrchestrationContext, run: Payload, renewal: int = 0, snapshot: str = "") -> Steps:
    """Bring the archive's URL into staging; return the snapshot's id. A renewal asks for a new archive only."""
    if not snapshot:
        yield from _await(ctx, "stop_source_app", run, "stop")
        chosen = yield from _await_once(ctx, "choose_snapshot", run, "choose")
        snapshot = chosen["snapshot"]
        if chosen["state"] != "done":
            yield from _await(ctx, "poll_snapshot", {**run, "snapshot": snapshot}, "snapshot")
    asked = {**run, "snapshot": snapshot, "renewal": renewal}
    archive = yield from _await(ctx, "request_archive", asked, f"request-{renewal}")
    work = {**run, "snapshot": snapshot, "archive": archive["archive"]}
    yield from _await(ctx, "poll_archive", work, f"archive-{renewal}")
    return snapshot


def poll_cloud(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Call one activity until it is done or has been called often enough. Input: `activity`, `work`, `once`."""
    wait, answer = FIRST_WAIT, {}
    for _ in range(POLLS_OF_CHILD):
        answer = yield from call(ctx, payload["activity"], payload["work"])
        if answer["state"] == "done" or (payload["once"] and answer["snapshot"]):
            break
        _tell(ctx, answer)
        yield ctx.create_timer(ctx.current_utc_datetime + timedelta(seconds=answer["seconds"] or wait))
        wait = min(wait * 1.5, LONGEST_WAIT)
    return answer


def _await(ctx: task.OrchestrationContext, activity: str, work: Payload, name: str, once: bool = False) -> Steps:
    """Poll in children, so that no history grows long; raise when even they end without an answer."""
    for child in range(CHILDREN):
        payload = {"activity": activity, "work": work, "once": once}
        answer = yield from call_sub(ctx, "poll_cloud", payload, f"{ctx.instance_id}:{name}-{child}")
        if answer["state"] == "done" or (once and answer["snapshot"]):
            return answer
    raise RuntimeError(f"expected Mendix Cloud to finish ({name}), found it still waiting: {answer['note']}")


def _await_once(ctx: task.OrchestrationContext, activity: str, work: Payload, name: str) -> Steps:
    """Like `_await`, but a snapshot that has an id is answer enough, complete or not."""
    return (yield from _await(ctx, activity, work, name, once=True))


def _tell(ctx: task.OrchestrationContext, answer: Payload) -> None:
    status: dict[str, Any] = {"stage": "snapshot", "state": "waiting", "note": answer["note"]}
    ctx.set_custom_status(status)


ORCHESTRATORS = [poll_cloud]
