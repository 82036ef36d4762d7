"""Other programs' sessions on the target database, as a finding that a request may accept."""

from collections.abc import Sequence

from shared.errors import Finding

ACCEPT = "accept"
"""The remedy by which a request writes a database that others are on, such as a monitoring that never leaves."""

IN_USE = "TARGET_IN_USE"
REHEARSED = (
    "Stop the app and close the tools on the rehearsal's database: its contents are dropped whoever is on it, and what was "
    "done there is lost."
)
"""What to do about it before a rehearsal, which does not look again."""


def in_use(where: str, count: int, seen: Sequence[str]) -> list[Finding]:
    """Return TARGET_IN_USE with who is there, ten at most; nothing where nobody is. A warning: it may still be early."""
    if not count:
        return []
    return [
        Finding(
            code=IN_USE, severity="warning", object=where, count=count, examples=list(seen[:10]), choices=[ACCEPT],
            message=f"expected nobody else on the database, found {count} other sessions.",
            remedy="Stop the app on the target environment before the cut-over; the run looks again before it writes, and "
            f'refuses then. Sessions that may stay: "options": {{"remedies": {{"TARGET_IN_USE": "{ACCEPT}"}}}}.',
        )
    ]  # fmt: skip
