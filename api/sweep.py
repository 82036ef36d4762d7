"""The timer that deletes what runs left behind, and stops the temporary server that was left running."""

import asyncio
import logging
from datetime import UTC, datetime

from api.http import Engine
from api.standing import OVER, UNKNOWN_FOR, other_hub
from shared import idling, leftovers, runs
from shared.contracts import Run
from shared.leftovers import RUNS_PER_TICK

log = logging.getLogger("mxferry.sweep")


async def sweep_leftovers(engine: Engine) -> list[str]:
    """Delete what runs of ours left that are over and not kept, and stop the temporary server if nobody uses it.

    Returns what was done and what not, as sentences.
    What could not be deleted before comes last, and counts by itself: it never keeps the rest from being deleted.
    """
    said: list[str] = []
    cleaned = failed = 0
    now = datetime.now(UTC)
    for left in await asyncio.to_thread(_in_order):
        if cleaned >= RUNS_PER_TICK or failed >= RUNS_PER_TICK:
            break
        if not await _over(engine, left.run, now):
            continue
        swept = await asyncio.to_thread(leftovers.sweep, left, now)
        for sentence in [*swept.done, *swept.left.values()]:
            log.info("%s: %s", left.run.id, sentence)
            said.append(f"{left.run.id}: {sentence}")
        failed += bool(swept.left)
        cleaned += bool(swept.done and not swept.left)
    stopped = [] if await _awaited(engine, now) else await asyncio.to_thread(idling.stop_idle_server, now)
    for sentence in stopped:
        log.info("%s", sentence)
    return said + stopped


def _in_order() -> list[leftovers.Leftover]:
    return sorted(leftovers.find_leftovers(), key=leftovers.failed_before)


async def _awaited(engine: Engine, now: datetime) -> bool:
    """Say whether a run still goes on whose mark on the server is too old to be heeded by itself; yes if it is not known."""
    try:
        marked = await asyncio.to_thread(idling.long_marked)
    except Exception:
        log.exception("the marks on the temporary server are not known: it is not stopped")
        return True
    for run in marked:
        if not await _over(engine, run, now):
            return True
    return False


async def _over(engine: Engine, run: Run, now: datetime) -> bool:
    """Say whether a run is over. Another task hub may have one that this one does not know: it says so itself, or not."""
    try:
        state = await engine.get_orchestration_state(run.id, fetch_payloads=False)
        if state is not None:
            return state.runtime_status.name in OVER
        if await asyncio.to_thread(runs.closed, run.id):
            return True
    except Exception:
        log.exception("the state of %s is not known: what it left is left alone", run.id)
        return False
    return not other_hub(run) and now - run.created_at > UNKNOWN_FOR
