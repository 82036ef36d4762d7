"""`/api/rehearsals`: start one, by hand or by the timer, and compare those that ended.

Both ways go through `shared.rehearsals.prepared`: a rehearsal is a migration on to a throw-away target.
"""

import asyncio
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import BaseModel, ValidationError

from api import migrations
from api.http import Answer, Call, Engine, answer, parsed, refusal, with_etag
from shared import rehearsals
from shared.errors import Refusal
from shared.rehearsals import Readiness
from shared.request import MigrationRequest
from shared.settings import settings

log = logging.getLogger("mxferry.rehearsal")


class Rehearsals(BaseModel):
    """Answer of `GET /api/rehearsals`: the targets that were rehearsed on, the newest first."""

    targets: list[Readiness]


async def start(call: Call) -> Answer:
    """Start a rehearsal: the body is a MigrationRequest; its target must say that it is throw-away."""
    request = parsed(MigrationRequest, call.body)
    if isinstance(request, Answer):
        return request
    try:
        made = rehearsals.prepared(request)
    except Refusal as error:
        return refusal(error, 400)
    return await migrations.start(replace(call, body=made.model_dump_json(exclude_none=True).encode()))


async def index(call: Call) -> Answer:
    """Compare the rehearsals of each target and say what still stands before the cut-over."""
    found = await asyncio.to_thread(_readiness)
    return with_etag(call, answer(Rehearsals(targets=found)))


def _readiness() -> list[Readiness]:
    now = datetime.now(UTC)
    return [rehearsals.readiness(target, now) for target in rehearsals.targets()]


async def start_rehearsal(engine: Engine, *, past_due: bool) -> None:
    """Start the rehearsal that the settings describe; once a scheduled minute, whatever the timer does."""
    wanted = settings().rehearsal
    if not wanted.enabled:
        log.info("rehearsals are off (REHEARSAL__ENABLED)")
        return
    try:
        request = MigrationRequest.model_validate_json(wanted.request)
    except ValidationError as error:
        log.error("REHEARSAL__REQUEST is no MigrationRequest: %s", error.errors(include_input=False, include_url=False))  # noqa: TRY400 - a trace says nothing more
        return
    headers = {"idempotency-key": f"rehearsal-{datetime.now(UTC):%Y%m%d%H%M}"}
    answered = await start(
        Call(engine=engine, headers=headers, body=request.model_dump_json(exclude_none=True).encode())
    )
    level = logging.INFO if answered.status == 202 else logging.ERROR
    log.log(level, "rehearsal (past due: %s): %s %s", past_due, answered.status, json.loads(answered.body))
