"""`/api/rehearsals`: start one, by hand or by the timer, and compare those that ended.

Both ways go through `shared.rehearsals.prepared`: a rehearsal is a migration on to a throw-away target.
"""

import asyncio
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus

from azure.core.exceptions import AzureError
from pydantic import BaseModel, Field

from api import migrations
from api.http import Answer, Answered, Call, Engine, Problem, answer, parsed, refusal, refused_as, with_etag
from shared import rehearsals, runs
from shared.errors import MxferryError, Refusal, TransientError
from shared.readiness import Readiness, readiness
from shared.rehearsals import NotStarted
from shared.request import MigrationRequest
from shared.settings import settings

log = logging.getLogger("mxferry.rehearsal")


class Rehearsals(BaseModel):
    """Answer of `GET /api/rehearsals`: the targets that were rehearsed on, the newest first."""

    targets: list[Readiness]
    missed: list[NotStarted] = Field(description="The last rehearsals that the timer could not start, newest first.")


async def start(call: Call) -> Answer:
    """Start a rehearsal: the body is a MigrationRequest; its target must say that it is throw-away."""
    request = parsed(MigrationRequest, call.body)
    with refused_as(400):
        made = rehearsals.prepared(request)
    return await migrations.start(replace(call, body=made.model_dump_json(exclude_none=True).encode()))


async def index(call: Call) -> Answer:
    """Compare the rehearsals of each target and say what still stands before the cut-over."""
    return with_etag(call, answer(await asyncio.to_thread(_compared)))


def _compared() -> Rehearsals:
    now, missed = datetime.now(UTC), rehearsals.missed()
    named = (one.target for one in missed if one.target is not None)
    known = list(dict.fromkeys([*rehearsals.targets(), *named]))
    return Rehearsals(targets=[readiness(target, now, _last(target, missed)) for target in known], missed=missed)


def _last(target: str, missed: list[NotStarted]) -> NotStarted | None:
    """Return the newest one missed on the target; settings that are no request name none, and stand before each."""
    return next((one for one in missed if one.target in (None, target)), None)


async def start_rehearsal(engine: Engine, *, past_due: bool) -> None:
    """Start the rehearsal that the settings describe; once a scheduled minute, whatever the timer does.

    One that cannot start, for whatever reason, is kept as missed: the page, readiness and the channels say so. Where
    storage does not answer, it cannot be kept there either: this raises, and the failed invocation is what shows it.
    """
    wanted = settings().rehearsal
    if not wanted.enabled:
        log.info("rehearsals are off (REHEARSAL__ENABLED)")
        return
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    key, target = f"rehearsal-{minute:%Y%m%d%H%M}", None
    try:
        request = _request(wanted.request)
        target = request.target
        headers = {"idempotency-key": key}
        body = request.model_dump_json(exclude_none=True).encode()
        answered = await start(Call(engine=engine, headers=headers, body=body))
    except Answered as said:
        answered = said.answer
    except Exception as error:
        log.exception("the start of the rehearsal on to %s met an error", target)
        answered = await _after(error, engine, key)
    if answered.status == HTTPStatus.ACCEPTED:
        log.info("rehearsal (past due: %s): %s", past_due, json.loads(answered.body))
        return
    said_so = Problem.model_validate_json(answered.body)
    log.error("the rehearsal on to %s could not start: [%s] %s", target, said_so.code, said_so.detail)
    missed = NotStarted(at=minute, target=target, why=said_so.detail, code=said_so.code, remedy=said_so.remedy)
    await asyncio.to_thread(rehearsals.not_started, missed)


async def _after(error: Exception, engine: Engine, key: str) -> Answer:
    """Answer for a start that an error cut off: the engine may have taken the run before it.

    A run that the engine does not know is told as not started, and nothing else: its own events are marked told.
    """
    ours, run_id = _as_ours(error), None
    try:
        run_id = await asyncio.to_thread(runs.reserved, key)
        if run_id is not None:
            if await engine.get_orchestration_state(run_id, fetch_payloads=False) is not None:
                return answer(migrations.Started(id=run_id, status="pending", links={}), HTTPStatus.ACCEPTED)
            await asyncio.to_thread(runs.mark_told, run_id)
    except Exception:
        log.exception("whether the rehearsal has started (run %s) could not be asked", run_id)
        where = f"GET /api/migrations/{run_id}" if run_id else "GET /api/migrations"
        ours.remedy = f"It may have started: look at {where} before you start another. {ours.remedy}"
    return refusal(ours, HTTPStatus.SERVICE_UNAVAILABLE)


def _request(setting: str) -> MigrationRequest:
    try:
        return parsed(MigrationRequest, setting.encode())
    except Answered as said:
        detail = Problem.model_validate_json(said.answer.body).detail
        raise Refusal(
            "INVALID_REQUEST", "REHEARSAL__REQUEST", f"REHEARSAL__REQUEST is no MigrationRequest: {detail}",
            "Correct the setting; GET /api/openapi.json has the form of a MigrationRequest.",
        ) from None  # fmt: skip


def _as_ours(error: Exception) -> MxferryError:
    """Return what kept a rehearsal from starting as an error of ours; a text that is not ours stays in the log."""
    if isinstance(error, MxferryError):
        return error
    found = type(error).__name__
    if isinstance(error, AzureError):
        return TransientError(
            "AZURE_UNREACHABLE", "storage", f"expected the storage account to keep the run, found {found}.",
            "Look at the account's health and firewall, and at the roles of the app's identity; the app's log has the details.",
        )  # fmt: skip
    return TransientError(
        "INTERNAL_ERROR", "engine", f"expected the durable engine to take the run, found an error ({found}).",
        "The app's log has the details; when the engine is up, start the rehearsal by hand.",
    )  # fmt: skip
