"""The tables of a run over HTTP: one count of the target for everybody who watches; the count itself is a double."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api import tables
from shared import runpaths, runs
from shared.blobs import clients
from shared.contracts import Progress, Run, StageState
from shared.databaseplan import DatabasePlan, PlannedTable
from shared.errors import TransientError
from shared.request import MigrationRequest
from tests.fixtures.apiserver import ApiServer

IDS = ("20261122t203000-3f9a1c", "20261122t213000-3f9a1d")
REQUEST = {"source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}, "target": "demo"}


class CountDouble:
    """A double of the target: says how many rows it holds when it is let, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.let = threading.Event()
        self.let.set()
        self.begun = threading.Event()
        self.fails = False

    def __call__(self, _profile: object) -> dict[str, int]:
        self.asked += 1
        self.begun.set()
        assert self.let.wait(30)
        if self.fails:
            raise TransientError("TARGET_UNREACHABLE", "demo", "it does not answer.")
        return {"orders$order": self.asked}


@pytest.fixture
def target(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountDouble]:
    """Two runs whose target has been written, one after the other, and the double of it."""
    now = datetime.now(UTC)
    for run_id in IDS:
        runs.save(Run(id=run_id, request=MigrationRequest.model_validate(REQUEST), created_at=now))
        progress = Progress(stages=[StageState(name="copy", started_at=now)], target_written_at=now)
        api.engine.set(run_id, "RUNNING", custom=progress.model_dump(mode="json"))
        planned = PlannedTable(name="orders$order", source_name="orders$order", columns=[], rows=9)
        plan = DatabasePlan(run=run_id, tables=[planned])
        clients.staging().upload_blob(runpaths.of_run(run_id, runpaths.PLAN), plan.model_dump_json())
    made = CountDouble()
    monkeypatch.setattr(tables, "_counted_on", made)
    monkeypatch.setattr(tables, "FRESH_SECONDS", 3600.0)  # however slow the machine is
    tables._counted.clear()
    yield made
    tables._counted.clear()


def rows(api: ApiServer, run_id: str = IDS[0]) -> int | None:
    """What the target holds of the one table, as the API says."""
    answer = httpx.get(f"{api.url}/api/migrations/{run_id}/tables", headers={"x-functions-key": api.key}, timeout=60)
    found: dict[str, Any] = answer.json()
    assert (found["counted_at"] is None) == (found["tables"][0]["rows_target"] is None)
    return found["tables"][0]["rows_target"]  # type: ignore[no-any-return]


def age(seconds: float) -> None:
    """Make the last count so much older."""
    last = tables._counted["demo"]
    tables._counted["demo"] = tables.Count(last.run, last.at - timedelta(seconds=seconds), last.rows)


def test_who_watches_at_the_same_time_shares_one_count(api: ApiServer, target: CountDouble) -> None:
    assert rows(api) == 1
    age(tables.FRESH_SECONDS)
    target.let.clear()
    target.begun.clear()
    with ThreadPoolExecutor(1) as pool:
        counting = pool.submit(rows, api)
        assert target.begun.wait(30)
        assert [rows(api) for _ in range(5)] == [1] * 5, "the others are told the count before"
        target.let.set()
        assert counting.result() == 2
    assert target.asked == 2


def test_a_target_that_does_not_answer_is_not_asked_again_at_once(api: ApiServer, target: CountDouble) -> None:
    target.fails = True
    assert [rows(api) for _ in range(5)] == [None] * 5
    assert target.asked == 1
    age(tables.FRESH_SECONDS)
    target.fails = False
    assert rows(api) == 2


def test_the_count_of_another_run_on_the_same_target_is_never_shown(api: ApiServer, target: CountDouble) -> None:
    assert rows(api, IDS[0]) == 1
    assert rows(api, IDS[1]) == 2
