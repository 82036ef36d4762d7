"""What the engine promises about work items: given again until answered, answered once, never to the dead."""

import threading

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.wrappers_pb2 import StringValue

from local.engine import Engine, StateFileInUse, core
from tests.fixtures.engine import EngineBench, call, finish, kinds


def started(bench: EngineBench, worker, *actions: pb.OrchestratorAction) -> str:
    """Start an instance whose first turn takes the actions."""
    instance_id = bench.client().schedule_new_orchestration("parent")
    token, _ = worker.turn()
    worker.end_turn(token, instance_id, *actions)
    return instance_id


def test_the_activity_of_a_dead_worker_is_given_to_the_next(bench: EngineBench) -> None:
    dying = bench.hand_worker()
    instance_id = started(bench, dying, call(1))
    _, lost = dying.activity()
    dying.hang_up()

    living = bench.hand_worker()
    token, again = living.activity()
    assert (again.name, again.taskId, again.input.value) == (lost.name, lost.taskId, "1")
    living.end_activity(token)
    token, turn = living.turn()
    assert kinds(turn) == ["orchestratorStarted", "taskCompleted"]
    living.end_turn(token, instance_id, finish())
    assert bench.client().wait_for_orchestration_completion(instance_id, timeout=10).runtime_status.name == "COMPLETED"


def test_the_turn_of_a_dead_worker_is_given_to_the_next_and_its_late_answer_counts_no_longer(
    bench: EngineBench,
) -> None:
    dying = bench.hand_worker()
    instance_id = bench.client().schedule_new_orchestration("parent")
    old_token, _ = dying.turn()
    dying.hang_up()

    living = bench.hand_worker()
    token, turn = living.turn()
    assert kinds(turn) == ["orchestratorStarted", "executionStarted"]
    living.end_turn(old_token, instance_id, finish(result='"stale"'))
    assert living.nothing()
    living.end_turn(token, instance_id, finish(result='"fresh"'))
    assert bench.client().get_orchestration_state(instance_id).serialized_output == '"fresh"'


def test_a_worker_that_lost_its_stream_may_still_answer_an_activity_and_only_the_first_answer_counts(
    bench: EngineBench,
) -> None:
    first = bench.hand_worker()
    instance_id = started(bench, first, call(1))
    token, _ = first.activity()
    first.hang_up()
    second = bench.hand_worker()
    again, _ = second.activity()
    second.end_activity(token, '"first"')
    second.end_activity(again, '"second"')

    token, turn = second.turn()
    results = [event.taskCompleted.result.value for event in turn.newEvents if event.HasField("taskCompleted")]
    assert results == ['"first"']
    second.end_turn(token, instance_id, finish())
    assert second.nothing()


@pytest.mark.parametrize("kind", ["activity", "turn"])
def test_an_abandoned_work_item_is_offered_again(bench: EngineBench, kind: str) -> None:
    worker = bench.hand_worker()
    if kind == "activity":
        started(bench, worker, call(1))
        token, _ = worker.activity()
        worker.stub.AbandonTaskActivityWorkItem(pb.AbandonActivityTaskRequest(completionToken=token))
        again, request = worker.activity()
        assert request.taskId == 1
    else:
        bench.client().schedule_new_orchestration("parent")
        token, first = worker.turn()
        worker.stub.AbandonTaskOrchestratorWorkItem(pb.AbandonOrchestrationTaskRequest(completionToken=token))
        again, second = worker.turn()
        assert kinds(first) == kinds(second)
        assert again != token


