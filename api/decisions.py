"""`/api/migrations/{id}/approve` and `/abort`: what people decide, and whose name it carries."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

from pydantic import BaseModel

from api import caller
from api.http import Answer, Answered, Call, answer, parsed, problem, refused_as
from api.migrations import MigrationView, look
from api.standing import ELSEWHERE
from shared import runs
from shared.contracts import Gate, Said
from shared.progress import StageView
from shared.reporting.model import CLOSING
from shared.request import Decision

BY_THE_CLOCK = ("start", "snapshot")
"""Gates that open by themselves, at their time."""


class Accepted(BaseModel):
    """Answer of approve and abort."""

    id: str
    accepted: str


async def approve(call: Call) -> Answer:
    """Say go at the gate that the migration waits at."""
    decision = parsed(Decision, call.body)
    seen = await _running(call)
    gate = _gate(seen, decision.gate)
    said = _said(call, decision)
    await _raise(call, gate.approval, said, [seen.progress.gate_instance or seen.id])
    return answer(Accepted(id=seen.id, accepted="approve"), 202)


async def abort(call: Call) -> Answer:
    """Stop a migration: running chunks end or roll back, then report and clean-up.

    It leaves the mark that activities look for, and wakes whatever waits at a gate.
    """
    decision = parsed(Decision, call.body)
    seen = await _running(call)
    _check_stoppable(seen)
    said = _said(call, decision)
    await asyncio.to_thread(runs.ask_to_abort, seen.id, said)
    await _raise(call, "abort", said, [seen.id, seen.progress.gate_instance or seen.id])
    return answer(Accepted(id=seen.id, accepted="abort"), 202)


async def _running(call: Call) -> MigrationView:
    """Return the migration if it goes on here; else answers that it is over, or that another task hub has it."""
    with refused_as(404):
        seen = await look(call.engine, call.params["id"])
    if seen.verdict is not None:
        raise Answered(problem(
            409, "ALREADY_OVER", f"expected a running migration, found that it has ended: {seen.status}.", object=seen.id,
            remedy=f"Nothing to do: nothing of it runs. GET {seen.links['self']} says how it ended.",
        ))  # fmt: skip
    if seen.status == ELSEWHERE:
        raise Answered(problem(
            409, "IN_ANOTHER_HUB", f"expected a migration of this app's task hub. {seen.reason}", object=seen.id,
            remedy="Ask the app that has that task hub, or deploy with its name again.",
        ))  # fmt: skip
    return seen


def _gate(seen: MigrationView, meant: str | None) -> Gate:
    """Return the gate that the migration waits at for people, if it is the one that is meant; else answers why not."""
    gate = seen.progress.gate
    if gate is None or gate.decision is not None or gate.name in BY_THE_CLOCK:
        raise Answered(problem(
            409, "NOTHING_TO_APPROVE", f"expected a migration that waits at a gate, found it {seen.status}.",
            object=seen.id, remedy="Approve when the status is `waiting`.",
        ))  # fmt: skip
    if meant not in (None, gate.name):
        raise Answered(problem(
            409, "OTHER_GATE", f"expected the migration to wait at the gate {meant}, found it at {gate.name}.",
            object=seen.id, remedy="Look at it again, and answer the gate that it waits at.",
        ))  # fmt: skip
    return gate


def _check_stoppable(seen: MigrationView) -> None:
    """Answer that the migration has its outcome, where it is at its end."""
    if closing := _closing(seen.stages):
        raise Answered(problem(
            409, "ENDING_ALREADY", f"expected a migration with work to stop, found it at `{closing[-1]}`: it has its outcome.",
            object=seen.id, remedy="Wait for its end; the report says what the target holds.",
        ))  # fmt: skip


def _closing(stages: Sequence[StageView]) -> list[str]:
    """Return the stages of the end that have begun: an abort has nothing left to stop in them.

    A source app that is started right behind its snapshot is no end: the request says `always`, and the run goes on.
    """
    begun = [one.name for one in stages if one.name in CLOSING]
    early = any(
        one.name == "source-start" and before.name == "snapshot" and before.state == "done"
        for before, one in pairwise(stages)
    )
    return [one for one in begun if not (early and one == "source-start")]


def _said(call: Call, decision: Decision) -> Said:
    name = caller.named(call, decision.by)
    return Said(by=name.by, signed_in=name.signed_in, comment=decision.comment)


async def _raise(call: Call, event: str, said: Said, instances: list[str]) -> None:
    for instance in dict.fromkeys(instances):
        await call.engine.raise_orchestration_event(instance, event, data=said.model_dump(mode="json"))
