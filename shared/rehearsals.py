"""Rehearsals: what makes a request one, their history, and which of them tells how long a run will take.

The history lies in the reports container, one small blob a rehearsal: `rehearsals/<target>/<run>.json`, and one for each
that the timer could not start: `rehearsals-missed/<minute>.json`. How they compare, and whether we are ready for the cut-over, is in `shared.readiness`.
"""

import functools
import logging
import time
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, Field, ValidationError

from shared import runs
from shared.contracts import Run, RunId, Verdict
from shared.errors import Finding, Refusal
from shared.forecast import Measured, wanted
from shared.reporting.model import Report
from shared.reporting.waits import waited
from shared.request import Mask, MigrationRequest, origin_of
from shared.settings import settings

log = logging.getLogger("mxferry.rehearsal")

KEPT = 10
"""Rehearsals of a target that are looked at; older ones stay in the container."""
MISSED = "rehearsals-missed/"
FRESH_SECONDS = 60
"""How long a process uses what it has read of the history before it reads again."""


class Rehearsal(BaseModel):
    """One rehearsal, as the history keeps it. Durations are seconds, without the time in which it waited for people."""

    id: RunId
    target: str
    source: str = Field(default="", description="Which app's snapshot: see `origin_of`; empty where it is not known.")
    mode: str = Field(default="", description="Target mode; empty where it is not known.")
    verdict: Verdict
    reason: str = ""
    created_at: datetime
    seconds: float
    stages: dict[str, float]
    rows: int
    files: int
    bytes: int = Field(description="Bytes of rows and of files.")
    row_bytes: int = Field(default=0, description="Of the tables in PostgreSQL; 0 where it is not known.")
    file_bytes: int = Field(default=0, description="Of the files; 0 where it is not known.")
    smoke: int = Field(default=0, description="Smoke checks that were done.")
    findings: list[Finding] = Field(default_factory=list)
    proved_after: float | None = Field(
        default=None, description="Seconds until everything was proved, without the waits for people and for the clock."
    )
    window_seconds: float | None = Field(
        default=None, description="Length of the window that was agreed for the cut-over."
    )


class NotStarted(BaseModel):
    """A rehearsal that the timer could not start."""

    at: datetime = Field(description="The minute of the schedule.")
    target: str | None = Field(description="Null where the settings' request names none.")
    why: str = Field(description="What was expected and what was found, as a sentence.")
    code: str = ""
    remedy: str = Field(default="", description="What to do, as a sentence.")


def prepared(request: MigrationRequest) -> MigrationRequest:
    """Return the request as a rehearsal: its throw-away target dropped without asking, everything cleaned up.

    The purpose makes the stages empty volatile tables and lets masks work; a request without masks takes those of the
    settings' own rehearsal. Raises `Refusal` NOT_THROW_AWAY, UNKNOWN_TARGET.
    """
    check_throw_away(request.target)
    options = request.options.model_copy(
        update={
            "purpose": "rehearsal",
            "cleanup": "always",
            "keep_days": None,
            "masks": request.options.masks or _masks(),
        }
    )
    return request.model_copy(update={"options": options, "target_not_empty": "drop", "confirm": request.target})


def check_throw_away(target: str) -> None:
    """Raise `Refusal` NOT_THROW_AWAY unless the profile says that a rehearsal may drop what it holds, UNKNOWN_TARGET."""
    if not settings().target_profile(target).throw_away:
        raise Refusal(
            "NOT_THROW_AWAY", target,
            "expected a target profile that says it is throw-away, found one that does not: a rehearsal drops what the "
            "target holds without asking, masks it and empties its queues.",
            f"Set TARGET__{target.upper().replace('-', '_')}__THROW_AWAY to true if it may be dropped, or name another "
            "profile.",
        )  # fmt: skip


def unmasked(request: MigrationRequest) -> list[Finding]:
    """Warn of a rehearsal that brings the personal data of the source to the target as it is."""
    if request.options.purpose != "rehearsal" or request.options.masks:
        return []
    return [
        Finding(
            code="NOTHING_MASKED", severity="warning", object=request.target,
            message="expected masks in a rehearsal, found none: personal data of the source comes to the target as it is.",
            remedy='Name the columns in "options": {"masks": …} of the request or of REHEARSAL__REQUEST, or let nobody see '
            "the target who may not see the source.",
        )
    ]  # fmt: skip


def events_on(request: MigrationRequest) -> list[Finding]:
    """Warn of a rehearsal whose app only people can start without its scheduled events."""
    starts = request.start_target_app != "no" or request.options.target_mode == "runtime"
    app = settings().target_profile(request.target).app
    if request.options.purpose != "rehearsal" or not starts or (app is not None and app.kind != "manual"):
        return []
    return [
        Finding(
            code="SCHEDULED_EVENTS_BY_HAND", severity="warning", object=request.target,
            message="expected an app adapter that starts the rehearsal's app without scheduled events, found none: the copy "
            "of production would send its mails and call its interfaces, unless people see to it.",
            remedy="Set ScheduledEventExecution to NONE in the app (MXRUNTIME_ScheduledEventExecution=NONE in a container; "
            "images of Mendix' buildpacks say ALL by default) before anybody starts it.",
        )
    ]  # fmt: skip


def _masks() -> list[Mask]:
    try:
        return MigrationRequest.model_validate_json(settings().rehearsal.request).options.masks
    except ValidationError:
        return []


