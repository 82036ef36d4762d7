"""`/api/rehearsals`: start one, by hand or by the timer, and compare those that ended.

Both ways go through `shared.rehearsals.prepared`: a rehearsal is a migration on to a throw-away target.
"""

import asyncio
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus

from pydantic import BaseModel

from api import migrations
from api.http import Answer, Answered, Call, Engine, answer, parsed, refused_as, with_etag
from shared import rehearsals
from shared.readiness import Readiness, readiness
from shared.rehearsals import NotStarted
from shared.request import MigrationRequest
from shared.settings import settings

log = logging.getLogger("mxferry.rehearsal")


class Rehearsals(BaseModel):
    """Answer of `GET /api/rehearsals`: the targets that were rehearsed on, the newest first."""

    targets: list[Readiness]


async def start(call: Call) -> Answer:
    """Start a rehearsal: the body is a MigrationRequest; its target must say that it is throw-away."""
    request = parsed(MigrationRequest, call.body)
    with refused_as(400):
        made = rehearsals.prepared(request)
    return await migrations.start(replace(call, body=made.model_dump_json(exclude_none=True).encode()))


async def index(call: Call) -> Answer:
    """Compare the rehearsals of each target and say what still stands before the cut-over."""
    found = await asyncio.to_thread(_readiness)
    return with_etag(call, answer(Rehearsals(targets=found)))


def _readiness() -> list[Readiness]:
    now, missed = datetime.now(UTC), rehearsals.last_not_started()
    known = rehearsals.targets()
    if missed is not None and missed.target is not None and missed.target not in known:
        known.append(missed.target)
    return [readiness(target, now, missed) for target in known]


async def start_rehearsal(engine: Engine, *, past_due: bool) -> None:
    """Start the rehearsal that the settings describe; once a scheduled minute, whatever the timer does."""
    wanted = settings().rehearsal
    if not wanted.enabled:
        log.info("rehearsals are off (REHEARSAL__ENABLED)")
        return
    try:
        request = parsed(MigrationRequest, wanted.request.encode())
    except Answered as said:
        await _missed(None, f"REHEARSAL__REQUEST is no MigrationRequest: {_detail(said.answer)}")
        return
    headers = {"idempotency-key": f"rehearsal-{datetime.now(UTC):%Y%m%d%H%M}"}
    call = Call(engine=engine, headers=headers, body=request.model_dump_json(exclude_none=True).encode())
    try:
        answered = await start(call)
    except Answered as said:
        answered = said.answer
    if answered.status != HTTPStatus.ACCEPTED:
        await _missed(request.target, _detail(answered))
        return
    log.info("rehearsal (past due: %s): %s", past_due, json.loads(answered.body))


async def _missed(target: str | None, why: str) -> None:
    """Keep that the rehearsal of this minute did not start: the page, readiness and the channels say so."""
    log.error("the rehearsal on to %s could not start: %s", target, why)
    missed = NotStarted(at=datetime.now(UTC).replace(second=0, microsecond=0), target=target, why=why)
    await asyncio.to_thread(rehearsals.not_started, missed)


def _detail(answered: Answer) -> str:
    return str(json.loads(answered.body).get("detail") or f"status {answered.status}")
