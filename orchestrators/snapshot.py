"""Stage snapshot: the archive into staging, inflated and indexed."""

from durabletask import task

from orchestrators.calling import MOST_STEPS, Payload, StageRefused, Steps, call, fan_out, until_finished
from orchestrators.cloud import deadline, obtain_archive
from orchestrators.stagestatus import StageStatus
from shared.contracts import Counts
from shared.errors import Finding

STAGE_AT_ONCE = 4
MOST_RENEWALS = 5  # of a download URL that expired while its archive was copied


def take_snapshot(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Stage, inflate and index the run's archive. Input: `RunWork`; output: `SnapshotRef`."""
    run = {"run": payload["run"]}
    status = StageStatus(ctx, "snapshot", note="looking at the source")
    archive = yield from _archive(ctx, run, status)
    yield from call(ctx, "commit_staged", archive)
    yield from _inflate(ctx, archive, status)
    snapshot = yield from call(ctx, "seal_snapshot", archive)
    status.show(note="done", done=Counts(bytes=archive["size"], files=snapshot["files"]))
    return snapshot


def ignored_names(snapshot: Payload) -> list[Finding]:
    """Return a warning when the archive holds members that no Mendix backup should have; they are not copied."""
    if not snapshot.get("ignored_count"):
        return []
    return [
        Finding(
            code="ARCHIVE_NAMES_IGNORED",
            severity="warning",
            object="snapshot archive",
            message="expected .metadata, db/db.backup and tree/…/<uuid> in the archive, found "
            f"{snapshot['ignored_count']:,} other names; they were left aside.",
            remedy=f"Look whether the app needs one of them; {snapshot['ignored_blob']} in the reports container lists "
            "them.",
            count=snapshot["ignored_count"],
            examples=snapshot["ignored"][:10],
        )
    ]


def _archive(ctx: task.OrchestrationContext, run: Payload, status: StageStatus) -> Steps:
    """Stage the archive; where a Mendix Cloud URL expires on the way, ask for a new archive and its URL."""
    cloud = run["run"]["request"]["source"]["kind"] == "mendix-cloud"
    snapshot, until, refused_at_once = "", deadline(ctx), 0
    for renewal in range(MOST_RENEWALS + 1):
        if cloud:
            status.show(note="waiting for Mendix Cloud", done=Counts())
            snapshot = yield from obtain_archive(ctx, run, until, renewal, snapshot)
        described: Payload | None = None
        try:
            described = yield from call(ctx, "describe_source", run)
            size = yield from _stage(ctx, run, described, status)
        except StageRefused as refused:
            if not cloud or refused.finding.code != "SOURCE_URL_EXPIRED" or renewal == MOST_RENEWALS:
                raise
            refused_at_once += described is None
            if refused_at_once > 1:  # no URL expires as soon as it is there: a new archive would not help
                raise StageRefused(_denied(refused.finding)) from None
        else:
            return {**run, "facts": described["facts"], "size": size}
    raise AssertionError


def _stage(ctx: task.OrchestrationContext, run: Payload, described: Payload, status: StageStatus) -> Steps:
    facts, ranges = described["facts"], described["ranges"]
    status.show(total=Counts(bytes=facts["size"] or 0))
    if not ranges:
        whole = {**run, "facts": facts, "first": 0, "stop": 0}
        return (yield from call(ctx, "stage_whole", whole))["bytes"]
    staged = 0

    def count(result: Payload) -> None:
        nonlocal staged
        staged += result["bytes"]
        status.show(note="copying the archive", done=Counts(bytes=staged))

    work = [{**run, "facts": facts, "first": first, "stop": stop} for first, stop in ranges]
    yield from fan_out(ctx, "stage_range", work, STAGE_AT_ONCE, count)
    return facts["size"]


def _inflate(ctx: task.OrchestrationContext, archive: Payload, status: StageStatus) -> Steps:
    def tell(state: Payload) -> None:
        status.show(note="inflating the archive", done=Counts(bytes=archive["size"], files=state["files"]))

    yield from until_finished(ctx, "inflate_archive", archive, _unfinished, tell)


def _unfinished(inflated: Payload) -> Finding:
    return Finding(
        code="SNAPSHOT_UNFINISHED",
        severity="error",
        object="snapshot archive",
        message=f"expected the archive inflated within {MOST_STEPS} calls of three minutes, found "
        f"{inflated['bytes']:,} bytes and no end.",
        remedy="Give the app a faster plan, or one with more memory, then start the migration again.",
    )


def _denied(finding: Finding) -> Finding:
    return finding.model_copy(
        update={
            "code": "SOURCE_URL_DENIED",
            "message": "expected the archive at the URL that Mendix Cloud has just handed out, found it refused, and a "
            "second one too.",
            "remedy": "Let the app's outbound address reach the server that the URL names (firewall, proxy), then start "
            "the migration again.",
        }
    )
