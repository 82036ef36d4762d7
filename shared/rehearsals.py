"""Rehearsals: what makes a request one, their history, how they compare, and whether we are ready for the cut-over.

The history lies in the reports container, one small blob a rehearsal: `rehearsals/<target>/<run>.json`.
"""

import functools
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, Field, ValidationError

from shared import runs
from shared.contracts import RunId, Verdict
from shared.errors import Finding, Refusal
from shared.reporting.model import Report
from shared.reporting.wording import duration, plural, stage_words
from shared.request import Mask, MigrationRequest
from shared.settings import settings

log = logging.getLogger("mxferry.rehearsal")

KEPT = 10
"""Rehearsals of a target that are looked at; older ones stay in the container."""
SLOWER = 1.3
LEAST_SECONDS = 5.0
"""A stage that gets slower by less than this is not worth a sentence."""
SAME_SIZE = 0.1
PEOPLE = ("scheduled", "snapshot-time", "approval", "late", "start-gate")
"""Stages that wait for people or for the clock; how long they took says nothing about the machines."""
WINDOW_SHARE = 0.8
"""A rehearsal that needs more of the window than this leaves too little for what people do in it."""
STALE = timedelta(days=14)


class Rehearsal(BaseModel):
    """One rehearsal, as the history keeps it. Durations are seconds."""

    id: RunId
    target: str
    verdict: Verdict
    reason: str = ""
    created_at: datetime
    seconds: float
    stages: dict[str, float]
    rows: int
    files: int
    bytes: int = Field(description="Bytes of rows and of files.")
    smoke: int = Field(default=0, description="Smoke checks that were done.")
    findings: list[Finding] = Field(default_factory=list)
    proved_after: float | None = Field(
        default=None, description="Seconds until everything was proved, without the waits for people and for the clock."
    )
    window_seconds: float | None = Field(
        default=None, description="Length of the window that was agreed for the cut-over."
    )


class Readiness(BaseModel):
    """A rehearsal target: its rehearsals, newest first, and what still stands between us and the cut-over."""

    target: str
    ready: bool
    open: list[str]
    regressions: list[str]
    rehearsals: list[Rehearsal]


def prepared(request: MigrationRequest) -> MigrationRequest:
    """Return the request as a rehearsal: its throw-away target dropped without asking, everything cleaned up.

    The purpose makes the stages empty volatile tables and lets masks work; a request without masks takes those of the
    settings' own rehearsal. Raises `Refusal` NOT_THROW_AWAY, UNKNOWN_TARGET.
    """
    if not settings().target_profile(request.target).throw_away:
        raise Refusal(
            "NOT_THROW_AWAY", request.target,
            "expected a target profile that says it is throw-away, found one that does not: a rehearsal drops what the "
            "target holds without asking.",
            f"Set TARGET__{request.target.upper().replace('-', '_')}__THROW_AWAY to true if it may be dropped, or name "
            "another profile.",
        )  # fmt: skip
    options = request.options.model_copy(
        update={"purpose": "rehearsal", "cleanup": "always", "masks": request.options.masks or _masks()}
    )
    return request.model_copy(update={"options": options, "target_not_empty": "drop", "confirm": request.target})


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


def _masks() -> list[Mask]:
    try:
        return MigrationRequest.model_validate_json(settings().rehearsal.request).options.masks
    except ValidationError:
        return []


def recorded(report: Report) -> Rehearsal:
    """Return what the history keeps of a report."""
    return Rehearsal(
        id=report.id, target=report.target, verdict=report.verdict, reason=report.reason, created_at=report.created_at,
        seconds=report.seconds, stages={one.name: one.seconds for one in report.stages if one.state != "skipped"},
        rows=report.rows, files=report.files.copied, bytes=report.files.bytes + sum(one.bytes for one in report.tables),
        smoke=sum(one.outcome != "skipped" for one in report.smoke), findings=report.findings,
        proved_after=_proved_after(report), window_seconds=report.window_seconds,
    )  # fmt: skip


def _proved_after(report: Report) -> float | None:
    """Seconds from the start to the end of the last stage that proves something, the waits left out."""
    if report.proved_at is None:
        return None
    waited = sum(one.seconds for one in report.stages if one.name in PEOPLE)
    return round((report.proved_at - report.stages[0].started_at).total_seconds() - waited, 3)


def remember(report: Report) -> None:
    """Keep a rehearsal in the history; other reports are left out. Doing it again writes the same."""
    if report.purpose == "rehearsal":
        made = recorded(report)
        runs.write(f"rehearsals/{made.target}/{made.id}.json", made.model_dump_json().encode(), "application/json")


