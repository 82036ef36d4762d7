"""The two sides of a migration that run side by side once the target may be written: database and files.

A side always answers what its stages answered, also when a later one failed: the report says what was moved.
"""

import contextlib
from typing import Any

from durabletask import task

from orchestrators.calling import Payload, StageRefused, Steps, call
from orchestrators.modes import Handed, mode_of
from orchestrators.outcome import Outcome
from orchestrators.stages import StageFailed, StageRecord, child_stage, stage
from shared.contracts import Run, StageState
from shared.errors import Finding

ENDED_WITH = ("OTHER_SIDE_FAILED", "ABORTED")
"""Codes of a side that ended because of something that the report has already."""
CALLS = 200
"""Most activities that empty a container: ten million blobs (`shared.blobs.emptying.BLOBS_PER_CALL`)."""


def side_by_side(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """Do both sides of `migrate`; returns their failures, the first one first. When one fails the other one is told."""
    work: Payload = {"run": run.model_dump(mode="json")}
    sides = {
        "database": ("migrate_database", work | outcome.handed),
        "files": ("migrate_files", work | {"snapshot": outcome.snapshot}),
    }
    opened = {name: record.open(name, child=True) for name in sides}
    running: dict[str, task.Task[Any]] = {
        name: record.ctx.call_sub_orchestrator(orchestrator, input=payload, instance_id=f"{run.id}:{name}")
        for name, (orchestrator, payload) in sides.items()
    }
    failures: list[StageFailed] = []
    while running:
        yield task.when_any(list(running.values()))
        for name in [one for one, side in running.items() if side.is_complete]:
            failures.extend(_take_answer(record, outcome, opened[name], running.pop(name)))
        if failures and running:
            yield from _end_other_side(record, work, failures[0])
    outcome.findings.extend(one.finding for one in failures[1:] if one.finding.code not in ENDED_WITH)
    return failures


def _take_answer(record: StageRecord, outcome: Outcome, opened: StageState, side: task.Task[Any]) -> list[StageFailed]:
    """Keep what a side answered; return its failure, if it failed."""
    try:
        answer = side.get_result()
    except task.TaskFailedError as failed:
        return [record.crashed(opened, failed)]
    record.splice(opened, answer)
    return outcome.side_ended(opened.name, answer)


def _end_other_side(record: StageRecord, work: Payload, failure: StageFailed) -> Steps:
    """Leave the mark that ends the other side; if that fails, the other side works to its end."""
    with contextlib.suppress(StageRefused, task.TaskFailedError):
        yield from call(record.ctx, "end_other_side", work | {"stage": failure.stage, "code": failure.finding.code})


def migrate_database(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Do what the target mode does after the point of no return. Input: run, snapshot, restore; output: answers by stage."""
    run = _run(payload)
    record = StageRecord(ctx, f"{run.id}:database")
    handed: dict[Handed, Payload | None] = {"snapshot": payload["snapshot"], "restore": payload["restore"]}
    answers: Payload = {}
    try:
        for step in mode_of(run).after:
            answers[step.stage] = yield from step.steps(record, run, handed)
    except StageFailed as failed:
        return _answer_of(record, failed) | answers
    return _answer_of(record) | answers


def migrate_files(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """(empty) → files → files-verify. Input: `SnapshotWork`; output: the answers by stage name."""
    run = _run(payload)
    record = StageRecord(ctx, f"{run.id}:files")
    answers: Payload = {}
    try:
        if run.request.target_not_empty == "drop":
            yield from stage(record, "empty", _emptied(ctx, {"run": payload["run"]}))
        for name, does in (("files", "copy_files"), ("files-verify", "verify_files")):
            answers[name] = yield from child_stage(record, name, does, payload)
    except StageFailed as failed:
        return _answer_of(record, failed) | answers
    return _answer_of(record) | answers


def _emptied(ctx: task.OrchestrationContext, work: Payload) -> Steps:
    """Empty the target container, as many blobs an activity as it can do in a minute or two."""
    files = 0
    for _ in range(CALLS):
        answer = yield from call(ctx, "empty_container", work)
        files += answer["files"]
        if not answer["more"]:
            return {"files": files}
    raise StageRefused(
        Finding(
            code="CONTAINER_TOO_FULL", severity="error", object=Run.model_validate(work["run"]).request.target,
            message=f"expected to empty the target container, found more in it after {files:,} files were deleted.",
            remedy="Empty the container by other means, such as a life-cycle rule, or delete and make it again; then start again.",
        )
    )  # fmt: skip


def _run(payload: Payload) -> Run:
    return Run.model_validate(payload["run"])


def _answer_of(record: StageRecord, failed: StageFailed | None = None) -> Payload:
    stages = [one.model_dump(mode="json") for one in record.progress.stages]
    answer: Payload = {"stages": stages, "gates": [one.model_dump(mode="json") for one in record.gates]}
    if failed is not None:
        answer["failed"] = {"stage": failed.stage, "finding": failed.finding.model_dump(mode="json")}
    return answer
