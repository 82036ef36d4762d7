"""copy_rows and verify_rows on the durable engine; the activities are doubles that answer what the test says."""

import threading
import time
from collections import Counter, defaultdict
from datetime import timedelta

import pytest

from local.engine import alarms, events, store
from orchestrators import calling, copy
from shared.contracts import RestoredWork, RestoreRef
from shared.errors import TransientError
from tests.fixtures.driving import ORCHESTRATORS
from tests.fixtures.engine import EngineBench
from tests.fixtures.runs import new_run

RESTORE = RestoreRef(database="run_x", tables=1, rows=1, bytes=1, server_version=170000)


STAGES = [ORCHESTRATORS[name] for name in ("copy_rows", "copy_group", "verify_rows", "verify_group")]


class Activities:
    """Doubles of the activities; `answers` are given in turn for a (blob, job), then the job is done."""

    def __init__(self, groups, limit=4):
        self.groups, self.limit = groups, limit
        self.answers = defaultdict(list)
        self.calls = Counter()
        self.finish = None
        self.away = lambda: False
        self.together = None
        self.running = self.most = 0
        self.lock = threading.Lock()

    def functions(self):
        plan = {
            "groups": [{"blob": f"g{number}", "jobs": jobs, "rows": jobs, "bytes": jobs} for number, jobs in enumerate(self.groups)],
            "tables": 1, "rows": sum(self.groups), "limit": self.limit,
        }  # fmt: skip

        def plan_copy(_ctx, payload):
            return plan | {
                "chunks": sum(self.groups),
                "bytes": sum(self.groups),
                "table_lock": True,
                "log_stats": False,
            }

        def plan_verification(_ctx, payload):
            return plan

        def copy_chunks(_ctx, payload):
            return self._work(payload, {"chunks": 1, "rows": 1, "bytes": 1})

        def verify_slices(_ctx, payload):
            return self._work(payload, {"rows": 1, "bytes": 1, "findings": []})

        def finish_copy(_ctx, payload):
            self.finish = payload
            return {"tables": 1, "chunks": payload["chunks"], "rows": 5, "bytes": 6, "tables_blob": "t"}

        def finish_verification(_ctx, payload):
            self.finish = payload
            return {"checks": [], "findings": payload["findings"], "tables_blob": "t"}

        return plan_copy, copy_chunks, finish_copy, plan_verification, verify_slices, finish_verification

    def _work(self, payload, done):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
            key = (payload["blob"], payload["job"])
            self.calls[key] += 1
            answer = self.answers[key].pop(0) if self.answers[key] else done
            if self.away():
                answer = TransientError("SQL_TRANSIENT", "sql/db", "SQL Server error 40613: not currently available")
        if self.together and answer is not done:
            self.together.wait(30)
        with self.lock:
            self.running -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer


def run(bench: EngineBench, activities, orchestrator="copy_rows", options=None):
    state = ended(bench, activities, orchestrator, options)
    assert state.runtime_status.name == "COMPLETED", state.failure_details
    return state.get_output()


def ended(bench: EngineBench, activities, orchestrator="copy_rows", options=None):
    bench.worker(*STAGES, *activities.functions())
    client = bench.client()
    work = RestoredWork(run=new_run(), restore=RESTORE).model_dump(mode="json")
    work["run"]["request"]["options"] |= options or {}
    instance = client.schedule_new_orchestration(orchestrator, input=work)
    state = client.wait_for_orchestration_completion(instance, timeout=60)
    assert state is not None
    return state


def test_every_job_of_every_group_is_called_once_and_the_sums_reach_the_finish(bench):
    activities = Activities([5, 3])
    result = run(bench, activities)
    assert activities.calls == Counter({**{("g0", n): 1 for n in range(5)}, **{("g1", n): 1 for n in range(3)}})
    assert activities.finish["chunks"] == 8
    assert result["rows"] == 5
    assert activities.most <= 4


