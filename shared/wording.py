"""How numbers, times and verdicts are put into words; the same in the report, the runbook and the page's texts."""

import re
from datetime import UTC, datetime

from shared.contracts import Gate, Run, Verdict

FIRST_WORD = re.compile(r"[a-z]+([ ,.:]|$)")
REASON = re.compile(r"^([\w-]+): \[([A-Z_]+)\] (.*?): (.*)$", re.DOTALL)
UNITS = ("B", "kB", "MB", "GB", "TB")

VERDICT_WORDS: dict[Verdict, str] = {
    "verified": "Verified",
    "failed": "Failed",
    "refused": "Refused",
    "aborted": "Aborted",
    "planned": "Planned only",
}

STAGE_WORDS = {
    "early-preflight": "Preflight before the window",
    "scheduled": "Waiting for the window",
    "environment": "Wake the environment",
    "preflight": "Preflight",
    "snapshot-time": "Waiting for the snapshot time",
    "snapshot": "Snapshot to staging",
    "restore": "Restore to the temporary database",
    "plan": "Plan of the target schema",
    "inspect": "Inspection of the data",
    "prepare": "Prepare the source for the runtime",
    "approval": "Approval",
    "late": "Decision: it will be late",
    "scale": "Scale the target up",
    "database": "Database",
    "schema": "Create the target schema",
    "copy": "Copy rows",
    "finish": "Keys, indexes, sequences",
    "room": "Empty the target for the runtime",
    "hand-over": "Hand over to the Mendix runtime",
    "adopt": "Read the runtime's schema",
    "verify": "Verify rows",
    "take-back": "Take the settings back",
    "empty": "Empty the target container",
    "files": "Copy files",
    "files-verify": "Verify files",
    "reconcile": "Reconcile rows and files",
    "start-gate": "Decision: start the app",
    "app-stop": "Stop the target app",
    "sessions": "Waiting for others to leave the target",
    "app-start": "Start the target app",
    "smoke": "Smoke tests",
    "app-restart": "Start the target app again",
    "app-end": "Stop the rehearsal's app",
    "source-start": "Start the source app again",
    "stock": "Take stock of the target",
    "report": "Report",
    "clean-up": "Clean-up",
    "stand-down": "Stand the environment down",
}


GATE_WORDS = {
    "start": "The window has to open.",
    "snapshot": "The agreed snapshot time has to come.",
    "late-snapshot": "It will be late. Take the snapshot all the same?",
    "late-after-snapshot": "The snapshot is taken, and it will be late. Go on?",
    "late-after-restore": "The database is restored, and it will be late. Go on?",
    "late": "It will be late. Go on?",
    "late-write": "It will be late. Write the target all the same?",
    "write": "Write the target?",
    "stop-app": "Is the target app stopped?",
    "started": "Has the app copied the source, and started?",
    "start-app": "Start the target app?",
}


def gate_words(gate: Gate) -> str:
    """Return what a gate asks, as a sentence; an unknown one keeps its name."""
    return GATE_WORDS.get(gate.name, f"Gate “{gate.name}”.")


def stage_words(name: str) -> str:
    """Return a stage's name for people; an unknown stage keeps its own name."""
    return STAGE_WORDS.get(name, name)


def reason_words(reason: str) -> str:
    """Return a run's reason, `stage: [CODE] object: message`, with the stage in words and the code at the end."""
    found = REASON.match(reason)
    if found is None:
        return reason
    stage, code, about, message = found.groups()
    where = stage_words(stage) if about in ("", stage) else f"{stage_words(stage)}, {about}"
    return f"{where}: {message} ({code})"


def count(value: float | None) -> str:
    """Return a whole number with commas between thousands: `1,234,567`; a dash for None."""
    return "–" if value is None else f"{round(value):,}"


def size(value: float | None) -> str:
    """Return bytes in decimal units with three significant digits: `1.23 GB`."""
    if value is None:
        return "–"
    amount = float(value)
    for unit in UNITS:
        if abs(amount) < 999.5 or unit == UNITS[-1]:
            break
        amount /= 1000
    digits = 0 if unit == "B" or abs(amount) >= 99.95 else 1 if abs(amount) >= 9.995 else 2
    return f"{amount:.{digits}f} {unit}"


def bytes_of(value: int) -> str:
    """Return bytes in words and exactly: `412 MB (412,003,911 bytes)`."""
    return size(value) if value < 1000 else f"{size(value)} ({value:,} bytes)"


def source_words(run: Run) -> str:
    """Return where the snapshot comes from, never a URL."""
    source = run.request.source
    if source.kind == "blob":
        return f"blob {source.container}/{source.blob}"
    if source.kind == "mendix-cloud":
        which = {"new": "a new snapshot", "latest": "the latest snapshot"}.get(
            source.snapshot, f"snapshot {source.snapshot}"
        )
        return f"Mendix Cloud, profile {source.profile}, {which}"
    return "an archive at a URL"


def duration(seconds: float | None) -> str:
    """Return seconds as a person says them: `0.42 s`, `12.3 s`, `4 min 07 s`, `2 h 05 min`."""
    if seconds is None:
        return "–"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def moment(value: datetime | None) -> str:
    """Return a time in UTC to the second: `2026-11-28 20:30:00 UTC`."""
    return "–" if value is None else f"{instant(value)} UTC"


def instant(value: datetime | None) -> str:
    """Return a time in UTC where a heading says already that it is: `2026-11-28 20:30:00`."""
    return "–" if value is None else f"{utc(value):%Y-%m-%d %H:%M:%S}"


def clock(value: datetime | None) -> str:
    """Return the time of day in UTC: `20:30:00`."""
    return "–" if value is None else f"{utc(value):%H:%M:%S}"


def utc(value: datetime) -> datetime:
    """Return a time in UTC; one without a zone is taken for UTC."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: `1 table`, `2 tables`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """Return a text that begins with a capital letter if it begins with a plain word; a name stays as it is.

    Our errors begin with `expected ...`, or with the name of a table or an option.
    """
    return text[:1].upper() + text[1:] if FIRST_WORD.match(text) else text
