"""Activities that are asked again and again: each look is a call of its own, whose attempts are counted for itself."""

from typing import Any

import pytest

from orchestrators.cloud import poll_cloud
from orchestrators.environment import open_environment
from tests.fixtures import driving


def test_each_look_at_a_server_that_starts_is_a_call_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def start_postgres(_ctx: object, payload: dict[str, Any]) -> dict[str, Any]:
        looks.append(payload["look"])
        return {"managed": True, "state": "Starting", "reached": len(looks) == 3, "findings": [], "needed_by": []}

    monkeypatch.setitem(driving.ACTIVITIES, "start_postgres", start_postgres)
    driving.drive(open_environment, {"run": {"id": "20261128t200000-abc123"}}, [], [])
    assert looks == [0, 1, 2]


def test_looks_that_an_older_version_did_not_number_begin_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def poll_snapshot(_ctx: object, payload: dict[str, Any]) -> dict[str, Any]:
        looks.append(payload["look"])
        return {"state": "done" if len(looks) == 2 else "waiting", "seconds": 0, "note": "", "snapshot": "s"}

    monkeypatch.setitem(driving.ACTIVITIES, "poll_snapshot", poll_snapshot)
    asked = {"activity": "poll_snapshot", "work": {}, "once": False, "until": "2999-01-01T00:00:00"}
    assert driving.drive(poll_cloud, asked, [], [])["state"] == "done"
    assert looks == [0, 1]
