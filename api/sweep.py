"""The timer that deletes what runs left behind."""

import asyncio
import logging
from datetime import UTC, datetime

from api.http import Engine
from api.migrations import OVER
from shared import leftovers

log = logging.getLogger("mxferry.sweep")

A_TICK = 20
"""Runs cleaned by one tick of the timer, so that a tick stays within minutes."""


async def sweep_leftovers(engine: Engine) -> list[str]:
    """Delete what runs left that are over and not kept; returns what was done, as sentences."""
    said: list[str] = []
    for run_id in await asyncio.to_thread(leftovers.found):
        state = await engine.get_orchestration_state(run_id, fetch_payloads=False)
        if state is not None and state.runtime_status.name not in OVER:
            continue
        if await asyncio.to_thread(leftovers.kept, run_id, datetime.now(UTC)):
            continue
        for sentence in await asyncio.to_thread(leftovers.delete, run_id):
            log.info("%s: %s", run_id, sentence)
            said.append(f"{run_id}: {sentence}")
        if len(said) >= A_TICK:
            break
    return said
