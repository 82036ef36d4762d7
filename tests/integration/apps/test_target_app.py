"""The activities around the target app, delivered early, late and twice; the app is a double behind a real web hook."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from activities import preflight as preflight_stage
from activities.application import command_app, leave_app, look_at_app
from activities.preflight import preflight
from shared import runs, settings
from shared.contracts import Said
from tests.fixtures.httpdouble import serving

RUN = {
    "id": "20261128t200000-abc123", "created_at": "2026-11-28T20:00:00Z",
    "request": {"source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}, "target": "demo"},
}  # fmt: skip


class App:
    """A double of the app: what it was told, and what it does."""

    def __init__(self) -> None:
        self.state = "running"
        self.told: list[str] = []

    def reply(self, _method: str, _path: str, _headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        command = json.loads(body)["command"]
        if command != "status":
            self.told.append(command)
            self.state = {"start": "running", "stop": "stopped"}[command]
        return 200, json.dumps({"state": self.state}).encode()


@pytest.fixture
def app(api_settings: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    made = App()
    with serving(made.reply) as url:
        monkeypatch.setenv("TARGET__DEMO__APP__KIND", "webhook")
        monkeypatch.setenv("TARGET__DEMO__APP__URL", url)
        monkeypatch.setenv("TARGET__DEMO__APP__PATIENCE_MINUTES", "20")
        settings.settings.cache_clear()
        yield made


def commanded(command: str) -> dict[str, Any]:
    answer: dict[str, Any] = command_app(None, {"run": RUN, "command": command})
    return answer


def test_a_stop_that_is_delivered_again_after_the_start_does_not_stop_the_live_app(app: App) -> None:
    assert commanded("stop")["state"] == "stopped"
    assert commanded("stop")["state"] == "stopped"
    assert commanded("start")["state"] == "running"
    assert commanded("stop")["refused"]["code"] == "APP_START_ASKED"
    assert (app.state, app.told) == ("running", ["stop", "start"])


def test_an_app_that_ran_all_the_time_may_be_stopped_before_it_was_asked_to_start(app: App) -> None:
    assert commanded("start")["state"] == "running"
    assert commanded("stop")["state"] == "stopped"


def test_at_the_end_the_app_is_started_or_stopped_also_after_an_abort_and_never_after_the_clean_up(app: App) -> None:
    runs.ask_to_abort(RUN["id"], Said(by="kim"))
    assert commanded("stop")["refused"]["code"] == "ABORTED"
    assert leave_app(None, {"run": RUN, "command": "stop"})["state"] == "stopped"
    assert leave_app(None, {"run": RUN, "command": "start"})["state"] == "running"
    runs.close(RUN["id"])
    assert leave_app(None, {"run": RUN, "command": "stop"})["refused"]["code"] == "RUN_OVER"
    assert app.state == "running"


def test_the_profile_says_how_long_an_app_may_take(app: App) -> None:
    assert app.state == "running"
    assert look_at_app(None, {"run": RUN}) == {"state": "running", "manual": False, "patience_seconds": 20 * 60}


REHEARSAL = RUN | {"request": RUN["request"] | {"options": {"purpose": "rehearsal"}}}  # type: ignore[operator]


def of_the_app(run: dict[str, Any]) -> list[str]:
    found = preflight(None, {"run": run})["findings"]
    return [f"{one['severity']} {one['code']}" for one in found if one["code"].startswith(("TARGET_APP", "APP_"))]


def test_a_rehearsal_is_refused_while_its_app_runs_with_its_scheduled_events(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight_stage, "ATTEMPTS", 1)  # there is no target to ask
    assert of_the_app(REHEARSAL) == ["error TARGET_APP_RUNS"]
    stops = REHEARSAL["request"] | {"stop_target_app": True}
    assert of_the_app(REHEARSAL | {"request": stops}) == [], "the run stops it, and starts it without them"
    assert of_the_app(RUN) == [], "a cut-over looks for sessions"
    app.state = "stopped"
    assert of_the_app(REHEARSAL) == []
    assert app.told == []


def test_an_app_without_an_adapter_is_left_to_people(api_settings: None) -> None:
    assert commanded("stop")["manual"]
    assert leave_app(None, {"run": RUN, "command": "start"})["manual"]
