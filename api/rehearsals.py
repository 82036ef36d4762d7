"""The timer that starts rehearsals from the settings."""

import logging
from datetime import UTC, datetime

from api.http import Call, Engine
from api.migrations import start
from shared.contracts import MigrationRequest
from shared.settings import settings

log = logging.getLogger("mxferry.rehearsal")


async def start_rehearsal(engine: Engine, *, past_due: bool) -> None:
    """Start the rehearsal that the settings describe; once a scheduled minute, whatever the timer does."""
    rehearsal = settings().rehearsal
    if not rehearsal.enabled:
        log.info("rehearsals are off (REHEARSAL__ENABLED)")
        return
    request = MigrationRequest.model_validate_json(rehearsal.request)
    profile = settings().target_profile(request.target)
    if not profile.throw_away:
        log.error("rehearsal refused: target profile %s is not THROW_AWAY", request.target)
        return
    options = request.options.model_copy(update={"purpose": "rehearsal"})
    request = request.model_copy(
        update={
            "options": options, "target_not_empty": "drop", "confirm": request.target, "approval": False,
            "idempotency_key": f"rehearsal-{datetime.now(UTC):%Y%m%d%H%M}",
        }
    )  # fmt: skip
    answered = await start(Call(engine=engine, body=request.model_dump_json().encode()))
    log.info("rehearsal (past due: %s): %s %s", past_due, answered.status, answered.body.decode())
