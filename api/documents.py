"""What a run leaves to read: its report, the script of its schema, and the request that it was started with."""

import asyncio

from api.http import DOCUMENT, Answer, Call, answer, problem, refused_as, with_etag
from shared import runpaths, runs


async def report(call: Call) -> Answer:
    """Return the report: HTML for `Accept: text/html`, JSON otherwise."""
    html = "text/html" in call.headers.get("accept", "")
    name, content_type = (
        (runpaths.REPORT_PAGE, "text/html; charset=utf-8") if html else (runpaths.REPORT, "application/json")
    )
    return await _stored(
        call, name, content_type, "REPORT_NOT_READY", "expected a finished migration, found one without a report yet."
    )


async def schema(call: Call) -> Answer:
    """Return the script of what is made on the target, as soon as it is planned; a dry run has it too."""
    return await _stored(
        call, runpaths.SCHEMA, "text/plain; charset=utf-8", "SCHEMA_NOT_READY",
        "expected a migration whose target schema is planned, found one that has not come so far.",
    )  # fmt: skip


async def request(call: Call) -> Answer:
    """Return what the run was asked for, what is default left out: a body to start another one with.

    A pre-signed URL was taken out of it, and an idempotency key is good for one run only.
    """
    with refused_as(404):
        run = await asyncio.to_thread(runs.load, call.params["id"])
    wanted = run.request.model_dump(mode="json", exclude_defaults=True, exclude={"idempotency_key"})
    return with_etag(call, answer(wanted))


async def _stored(call: Call, name: str, content_type: str, code: str, missing: str) -> Answer:
    run_id = call.params["id"]
    with refused_as(404):
        await asyncio.to_thread(runs.load, run_id)
    stored = await asyncio.to_thread(runs.read, runpaths.of_run(run_id, name))
    if stored is None:
        remedy = f"GET /api/migrations/{run_id} shows how far it is."
        return problem(404, code, missing, object=run_id, remedy=remedy)
    return with_etag(call, Answer(200, stored, content_type, DOCUMENT))
