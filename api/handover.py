"""`/api/migrations/{id}/source-database`: the settings by which the Mendix runtime copies the temporary database.

GET gives them without a password. POST makes a new password, answers it this once, and keeps who asked and when; the
one before is no good any more. Nothing else of the app ever holds a password: it is in no history, record or log.
"""

import asyncio
from datetime import UTC, datetime

from pydantic import Field

from api import caller
from api.http import Answer, Answered, Call, answer, parsed, problem, refused_as, with_etag
from api.migrations import MigrationView, look
from shared import events, handedout
from shared.apps.app import settings_for
from shared.contracts import Gate
from shared.mendix.handover import Source, SourceSettings, in_all_forms
from shared.postgres.connection import database_name
from shared.postgres.readers import make_reader, reader_name
from shared.request import PersonName
from shared.settings import settings
from shared.strict import Strict

GATE = "started"
NEVER_KEPT = {"Cache-Control": "no-store"}


class HandOut(Strict):
    """Body of `POST /api/migrations/{id}/source-database`."""

    by: PersonName | None = Field(
        default=None,
        description="Who asks; required where nobody is signed in. Behind App Service authentication the signed-in "
        "user's name stands in its place.",
    )


async def show(call: Call) -> Answer:
    """Return the settings in all forms, with a placeholder for the password."""
    seen, _ = await _waiting(call)
    return with_etag(call, answer(await asyncio.to_thread(_without_password, seen)))


async def hand_out(call: Call) -> Answer:
    """Make a new password and return the settings with it, once."""
    asked = parsed(HandOut, call.body)
    seen, gate = await _waiting(call)
    name = caller.named(call, asked.by)
    with refused_as(409):
        found = await asyncio.to_thread(_with_password, seen, gate.answers_by, name)
    return answer(found, headers=NEVER_KEPT)


async def _waiting(call: Call) -> tuple[MigrationView, Gate]:
    """Return the migration and its gate, if it waits for a runtime that people start; else answers that it does not."""
    with refused_as(404):
        seen = await look(call.engine, call.params["id"])
    gate = next((one for one in seen.progress.gates if one.name == GATE and one.decision is None), None)
    if seen.verdict is None and gate is not None:
        return seen, gate
    raise Answered(problem(
        409, "NOTHING_TO_HAND_OUT",
        f"expected a migration in target mode `runtime` that waits for the app to be started, found it {seen.status}.",
        object=seen.id, remedy="Ask again while it waits at the gate `started`.",
    ))  # fmt: skip


def _without_password(seen: MigrationView) -> SourceSettings:
    database = database_name(seen.id)
    source = Source(settings().postgres, database, reader_name(database), more=_more(seen))
    return in_all_forms(seen.id, source, settings().target_profile(seen.target).app, password=False)


def _with_password(seen: MigrationView, until: datetime, name: caller.Name) -> SourceSettings:
    server, database = settings().postgres, database_name(seen.id)
    now = datetime.now(UTC)
    handedout.record(seen.id, handedout.HandedOut(by=name.by, signed_in=name.signed_in, at=now))
    login = make_reader(server, database, until)
    events.emit("source-password-handed-out", seen.id, by=name.by)
    source = Source(server, database, login.user, login.password, _more(seen))
    app = settings().target_profile(seen.target).app
    return in_all_forms(seen.id, source, app, password=True, valid_until=login.valid_until)


def _more(seen: MigrationView) -> tuple[tuple[str, str], ...]:
    return tuple(settings_for("rehearsal" if seen.purpose == "rehearsal" else "cutover").items())
