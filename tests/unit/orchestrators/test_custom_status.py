"""The custom status of a run stays below what Azure allows, however much happens and whoever decides.

The orchestration context is a double: it keeps the status it is given.
"""

import json
from datetime import datetime
from typing import Any

import pytest

from orchestrators.stages import StageRecord
from shared.contracts import Counts, Gate, Progress
from shared.progress import view

ALLOWED = 16 * 1024
"""Bytes of UTF-16 (https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-custom-orchestration-status)."""
STAGES = (
    "early-preflight", "environment", "preflight", "snapshot", "source-start", "restore", "plan", "inspect", "sessions", "scale", "schema", "copy",
    "finish", "verify", "empty", "files", "files-verify", "reconcile", "app-start", "smoke", "app-restart", "stock", "report", "clean-up",
    "stand-down",
)  # fmt: skip
GATES = (
    "start", "late-snapshot", "snapshot", "late-after-snapshot", "late-after-restore", "late", "write", "stop-app", "late-write",
    "start-app",
)  # fmt: skip
BY_THE_CLOCK = ("start", "snapshot")
COUNTED = {"snapshot", "restore", "plan", "copy", "verify", "files", "files-verify"}
DONE = {"rows": 123_456_789, "bytes": 123_456_789_012, "files": 123_456, "tables": 1234}


class ContextDouble:
    """A double of the orchestration context."""

    current_utc_datetime = datetime(2026, 11, 28, 20, 0, 1, 123456)
    status: Any = None

    def set_custom_status(self, status: Any) -> None:
        self.status = status


@pytest.mark.parametrize(
    ("who", "shown"),
    [
        ("ada.fischer@example.org", "ada.fischer@example.org"),
        ("移" * 200, f"{'移' * 7}…"),  # JSON writes each of the eight in six characters
        ('"\n' * 100, f'{'"\n' * 10}"…'),  # and each of these in two
    ],
)
def test_a_run_in_which_everything_happens_fits(who: str, shown: str) -> None:
    context = ContextDouble()
    record = StageRecord(context, "20261122t203000-3f9a1c")  # type: ignore[arg-type]
    record.progress.target_written_at = record.now()
    for name in STAGES:
        record.close(record.open(name, child=True), "done", DONE if name in COUNTED else {})
    for name in GATES:
        gate = Gate.model_validate({"name": name, "asked_at": record.now(), "answers_by": record.now()})
        opened = record.wait(f"{name}-gate", gate)
        answer = {"decision": "approved", "decided_by": who, "decided_at": record.now(), "comment": who * 10}
        if name in BY_THE_CLOCK:
            answer = {"decision": "opened", "decided_at": record.now()}
        record.decided(gate.model_copy(update=answer))
        by = record.progress.gates[-1].decided_by
        record.close(opened, "done", note=f"approved by {by}" if by else "")
    assert len(json.dumps(context.status).encode("utf-16-le")) <= ALLOWED
    assert [gate.decided_by for gate in record.gates] == [None if name in BY_THE_CLOCK else who for name in GATES]
    decided = [gate for gate in Progress.model_validate(context.status).gates if gate.name not in BY_THE_CLOCK]
    assert [gate.decided_by for gate in decided] == [shown] * (len(GATES) - len(BY_THE_CLOCK))
    assert {gate.comment == who * 10 for gate in record.gates if gate.name not in BY_THE_CLOCK} == {True}


def test_what_a_done_stage_did_is_all_that_it_had_to_do_and_is_kept_once() -> None:
    context = ContextDouble()
    record = StageRecord(context, "20261122t203000-3f9a1c")  # type: ignore[arg-type]
    record.close(record.open("restore"), "done", DONE)
    assert "total" not in context.status["stages"][0]
    [shown] = view(context.status, lambda _: None, record.now()).stages
    assert shown.total == shown.done == Counts(**DONE)


def test_comments_are_in_the_status_as_long_as_there_is_room() -> None:
    context = ContextDouble()
    record = StageRecord(context, "20261122t203000-3f9a1c")  # type: ignore[arg-type]
    asked = {"asked_at": record.now(), "answers_by": record.now(), "comment": "x" * 40}
    for _ in range(60):
        gate = Gate.model_validate({"name": "write", **asked})
        opened = record.wait("approval", gate)
        assert context.status["gates"][-1]["comment"] == "x" * 40, "why it is asked stays"
        record.decided(gate.model_copy(update={"decision": "approved", "decided_at": record.now()}))
        record.close(opened, "done", note="approved")
        if "comment" not in context.status["gates"][-1]:
            break
    assert 10 < len(record.gates) < 60
    assert "note" not in context.status["stages"][-1]
