"""The timer that tells channels what happens in runs: once a minute, beside the migrations, never inside them."""

import asyncio
import logging
from datetime import UTC, datetime

from api.http import Engine
from api.migrations import look
from api.standing import ELSEWHERE, standing
from shared import readiness, rehearsals, runs
from shared.communication.delivery import deliver
from shared.communication.lateness import highest_step
from shared.communication.memory import memory, memory_of
from shared.communication.occurrences import Occurrence, Seen, occurrences
from shared.contracts import Verdict
from shared.errors import Refusal
from shared.settings import settings

log = logging.getLogger("mxferry.communication")

LOOKED_AT = 100
"""Runs that are looked at in a minute; there is one run a target at a time, and a told one is not looked at again."""
REHEARSALS = "told/rehearsals.json"


async def tell(engine: Engine) -> int:
    """Deliver what has happened and was not told yet; returns how many runs were looked at."""
    looked = 0
    silent: set[str] = set()  # channels that did not answer in this minute
    untold = await asyncio.to_thread(runs.untold)
    if len(untold) > LOOKED_AT:
        log.warning("%s runs are not told to their end; the newest %s are looked at", len(untold), LOOKED_AT)
    for run_id in sorted(untold[:LOOKED_AT]):  # the oldest first: a dead channel is asked for one event a minute
        try:
            looked += await _tell(engine, run_id, silent)
        except Refusal:
            log.warning("%s has no record; nothing is told of it", run_id)
            await asyncio.to_thread(runs.mark_told, run_id)
        except Exception:
            log.exception("%s: events could not be told; tried again in a minute", run_id)
    if settings().notify:
        await _tell_of_rehearsals(silent)
    return looked


async def _tell(engine: Engine, run_id: str, silent: set[str]) -> int:
    run = await asyncio.to_thread(runs.load, run_id)
    if not settings().notify:  # nobody listens; one that will be set up later hears of the runs that are not over
        if await asyncio.to_thread(runs.closed, run_id) or (await standing(engine, run, live=False)).verdict:
            await asyncio.to_thread(_tell_nobody, run_id)
        return 0
    view = await look(engine, run_id)
    if view.status == ELSEWHERE:  # the app with that hub knows what happens in it, and tells
        return 0
    verdict: Verdict | None = view.verdict  # type: ignore[assignment]  # the API shows it as a plain string
    worse: list[str] = []
    if verdict and run.request.options.purpose == "rehearsal":
        worse = await asyncio.to_thread(_regressions, run.request.target, run_id)
    blob = memory_of(run_id)
    late_told = highest_step(run_id, (await asyncio.to_thread(memory, blob)).events())
    seen = Seen(
        run=run, view=view.progress, verdict=verdict, reason=view.reason, forecast=view.forecast, regressions=worse, late_told=late_told,
        link=_link(f"#/runs/{run_id}"),
    )  # fmt: skip
    now = datetime.now(UTC)
    happened, over = occurrences(seen, now), verdict is not None
    told = await asyncio.to_thread(deliver, blob, happened, settings().notify, now, over=over, silent=silent)
    if told.done:
        await asyncio.to_thread(runs.mark_told, run_id)
    return 1


def _tell_nobody(run_id: str) -> None:
    """End the telling of a run whose channels are gone: what waited for them waits no more."""
    if memory(memory_of(run_id)).pending:
        deliver(memory_of(run_id), [], {}, datetime.now(UTC), over=True)
    runs.mark_told(run_id)


async def _tell_of_rehearsals(silent: set[str]) -> None:
    """Tell of the rehearsals that the timer could not start since the last one that was told."""
    happened = [_missed(one) for one in await asyncio.to_thread(rehearsals.missed)]
    if not happened:
        return
    known = (await asyncio.to_thread(memory, REHEARSALS)).events()
    news = [one for one in happened if one.id > max(known)] if known else happened[:1]  # ids sort by time
    now = datetime.now(UTC)
    await asyncio.to_thread(deliver, REHEARSALS, news, settings().notify, now, over=False, silent=silent)


def _missed(one: rehearsals.NotStarted) -> Occurrence:
    return Occurrence(
        id=f"rehearsal-{one.at:%Y%m%dt%H%M}:not-started", kind="not-started", at=one.at, run="none",
        target=one.target or "?", purpose="rehearsal", words=f"{one.why} {one.remedy}".rstrip(), link=_link("#/rehearsals"),
    )  # fmt: skip


def _link(view: str) -> str | None:
    """Return the address of a view of the page; None where the platform does not say what this app is called."""
    host = settings().website_hostname
    return f"{'http' if host.startswith(('127.', 'localhost')) else 'https'}://{host}/api/ui{view}" if host else None


def _regressions(target: str, run_id: str) -> list[str]:
    """What got worse with this rehearsal; nothing if it is not the newest one any more."""
    found = rehearsals.history(target)
    return readiness.regressions(found) if found and found[0].id == run_id else []
