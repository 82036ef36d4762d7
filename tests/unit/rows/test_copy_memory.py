"""The lanes that bound the memory of all loads of a process."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.copying.memory import MIB, WIDE_ROW_BYTES, WIDE_ROWS_BYTES, Lane, needed, room_for
from shared.copying.watchdog import Heartbeat
from shared.errors import TransientError


def never() -> bool:
    return False


def test_what_is_held_together_never_goes_beyond_the_limit():
    lane, held, most = Lane(100), [0], [0]
    guard = threading.Lock()

    def work(size: int) -> None:
        for _ in range(50):
            assert lane.take(size, never)
            with guard:
                held[0] += size
                most[0] = max(most[0], held[0])
            time.sleep(0.0002)
            with guard:
                held[0] -= size
            lane.give_back(size)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, (10, 30, 50, 60, 70, 100)))
    assert 0 < most[0] <= 100
    assert held[0] == 0


def test_what_is_larger_than_the_lane_is_served_alone():
    lane = Lane(10)
    assert lane.take(5, never)
    waiting = threading.Thread(target=lambda: lane.take(500, never))
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    lane.give_back(5)
    waiting.join(5)
    assert not waiting.is_alive()
    assert not lane.take(1, lambda: True), "while it is held, nothing else is served"


def test_who_asks_first_is_served_first_so_that_small_ones_do_not_starve_a_large_one():
    lane, order = Lane(10), list[str]()
    assert lane.take(6, never)
    large = threading.Thread(target=lambda: (lane.take(10, never), order.append("large"), lane.give_back(10)))
    large.start()
    time.sleep(0.1)
    small = threading.Thread(target=lambda: (lane.take(2, never), order.append("small"), lane.give_back(2)))
    small.start()
    time.sleep(0.1)
    assert order == []
    lane.give_back(6)
    large.join(5)
    small.join(5)
    assert order == ["large", "small"]


def test_ordinary_rows_wait_for_nobody_while_large_ones_are_loaded():
    lane = Lane(1)
    assert lane.take(1, never)
    with room_for(WIDE_ROW_BYTES - 1, Heartbeat(), "shop$order chunk 0", seconds=0, lane=lane):
        pass


def test_waiting_for_memory_ends_with_an_error_that_is_tried_again_and_leaves_the_lane_as_it_was():
    lane = Lane(100 * MIB)
    assert lane.take(100 * MIB, never)
    heartbeat = Heartbeat()
    with (
        pytest.raises(TransientError, match=r"MEMORY_BUSY.*shop\$file chunk 3"),
        room_for(20 * MIB, heartbeat, "shop$file chunk 3", seconds=0.3, lane=lane),
    ):
        raise AssertionError("nothing is loaded without its memory")
    assert heartbeat.silence < 0.5, "waiting is no stall"
    lane.give_back(100 * MIB)
    with room_for(20 * MIB, heartbeat, "shop$file chunk 3", seconds=0, lane=lane):
        pass


def test_a_load_that_fails_gives_its_memory_back():
    lane = Lane(1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), room_for(20 * MIB, Heartbeat(), "a chunk", seconds=1, lane=lane):
            raise ZeroDivisionError


def test_two_values_of_20_mb_fit_and_never_twice_at_once():
    widest = 2 * 20_000_000
    assert needed(widest) <= WIDE_ROWS_BYTES < 2 * needed(widest)
