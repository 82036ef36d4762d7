"""kill -9 of the Functions host at random moments of a run: it goes on where it was, and no row is there twice.

`KILL_RUNS=10 pytest tests/e2e/test_death.py` makes ten runs; the seed of each is printed, `KILL_SEED=n` repeats one.
"""

import os
import random
import time

import pytest

from api.migrations import MigrationView
from tests.e2e.stand import Stand

RUNS = int(os.environ.get("KILL_RUNS", "3"))
KILLS = 3


def revive(running: Stand) -> None:
    """SIGKILL the host, and start it again on the same state."""
    running.stack.host.kill()
    running.stack.start_host()


def copying(seen: MigrationView) -> bool:
    """Whether rows are being copied right now."""
    return any(stage.name == "copy" and stage.state == "running" for stage in seen.stages)


def test_a_host_killed_in_the_middle_of_the_copy_goes_on_and_no_row_is_twice(running: Stand) -> None:
    run = running.start()
    running.wait(run, copying)
    revive(running)
    running.end(run)
    report = running.report(run)
    assert report.verdict == "verified", report.reason
    assert running.differences() == []
    assert all(one.rows_source == one.rows_copied == one.rows_target for one in report.tables if one.content == "copy")


@pytest.mark.parametrize("number", range(RUNS))
def test_a_host_killed_at_random_moments_goes_on_and_no_row_is_twice(running: Stand, number: int) -> None:
    seed = int(os.environ.get("KILL_SEED", random.randrange(10**6)))
    print(f"run {number}: KILL_SEED={seed}")
    chance = random.Random(seed)
    run = running.start(drop=True)
    kills = []
    for _ in range(KILLS):
        # The first death comes early: on a quiet machine the whole run lasts a few seconds, and it must not be missed.
        time.sleep(chance.uniform(0.2, chance.choice((2, 6, 14)) if kills else 1.5))
        seen = running.api.show(run)
        if seen.verdict is not None:
            break
        kills.append(seen.stage)
        revive(running)
    print(f"run {number}: killed in {kills}")
    running.end(run)
    report = running.report(run)
    assert report.verdict == "verified", report.reason
    assert running.differences() == []
    assert running.staged(run) == []
    assert running.temporary_databases() == []
    assert kills
