"""What may go wrong in the night of the cut-over, on the whole stack: no time, a change of mind; and rehearsals before it.

`ABORTS=10 pytest tests/e2e/test_night_of_the_cutover.py` aborts in every stage of `MOMENTS`, the bar of the project; how long
after its beginning is by chance, whose seed is printed, and `ABORT_SEED=n` repeats it.
"""

import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.migrations import MigrationView
from local.appsettings import PROFILE
from shared.reporting.model import Report
from tests.e2e.stand import Stand, stand
from tests.e2e.truth import held, left_nothing, tells_the_truth, whole

MOMENTS = ("inspect", "files", "environment", "preflight", "snapshot", "restore", "schema", "copy", "finish", "verify")
"""Stages in which a run is aborted, the first two in `make test`: before the point of no return and after it."""
WRITING = ("files", "schema", "copy", "finish", "verify")
"""Those after the point of no return: the target is written when they have begun."""
ABORTS = int(os.environ.get("ABORTS", "2"))
TRIES = 3
"""How often a run is started until an abort comes in time; one that is too late proves nothing."""


@pytest.fixture(scope="module")
def night() -> Iterator[Stand]:
    """A stack whose target holds a verified migration."""
    with stand() as made:
        assert made.migrate().verdict == "verified"
        yield made


@pytest.mark.slow
def test_a_window_that_is_too_short_leaves_the_target_as_it_was_byte_by_byte(night: Stand) -> None:
    end = datetime.now(UTC) + timedelta(seconds=3)
    report = refused_for_the_window(night, window={"end": end.isoformat(), "when_late": "stop"})
    assert report.stages[-1].name == "stand-down"


@pytest.mark.slow
def test_a_window_that_closes_while_the_snapshot_is_taken_leaves_it_so_too(night: Stand) -> None:
    """Before any rehearsal: nothing tells before the snapshot that the time will not do, and the clock tells right after it."""
    end = datetime.now(UTC) + timedelta(seconds=40)  # long enough for preflight on a machine that has much to do
    report = refused_for_the_window(
        night, window={"end": end.isoformat(), "when_late": "stop"}, approval=True,
        snapshot_at=(end - timedelta(seconds=1)).isoformat(),
    )  # fmt: skip
    done = [one.name for one in report.stages if one.state == "done"]
    assert "snapshot" in done
    assert [one for one in ("plan", "inspect") if one in done] == [], (
        "it stops after the snapshot, or after the restore"
    )
    assert [gate.name for gate in report.gates] == ["snapshot"]


def refused_for_the_window(night: Stand, **request: Any) -> Report:
    """Start a run whose window will not do; assert that it is refused, and that the target is as it was."""
    before = whole(night)
    assert sum(len(rows) for name, rows in before.items() if name.startswith("rows of")) > 1000
    assert before["columns"]
    assert before["keys"]
    assert before["options"]
    report = night.migrate(drop=True, **request)
    assert report.verdict == "refused"
    assert "WINDOW_TOO_SHORT" in report.reason
    after = whole(night)
    assert [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)] == []
    assert report.target_written_at is None
    assert report.stock is None
    left_nothing(night, report)
    return report


@pytest.mark.slow
def test_two_rehearsals_are_compared_and_say_whether_we_are_ready(night: Stand) -> None:
    url = night.stack.url
    request = {
        "source": night.from_blob, "target": PROFILE,
        "smoke": {"sql": [{"name": "users", "table": "system$user", "at_least": 1}]},
    }  # fmt: skip
    runs = []
    for _ in range(2):
        runs.append(night.api.start(request, rehearsal=True))
        assert night.end(runs[-1]).verdict == "verified"
    keyed = {"x-functions-key": night.stack.function_key}
    [found] = httpx.get(f"{url}/api/rehearsals", headers=keyed).json()["targets"]
    assert [one["id"] for one in found["rehearsals"][:2]] == runs[::-1]
    assert found["rehearsals"][0]["smoke"] == 1
    assert found["ready"] == (not found["open"])
    assert night.report(runs[1]).compared_with == runs[0]
    text = httpx.get(f"{url}/api/migrations/{runs[1]}/runbook", headers=keyed).text
    assert f"rehearsal {runs[0]}" in text, "the one before this run"


@pytest.mark.slow
@pytest.mark.parametrize("stage", MOMENTS[:ABORTS])
def test_an_abort_in_any_stage_ends_clean_with_a_report_that_tells_the_truth(night: Stand, stage: str) -> None:
    seed = int(os.environ.get("ABORT_SEED", random.randrange(10**6)))
    pause = random.Random(seed).uniform(0, 0.5)
    for _ in range(TRIES):
        counted, before = held(night), whole(night)
        report = aborted(night, stage, pause)
        if report is not None:
            break
        pause = 0.0
    assert report is not None, f"{TRIES} aborts in {stage} came too late, ABORT_SEED={seed}"
    print(f"abort in {stage}: ABORT_SEED={seed}, heard: {report.reason}")
    assert report.verdict == "aborted", report.reason
    assert "aborted by kim" in report.reason
    assert [one.name for one in report.stages][-2:] == ["clean-up", "stand-down"]
    tells_the_truth(night, report, counted)
    if stage in WRITING:
        assert report.target_written_at is not None
    if report.target_written_at is None:
        assert whole(night) == before


def aborted(night: Stand, stage: str, pause: float) -> Report | None:
    """Abort a run some seconds after a stage has begun; None where it came too late, and the run says so and is whole."""
    run = night.start(drop=True)
    night.wait(run, lambda seen: begun(seen, stage) or seen.verdict is not None)
    time.sleep(pause)
    answered = httpx.post(
        f"{night.stack.url}/api/migrations/{run}/abort", json={"by": "kim", "comment": f"abort in {stage}"},
        headers={"x-functions-key": night.stack.function_key}, timeout=30,
    )  # fmt: skip
    night.end(run)
    report = night.report(run)
    if report.verdict != "verified":
        return report
    told = [one.code for one in report.findings if one.code == "ABORT_TOO_LATE"]
    assert answered.status_code == 409 or told, "the abort came in time, and was not heard"
    assert night.differences() == []
    left_nothing(night, report)
    return None


def begun(seen: MigrationView, stage: str) -> bool:
    """Whether a stage has begun; a short one has ended by now, and the abort is heard in the next one."""
    return any(one.name == stage and one.state in ("running", "done") for one in seen.stages)
