"""The events that channels tell of: their names, as settings, messages and receivers know them."""

from typing import Literal

EventKind = Literal[
    "scheduled", "started", "unavailable", "stage-done", "gate-waits", "late", "verified", "failed", "refused", "aborted",
    "planned", "cleaned-up", "available", "source-down", "regressed", "not-started", "test",
]  # fmt: skip
