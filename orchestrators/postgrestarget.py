"""Target mode `postgres`, stage by stage: plan; then load, keys, proof. `orchestrators.modes` has their order."""

from collections.abc import Callable

from durabletask import task

from orchestrators.batches import SoFar
from orchestrators.calling import Payload, Steps, call, fan_out
from orchestrators.restore import find_tables
from orchestrators.stagestatus import StageStatus
from orchestrators.verify import FINDINGS_KEPT
from shared.contracts import Counts, Verified
from shared.errors import Finding


def plan_postgres(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Find the tables in the dump and plan the target. Input: `SnapshotWork`; output: `TargetPlanned`."""
    yield from find_tables(ctx, payload, StageStatus(ctx, "plan"))
    return (yield from call(ctx, "plan_postgres_target", payload))


def load_postgres(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Load every table straight from the dump, the largest first. Input: `SnapshotWork`; output: `Copied`."""
    status = StageStatus(ctx, "copy")
    work = yield from call(ctx, "postgres_batches", {"run": payload["run"]})
    status.show(total=Counts(tables=work["tables"], bytes=work["bytes"]))
    yield from _all_batches(ctx, "load_postgres_tables", payload, work, status)
    return (yield from call(ctx, "finish_postgres_load", payload))


def finish_postgres(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Sequences; keys, indexes and foreign keys, wave after wave; statistics. Input: `SnapshotWork`; output: `Findings`."""
    status = StageStatus(ctx, "finish")
    planned = yield from call(ctx, "plan_postgres_keys", payload)
    for number, wave in enumerate(planned["waves"]):
        status.show(note=f"keys and indexes, wave {number + 1} of {len(planned['waves'])}")
        works = [{"run": payload["run"], "group": group} for group in wave]
        yield from fan_out(ctx, "make_postgres_keys", works, planned["window"], lambda _: None, status.held)
    work = yield from call(ctx, "postgres_batches", {"run": payload["run"]})
    status.show(note="statistics", total=Counts(tables=work["tables"]))
    yield from _all_batches(ctx, "analyze_postgres_tables", payload, work, status)
    return {"findings": []}


def verify_postgres(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Compare every table with the dump. Input: `SnapshotWork`; output: `Verified`."""
    status = StageStatus(ctx, "verify")
    work = yield from call(ctx, "postgres_batches", {"run": payload["run"]})
    status.show(total=Counts(tables=work["tables"], bytes=work["bytes"]))
    findings: list[Finding] = []

    def take(answer: Payload) -> None:
        findings.extend(Finding.model_validate(one) for one in answer["findings"])

    yield from _all_batches(ctx, "verify_postgres_tables", payload, work, status, take)
    kept = [one.model_dump(mode="json") for one in sorted(findings, key=lambda one: (one.code, one.object))]
    answer = yield from call(ctx, "finish_postgres_verification", payload | {"findings": kept[:FINDINGS_KEPT]})
    return Verified.model_validate(answer).model_dump(mode="json")


def _all_batches(
    ctx: task.OrchestrationContext,
    activity: str,
    payload: Payload,
    work: Payload,
    status: StageStatus,
    on_result: Callable[[Payload], None] = lambda _: None,
) -> Steps:
    """Call an activity for every batch of tables, and show how far all of them are."""
    so_far = SoFar()

    def count(answer: Payload) -> None:
        status.show(done=so_far.take(answer))
        on_result(answer)

    batches = [payload | {"batch": number} for number in range(work["batches"])]
    yield from fan_out(ctx, activity, batches, work["window"], count)
