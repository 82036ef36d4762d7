"""Stages files and files-verify: batches of the index copied side by side, then the container compared with the index."""

from durabletask import task

from orchestrators.calling import MOST_STEPS, Payload, Steps, call, call_sub, fan_out, until_finished
from orchestrators.stagestatus import StageStatus
from shared.contracts import Check, Counts, FilesCopied, Verified
from shared.errors import Finding
from shared.filecontracts import ARCHIVE, CONTENTS, HOW, ONE_BLOB_EACH, FilesPlanned, ListingState

BATCHES_OF_CHILD = 100


def copy_files(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Copy every file of the snapshot. Input: `SnapshotWork`; output: `FilesCopied`."""
    work = {"run": payload["run"], "snapshot": payload["snapshot"]}
    plan = FilesPlanned.model_validate((yield from call(ctx, "plan_files", work)))
    status = StageStatus(ctx, "files", total=Counts(files=plan.files, bytes=plan.bytes))
    done = FilesCopied(files=0, bytes=0)
    for number, first in enumerate(range(0, plan.batches, BATCHES_OF_CHILD)):
        instance = f"{ctx.instance_id}:{number}"
        status.show(children=[instance])
        stop = min(first + BATCHES_OF_CHILD, plan.batches)
        batches = {**work, "first": first, "stop": stop, "window": plan.window}
        answer = yield from call_sub(ctx, "copy_file_batches", batches, instance)
        done = _plus(done, FilesCopied.model_validate(answer))
        status.show(done=Counts(files=done.files, bytes=done.bytes), children=[])
    return done.model_dump(mode="json")


def copy_file_batches(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Copy some batches. Input: `FileBatches`; output: `FilesCopied`."""
    work = {"run": payload["run"], "snapshot": payload["snapshot"]}
    status = StageStatus(ctx, "files")
    done = FilesCopied(files=0, bytes=0)

    def count(result: Payload) -> None:
        nonlocal done
        done = _plus(done, FilesCopied.model_validate(result))
        status.show(done=Counts(files=done.files, bytes=done.bytes))

    batches = [{**work, "batch": number} for number in range(payload["first"], payload["stop"])]
    yield from fan_out(ctx, "copy_batch", batches, payload["window"], count)
    return done.model_dump(mode="json")


def verify_files(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Compare the target container with the snapshot. Input: `SnapshotWork`; output: `Verified`."""
    work = {"run": payload["run"], "snapshot": payload["snapshot"]}
    files = payload["snapshot"]["files"]
    if payload["snapshot"]["index_blob"] is None:
        how = "The backup holds a database only."
        nothing = Check(name="files", outcome="skipped", how=how)
        return Verified(checks=[_archive(payload["snapshot"]), nothing]).model_dump(mode="json")
    status = StageStatus(ctx, "files-verify", total=Counts(files=files))

    def count(state: Payload) -> None:
        status.show(done=Counts(files=state["position"], bytes=state["bytes"]))

    listing = work | {"state": None}
    state = yield from until_finished(ctx, "verify_listing", listing, _unfinished, count, carried="state")
    verdict = _verdict(ListingState.model_validate(state), files)
    verdict.checks.insert(0, _archive(payload["snapshot"]))
    return verdict.model_dump(mode="json")


def _unfinished(state: Payload) -> Finding:
    return Finding(
        code="FILES_UNFINISHED",
        severity="error",
        object="target container",
        message=f"expected the container compared within {MOST_STEPS} calls of three minutes, found "
        f"{state['blobs']:,} blobs compared and no end.",
        remedy="Look whether the container holds far more than this app's files; give the app one of its own.",
    )


def _verdict(state: ListingState, files: int) -> Verified:
    wrong = state.missing + state.unexpected + state.size_differences
    seen_all = not state.md5_unknown and (state.md5_equal > 0 or not files)
    checks = [
        Check(
            name=ONE_BLOB_EACH,
            outcome="failed" if wrong else "passed",
            how=HOW[ONE_BLOB_EACH],
            detail=f"{files:,} files, {state.blobs:,} blobs: {state.missing:,} missing, {state.unexpected:,} "
            f"unexpected, {state.size_differences:,} of another size.",
        ),
        Check(
            name=CONTENTS,
            outcome="failed" if state.md5_differences else "passed" if seen_all else "skipped",
            how=HOW[CONTENTS],
            detail=f"{state.md5_equal:,} equal, {state.md5_differences:,} different, {state.md5_unknown:,} not known"
            f"{', and compared by size only' if state.md5_unknown else ''}.",
        ),
    ]
    findings = []
    if wrong or state.md5_differences:
        findings.append(
            Finding(
                code="FILES_DIFFER",
                severity="error",
                object="target container",
                message=f"expected every file of the snapshot and nothing else, found {wrong + state.md5_differences:,} "
                "differences.",
                remedy="Look at the examples; then empty the container and migrate the files again.",
                count=wrong + state.md5_differences,
                examples=state.examples[:10],
            )
        )
    return Verified(checks=checks, findings=findings)


def _archive(snapshot: Payload) -> Check:
    """Return the check of the archive in staging. It has passed: the snapshot stage refuses an archive that does not fit."""
    return Check(
        name=ARCHIVE,
        outcome="passed",
        how=snapshot["archive_check"],
        detail=f"{snapshot['archive_bytes']:,} bytes, MD5 {snapshot['archive_md5'] or 'not told by the source'}.",
    )


def _plus(one: FilesCopied, other: FilesCopied) -> FilesCopied:
    return FilesCopied(**{name: getattr(one, name) + getattr(other, name) for name in FilesCopied.model_fields})
