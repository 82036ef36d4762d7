"""How a run stands: as the durable engine says; where that does not know the run, as what it left in storage says.

The engine does not know a run whose history was purged, one of another task hub, one whose POST is on its way, and one whose
history was lost.
"""

import asyncio
import functools
import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from pydantic import BaseModel, Field, ValidationError

from api.http import Engine
from shared import progress, remains, runpaths
from shared.blobs import clients
from shared.contracts import Counts, Gate, Run, Verdict
from shared.progress import StageView, View
from shared.reporting.model import StageReport
from shared.settings import settings

log = logging.getLogger("mxferry.runs")

OVER = {"COMPLETED", "FAILED", "TERMINATED", "CANCELED"}
UNKNOWN_FOR = timedelta(hours=1)
"""A run that the engine does not know is not over before this: its POST may be on its way to the engine. As long may another
task hub work at the closing steps of a run."""
LOST, ELSEWHERE = UNKNOWN = ("lost", "elsewhere")
"""Statuses of a run that left no word of its end, and of one that may go on in another task hub."""
WAS_LOST = (
    "The engine does not know it, and it left no report: how far it came is not known. See whether the target was written "
    "before an app is started on it, and whether the source app runs; then start a new migration."
)


@dataclass(frozen=True)
class Standing:
    """Status, verdict (None while it is not over), why, and the stages."""

    status: str
    verdict: Verdict | None = None
    reason: str = ""
    view: View = field(default_factory=View)


class _Left(BaseModel):
    """What is read of a report; the rest of it, and how older versions wrote that, does not matter here."""

    verdict: Verdict
    reason: str = ""
    target_written_at: datetime | None = None
    stages: list[StageReport] = Field(default_factory=list)
    gates: list[Gate] = Field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether it was written after the last stage: it is written twice, before the clean-up and after it."""
        return any(one.name == "stand-down" for one in self.stages)


async def standing(engine: Engine, run: Run, *, live: bool = True) -> Standing:
    """Return how a run stands; the live numbers of its stages, which cost a question each, only if `live`."""
    state = await engine.get_orchestration_state(run.id)
    if state is None:
        return await asyncio.to_thread(unknown, run, datetime.now(UTC))
    status = _json(state.serialized_custom_status)
    return _known_to_the_engine(state, await _view(engine if live else None, status))


def unknown(run: Run, now: datetime) -> Standing:
    """Return how a run stands that the engine does not know: by its report, its `closed` mark, its hub and its age."""
    closing = remains.closing(run.id)
    left = _left(run.id)
    if other_hub(run) and not _ended_there(closing, left, now):
        return Standing(ELSEWHERE, reason=f"It runs in another task hub, {run.hub or 'whose name was not kept'}: only an app "
                        "of that hub can show how far it is, approve it and abort it.")  # fmt: skip
    if left is not None:
        return Standing(left.verdict, left.verdict, left.reason, _view_of(left))
    if closing is None and now - run.created_at <= UNKNOWN_FOR:
        return Standing("pending")
    return Standing(LOST, "failed", WAS_LOST)


def other_hub(run: Run) -> bool:
    """Say whether a run belongs to another task hub than this app's."""
    return run.hub != settings().taskhub_name


def _ended_there(closing: remains.Closing | None, left: _Left | None, now: datetime) -> bool:
    """Whether a run of another hub is over: it is closed, and its closing steps are done, or had the time for it."""
    if closing is None:
        return False
    return (left is not None and left.whole) or now - closing.at > UNKNOWN_FOR


def _left(run_id: str) -> _Left | None:
    """Return what the run's report says; None where there is none, or none that this version can read."""
    try:
        etag = clients.reported(run_id, runpaths.REPORT).get_blob_properties().etag
        return _read(run_id, etag)
    except ResourceNotFoundError:
        return None
    except ValidationError:
        log.exception("%s: its report cannot be read", run_id)
        return None


@functools.lru_cache(maxsize=256)
def _read(run_id: str, _etag: str) -> _Left:
    """Read a report, which may be large, once: the list of runs is asked for every few seconds."""
    return _Left.model_validate_json(clients.reported(run_id, runpaths.REPORT).download_blob().readall())


def _view_of(left: _Left) -> View:
    """Return the stages as the engine would have shown them. Of what had not ended when it was written nothing is known."""
    stages = [_stage(one) for one in left.stages if one.ended_at is not None]
    return View(
        stages=stages, gate=left.gates[-1] if left.gates else None, gates=left.gates,
        target_written_at=left.target_written_at,
    )  # fmt: skip


def _stage(one: StageReport) -> StageView:
    done = Counts(rows=one.rows, bytes=one.bytes, files=one.files, tables=one.tables)
    return StageView(
        name=one.name, state=one.state, started_at=one.started_at, ended_at=one.ended_at, seconds=one.seconds, done=done,
        total=done, eta_seconds=None, note=one.note,
    )  # fmt: skip


def _known_to_the_engine(state: Any, seen: View) -> Standing:
    name = state.runtime_status.name
    if name == "PENDING":
        return Standing("pending", view=seen)
    if name == "COMPLETED":
        output = _json(state.serialized_output) or {}
        verdict = output.get("verdict", "failed")
        return Standing(verdict, verdict, str(output.get("reason", "")), seen)
    if name in OVER:
        details = state.failure_details.message if state.failure_details else f"the orchestration was {name.lower()}"
        return Standing("failed", "failed", details, seen)
    waiting = seen.gate is not None and seen.gate.decision is None
    return Standing("suspended" if name == "SUSPENDED" else "waiting" if waiting else "running", view=seen)


async def _view(engine: Engine | None, status: dict[str, Any] | None) -> View:
    """Flatten the status, fetching the custom statuses of running children level by level where an engine is given."""
    known: dict[str, dict[str, Any] | None] = {}
    while True:
        asked: list[str] = []
        seen = progress.view(status, functools.partial(_known, known, asked), datetime.now(UTC))
        if not asked or engine is None:
            return seen
        states = await asyncio.gather(*(engine.get_orchestration_state(one) for one in asked))
        for one, state in zip(asked, states, strict=True):
            known[one] = _json(state.serialized_custom_status) if state else None


def _known(known: dict[str, dict[str, Any] | None], asked: list[str], instance: str) -> dict[str, Any] | None:
    if instance not in known:
        asked.append(instance)
    return known.get(instance)


def _json(text: str | None) -> dict[str, Any] | None:
    return json.loads(text) if text else None
