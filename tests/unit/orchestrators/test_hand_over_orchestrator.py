"""The wait for the runtime, driven by durabletask's own worker and in-memory back end; the activities are doubles."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from durabletask.client import TaskHubGrpcClient

from orchestrators import handover
from orchestrators.modes import MODES
from orchestrators.stages import StageFailed, StageRecord
from shared.contracts import Run
from tests.fixtures.hub import task_hub

ID = "20261128t200000-abc123"
REQUEST = {"source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}, "target": "demo"}


def look(rows: int, app: str = "unknown") -> dict[str, Any]:
    return {
        "tables": 4 if rows else 0, "rows": rows, "expected_tables": 4, "expected_rows": 100, "app": app,
        "complete": rows >= 100,
    }  # fmt: skip


class Doubles:
    """Answers of the activities, one after the other; the last one stays."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.looks: list[int | None] = []
        self.answers: dict[str, list[dict[str, Any]]] = {
            "watch_runtime": [look(0), look(40), look(100)],
            "hand_over_settings": [{"app": "stopped"}],
            "command_app": [{"state": "changing", "manual": False}],
        }

    def answer(self, name: str) -> dict[str, Any]:
        self.calls.append(name)
        answers = self.answers[name]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def activity(self, name: str) -> Callable[..., dict[str, Any]]:
        def run(_ctx: Any, payload: Any) -> dict[str, Any]:
            self.looks.append(payload.get("look"))
            return self.answer(name)

        run.__name__ = name
        return run


def side(ctx: Any, payload: dict[str, Any]) -> Any:
    """As much of a side as the stage needs: its record, and what it answers."""
    run = Run.model_validate(payload["run"])
    record = StageRecord(ctx, f"{run.id}:database")
    answer: dict[str, Any] = {}
    try:
        answer["did"] = yield from handover.handed_over(record, run, payload)
    except StageFailed as failed:
        answer["failed"] = failed.finding.model_dump(mode="json")
    answer["gates"] = [one.model_dump(mode="json") for one in record.gates]
    answer["stages"] = [one.model_dump(mode="json") for one in record.progress.stages]
    return answer


@pytest.fixture
def doubles() -> Doubles:
    return Doubles()


@pytest.fixture
def hub(doubles: Doubles, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskHubGrpcClient]:
    monkeypatch.setattr(handover, "SOONEST", timedelta(milliseconds=100))
    with task_hub([side], [doubles.activity(name) for name in doubles.answers]) as client:
        yield client


def started(hub: TaskHubGrpcClient, minutes: int = 60, **options: Any) -> None:
    request = REQUEST | {"approval_timeout_minutes": minutes, "options": {"target_mode": "runtime", **options}}
    run = {"id": ID, "request": request, "created_at": datetime.now(UTC).isoformat()}
    hub.schedule_new_orchestration("side", input={"run": run, "restore": {}}, instance_id=ID)


def ended(hub: TaskHubGrpcClient) -> dict[str, Any]:
    state = hub.wait_for_orchestration_completion(ID, timeout=60)
    assert state is not None and state.runtime_status.name == "COMPLETED", state
    return dict(state.get_output())  # type: ignore[arg-type]


def seen(hub: TaskHubGrpcClient, words: str) -> str:
    """Wait until the custom status holds the words."""
    for _ in range(200):
        state = hub.get_orchestration_state(ID)
        status = str(state.serialized_custom_status) if state else ""
        if words in status:
            return status
        time.sleep(0.05)
    raise AssertionError(f"no {words!r} in {status}")


def test_the_runtimes_progress_is_shown_and_a_person_says_that_it_has_started(hub: TaskHubGrpcClient) -> None:
    started(hub)
    assert "100 of 100 rows are on the target" in seen(hub, "100 of 100 rows")
    hub.raise_orchestration_event(ID, "approve-started", data={"by": "Ada", "comment": "It is up."})
    answer = ended(hub)
    assert answer["did"] == {"tables": 4, "rows": 100}
    (gate,) = answer["gates"]
    assert (gate["name"], gate["decision"], gate["decided_by"], gate["comment"]) == (
        "started",
        "approved",
        "Ada",
        "It is up.",
    )
    (stage,) = answer["stages"]
    assert (stage["name"], stage["state"], stage["done"]["rows"]) == ("hand-over", "done", 100)
    assert stage["note"].startswith("approved by Ada")


