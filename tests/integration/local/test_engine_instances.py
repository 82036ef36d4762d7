"""An instance's life: starting, events, timers, suspension, termination, purging, history, queries."""

from datetime import UTC, datetime, timedelta

import grpc
import pytest
from durabletask.client import OrchestrationQuery, OrchestrationStatus
from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from tests.fixtures.engine import EngineBench, call, finish, kinds, start_sub


def start(bench: EngineBench, worker, instance_id: str, *actions: pb.OrchestratorAction, name: str = "parent") -> str:
    """Start an instance and give its first turn some actions."""
    bench.client().schedule_new_orchestration(name, instance_id=instance_id)
    token, request = worker.turn()
    assert request.instanceId == instance_id
    worker.end_turn(token, instance_id, *actions)
    return instance_id


def status(bench: EngineBench, instance_id: str) -> str:
    state = bench.client().get_orchestration_state(instance_id)
    return state.runtime_status.name if state else "absent"


def timer(number: int, at: datetime) -> pb.OrchestratorAction:
    fire_at = Timestamp()
    fire_at.FromDatetime(at)
    return pb.OrchestratorAction(id=number, createTimer=pb.CreateTimerAction(fireAt=fire_at))


# -- ids


def test_an_id_that_is_running_cannot_be_started_again(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    start(bench, worker, "one")
    with pytest.raises(grpc.RpcError) as refused:
        bench.client().schedule_new_orchestration("parent", instance_id="one")
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert "found one that is RUNNING" in refused.value.details()


def test_an_id_that_has_ended_may_be_started_again_unless_the_policy_says_no(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    start(bench, worker, "one", finish())
    strict = pb.OrchestrationIdReusePolicy(replaceableStatus=[])
    with pytest.raises(grpc.RpcError) as refused:
        bench.client().schedule_new_orchestration("parent", instance_id="one", reuse_id_policy=strict)
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    start(bench, worker, "one")
    assert status(bench, "one") == "RUNNING"


def test_a_policy_may_let_a_running_instance_be_replaced_with_all_its_work(bench: EngineBench) -> None:
    worker = bench.hand_worker(maxConcurrentActivityWorkItems=1)
    start(bench, worker, "one", call(1), call(2))
    token, _ = worker.activity()
    policy = pb.OrchestrationIdReusePolicy(replaceableStatus=[pb.ORCHESTRATION_STATUS_RUNNING])
    bench.client().schedule_new_orchestration("parent", instance_id="one", reuse_id_policy=policy)
    worker.end_activity(token)
    token, request = worker.turn()
    assert kinds(request) == ["orchestratorStarted", "executionStarted"]
    worker.end_turn(token, "one", finish())
    assert worker.nothing()


def test_a_start_in_the_future_waits_for_its_time_over_a_restart(bench: EngineBench) -> None:
    at = datetime.now(UTC) + timedelta(seconds=1.5)
    bench.client().schedule_new_orchestration("parent", instance_id="later", start_at=at)
    bench.client().raise_orchestration_event("later", "early", data=1)
    bench.restart()
    worker = bench.hand_worker()
    assert status(bench, "later") == "PENDING"
    token, request = worker.turn()
    assert datetime.now(UTC) >= at
    assert kinds(request) == ["orchestratorStarted", "executionStarted", "eventRaised"]
    worker.end_turn(token, "later", finish())


# -- events and timers


def test_an_event_raised_before_the_instance_waits_is_kept_over_a_restart(bench: EngineBench) -> None:
    bench.client().schedule_new_orchestration("parent", instance_id="one")
    bench.client().raise_orchestration_event("one", "approve", data={"by": "me"})
    bench.restart()
    _, request = bench.hand_worker().turn()
    assert kinds(request) == ["orchestratorStarted", "executionStarted", "eventRaised"]
    assert request.newEvents[2].eventRaised.input.value == '{"by": "me"}'


def test_an_orchestration_may_raise_an_event_for_another_and_one_for_nobody_is_dropped(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    start(bench, worker, "hears")
    sent = [
        pb.OrchestratorAction(
            id=number,
            sendEvent=pb.SendEventAction(instance=pb.OrchestrationInstance(instanceId=target), name="hello"),
        )
        for number, target in enumerate(["hears", "nobody"], 1)
    ]
    start(bench, worker, "says", *sent, finish())
    token, request = worker.turn()
    assert request.instanceId == "hears"
    assert request.newEvents[1].eventRaised.name == "hello"
    worker.end_turn(token, "hears", finish())
    assert status(bench, "says") == "COMPLETED"


def test_an_event_for_nobody_is_refused(bench: EngineBench) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        bench.client().raise_orchestration_event("nobody", "approve")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert "no orchestration instance has the id 'nobody'" in refused.value.details()


def test_timers_fire_in_time_and_those_due_while_the_engine_was_down_fire_at_start(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    now = datetime.now(UTC)
    start(bench, worker, "one", timer(1, now + timedelta(seconds=0.8)), timer(2, now + timedelta(days=2)))
    assert worker.nothing(0.3)
    bench.close_connections()
    bench.engine.stop()
    while datetime.now(UTC) < now + timedelta(seconds=0.8):
        pass
    bench.engine.start()
    worker = bench.hand_worker()
    token, request = worker.turn()
    assert [event.timerFired.timerId for event in request.newEvents[1:]] == [1]
    worker.end_turn(token, "one")
    assert worker.nothing()


# -- suspension


def test_a_suspended_instance_gets_no_turn_until_it_is_resumed_and_then_everything(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    start(bench, worker, "one", call(1))
    activity, _ = worker.activity()
    bench.client().suspend_orchestration("one")
    token, request = worker.turn()
    assert kinds(request)[1:] == ["executionSuspended"]
    worker.end_turn(token, "one")
    assert status(bench, "one") == "SUSPENDED"

    worker.end_activity(activity)
    bench.client().raise_orchestration_event("one", "approve")
    assert worker.nothing()
    bench.restart()
    worker = bench.hand_worker()
    assert worker.nothing()
    assert status(bench, "one") == "SUSPENDED"

    bench.client().resume_orchestration("one")
    token, request = worker.turn()
    assert kinds(request)[1:] == ["taskCompleted", "eventRaised", "executionResumed"]
    worker.end_turn(token, "one", finish())
    assert status(bench, "one") == "COMPLETED"


def test_a_suspended_instance_can_be_terminated(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    start(bench, worker, "one")
    bench.client().suspend_orchestration("one")
    token, _ = worker.turn()
    worker.end_turn(token, "one")
    bench.client().terminate_orchestration("one")
    assert status(bench, "one") == "TERMINATED"


# -- termination


def test_terminate_reaches_every_descendant_and_no_activity_starts_afterwards(bench: EngineBench) -> None:
    worker = bench.hand_worker(maxConcurrentActivityWorkItems=1)
    start(bench, worker, "one", start_sub(1, "one:a"), call(2))
    items = [worker.next(), worker.next()]
    held = next(item for item in items if item.HasField("activityRequest"))
    turn = next(item for item in items if item.HasField("orchestratorRequest"))
    worker.end_turn(turn.completionToken, "one:a", start_sub(1, "one:a:b"), call(2), call(3))
    token, request = worker.turn()
    assert request.instanceId == "one:a:b"
    worker.end_turn(token, "one:a:b", call(1), call(2))

    bench.client().terminate_orchestration("one", output="enough")
    assert [status(bench, one) for one in ("one", "one:a", "one:a:b")] == ["TERMINATED"] * 3
    worker.end_activity(held.completionToken)
    assert worker.nothing(0.5)
    bench.restart()
    assert bench.hand_worker().nothing(0.5)
    assert bench.client().get_orchestration_state("one").serialized_output == '"enough"'


def test_terminate_without_recursion_leaves_the_children_running(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    start(bench, worker, "one", start_sub(1, "one:a"))
    token, _ = worker.turn()
    worker.end_turn(token, "one:a", call(1))
    bench.client().terminate_orchestration("one", recursive=False)
    assert status(bench, "one:a") == "RUNNING"
    token, _ = worker.activity()
    worker.end_activity(token)
    token, _ = worker.turn()
    worker.end_turn(token, "one:a", finish())
    assert worker.nothing()  # nobody waits for it any more


def test_a_turn_under_way_when_its_instance_is_terminated_counts_no_longer(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    bench.client().schedule_new_orchestration("parent", instance_id="one")
    token, _ = worker.turn()
    bench.client().terminate_orchestration("one")
    worker.end_turn(token, "one", call(1), finish(2))
    assert worker.nothing()
    assert status(bench, "one") == "TERMINATED"


def test_a_terminated_sub_orchestration_fails_the_task_of_its_parent(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    start(bench, worker, "one", start_sub(1, "one:a"))
    worker.turn()
    bench.client().terminate_orchestration("one:a", output="stop")
    _, request = worker.turn()
    failed = request.newEvents[1].subOrchestrationInstanceFailed
    assert failed.taskScheduledId == 1
    assert failed.failureDetails.errorMessage == "sub-orchestration 'one:a' was terminated: \"stop\""


# -- sub-orchestrations


def test_the_outcome_of_a_sub_orchestration_reaches_its_parent_over_a_restart_between(bench: EngineBench) -> None:
    """No thread and no timer waits for a sub-orchestration: its end and the parent's mail are one transaction.

    So nothing here depends on how long it runs; an engine that is stopped meanwhile is the longest wait there is.
    """
    worker = bench.hand_worker()
    start(bench, worker, "one", start_sub(1, "one:a"))
    token, request = worker.turn()
    assert request.newEvents[1].executionStarted.parentInstance.orchestrationInstance.instanceId == "one"
    worker.end_turn(token, "one:a", call(1))
    bench.restart()
    worker = bench.hand_worker()
    token, _ = worker.activity()
    worker.end_activity(token)
    token, _ = worker.turn()
    worker.end_turn(token, "one:a", finish(result='"from below"'))
    _, request = worker.turn()
    assert request.newEvents[1].subOrchestrationInstanceCompleted.result.value == '"from below"'


def test_a_sub_orchestration_whose_id_is_taken_by_a_living_instance_fails_its_task(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    start(bench, worker, "taken")
    start(bench, worker, "one", start_sub(1, "taken"))
    _, request = worker.turn()
    failure = request.newEvents[1].subOrchestrationInstanceFailed.failureDetails
    assert "expected no instance 'taken'" in failure.errorMessage


# -- continue as new


def test_continue_as_new_starts_afresh_and_results_for_the_old_execution_find_nobody(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    start(bench, worker, "one", call(1))
    late, _ = worker.activity()
    bench.client().raise_orchestration_event("one", "go")
    token, _ = worker.turn()
    bench.client().raise_orchestration_event("one", "next")
    worker.end_turn(token, "one", finish(2, '"again"', pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW))
    token, request = worker.turn()
    assert kinds(request) == ["orchestratorStarted", "executionStarted", "eventRaised"]
    assert request.newEvents[1].executionStarted.input.value == '"again"'
    assert len(request.pastEvents) == 0
    worker.end_turn(token, "one", call(1, "fresh"))
    worker.end_activity(late)
    token, activity = worker.activity()
    assert activity.name == "fresh"
    assert worker.nothing()
    worker.end_activity(token)
    token, request = worker.turn()
    assert kinds(request) == ["orchestratorStarted", "taskCompleted"]
    worker.end_turn(token, "one", finish())


# -- purging, restarting


def test_purge_deletes_an_ended_instance_with_its_children_and_nothing_that_lives(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    start(bench, worker, "living")
    start(bench, worker, "one", start_sub(1, "one:a"))
    token, _ = worker.turn()
    worker.end_turn(token, "one:a", finish())
    token, _ = worker.turn()
    worker.end_turn(token, "one", finish())
    client = bench.client()
    assert client.purge_orchestration("living").deleted_instance_count == 0
    assert client.purge_orchestration("one", recursive=True).deleted_instance_count == 2
    assert [status(bench, one) for one in ("one", "one:a", "living")] == ["absent", "absent", "RUNNING"]


def test_purge_by_filter_takes_what_the_filter_names_and_has_ended(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    start(bench, worker, "done", finish())
    start(bench, worker, "failed", finish(status=pb.ORCHESTRATION_STATUS_FAILED))
    start(bench, worker, "living")
    between = datetime.now(UTC)
    start(bench, worker, "recent", finish())
    client = bench.client()
    purged = client.purge_orchestrations_by(
        created_time_to=between, runtime_status=[OrchestrationStatus.COMPLETED, OrchestrationStatus.RUNNING]
    )
    assert purged.deleted_instance_count == 1
    found = [status(bench, one) for one in ("done", "failed", "living", "recent")]
    assert found == ["absent", "FAILED", "RUNNING", "COMPLETED"]


def test_an_ended_instance_can_be_restarted_with_its_input(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    bench.client().schedule_new_orchestration("parent", instance_id="one", input={"a": 1})
    token, _ = worker.turn()
    with pytest.raises(grpc.RpcError) as refused:
        bench.client().restart_orchestration("one")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    worker.end_turn(token, "one", finish())
    other = bench.client().restart_orchestration("one", restart_with_new_instance_id=True)
    _, request = worker.turn()
    assert request.instanceId == other != "one"
    assert request.newEvents[1].executionStarted.input.value == '{"a": 1}'


# -- reading


def test_history_tells_what_happened_in_order(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    start(bench, worker, "one", call(1))
    token, _ = worker.activity()
    worker.end_activity(token)
    token, _ = worker.turn()
    worker.end_turn(token, "one", finish())
    chunks = worker.stub.StreamInstanceHistory(pb.StreamInstanceHistoryRequest(instanceId="one"))
    events = [event for chunk in chunks for event in chunk.events]
    assert [event.WhichOneof("eventType") for event in events] == [
        *("orchestratorStarted", "executionStarted", "taskScheduled", "orchestratorCompleted"),
        *("orchestratorStarted", "taskCompleted", "orchestratorCompleted", "executionCompleted"),
    ]
    assert all(event.timestamp.seconds > 0 for event in events)


def test_queries_filter_and_page_without_repeating_or_missing_an_instance(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    for number in range(7):
        start(bench, worker, f"run-{number}", *([finish()] if number % 2 else []))
    start(bench, worker, "other")
    client = bench.client()
    query = OrchestrationQuery(max_instance_count=2)
    assert [one.instance_id for one in client.get_all_orchestration_states(query)] == [
        *(f"run-{number}" for number in range(7)), "other",
    ]  # fmt: skip
    running = client.get_all_orchestration_states(OrchestrationQuery(runtime_status=[OrchestrationStatus.RUNNING]))
    assert [one.instance_id for one in running] == ["run-0", "run-2", "run-4", "run-6", "other"]

    prefix = pb.InstanceQuery(maxInstanceCount=3)
    prefix.instanceIdPrefix.value = "run-"
    first = worker.stub.QueryInstances(pb.QueryInstancesRequest(query=prefix))
    client.purge_orchestration("run-1")
    prefix.continuationToken.CopyFrom(first.continuationToken)
    second = worker.stub.QueryInstances(pb.QueryInstancesRequest(query=prefix))
    assert [one.instanceId for one in first.orchestrationState] == ["run-0", "run-1", "run-2"]
    assert [one.instanceId for one in second.orchestrationState] == ["run-3", "run-4", "run-5"]
    ended = worker.stub.ListInstanceIds(pb.ListInstanceIdsRequest(pageSize=10))
    assert list(ended.instanceIds) == ["run-3", "run-5"]


def test_waiting_ends_with_the_state_or_the_deadline_or_at_once_for_nobody(bench: EngineBench) -> None:
    worker = bench.hand_worker()
    client = bench.client()
    client.schedule_new_orchestration("parent", instance_id="one")
    with pytest.raises(TimeoutError):
        client.wait_for_orchestration_start("one", timeout=1)
    token, _ = worker.turn()
    worker.end_turn(token, "one")
    assert client.wait_for_orchestration_start("one", timeout=5).runtime_status.name == "RUNNING"
    with pytest.raises(TimeoutError):
        client.wait_for_orchestration_completion("one", timeout=1)
    assert client.wait_for_orchestration_completion("nobody", timeout=5) is None