def test_unanswered_work_survives_a_restart_of_the_engine(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    instance_id = started(bench, worker, call(1), call(2), call(3))
    one, _ = worker.activity()
    two, _ = worker.activity()
    worker.end_activity(one)
    bench.restart()

    worker = bench.hand_worker(maxConcurrentOrchestrationWorkItems=1)
    items = [worker.next() for _ in range(3)]
    tasks = sorted(item.activityRequest.taskId for item in items if item.HasField("activityRequest"))
    assert tasks == [2, 3]
    turn = next(item for item in items if item.HasField("orchestratorRequest"))
    assert kinds(turn.orchestratorRequest) == ["orchestratorStarted", "taskCompleted"]
    worker.end_activity(two)  # a token from before the restart is as good as the new one
    worker.end_turn(turn.completionToken, instance_id)
    token, request = worker.turn()
    assert [event.taskCompleted.taskScheduledId for event in request.newEvents[1:]] == [2]
    worker.end_turn(token, instance_id, finish())


def test_a_worker_never_has_more_in_hands_than_it_asked_for(bench: EngineBench) -> None:
    worker = bench.hand_worker(maxConcurrentActivityWorkItems=2)
    started(bench, worker, *(call(number) for number in range(1, 6)))
    first, _ = worker.activity()
    worker.activity()
    assert worker.nothing()
    worker.end_activity(first)
    kinds_next = {worker.next().WhichOneof("request"), worker.next().WhichOneof("request")}
    assert kinds_next == {"activityRequest", "orchestratorRequest"}


def test_a_worker_with_filters_gets_only_what_it_knows(bench: EngineBench) -> None:
    filters = pb.WorkItemFilters(
        orchestrations=[pb.OrchestrationFilter(name="parent")], activities=[pb.ActivityFilter(name="mine")]
    )
    picky = bench.hand_worker(workItemFilters=filters)
    started(bench, picky, call(1, "theirs"), call(2, "mine"))
    _, activity = picky.activity()
    assert activity.name == "mine"
    assert picky.nothing()
    _, other = bench.hand_worker().activity()
    assert other.name == "theirs"


def test_work_that_comes_in_while_a_worker_is_idle_wakes_it_at_once(bench: EngineBench) -> None:
    """Two hundred windows of one: a wake-up lost in each would take the 100 ms of a poll, or for ever."""
    worker = bench.hand_worker()
    instance_id = started(bench, worker, call(1))
    for number in range(2, 202):
        token, _ = worker.activity()
        worker.end_activity(token)
        token, _ = worker.turn()
        worker.end_turn(token, instance_id, call(number) if number < 201 else finish())
    assert bench.client().get_orchestration_state(instance_id).runtime_status.name == "COMPLETED"


def test_an_idle_stream_is_pinged_even_while_others_keep_the_engine_busy(
    bench: EngineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers drop a stream that stays silent, and with it what they have in hands."""
    monkeypatch.setattr(core, "PING_EVERY", 0.5)
    busy = bench.hand_worker()
    instance_id = started(bench, busy, call(1))
    filters = pb.WorkItemFilters(activities=[pb.ActivityFilter(name="never called")])
    stream = busy.stub.GetWorkItems(pb.GetWorkItemsRequest(workItemFilters=filters))
    pinged = threading.Event()

    def listen() -> None:
        for item in stream:
            if item.HasField("healthPing"):
                pinged.set()
                return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    number = 1
    while not pinged.is_set():
        token, _ = busy.activity()
        busy.end_activity(token)
        token, _ = busy.turn()
        number += 1
        assert number < 2000
        busy.end_turn(token, instance_id, call(number))
    stream.cancel()
    listener.join()


def test_two_workers_share_the_work_and_no_item_goes_to_both(bench: EngineBench) -> None:
    first, second = bench.hand_worker(), bench.hand_worker()
    instance_id = bench.client().schedule_new_orchestration("parent")
    holder = first if not first.nothing(0.5) else second
    other = second if holder is first else first
    assert other.nothing()
    holder.hang_up()
    token, _ = other.turn()
    other.end_turn(token, instance_id, *(call(number) for number in range(1, 41)))
    seen: list[int] = []
    third = bench.hand_worker()

    def take(worker) -> None:
        while not (len(seen) >= 40):
            try:
                item = worker.next(1.0)
            except AssertionError:
                return
            if item.HasField("activityRequest"):
                seen.append(item.activityRequest.taskId)
                worker.end_activity(item.completionToken)

    threads = [threading.Thread(target=take, args=(worker,)) for worker in (other, third)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 41))


def test_a_state_file_has_one_owner(bench: EngineBench) -> None:
    with pytest.raises(StateFileInUse, match=r"is owned by process \d+; stop that process, or give another state file"):
        Engine(bench.state).start()


def test_the_engine_listens_on_loopback_only(bench: EngineBench) -> None:
    assert bench.engine.address.startswith("127.0.0.1:")


def test_what_the_engine_does_not_do_it_says(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    instance_id = started(bench, worker, finish(status=pb.ORCHESTRATION_STATUS_FAILED))
    with pytest.raises(grpc.RpcError) as rewound:
        worker.stub.RewindInstance(pb.RewindInstanceRequest(instanceId=instance_id))
    assert rewound.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "restart the instance" in rewound.value.details()
    with pytest.raises(grpc.RpcError) as signalled:
        worker.stub.SignalEntity(pb.SignalEntityRequest(instanceId="@counter@1", name="add"))
    assert signalled.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_an_action_that_the_engine_does_not_know_fails_the_orchestration(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    message = pb.SendEntityMessageAction(
        entityOperationSignaled=pb.EntityOperationSignaledEvent(
            operation="add", targetInstanceId=StringValue(value="@counter@1")
        )
    )
    instance_id = started(bench, worker, pb.OrchestratorAction(id=1, sendEntityMessage=message))
    state = bench.client().get_orchestration_state(instance_id)
    assert state.runtime_status.name == "FAILED"
    assert "does not know the orchestrator action 'sendEntityMessage'" in state.failure_details.message
