"""The two sides of a migration that run side by side once the target may be written: database and files.

A side always answers what its stages answered, also when a later one failed: the report says what was moved.
"""

from durabletask import task

from orchestrators.calling import Payload, Steps, call
from orchestrators.modes import Handed, mode_of
from orchestrators.stages import Book, StageFailed, child_stage, stage
from shared.contracts import Run


def migrate_database(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Do what the target mode does after the point of no return. Input: run, snapshot, restore; output: answers by stage."""
    run = _run(payload)
    book = Book(ctx, f"{run.id}:database")
    handed: dict[Handed, Payload | None] = {"snapshot": payload["snapshot"], "restore": payload["restore"]}
    answers: Payload = {}
    try:
        for step in mode_of(run).after:
            answers[step.stage] = yield from step.steps(book, run, handed)
    except StageFailed as failed:
        return _ended(book, failed) | answers
    return _ended(book) | answers


def migrate_files(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """(empty) → files → files-verify. Input: `SnapshotWork`; output: the answers by stage name."""
    run = _run(payload)
    book = Book(ctx, f"{run.id}:files")
    answers: Payload = {}
    try:
        if run.request.target_not_empty == "drop":
            yield from stage(book, "empty", _emptied(ctx, {"run": payload["run"]}))
        for name, does in (("files", "copy_files"), ("files-verify", "verify_files")):
            answers[name] = yield from child_stage(book, name, does, payload)
    except StageFailed as failed:
        return _ended(book, failed) | answers
    return _ended(book) | answers


def _emptied(ctx: task.OrchestrationContext, work: Payload) -> Steps:
    """Empty the target container, a batch an activity."""
    files = 0
    while True:
        answer = yield from call(ctx, "empty_container", work)
        files += answer["files"]
        if not answer["more"]:
            return {"files": files}


def _run(payload: Payload) -> Run:
    return Run.model_validate(payload["run"])


def _ended(book: Book, failed: StageFailed | None = None) -> Payload:
    stages = [one.model_dump(mode="json") for one in book.progress.stages]
    answer: Payload = {"stages": stages, "gates": [one.model_dump(mode="json") for one in book.gates]}
    if failed is not None:
        answer["failed"] = {"stage": failed.stage, "finding": failed.finding.model_dump(mode="json")}
    return answer
