from datetime import UTC, datetime, timedelta

from orchestrators.pace import HOLD, Pace

START = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)


class Target:
    """A target that takes `capacity` bytes a second at most, and one session half a capacity."""

    def __init__(self, pace, capacity):
        self.pace, self.capacity, self.now = pace, capacity, START

    def round(self, log=None):
        jobs = max(3, self.pace.window)
        rate = min(self.capacity, self.pace.window * self.capacity / 2)
        for _ in range(jobs):
            self.now += timedelta(seconds=1000 / rate)
            self.pace.finished(self.now, 1000, log)


def test_the_window_grows_while_that_brings_more():
    pace = Pace(limit=8, window=1, now=START)
    target = Target(pace, capacity=1e6)
    target.round()
    assert pace.window == 2
    target.round()
    assert pace.window == 3


def test_a_step_that_brings_nothing_is_taken_back_and_not_tried_again_at_once():
    pace = Pace(limit=8, window=2, now=START)
    target = Target(pace, capacity=1000)
    windows = []
    for _ in range(HOLD + 2):
        target.round()
        windows.append(pace.window)
    assert windows == [3, 2, *([2] * HOLD)]


def test_the_window_never_leaves_its_bounds():
    pace = Pace(limit=3, window=9, now=START)
    assert pace.window == 3
    target = Target(pace, capacity=1e9)
    for _ in range(20):
        target.round()
        assert 1 <= pace.window <= 3
    for _ in range(5):
        pace.throttled(target.now)
    assert pace.window == 1


def test_throttling_halves_the_window_and_holds_it():
    pace = Pace(limit=8, window=8, now=START)
    pace.throttled(START)
    assert pace.window == 4
    target = Target(pace, capacity=1e9)
    for _ in range(HOLD):
        target.round()
        assert pace.window == 4
    target.round()
    assert pace.window == 5


def test_a_full_log_takes_the_window_down_by_one_and_holds_it_there():
    pace = Pace(limit=8, window=4, now=START)
    target = Target(pace, capacity=1e9)
    windows = []
    for _ in range(HOLD + 2):
        target.round(log=99.0)
        windows.append(pace.window)
    assert windows == [3, *([3] * HOLD), 2]
    for _ in range(HOLD):
        target.round(log=40.0)
    target.round(log=40.0)
    assert pace.window == 3, "grows again when there is room in the log"


def test_a_full_log_leaves_one_job_running():
    pace = Pace(limit=8, window=1, now=START)
    target = Target(pace, capacity=1e9)
    for _ in range(2 * HOLD):
        target.round(log=100.0)
    assert pace.window == 1


def test_a_clock_that_stands_still_decides_nothing():
    pace = Pace(limit=8, window=2, now=START)
    for _ in range(50):
        pace.finished(START, 1000)
    assert pace.window == 2
