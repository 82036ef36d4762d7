"""`GET /api/migrations/{id}/runbook`: the runbook of a run, as it stands now."""

import asyncio
from datetime import UTC, datetime

from api import migrations
from api.http import DOCUMENT, Answer, Call, refusal, with_etag
from shared import rehearsals, runs
from shared.errors import Refusal
from shared.reporting import runbook


async def show(call: Call) -> Answer:
    """Return the runbook: HTML for `Accept: text/html`, Markdown otherwise."""
    run_id = call.params["id"]
    try:
        run = await asyncio.to_thread(runs.load, run_id)
        seen = await migrations.look(call.engine, run_id)
    except Refusal as error:
        return refusal(error, 404)
    last = await asyncio.to_thread(rehearsals.last_verified, run)
    measured = last.stages if last else {}
    book = runbook.runbook(run, seen.progress, measured, seen.findings, _minute(), last.id if last else None)
    if "text/html" in call.headers.get("accept", ""):
        return with_etag(call, Answer(200, runbook.html(book).encode(), "text/html; charset=utf-8", DOCUMENT))
    return with_etag(call, Answer(200, runbook.markdown(book).encode(), "text/markdown; charset=utf-8", DOCUMENT))


def _minute() -> datetime:
    """The present minute: a runbook that is asked for again within it has the same ETag."""
    return datetime.now(UTC).replace(second=0, microsecond=0)
