"""Target mode `postgres`, stage by stage: plan; then load, keys, proof. `orchestrators.modes` has their order."""

from durabletask import task

from orchestrators.batches import SoFar
from orchestrators.calling import Payload, Steps, call, fan_out
from orchestrators.restore import find_tables
from orchestrators.verify import FINDINGS_KEPT
from shared.contracts import Counts, StageProgress, Verified
from shared.errors import Finding


def plan_postgres(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Find the tables in the dump and plan the target. Input: `SnapshotWork`; output: `TargetPlanned`."""
    tell = _Teller(ctx, "plan")
    yield from find_tables(ctx, payload, tell)
    return (yield from call(ctx, "plan_postgres_target", payload))


def load_postgres(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Load every table straight from the dump, the largest first. Input: `SnapshotWork`; output: `Copied`."""
    tell = _Teller(ctx, "copy")
    work = yield from call(ctx, "postgres_batches", {"run": payload["run"]})
    tell.total(tables=work["tables"], bytes=work["bytes"])
    yield from fan_out(ctx, "load_postgres_tables", _batches(payload, work), work["window"], tell.add)
    return (yield from call(ctx, "finish_postgres_load", payload))


def finish_postgres(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Sequences; keys, indexes and foreign keys, wave after wave; statistics. Input: `SnapshotWork`; output: `Findings`."""
    tell = _Teller(ctx, "finish")
    planned = yield from call(ctx, "plan_postgres_keys", payload)
    for number, wave in enumerate(planned["waves"]):
        tell(f"keys and indexes, wave {number + 1} of {len(planned['waves'])}")
        works = [{"run": payload["run"], "group": group} for group in wave]
        yield from fan_out(ctx, "make_postgres_keys", works, planned["window"], lambda _: None)
    work = yield from call(ctx, "postgres_batches", {"run": payload["run"]})
    tell("statistics")
    tell.total(tables=work["tables"])
    yield from fan_out(ctx, "analyze_postgres_tables", _batches(payload, work), work["window"], tell.add)
    return {"findings": []}


def verify_postgres(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Compare every table with the dump. Input: `SnapshotWork`; output: `Verified`."""
    tell = _Teller(ctx, "verify")
    work = yield from call(ctx, "postgres_batches", {"run": payload["run"]})
    tell.total(tables=work["tables"], bytes=work["bytes"])
    findings: list[Finding] = []

    def take(answer: Payload) -> None:
        tell.add(answer)
        findings.extend(Finding.model_validate(one) for one in answer["findings"])

    yield from fan_out(ctx, "verify_postgres_tables", _batches(payload, work), work["window"], take)
    kept = [one.model_dump(mode="json") for one in sorted(findings, key=lambda one: (one.code, one.object))]
    answer = yield from call(ctx, "finish_postgres_verification", payload | {"findings": kept[:FINDINGS_KEPT]})
    return Verified.model_validate(answer).model_dump(mode="json")


def _batches(payload: Payload, work: Payload) -> list[Payload]:
    return [payload | {"batch": number} for number in range(work["batches"])]


class _Teller:
    """The custom status of a stage: what is being done, and how much of it is."""

    def __init__(self, ctx: task.OrchestrationContext, stage: str) -> None:
        self._ctx = ctx
        self._progress = StageProgress(stage=stage, started_at=ctx.current_utc_datetime)
        self._so_far = SoFar()

    def __call__(self, note: str) -> None:
        self._progress.note = note
        self._publish()

    def total(self, **counts: int) -> None:
        """Say how much there is to do, and begin to count."""
        self._progress.total, self._progress.done = Counts(**counts), Counts()
        self._so_far = SoFar()
        self._publish()

    def add(self, answer: Payload) -> None:
        """Count what an activity did of its batch."""
        self._progress.done = self._so_far.take(answer)
        self._publish()

    def _publish(self) -> None:
        self._ctx.set_custom_status(self._progress.model_dump(mode="json"))
