"""The timer that tells channels what happens in runs: once a minute, beside the migrations, never inside them."""

import asyncio
import logging
from datetime import UTC, datetime

from api.http import Engine
from api.migrations import look
from shared import readiness, rehearsals, runs
from shared.communication.delivery import deliver, memory
from shared.communication.occurrences import Seen, occurrences
from shared.contracts import Verdict
from shared.errors import Refusal
from shared.settings import settings

log = logging.getLogger("mxferry.communication")

LOOKED_AT = 20
"""Newest runs that are looked at; there is one run a target at a time."""


async def tell(engine: Engine) -> int:
    """Deliver what has happened and was not told yet; returns how many runs were looked at."""
    if not settings().notify:
        return 0
    looked = 0
    silent: set[str] = set()  # channels that did not answer in this minute
    for run_id in await asyncio.to_thread(runs.ids, LOOKED_AT):
        try:
            looked += await _tell(engine, run_id, silent)
        except Refusal:
            log.warning("%s has no record; nothing is told of it", run_id)
        except Exception:
            log.exception("%s: events could not be told; tried again in a minute", run_id)
    return looked


async def _tell(engine: Engine, run_id: str, silent: set[str]) -> int:
    if (await asyncio.to_thread(memory, run_id)).done:
        return 0
    run = await asyncio.to_thread(runs.load, run_id)
    view = await look(engine, run_id)
    verdict: Verdict | None = view.verdict  # type: ignore[assignment]  # the API shows it as a plain string
    worse: list[str] = []
    if verdict and run.request.options.purpose == "rehearsal":
        worse = await asyncio.to_thread(_regressions, run.request.target, run_id)
    seen = Seen(
        run=run, view=view.progress, verdict=verdict, reason=view.reason, forecast=view.forecast, regressions=worse
    )
    now = datetime.now(UTC)
    happened, over = occurrences(seen, now), verdict is not None
    await asyncio.to_thread(deliver, run_id, happened, settings().notify, now, over=over, silent=silent)
    return 1


def _regressions(target: str, run_id: str) -> list[str]:
    """What got worse with this rehearsal; nothing if it is not the newest one any more."""
    found = rehearsals.history(target)
    return readiness.regressions(found) if found and found[0].id == run_id else []
