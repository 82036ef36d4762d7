"""Stage restore: the dump into the temporary database, table by table, largest first."""

from durabletask import task

from orchestrators.batches import SoFar
from orchestrators.calling import MOST_STEPS, Payload, Steps, call, fan_out, until_finished
from orchestrators.stagestatus import StageStatus
from shared.contracts import Counts
from shared.errors import Finding

LOADS_AT_ONCE = 3
"""COPY streams. They fill two cores with the app beside them: a fourth made 5 tables alike 8 percent slower, and costs the
process some 40 MiB."""
KEYS_AT_ONCE = 5
"""Sessions that make keys, which cost the process nothing; a small Flexible Server has 2 to 4 cores."""


def restore_database(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Restore the snapshot's dump. Input: `SnapshotWork`; output: `RestoreRef`."""
    work = {"run": payload["run"], "snapshot": payload["snapshot"]}
    status = StageStatus(ctx, "restore")
    yield from find_tables(ctx, work, status)
    prepared = yield from call(ctx, "prepare_database", work)
    status.show(note="loading tables", total=Counts(tables=prepared["tables"], bytes=prepared["bytes"]))
    so_far = SoFar()

    def count(loaded: Payload) -> None:
        status.show(done=so_far.take(loaded))

    batches = [{**work, "batch": number} for number in range(prepared["batches"])]
    yield from fan_out(ctx, "load_tables", batches, LOADS_AT_ONCE, count)
    restored = yield from call(ctx, "finish_restore", work)
    status.show(note="done")
    return restored | {"findings": prepared.get("findings", [])}


def find_tables(ctx: task.OrchestrationContext, work: Payload, status: StageStatus) -> Steps:
    """Read the dump's table of contents and, where it does not say, find the tables in the dump. `work`: `SnapshotWork`."""
    status.show(note="reading the table of contents")
    located = yield from call(ctx, "read_contents", work)
    if not located["finished"]:
        status.show(note="finding the tables in the dump")
        yield from until_finished(ctx, "locate_tables", work, _unfinished)


def whole_database(ctx: task.OrchestrationContext, work: Payload, status: StageStatus) -> Steps:
    """Make the keys, indexes and foreign keys of a restored database; returns how many. `work`: `RestoredWork`."""
    planned = yield from call(ctx, "plan_post_data", work)
    made = 0

    def count(answer: Payload) -> None:
        nonlocal made
        made += answer["statements"]

    for wave in planned["waves"]:
        groups = [{"run": work["run"], "restore": work["restore"], "group": group} for group in wave]
        yield from fan_out(ctx, "make_post_data", groups, KEYS_AT_ONCE, count, status.held)
    return made


def _unfinished(located: Payload) -> Finding:
    return Finding(
        code="DUMP_UNFINISHED", severity="error", object="db/db.backup",
        message=f"expected the dump looked through for its tables within {MOST_STEPS} calls of three minutes, found "
        f"{located['bytes']:,} bytes looked through and no end.",
        remedy="Give the app a faster plan, then start the migration again. A dump that pg_dump wrote to a file and not to a "
        "pipe says itself where its tables are.",
    )  # fmt: skip