@pytest.fixture
def fast(monkeypatch):
    """The engine's clock runs 100 times as fast, its timers with it; returns what reads it, in seconds."""
    began = time.time_ns() // 1000

    def now() -> int:
        return began + (time.time_ns() // 1000 - began) * 100

    for module in (events, alarms, store):
        monkeypatch.setattr(module, "now", now)
    monkeypatch.setattr(alarms, "LONGEST_SLEEP", 0.01)
    return lambda: (now() - began) / 1_000_000


def test_a_target_that_is_away_for_three_minutes_is_outlived(fast, bench):
    activities = Activities([3])
    activities.away = lambda: fast() < 180
    assert run(bench, activities)["chunks"] == 3
    assert fast() >= 180
    assert max(activities.calls.values()) <= 8, "called again after 2, 4, 8, 16, 32, 60 and 60 s"


def test_a_target_that_never_comes_back_fails_the_run_after_ten_minutes_and_not_much_later(fast, bench):
    activities = Activities([1])
    activities.away = lambda: True
    state = ended(bench, activities)
    assert state.runtime_status.name == "FAILED"
    assert "SQL_TRANSIENT" in state.failure_details.message
    assert activities.calls["g0", 0] == calling.RETRY.max_number_of_attempts
    assert 600 < fast() < 1500


def test_a_throttled_job_is_called_again_after_a_pause(bench, monkeypatch):
    monkeypatch.setattr(copy, "PAUSE", timedelta(milliseconds=100))
    activities = Activities([6])
    activities.answers["g0", 2] = [{"stopped": "throttled"}, {"stopped": "busy"}]
    run(bench, activities)
    assert activities.calls["g0", 2] == 3


def test_jobs_that_are_throttled_together_halve_the_window_once(bench, monkeypatch):
    monkeypatch.setattr(copy, "PAUSE", timedelta(milliseconds=100))
    halved = []
    throttled = copy.Pace.throttled
    monkeypatch.setattr(copy.Pace, "throttled", lambda pace, now: (halved.append(now), throttled(pace, now)))
    activities = Activities([40], limit=8)
    activities.together = threading.Barrier(4)  # half of the limit are called to begin with, and answer together
    for number in range(4):
        activities.answers["g0", number] = [{"stopped": "throttled"}]
    run(bench, activities)
    assert len(set(halved)) == 1, "every replay of it comes to the same"
    assert sum(activities.calls.values()) == 44


def test_a_chunk_that_holds_too_much_each_time_ends_the_copy_and_the_remedy_is_smaller_chunks(bench, monkeypatch):
    monkeypatch.setattr(copy, "PAUSE", timedelta(milliseconds=20))
    activities = Activities([3])
    activities.answers["g0", 0] = [{"stopped": "greedy"}] * (copy.GREEDY_CALLS - 1)
    activities.answers["g0", 1] = [{"stopped": "greedy"}] * copy.GREEDY_CALLS
    finding = run(bench, activities)["refused"]
    assert (finding["code"], finding["object"]) == ("TRANSACTION_TOO_LARGE", "g0 job 1")
    assert "COPY_CHUNK_BYTES" in finding["remedy"]
    assert activities.calls["g0", 1] == copy.GREEDY_CALLS


@pytest.mark.parametrize(("times", "halved"), [(copy.BUSY_CALLS - 1, False), (copy.BUSY_CALLS, True)])
def test_a_job_that_finds_its_table_held_again_and_again_narrows_the_window(bench, monkeypatch, times, halved):
    monkeypatch.setattr(copy, "PAUSE", timedelta(milliseconds=20))
    seen = []
    monkeypatch.setattr(copy.Pace, "throttled", lambda pace, now: seen.append(now))
    activities = Activities([3])
    activities.answers["g0", 1] = [{"stopped": "busy"}] * times
    run(bench, activities)
    assert bool(seen) == halved


def test_a_job_that_searches_for_refused_rows_is_called_again_at_once_and_neither_narrows_the_window_nor_uses_up_its_calls(
    bench, monkeypatch
):
    monkeypatch.setattr(copy, "PAUSE", timedelta(hours=1))
    monkeypatch.setattr(copy, "CALLS_PER_JOB", copy.BUSY_CALLS)
    seen = []
    monkeypatch.setattr(copy.Pace, "throttled", lambda pace, now: seen.append(now))
    activities = Activities([3])
    activities.answers["g0", 1] = [{"stopped": "searching"}] * (copy.BUSY_CALLS + 1)
    assert run(bench, activities)["chunks"] == 3
    assert activities.calls["g0", 1] == copy.BUSY_CALLS + 2
    assert not seen


def test_a_target_that_is_never_free_ends_the_copy_with_a_remedy(bench, monkeypatch):
    monkeypatch.setattr(copy, "PAUSE", timedelta(milliseconds=20))
    monkeypatch.setattr(copy, "CALLS_PER_JOB", 3)
    activities = Activities([2])
    activities.answers["g0", 1] = [{"stopped": "throttled"}] * 9
    finding = run(bench, activities)["refused"]
    assert finding["code"] == "TARGET_TOO_BUSY"
    assert "Scale the target up" in finding["remedy"]
    assert activities.finish is None


def test_a_refused_job_ends_the_copy_with_its_finding_and_starts_no_more(bench):
    activities = Activities([150], limit=1)
    refused = {"code": "ROW_REFUSED", "severity": "error", "object": "t chunk 3", "message": "expected a, found b."}
    activities.answers["g0", 3] = [{"refused": refused}]
    assert run(bench, activities)["refused"]["object"] == "t chunk 3"
    assert activities.calls["g0", 10] == 0


@pytest.mark.parametrize(("allowed", "ends"), [(4, True), (5, False)])
def test_more_refused_rows_than_the_request_allows_end_the_copy_long_before_its_end(bench, allowed, ends):
    activities = Activities([3, 100], limit=1)
    some = {"chunks": 1, "rows": 1, "bytes": 1, "rejected": 2}
    activities.answers["g0", 1] = [some]
    activities.answers["g1", 4] = [some]
    activities.answers["g1", 9] = [some | {"rejected": 1}]
    result = run(bench, activities, options={"max_rejects": allowed})
    if not ends:
        assert result["chunks"] == 103
        return
    finding = result["refused"]
    assert (finding["code"], finding["count"]) == ("TOO_MANY_REJECTS", 5)
    assert "max_rejects" in finding["remedy"]
    assert activities.calls["g1", 10] == 0
    assert activities.finish is None


def test_an_empty_database_is_copied_and_verified_without_a_job(bench):
    activities = Activities([])
    assert run(bench, activities)["chunks"] == 0


@pytest.mark.parametrize("differs", [0, 1])
def test_verification_gathers_the_findings_of_every_group(bench, differs):
    activities = Activities([2, 2])
    finding = {"code": "ROWS_DIFFER", "severity": "error", "object": "t", "message": "expected a, found b."}
    if differs:
        activities.answers["g1", 0] = [{"rows": 1, "bytes": 1, "findings": [finding]}]
    result = run(bench, activities, "verify_rows")
    assert [one["code"] for one in result["findings"]] == ["ROWS_DIFFER"] * differs
    assert activities.finish["jobs"] == 4
