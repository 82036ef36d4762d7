"""From a Mendix Cloud environment to an archive that can be downloaded: ask, wait by durable timers, ask again."""

from datetime import datetime, timedelta
from itertools import count

from durabletask import task

from orchestrators.calling import Payload, StageRefused, Steps, call, call_sub
from orchestrators.stagestatus import StageStatus
from shared.errors import Finding

FIRST_WAIT, LONGEST_WAIT = 1.0, 120.0  # seconds between two polls; an abort is heard at the next one
POLLS_OF_CHILD = 90  # some three hours
PATIENCE = timedelta(days=2)  # for all waits of a run together: large environments take "several hours" to back up


def obtain_archive(ctx: task.OrchestrationContext, run: Payload, until: str, renewal: int, snapshot: str) -> Steps:
    """Bring the archive's URL into staging; return the snapshot's id. With a snapshot, ask for a new archive only.

    `until` is what `deadline` returned when the stage began; after it the stage is refused, MENDIX_TOO_SLOW.
    """
    if not snapshot:
        yield from _await(ctx, "stop_source_app", run, until, "stop")
        # The snapshot's id is enough here, whether it is complete or not.
        chosen = yield from _await(ctx, "choose_snapshot", run, until, "choose", once=True)
        snapshot = chosen["snapshot"]
        if chosen["state"] != "done":
            yield from _await(ctx, "poll_snapshot", {**run, "snapshot": snapshot}, until, "snapshot")
    asked = {**run, "snapshot": snapshot, "renewal": renewal}
    archive = yield from _await(ctx, "request_archive", asked, until, f"request-{renewal}")
    work = {**run, "snapshot": snapshot, "archive": archive["archive"]}
    yield from _await(ctx, "poll_archive", work, until, f"archive-{renewal}")
    return snapshot


def poll_cloud(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Call an activity until it is done, or has been called often enough.

    Input: `activity`, `work`, `once`, `until`, and the number of the `first` call.
    """
    wait, answer, work = FIRST_WAIT, {}, payload["work"]
    first = payload.get("first", 0)  # 0.1.0 did not number them
    status = StageStatus(ctx, "snapshot", state="waiting")
    for look in range(first, first + POLLS_OF_CHILD):
        answer = yield from call(ctx, payload["activity"], work | {"look": look})
        if _answered(answer, payload["once"]) or _is_late(ctx, payload["until"]):
            break
        status.show(note=answer["note"])
        work = waiting(work, answer)
        seconds = min(max(answer["seconds"], wait), LONGEST_WAIT)
        yield ctx.create_timer(ctx.current_utc_datetime + timedelta(seconds=seconds))
        wait = min(wait * 1.5, LONGEST_WAIT)
    return answer


def deadline(ctx: task.OrchestrationContext) -> str:
    """Return when a stage that begins now has waited for Mendix Cloud long enough."""
    return (ctx.current_utc_datetime.replace(tzinfo=None) + PATIENCE).isoformat()


def _await(
    ctx: task.OrchestrationContext, activity: str, work: Payload, until: str, name: str, once: bool = False
) -> Steps:
    """Poll in children, so that no history grows long; `StageRefused` after the deadline."""
    for child in count():
        first = child * POLLS_OF_CHILD
        payload = {"activity": activity, "work": work, "once": once, "until": until, "first": first}
        answer = yield from call_sub(ctx, "poll_cloud", payload, f"{ctx.instance_id}:{name}-{child}")
        if _answered(answer, once):
            return answer
        if _is_late(ctx, until):
            raise StageRefused(_too_slow(work["run"]["request"]["source"]["profile"], answer["note"]))
        work = waiting(work, answer)
    raise AssertionError


def waiting(work: Payload, answer: Payload) -> Payload:
    """Return an activity's next input, with the time before which it must not ask Mendix Cloud, if its last answer has one.

    The timers stay short, because an abort is noticed only when one has ended.
    """
    return work | {"not_before": answer.get("not_before")}


def _answered(answer: Payload, once: bool) -> bool:
    return answer["state"] == "done" or (once and bool(answer["snapshot"]))


def _is_late(ctx: task.OrchestrationContext, until: str) -> bool:
    return ctx.current_utc_datetime.replace(tzinfo=None) >= datetime.fromisoformat(until)


def _too_slow(profile: str, note: str) -> Finding:
    return Finding(
        code="MENDIX_TOO_SLOW",
        severity="error",
        object=profile,
        message=f"expected an archive from Mendix Cloud within {PATIENCE}, found it still waiting: {note or 'no reason'}.",
        remedy="Look at the environment's backups in the Mendix portal; when the snapshot is complete there, start the "
        "migration again with its id.",
    )
