"""`/api/migrations/{id}/runbook`: the runbook of a run, as it stands now, and what people say of its steps."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from api import caller, migrations
from api.http import DOCUMENT, Answer, Answered, Call, answer, parsed, problem, refused_as, with_etag
from api.standing import UNKNOWN
from shared import rehearsals, runs, ticks
from shared.reporting import runbook
from shared.request import PersonName
from shared.strict import Strict
from shared.ticks import Tick


class StepDone(Strict):
    """Body of `POST /api/migrations/{id}/runbook/{step}`."""

    done: bool = Field(default=True, description="False takes back that it is done.")
    by: PersonName | None = Field(
        default=None,
        description="Who says so; required where nobody is signed in. Behind App Service authentication the signed-in "
        "user's name stands in its place.",
    )
    comment: Annotated[str, StringConstraints(max_length=2000)] = ""


async def show(call: Call) -> Answer:
    """Return the runbook: HTML for `Accept: text/html`, Markdown otherwise."""
    with refused_as(404):
        book = await _book(call)
    if "text/html" in call.headers.get("accept", ""):
        return with_etag(call, Answer(200, runbook.html(book).encode(), "text/html; charset=utf-8", DOCUMENT))
    return with_etag(call, Answer(200, runbook.markdown(book).encode(), "text/markdown; charset=utf-8", DOCUMENT))


async def done(call: Call) -> Answer:
    """Keep that a step of people is done, or is not after all; the last word counts, those before it stay."""
    body = parsed(StepDone, call.body)
    with refused_as(404):
        book = await _book(call)
    step = _step_of_people(book, call.params["step"])
    name = caller.named(call, body.by)
    if not body.done and not step.said:
        raise Answered(problem(
            409, "NOT_TICKED", f"expected a step that somebody has said is done, found “{step.title}”, of which nobody has.",
            object=book.run.id, remedy="There is nothing to take back.",
        ))  # fmt: skip
    tick = Tick(
        step=step.key, done=body.done, by=name.by, signed_in=name.signed_in, at=datetime.now(UTC), comment=body.comment
    )
    return answer(await asyncio.to_thread(ticks.keep, book.run.id, tick))


def _step_of_people(book: runbook.Runbook, wanted: str) -> runbook.Step:
    """Return the step with that key; answers that there is none, or that the run does it itself."""
    steps = [one for part in book.parts for one in part.steps]
    step = next((one for one in steps if one.key == wanted), None)
    if step is None:
        keys = ", ".join(one.key for one in steps if one.by_people)
        raise Answered(problem(
            404, "UNKNOWN_STEP", f"expected the key of a step of the runbook, found {wanted[:40]}.", object=book.run.id,
            remedy=f"Steps that people tick in this run: {keys}.",
        ))  # fmt: skip
    if not step.by_people:
        raise Answered(problem(
            409, "NOT_BY_PEOPLE", f"expected a step that people do, found “{step.title}”, which the run does itself.",
            object=book.run.id, remedy="Its state is the stage's own; nothing to say.",
        ))  # fmt: skip
    return step


async def _book(call: Call) -> runbook.Runbook:
    """Return the runbook as it stands; `Refusal` UNKNOWN_RUN."""
    run_id = call.params["id"]
    run = await asyncio.to_thread(runs.load, run_id)
    seen = await migrations.look(call.engine, run_id)
    last = await asyncio.to_thread(rehearsals.last_verified, run)
    measured, rehearsed = (last.stages, last.id) if last else ({}, None)
    said = await asyncio.to_thread(ticks.load, run_id)
    return runbook.runbook(
        run, seen.progress, measured, seen.findings, _minute(), rehearsed, said, unknown=seen.status in UNKNOWN
    )


def _minute() -> datetime:
    """The present minute: a runbook that is asked for again within it has the same ETag."""
    return datetime.now(UTC).replace(second=0, microsecond=0)
