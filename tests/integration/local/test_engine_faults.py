"""The engine under durabletask's own worker: the faults of its in-memory test back end, none of which this one has.

They are: a sub-orchestration longer than 30 s hangs its parent; activities go on after a terminate; 10,000 history
events or a message over 4 MiB end an instance's life without ending it; wake-ups get lost; the work of a dead worker
is lost. (The first and the long history are in test_engine_long.py, the last in test_engine_delivery.py.)
"""

import threading
import time
from datetime import timedelta

from durabletask import task

from tests.fixtures.engine import EngineBench

RETRY = task.RetryPolicy(first_retry_interval=timedelta(milliseconds=50), max_number_of_attempts=3)


def completed(bench: EngineBench, orchestrator, value=None, timeout: int = 120):
    client = bench.client()
    instance_id = client.schedule_new_orchestration(orchestrator, input=value)
    state = client.wait_for_orchestration_completion(instance_id, timeout=timeout)
    assert state is not None
    assert state.runtime_status.name == "COMPLETED", state.failure_details
    return state


def test_results_inputs_and_events_of_more_than_4_mib_pass(bench: EngineBench) -> None:
    size = 6 * 1024 * 1024

    def big(ctx, given):
        made = yield ctx.call_activity(make, input=given)
        event = yield ctx.wait_for_external_event("more")
        return {"given": len(given), "made": len(made), "event": len(event), "all": made}

    def make(_ctx, given):
        return given[::-1]

    bench.worker(big, make)
    client = bench.client()
    instance_id = client.schedule_new_orchestration(big, input="x" * size)
    client.raise_orchestration_event(instance_id, "more", data="y" * size)
    state = client.wait_for_orchestration_completion(instance_id, timeout=60)
    found = state.get_output()
    assert (found["given"], found["made"], found["event"], len(found["all"])) == (size,) * 4


def test_no_activity_starts_after_a_recursive_terminate(bench: EngineBench) -> None:
    started: list[int] = []
    release, running = threading.Event(), threading.Event()

    def parent(ctx, _):
        yield task.when_all([ctx.call_sub_orchestrator(child, input=number) for number in range(3)])

    def child(ctx, number):
        yield task.when_all([ctx.call_activity(slow, input=number * 100 + one) for one in range(40)])

    def slow(_ctx, number):
        started.append(number)
        running.set()
        release.wait(20)
        return number

    bench.worker(parent, child, slow)
    client = bench.client()
    instance_id = client.schedule_new_orchestration(parent)
    assert running.wait(20)
    client.terminate_orchestration(instance_id, recursive=True)
    before = len(started)
    release.set()
    time.sleep(1.0)
    assert len(started) <= before + 6  # those already handed to the worker, which has six at once
    after = len(started)
    time.sleep(1.0)
    assert len(started) == after < 120
    states = client.get_all_orchestration_states()
    assert {state.runtime_status.name for state in states} == {"TERMINATED"}


def test_windows_groups_retries_and_failures_end_as_they_should(bench: EngineBench) -> None:
    tries: dict[int, int] = {}
    lock = threading.Lock()

    def parent(ctx, groups):
        results = []
        for group in range(groups):
            results.append((yield ctx.call_sub_orchestrator(windows, input=group)))
        return results

    def windows(ctx, group):
        good, bad = 0, []
        for start in range(0, 24, 8):
            tasks = [ctx.call_activity(work, input=group * 100 + start + n, retry_policy=RETRY) for n in range(8)]
            for one in tasks:
                try:
                    yield one
                    good += 1
                except task.TaskFailedError as error:
                    bad.append([error.details.error_type, error.details.message])
        ctx.set_custom_status({"group": group, "good": good})
        return [good, bad]

    def work(_ctx, number):
        with lock:
            tries[number] = tries.get(number, 0) + 1
        if number % 100 == 7:
            raise ValueError(f"item {number} is broken")
        if number % 100 == 13 and tries[number] < 3:
            raise ConnectionError("not yet")
        return number

    bench.worker(parent, windows, work)
    state = completed(bench, parent, 3)
    assert state.get_output() == [
        [23, [["builtins.ValueError", f"item {group * 100 + 7} is broken"]]] for group in range(3)
    ]
    assert {tries[7], tries[13]} == {3}
    assert tries[8] == 1


