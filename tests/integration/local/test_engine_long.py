"""Two of the faults of in-memory back ends that take their time to show."""

from datetime import timedelta

import pytest
from durabletask import task

from tests.fixtures.engine import EngineBench
from tests.integration.local.test_engine_faults import completed


@pytest.mark.slow
def test_a_sub_orchestration_of_31_seconds_returns_to_its_parent(bench: EngineBench) -> None:
    def parent(ctx, _):
        return (yield ctx.call_sub_orchestrator(child))

    def child(ctx, _):
        yield ctx.create_timer(timedelta(seconds=31))
        return "at last"

    bench.worker(parent, child)
    assert completed(bench, parent).serialized_output == '"at last"'


@pytest.mark.slow
def test_a_history_of_more_than_10000_events_is_no_limit(bench: EngineBench) -> None:
    """5,200 activities are 10,400 events and the turns' own; a worker that answers in bulk keeps the replays few."""

    def wide(ctx, count):
        results = yield task.when_all([ctx.call_activity(echo, input=number) for number in range(count)])
        return sum(results)

    def echo(_ctx, number):
        return number

    bench.worker(wide, echo, threads=10)
    state = completed(bench, wide, 5200, timeout=200)
    assert state.serialized_output == str(sum(range(5200)))
    assert len(bench.client().get_orchestration_history(state.instance_id)) > 10_400
