"""Stage restore: the dump into the temporary database, table by table, largest first."""

from collections.abc import Callable

from durabletask import task

from orchestrators.batches import SoFar
from orchestrators.calling import MOST_STEPS, Payload, Steps, call, fan_out, until_finished
from shared.contracts import Counts, StageProgress
from shared.errors import Finding

LOADS_AT_ONCE = 4  # COPY streams; a small Flexible Server has 2 to 4 cores


def restore_database(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Restore the snapshot's dump. Input: `SnapshotWork`; output: `RestoreRef`."""
    work = {"run": payload["run"], "snapshot": payload["snapshot"]}
    progress = StageProgress(stage="restore", started_at=ctx.current_utc_datetime)
    yield from find_tables(ctx, work, lambda note: _tell(ctx, progress, note))
    prepared = yield from call(ctx, "prepare_database", work)
    progress.total = Counts(tables=prepared["tables"], bytes=prepared["bytes"])

    so_far = SoFar()

    def count(loaded: Payload) -> None:
        progress.done = so_far.take(loaded)
        _tell(ctx, progress, "loading tables")

    batches = [{**work, "batch": number} for number in range(prepared["batches"])]
    yield from fan_out(ctx, "load_tables", batches, LOADS_AT_ONCE, count)
    restored = yield from call(ctx, "finish_restore", work)
    _tell(ctx, progress, "done")
    return restored | {"findings": prepared.get("findings", [])}


def find_tables(ctx: task.OrchestrationContext, work: Payload, tell: Callable[[str], None]) -> Steps:
    """Read the dump's table of contents and, where it does not say, find the tables in the dump. `work`: `SnapshotWork`."""
    tell("reading the table of contents")
    located = yield from call(ctx, "read_contents", work)
    if not located["finished"]:
        tell("finding the tables in the dump")
        yield from until_finished(ctx, "locate_tables", work, _unfinished)


def whole_database(ctx: task.OrchestrationContext, work: Payload) -> Steps:
    """Make the keys, indexes and foreign keys of a restored database; returns how many. `work`: `RestoredWork`."""
    planned = yield from call(ctx, "plan_post_data", work)
    made = 0

    def count(answer: Payload) -> None:
        nonlocal made
        made += answer["statements"]

    for wave in planned["waves"]:
        groups = [{"run": work["run"], "restore": work["restore"], "group": group} for group in wave]
        yield from fan_out(ctx, "make_post_data", groups, LOADS_AT_ONCE, count)
    return made


def _unfinished(located: Payload) -> Finding:
    return Finding(
        code="DUMP_UNFINISHED", severity="error", object="db/db.backup",
        message=f"expected the dump looked through for its tables within {MOST_STEPS} calls of three minutes, found "
        f"{located['bytes']:,} bytes looked through and no end.",
        remedy="Give the app a faster plan, then start the migration again. A dump that pg_dump wrote to a file and not to a "
        "pipe says itself where its tables are.",
    )  # fmt: skip


def _tell(ctx: task.OrchestrationContext, progress: StageProgress, note: str) -> None:
    progress.note = note
    ctx.set_custom_status(progress.model_dump(mode="json"))
