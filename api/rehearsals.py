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
from shared import rehearsals
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
    last = missed[0] if missed else None
    known = rehearsals.targets()
    if last is not None and last.target is not None and last.target not in known:
        known.append(last.target)
    return Rehearsals(targets=[readiness(target, now, last) for target in known], missed=missed)


async def start_rehearsal(engine: Engine, *, past_due: bool) -> None:
    """Start the rehearsal that the settings describe; once a scheduled minute, whatever the timer does.

    One that cannot start, for whatever reason, is kept as missed: the page, readiness and the channels say so.
    """
    wanted = settings().rehearsal
    if not wanted.enabled:
        log.info("rehearsals are off (REHEARSAL__ENABLED)")
        return
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    target: str | None = None
    try:
        request = _request(wanted.request)
        target = request.target
        headers = {"idempotency-key": f"rehearsal-{minute:%Y%m%d%H%M}"}
        body = request.model_dump_json(exclude_none=True).encode()
        answered = await start(Call(engine=engine, headers=headers, body=body))
    except Answered as said:
        answered = said.answer
    except Exception as error:
        log.exception("the rehearsal on to %s could not start", target)
        answered = refusal(_as_ours(error), HTTPStatus.SERVICE_UNAVAILABLE)
    if answered.status == HTTPStatus.ACCEPTED:
        log.info("rehearsal (past due: %s): %s", past_due, json.loads(answered.body))
        return
    said_so = Problem.model_validate_json(answered.body)
    log.error("the rehearsal on to %s could not start: [%s] %s", target, said_so.code, said_so.detail)
    missed = NotStarted(at=minute, target=target, why=said_so.detail, code=said_so.code, remedy=said_so.remedy)
    await asyncio.to_thread(rehearsals.not_started, missed)


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