def test_a_failure_that_is_not_caught_fails_every_level_with_its_text(bench: EngineBench) -> None:
    def parent(ctx, _):
        yield ctx.call_sub_orchestrator(child)

    def child(ctx, _):
        yield ctx.call_activity(broken)

    def broken(_ctx, _):
        raise ValueError("the disk is made of cheese")

    bench.worker(parent, child, broken)
    client = bench.client()
    instance_id = client.schedule_new_orchestration(parent)
    state = client.wait_for_orchestration_completion(instance_id, timeout=20)
    assert state.runtime_status.name == "FAILED"
    assert "the disk is made of cheese" in state.failure_details.message


def test_an_approval_races_a_timer_and_the_winner_decides(bench: EngineBench) -> None:
    def gate(ctx, seconds):
        approved = ctx.wait_for_external_event("approve")
        expired = ctx.create_timer(timedelta(seconds=seconds))
        winner = yield task.when_any([approved, expired])
        return approved.get_result() if winner is approved else "expired"

    bench.worker(gate)
    client = bench.client()
    instance_id = client.schedule_new_orchestration(gate, input=60)
    client.raise_orchestration_event(instance_id, "approve", data="me")
    assert client.wait_for_orchestration_completion(instance_id, timeout=20).serialized_output == '"me"'
    assert completed(bench, gate, 0.2).serialized_output == '"expired"'


def test_a_loop_by_continue_as_new_keeps_its_events(bench: EngineBench) -> None:
    def collect(ctx, so_far):
        found = yield ctx.wait_for_external_event("item")
        so_far = [*(so_far or []), found]
        if len(so_far) == 20:
            return so_far
        ctx.continue_as_new(so_far, save_events=True)
        return None

    bench.worker(collect)
    client = bench.client()
    instance_id = client.schedule_new_orchestration(collect)
    for number in range(20):
        client.raise_orchestration_event(instance_id, "item", data=number)
    state = client.wait_for_orchestration_completion(instance_id, timeout=30)
    assert state.get_output() == list(range(20))


def test_a_wide_fan_out_does_not_replay_for_every_result(bench: EngineBench) -> None:
    """Turns rest as long as the last one took while results come in; else this is a thousand replays."""

    def wide(ctx, count):
        yield task.when_all([ctx.call_activity(echo, input=number) for number in range(count)])

    def echo(_ctx, number):
        return number

    bench.worker(wide, echo)
    state = completed(bench, wide, 1000)
    history = bench.client().get_orchestration_history(state.instance_id)
    turns = sum(type(event).__name__ == "OrchestratorStartedEvent" for event in history)
    assert 2 <= turns < 200


def test_a_sub_orchestration_called_with_a_retry_policy_runs_again_under_its_id(bench: EngineBench) -> None:
    tries: list[str] = []

    def parent(ctx, _):
        return (yield ctx.call_sub_orchestrator(child, instance_id="the-child", retry_policy=RETRY))

    def child(ctx, _):
        return (yield ctx.call_activity(flaky))

    def flaky(_ctx, _):
        tries.append("x")
        if len(tries) < 3:
            raise ConnectionError("not yet")
        return len(tries)

    bench.worker(parent, child, flaky)
    assert completed(bench, parent).get_output() == 3


def test_an_orchestration_suspended_in_a_fan_out_stands_still_and_ends_well(bench: EngineBench) -> None:
    def wide(ctx, count):
        results = []
        for start in range(0, count, 4):
            results += yield task.when_all([ctx.call_activity(echo, input=start + n) for n in range(4)])
        return sum(results)

    def echo(_ctx, number):
        time.sleep(0.02)
        return number

    bench.worker(wide, echo)
    client = bench.client()
    instance_id = client.schedule_new_orchestration(wide, input=200)
    client.wait_for_orchestration_start(instance_id, timeout=20)
    client.suspend_orchestration(instance_id)
    deadline = time.monotonic() + 20
    while client.get_orchestration_state(instance_id).runtime_status.name != "SUSPENDED":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    before = len(client.get_orchestration_history(instance_id))
    time.sleep(0.5)
    assert len(client.get_orchestration_history(instance_id)) == before
    client.resume_orchestration(instance_id)
    state = client.wait_for_orchestration_completion(instance_id, timeout=60)
    assert state.get_output() == sum(range(200))
