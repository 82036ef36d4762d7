"""How rehearsals compare: what got worse, and what still speaks against the cut-over."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from shared.errors import open_errors
from shared.rehearsals import NotStarted, Rehearsal, comparable, everywhere, history, rehearsal_of
from shared.reporting.model import Report
from shared.wording import duration, moment, plural, stage_words

SLOWER = 1.3
LEAST_SECONDS = 5.0
"""A stage that gets slower by less than this is not worth a sentence."""
SAME_SIZE = 0.1
WINDOW_SHARE = 0.8
"""A rehearsal that needs more of the window than this leaves too little for what people do in it."""
STALE = timedelta(days=14)
DROPPED = "drop"
"""The remedy of what a target holds. Every rehearsal but the first finds what the one before has left there."""
BY_PEOPLE = ("hand-over",)
"""Stages in which people act beside the machines: how long they take says nothing about the machines."""


class Readiness(BaseModel):
    """A rehearsal target: its rehearsals, newest first, and what still speaks against the cut-over."""

    target: str
    ready: bool
    open: list[str]
    regressions: list[str]
    slower: list[str] = Field(description="Stages of the newest rehearsal that took longer, at equal size.")
    rehearsals: list[Rehearsal]


def readiness(target: str, now: datetime, missed: NotStarted | None = None) -> Readiness:
    """Return the comparison and the verdict for a target; `missed` is the last rehearsal that could not start."""
    found = history(target)
    worse = regressions(found)
    gaps = [*_gaps(found, worse, now), *_missed(target, found, missed)]
    before = _before(found[0], found[1:]) if found else None
    slower = _slower_stages(found[0], before) if before else []
    return Readiness(
        target=target, rehearsals=found, regressions=worse, slower=slower, open=gaps, ready=not gaps
    )  # fmt: skip


def compared(report: Report) -> Report:
    """Return the report with what the last verified rehearsal like it measured, and with what got worse since."""
    earlier = [one for one in _others(report) if one.id < report.id]
    this = rehearsal_of(report)
    before = _before(this, earlier)
    worse = regressions([this, *earlier])
    if before is None:
        return report.model_copy(update={"regressions": worse})
    return report.model_copy(update={"compared_with": before.id, "before": before.stages, "regressions": worse})


def regressions(found: Sequence[Rehearsal]) -> list[str]:
    """Say what is worse in the newest rehearsal than in the last verified one before it: findings, stages at equal size;
    whether it failed where that one did not; and whether the agreed window is at risk, which needs no comparison.
    """
    if not found:
        return []
    before = _before(found[0], found[1:])
    return [*_window_at_risk(found[0]), *(_worse(found[0], before) if before else [])]


def _others(report: Report) -> list[Rehearsal]:
    """Return what a report compares with: a rehearsal with those on to its own target, a cut-over with all."""
    return history(report.target) if report.purpose == "rehearsal" else everywhere()


def _before(this: Rehearsal, earlier: Sequence[Rehearsal]) -> Rehearsal | None:
    """Return the newest verified one of the earlier rehearsals that moved the same in the same way."""
    alike = comparable(earlier, this.source, this.mode or "create")
    return next((one for one in alike if one.verdict == "verified"), None)


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
        if (one.code, one.object) not in known and one.severity != "info" and one.chosen != DROPPED
    ]
    if now.verdict != "verified":
        said.insert(0, f"An earlier rehearsal ({before.id}) was verified, this one {now.verdict}: {now.reason}")
    said += [
        f"{stage_words(name)} took {duration(now.stages[name])}, before {duration(before.stages[name])}, at equal size."
        for name in _slower_stages(now, before)
    ]
    return said


def _slower_stages(now: Rehearsal, before: Rehearsal) -> list[str]:
    if not _same_size(now, before):
        return []
    return [
        name
        for name, seconds in now.stages.items()
        if name in before.stages and name not in BY_PEOPLE and _slower(seconds, before.stages[name])
    ]


def _gaps(found: Sequence[Rehearsal], worse: Sequence[str], now: datetime) -> list[str]:
    if not found:
        return ["No rehearsal has ended yet."]
    last = found[0]
    gaps = []
    if last.verdict != "verified":
        gaps.append(f"The last rehearsal ended {last.verdict}: {last.reason}")
    errors = open_errors(last.findings)
    if errors:
        gaps.append(f"{plural(len(errors), 'finding')} without a remedy, first {errors[0].code} on {errors[0].object}.")
    if worse:
        gaps.append(f"{plural(len(worse), 'thing')} got worse since the verified rehearsal before.")
    if not last.smoke:
        gaps.append("No smoke test was done in the last rehearsal: whether the app starts on the data is not known.")
    if now - last.created_at > STALE:
        gaps.append(
            f"The last rehearsal was {plural((now - last.created_at).days, 'day')} ago; model and data have changed since."
        )
    return gaps


def _missed(target: str, found: Sequence[Rehearsal], missed: NotStarted | None) -> list[str]:
    """Say that a rehearsal could not start since the last one that did."""
    if missed is None or missed.target not in (None, target) or (found and found[0].created_at > missed.at):
        return []
    return [f"The rehearsal of {moment(missed.at)} could not start: {missed.why} {missed.remedy}".rstrip()]


def _same_size(one: Rehearsal, other: Rehearsal) -> bool:
    pairs = ((one.rows, other.rows), (one.bytes, other.bytes))
    return all(abs(a - b) <= SAME_SIZE * max(a, b, 1) for a, b in pairs)


def _slower(now: float, before: float) -> bool:
    return now > before * SLOWER and now - before >= LEAST_SECONDS