def compared(report: Report) -> Report:
    """Return the report with what the rehearsal before measured, and with what got worse since."""
    before = next((one for one in _earlier(report) if one.id < report.id), None)
    worse = regressions([recorded(report), before] if before else [recorded(report)])
    if before is None:
        return report.model_copy(update={"regressions": worse})
    return report.model_copy(update={"compared_with": before.id, "before": before.stages, "regressions": worse})


def _earlier(report: Report) -> list[Rehearsal]:
    """Return the rehearsals a report compares with: a rehearsal with its own target's, a cut-over with the newest."""
    if report.purpose == "rehearsal":
        return history(report.target)
    return [one for target in targets() for one in history(target)]


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


def latest(verdict: Verdict = "verified") -> Rehearsal | None:
    """Return the newest rehearsal of that verdict, on to whichever target."""
    for target in targets():
        found = [one for one in history(target) if one.verdict == verdict]
        if found:
            return found[0]
    return None


def targets() -> list[str]:
    """Return the targets that have a history, the one of the newest rehearsal first."""
    newest: dict[str, str] = {}
    for name in runs.names("rehearsals/"):
        _, target, run = name.split("/")
        newest[target] = max(run, newest.get(target, ""))
    return sorted(newest, key=lambda target: newest[target], reverse=True)


def readiness(target: str, now: datetime) -> Readiness:
    """Return the comparison and the verdict for a target."""
    found = history(target)
    worse = regressions(found)
    return Readiness(
        target=target, rehearsals=found, regressions=worse, open=(gaps := _gaps(found, worse, now)), ready=not gaps
    )


def regressions(found: Sequence[Rehearsal]) -> list[str]:
    """Say what is worse in the newest rehearsal than in the one before it: findings, stages at equal size; and whether
    the agreed window is at risk, which needs no comparison.
    """
    if not found:
        return []
    return [*_window_at_risk(found[0]), *(_worse(found[0], found[1]) if len(found) > 1 else [])]


def _window_at_risk(last: Rehearsal) -> list[str]:
    needed, window = last.proved_after, last.window_seconds
    if needed is None or window is None or needed <= window * WINDOW_SHARE:
        return []
    return [
        f"The window is at risk: everything was proved after {duration(needed)}, the window has {duration(window)}, and "
        "the people's own steps need time in it too."
    ]


def _worse(now: Rehearsal, before: Rehearsal) -> list[str]:
    known = {(one.code, one.object) for one in before.findings}
    said = [
        f"New finding {one.code} on {one.object}: {one.message}"
        for one in now.findings
        if (one.code, one.object) not in known and one.severity != "info"
    ]
    if before.verdict == "verified" and now.verdict != "verified":
        said.insert(0, f"The rehearsal before was verified, this one {now.verdict}: {now.reason}")
    if _same_size(now, before):
        said += [
            f"{stage_words(name)} took {duration(seconds)}, before {duration(before.stages[name])}, at equal size."
            for name, seconds in now.stages.items()
            if name in before.stages and name not in PEOPLE and _slower(seconds, before.stages[name])
        ]
    return said


def _gaps(found: Sequence[Rehearsal], worse: Sequence[str], now: datetime) -> list[str]:
    if not found:
        return ["No rehearsal has ended yet."]
    last = found[0]
    gaps = []
    if last.verdict != "verified":
        gaps.append(f"The last rehearsal ended {last.verdict}: {last.reason}")
    errors = [one for one in last.findings if one.severity == "error" and one.chosen is None]
    if errors:
        gaps.append(f"{plural(len(errors), 'finding')} without a remedy, first {errors[0].code} on {errors[0].object}.")
    if worse:
        gaps.append(f"{plural(len(worse), 'thing')} got worse since the rehearsal before.")
    if not last.smoke:
        gaps.append("No smoke test was done in the last rehearsal: whether the app starts on the data is not known.")
    if now - last.created_at > STALE:
        gaps.append(
            f"The last rehearsal was {plural((now - last.created_at).days, 'day')} ago; model and data have changed since."
        )
    return gaps


def _same_size(one: Rehearsal, other: Rehearsal) -> bool:
    pairs = ((one.rows, other.rows), (one.bytes, other.bytes))
    return all(abs(a - b) <= SAME_SIZE * max(a, b, 1) for a, b in pairs)


def _slower(now: float, before: float) -> bool:
    return now > before * SLOWER and now - before >= LEAST_SECONDS


@functools.lru_cache(maxsize=64)
def measured(run_id: str) -> dict[str, float]:
    """Return the stage durations that a forecast of this run starts from; asked once a run and process."""
    del run_id
    last = latest()
    return dict(last.stages) if last else {}