def rehearsal_of(report: Report) -> Rehearsal:
    """Return what the history keeps of a report."""
    waits = waited(report.gates)
    moved = {one.name: one.bytes for one in report.stages if one.bytes}
    return Rehearsal(
        id=report.id, target=report.target, source=report.origin, mode=report.target_mode, verdict=report.verdict,
        reason=report.reason, created_at=report.created_at, seconds=report.seconds,
        stages={
            one.name: round(max(0.0, one.seconds - waits.get(one.name, 0.0)), 3)
            for one in report.stages
            if one.state != "skipped"
        },
        rows=report.rows, files=report.files.copied, bytes=report.files.bytes + sum(one.bytes for one in report.tables),
        row_bytes=moved.get("plan") or moved.get("restore") or 0, file_bytes=report.files.bytes,
        smoke=sum(one.outcome != "skipped" for one in report.smoke), findings=report.findings,
        proved_after=_proved_after(report, waits), window_seconds=report.window_seconds,
    )  # fmt: skip


def _proved_after(report: Report, waits: dict[str, float]) -> float | None:
    """Seconds from the start to the end of the last stage that proves something, the waits left out."""
    if report.proved_at is None:
        return None
    return round((report.proved_at - report.stages[0].started_at).total_seconds() - sum(waits.values()), 3)


def remember(report: Report) -> None:
    """Keep a rehearsal in the history; other reports, and dry runs, are left out. Doing it again writes the same."""
    if report.purpose == "rehearsal" and report.verdict != "planned":
        made = rehearsal_of(report)
        runs.write(f"rehearsals/{made.target}/{made.id}.json", made.model_dump_json().encode(), "application/json")


def not_started(missed: NotStarted) -> None:
    """Keep that the timer could not start a rehearsal; once a minute of the schedule."""
    runs.write(f"{MISSED}{missed.at:%Y%m%dt%H%M}.json", missed.model_dump_json().encode(), "application/json")


def missed(limit: int = KEPT) -> list[NotStarted]:
    """Return the rehearsals that the timer could not start, newest first."""
    names = sorted(runs.names(MISSED), reverse=True)[:limit]
    return [NotStarted.model_validate_json(stored) for name in names if (stored := runs.read(name)) is not None]


def history(target: str, limit: int = KEPT) -> list[Rehearsal]:
    """Return the rehearsals of a target, newest first; one that another version wrote and this cannot read is left out."""
    names = sorted(runs.names(f"rehearsals/{target}/"), reverse=True)[:limit]
    found = (_read(name) for name in names)
    return [one for one in found if one is not None]


def _read(name: str) -> Rehearsal | None:
    stored = runs.read(name)
    if stored is None:
        return None
    try:
        return Rehearsal.model_validate_json(stored)
    except ValidationError as error:
        log.warning(
            "%s is no rehearsal that this version can read: %s",
            name,
            error.errors(include_input=False, include_url=False),
        )
        return None


def targets() -> list[str]:
    """Return the targets that have a history, the one of the newest rehearsal first."""
    newest: dict[str, str] = {}
    for name in runs.names("rehearsals/"):
        _, target, *run = name.split("/")
        if run:
            newest[target] = max(run[0], newest.get(target, ""))
    return sorted(newest, key=lambda target: newest[target], reverse=True)


def everywhere() -> list[Rehearsal]:
    """Return the rehearsals on to all targets, newest first."""
    found = [one for target in targets() for one in history(target)]
    return sorted(found, key=lambda one: one.id, reverse=True)


def comparable(found: Sequence[Rehearsal], origin: str, mode: str) -> list[Rehearsal]:
    """Return those of `found` that say something about a run of that origin and target mode, in their order.

    They moved the same app's snapshot in the same way. Where none has this origin, and all have one other (rehearsals
    from a blob, the cut-over from the environment, in a deployment that moves one app), that one is taken to be the app's.
    """
    same_way = [one for one in found if one.mode in ("", mode)]
    origins = {one.source for one in same_way if one.source}
    if origin not in origins and len(origins) > 1:
        return [one for one in same_way if not one.source]
    wanted = {"", origin} if origin in origins else {"", *origins}
    return [one for one in same_way if one.source in wanted]


def last_verified(run: Run) -> Rehearsal | None:
    """Return the newest verified rehearsal before a run, on to whichever target, that says how long its stages will take."""
    request = run.request
    mode = request.options.target_mode or "create"
    names = tuple(sorted(runs.names("rehearsals/")))
    verified = _verified(origin_of(request.source), mode, names, int(time.monotonic() // FRESH_SECONDS))
    return next((one for one in verified if one.id < run.id), None)


@functools.lru_cache(maxsize=16)
def _verified(origin: str, mode: str, _names: tuple[str, ...], _minute: int) -> list[Rehearsal]:
    """Return the verified rehearsals of an origin and a mode, newest first; read once while no other one is kept."""
    return [one for one in comparable(everywhere(), origin, mode) if one.verdict == "verified"]


def measured(run: Run) -> Measured | None:
    """Return what a forecast of this run starts from: the stage durations of the last verified rehearsal like it."""
    last = last_verified(run)
    if last is None:
        return None
    return Measured(
        stages=wanted(last.stages, run.request), row_bytes=last.row_bytes, file_bytes=last.file_bytes,
        what=f"the last rehearsal ({last.id})",
    )  # fmt: skip