def test_every_look_is_a_call_of_its_own_so_that_a_time_out_hours_ago_is_not_counted_with_todays(
    hub: TaskHubGrpcClient, doubles: Doubles
) -> None:
    started(hub)
    seen(hub, "100 of 100 rows")
    hub.raise_orchestration_event(ID, "approve-started", data={"by": "Ada"})
    ended(hub)
    assert doubles.looks == list(range(len(doubles.looks)))
    assert len(doubles.looks) > 3


def test_an_approval_before_everything_is_there_is_asked_for_again(hub: TaskHubGrpcClient, doubles: Doubles) -> None:
    doubles.answers["watch_runtime"] = [look(0), look(40)]
    started(hub)
    seen(hub, "40 of 100 rows")
    for who in ("Ada", "Bo"):  # the second one did not know of the first
        hub.raise_orchestration_event(ID, "approve-started", data={"by": who})
    status = seen(hub, "Approved before everything was there")
    assert '"decision"' not in status
    looked = len(doubles.looks)
    for _ in range(400):
        if len(doubles.looks) > looked + 2:
            break
        time.sleep(0.05)
    assert len(doubles.looks) > looked + 2, "it goes on looking"
    assert '"decision"' not in seen(hub, "Approved before everything was there")
    hub.raise_orchestration_event(ID, "approve-started-again", data={"by": "Ada", "comment": "It skips a table."})
    answer = ended(hub)
    assert (answer["did"]["rows"], answer["gates"][0]["comment"]) == (40, "It skips a table.")


def test_an_abort_ends_the_wait_at_once_and_says_what_to_do(hub: TaskHubGrpcClient, doubles: Doubles) -> None:
    doubles.answers["watch_runtime"] = [look(40)]
    started(hub)
    seen(hub, "40 of 100 rows")
    hub.raise_orchestration_event(ID, "abort", data={"by": "Bo", "comment": "Wrong night."})
    answer = ended(hub)
    assert (answer["failed"]["code"], "Bo" in answer["failed"]["message"]) == ("ABORTED", True)
    assert "SourceDatabase" in answer["failed"]["remedy"]
    assert (answer["gates"][0]["decision"], answer["stages"][0]["state"]) == ("aborted", "failed")


def test_nobody_says_anything_until_the_time_is_up(hub: TaskHubGrpcClient, monkeypatch: pytest.MonkeyPatch, doubles: Doubles) -> None:  # fmt: skip
    monkeypatch.setattr(handover, "timedelta", lambda **_: timedelta(seconds=1))
    doubles.answers["watch_runtime"] = [look(40)]
    started(hub, minutes=1)
    answer = ended(hub)
    assert answer["failed"]["code"] == "RUNTIME_NOT_STARTED"
    assert "40 of 100 rows are on the target" in answer["failed"]["message"]
    assert answer["gates"][0]["decision"] == "expired"


def test_an_abort_that_only_an_activity_sees_ends_the_wait_too(hub: TaskHubGrpcClient, doubles: Doubles) -> None:
    refused = {"code": "ABORTED", "severity": "error", "object": ID, "message": "aborted by Bo.", "remedy": "r"}
    doubles.answers["watch_runtime"] = [look(40), {"refused": refused}]
    started(hub)
    assert ended(hub)["failed"]["code"] == "ABORTED"


def test_an_adapter_hands_over_starts_the_app_and_waits_until_nothing_more_comes(
    hub: TaskHubGrpcClient, doubles: Doubles
) -> None:
    doubles.answers["watch_runtime"] = [look(0), look(100), look(100, "running"), look(101, "running"), look(101, "running")]  # fmt: skip
    started(hub, hand_over="adapter")
    answer = ended(hub)
    assert answer["did"]["rows"] == 101
    assert doubles.calls[:2] == ["hand_over_settings", "command_app"]
    assert answer["gates"] == [], "nobody is asked"


def test_the_mode_hands_over_after_the_keys_are_made_and_takes_the_settings_back_at_the_end() -> None:
    mode = MODES["runtime"]
    assert [step.stage for step in mode.before] == ["restore", "plan", "inspect", "prepare"]
    assert [step.stage for step in mode.after] == ["room", "hand-over", "adopt", "verify", "take-back"]
