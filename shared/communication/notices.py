"""How an event is told to an audience: a subject line and a text."""

from datetime import datetime, timedelta
from typing import get_args

from shared.communication.occurrences import Occurrence
from shared.communication.texts import Audience
from shared.eventkinds import EventKind
from shared.wording import duration, moment

EVENTS: dict[Audience, frozenset[EventKind]] = {
    "team": frozenset(get_args(EventKind)),
    "management": frozenset(
        {"scheduled", "started", "late", "verified", "failed", "refused", "aborted", "available", "source-down"}
    ),
    "users": frozenset({"scheduled", "unavailable", "available"}),
}
"""What each audience hears of unless a channel names its events. People announce the app's new address themselves, after the DNS change."""

SUBJECTS: dict[EventKind, str] = {
    "scheduled": "scheduled",
    "started": "started",
    "stage-done": "stage done",
    "gate-waits": "a decision is needed",
    "late": "it will be late",
    "verified": "verified",
    "failed": "failed",
    "refused": "refused before the target was written",
    "aborted": "aborted",
    "planned": "dry run done",
    "cleaned-up": "cleaned up",
    "source-down": "the source app was not started again",
    "regressed": "something got worse",
    "unavailable": "the source app is being stopped",
    "available": "the source app runs again",
    "not-started": "it could not start",
    "test": "a test message",
}

LONG_AGO = timedelta(minutes=15)
"""Behind this, an event is told with the time at which it happened: people take a message for news."""

FOR_USERS = {
    "scheduled": ("The app will move", "The app will be unavailable for a while. {words}"),
    "unavailable": ("The app is being moved", "The app is unavailable now. We will say when it is back."),
    "late": ("The move takes longer", "The move takes longer than announced. {words}"),
    "available": (
        "The move is postponed",
        "The app is available again, unchanged. Nothing was lost. We will announce a new date.",
    ),
}


def message_for(occurrence: Occurrence, audience: Audience, now: datetime) -> tuple[str, str]:
    """Return subject and text; one that is told long after it happened says when that was."""
    subject, text = _message(occurrence, audience)
    if now - occurrence.at < LONG_AGO:
        return subject, text
    return subject, f"Told late, this was so at {moment(occurrence.at)}: {text}"


def _message(occurrence: Occurrence, audience: Audience) -> tuple[str, str]:
    if audience == "users" and occurrence.kind in FOR_USERS:
        subject, text = FOR_USERS[occurrence.kind]
        return subject, text.format(words=occurrence.words)
    what = "Rehearsal" if occurrence.purpose == "rehearsal" else "Cut-over"
    late = "" if occurrence.late_seconds is None else f", by {duration(occurrence.late_seconds)}"
    subject = f"{what} to {occurrence.target}: {SUBJECTS[occurrence.kind]}{late}"
    basis = f" Reckoned from {occurrence.basis}." if occurrence.basis and audience == "team" else ""
    where = "" if audience == "management" else f" (run {occurrence.run})"
    return subject, f"{occurrence.words}{basis}{where}{f' {occurrence.link}' if occurrence.link else ''}"


def wanted(occurrence: Occurrence, audience: Audience, named: str) -> bool:
    """Whether a channel tells this event; only the team hears of rehearsals and dry runs."""
    if (occurrence.purpose == "rehearsal" or occurrence.dry_run) and audience != "team":
        return False
    names = {one.strip() for one in named.split(",") if one.strip()}
    return occurrence.kind in names if names else occurrence.kind in EVENTS[audience]
