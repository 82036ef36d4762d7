"""What to say to whom: the messages of a cut-over for users, team and management, with the run's own times."""

from typing import Literal

from pydantic import BaseModel

from shared import wording
from shared.contracts import Run
from shared.request import Window

Audience = Literal["users", "team", "management"]


class Message(BaseModel):
    """A message to send, and when."""

    audience: Audience
    when: str
    subject: str
    text: str


def messages(run: Run, expected: float | None) -> list[Message]:
    """Return the messages of a cut-over; `expected` is its duration in seconds by the last rehearsal, if known."""
    window = run.request.window
    closed = _closed(window)
    takes = f"about {wording.duration(expected)} by the last rehearsal" if expected else "not measured yet"
    return [
        Message(
            audience="users", when="a week before, and again the day before", subject="The app moves",
            text=f"The app will be unavailable {closed}. Please save your work before. You will log in again afterwards; "
            "everything else stays as it is. Addresses do not change.",
        ),
        Message(
            audience="team", when="the day before", subject=f"Cut-over to {run.request.target}",
            text=f"The cut-over runs {closed}; moving and verifying takes {takes}. The runbook has every step with who and "
            "when; the page shows it live. Nobody deploys, and nobody touches the target, until the last message.",
        ),
        Message(
            audience="management", when="the day before", subject="Go-live of the app in Azure",
            text=f"The app moves {closed}. Every row and every file is verified before it opens again. Until the point of no "
            "return we can stop without any loss; after it the way back is in the runbook.",
        ),
        Message(
            audience="users", when="when the source app is stopped", subject="The app is being moved",
            text=f"The app is unavailable now. We expect it back{_by(window)}.",
        ),
        Message(
            audience="users", when="after the DNS switch", subject="The app is back",
            text="The app is available again at its usual address. Please log in again. If something looks wrong, tell the "
            "service desk before you work around it.",
        ),
        Message(
            audience="users", when="if we go back", subject="The move is postponed",
            text="The app is available again, unchanged. Nothing was lost. We will announce a new date.",
        ),
        Message(
            audience="management", when="after the report", subject="The app runs in Azure",
            text="The move is done; the report lists every table and file with its verification.",
        ),
    ]  # fmt: skip


def _closed(window: Window | None) -> str:
    if window is None:
        return "at a time to be agreed"
    start = f"from {wording.moment(window.start)} " if window.start else ""
    return f"{start}until {wording.moment(window.end)}"


def _by(window: Window | None) -> str:
    return f" by {wording.moment(window.end)}" if window else " soon"
