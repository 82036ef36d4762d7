"""What can happen to an instance from outside: create, raise, suspend, resume, terminate, restart, purge.

Everything here runs inside one store transaction and notes in `Effects` what the queues in memory must learn once the
transaction is committed.
"""

import json
import uuid
from dataclasses import dataclass, field

from durabletask.internal import orchestrator_service_pb2 as pb

from local.engine import events
from local.engine.store import Instance, Store


class InstanceExistsError(Exception):
    """An instance of that id exists in a state that may not be replaced."""


class NoSuchInstanceError(Exception):
    """No instance has that id."""


class WrongStateError(Exception):
    """The instance is not in a state that allows the request."""


@dataclass(slots=True)
class Effects:
    """What a committed transaction means for the queues in memory."""

    ready: list[int] = field(default_factory=list)  # executions with new mail
    activities: list[tuple[int, str, str | None]] = field(default_factory=list)  # (seq, name, version) scheduled
    timers: list[tuple[int, int]] = field(default_factory=list)  # (seq, fire_at) created
    gone: list[int] = field(default_factory=list)  # executions whose turn in flight counts no longer


@dataclass(frozen=True, slots=True)
class Start:
    """What to start."""

    name: str
    version: str | None = None
    input: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    trace: pb.TraceContext | None = None
    scheduled: int | None = None  # microseconds since 1970


@dataclass(frozen=True, slots=True)
class Parent:
    """The orchestration that waits for a sub-orchestration, and under which task number."""

    instance: Instance
    task: int


def create(store: Store, effects: Effects, instance_id: str, start: Start, parent: Parent | None = None) -> int:
    """Create an instance whose id is free; returns its key."""
    now = events.now()
    execution = uuid.uuid4().hex
    key = store.insert_instance(
        id=instance_id,
        execution=execution,
        name=start.name,
        version=start.version,
        status=pb.ORCHESTRATION_STATUS_PENDING,
        input=start.input,
        tags=json.dumps(start.tags) if start.tags else None,
        trace=start.trace.SerializeToString() if start.trace else None,
        created=now,
        updated=now,
        scheduled=start.scheduled,
        parent_key=parent.instance.key if parent else None,
        parent_id=parent.instance.id if parent else None,
        parent_name=parent.instance.name if parent else None,
        parent_task=parent.task if parent else None,
    )
    if start.scheduled is not None and start.scheduled > now:
        effects.timers.append((store.insert_timer(key, None, start.scheduled), start.scheduled))
    else:
        post_start(store, effects, key)
    return key


def post_start(store: Store, effects: Effects, key: int) -> None:
    """Put the event that starts an execution into its inbox."""
    instance = store.execution(key)
    if instance is None or instance.started:
        return
    parent = None
    if instance.parent_id is not None:
        parent = pb.ParentInstanceInfo(
            taskScheduledId=instance.parent_task or 0,
            name=events.text(instance.parent_name),
            orchestrationInstance=pb.OrchestrationInstance(instanceId=instance.parent_id),
        )
    store.post(
        key,
        events.execution_started(
            instance.name,
            instance.id,
            instance.execution,
            version=instance.version,
            value=instance.input,
            tags=instance.tag_map,
            trace=pb.TraceContext.FromString(instance.trace) if instance.trace else None,
            parent=parent,
        ),
    )
    effects.ready.append(key)


def make_room(store: Store, effects: Effects, instance_id: str, replaceable: frozenset[int] | None) -> None:
    """Free an id for a new instance, or raise `InstanceExistsError`.

    Without a policy an instance that has ended may be replaced and a living one may not, as the Functions extension
    does by default (`overridableExistingInstanceStates: NonRunningStates`).
    """
    existing = store.instance(instance_id)
    if existing is None:
        return
    allowed = existing.is_terminal if replaceable is None else existing.status in replaceable
    if not allowed:
        state = pb.OrchestrationStatus.Name(existing.status).removeprefix("ORCHESTRATION_STATUS_")
        raise InstanceExistsError(
            f"expected no instance '{instance_id}' or a replaceable one, found one that is {state}"
        )
    remove(store, effects, existing)


def remove(store: Store, effects: Effects, instance: Instance) -> None:
    """Delete an instance and all it owns."""
    store.delete_activities(instance.id)
    store.delete_instance(instance.key)
    effects.gone.append(instance.key)


def get(store: Store, instance_id: str) -> Instance:
    """Return an instance or raise `NoSuchInstanceError`."""
    instance = store.instance(instance_id)
    if instance is None:
        raise NoSuchInstanceError(f"no orchestration instance has the id '{instance_id}'")
    return instance


def post(store: Store, effects: Effects, instance: Instance, event: pb.HistoryEvent) -> None:
    """Deliver an event to a living instance; one that has ended drops it."""
    if instance.is_terminal:
        return
    store.post(instance.key, event)
    store.update_instance(instance.key)
    effects.ready.append(instance.key)


def terminate(store: Store, effects: Effects, instance: Instance, output: str | None, recurse: bool) -> None:
    """End an instance now: its waiting events, timers and unstarted activities go with it.

    It does not wait for a worker's turn, so it also ends what no worker can run. Activities already running cannot be
    interrupted (neither can they in Azure); their results are dropped.
    """
    if not instance.is_terminal:
        status = pb.ORCHESTRATION_STATUS_TERMINATED
        store.clear_inbox(instance.key)
        store.delete_timers(instance.key)
        store.delete_activities(instance.id)
        terminated = pb.ExecutionTerminatedEvent(input=events.text(output), recurse=recurse)
        completed = pb.ExecutionCompletedEvent(orchestrationStatus=status, result=events.text(output))
        store.append_history(
            instance.key,
            events.fragment(
                [events.happened(executionTerminated=terminated), events.happened(executionCompleted=completed)]
            ),
        )
        store.update_instance(instance.key, status=status, output=output, completed=events.now())
        effects.gone.append(instance.key)
        tell_parent(store, effects, instance, status, output, None)
    if recurse:
        for child in store.children(instance.id):
            terminate(store, effects, child, output, recurse)


def tell_parent(
    store: Store,
    effects: Effects,
    child: Instance,
    status: int,
    output: str | None,
    failure: pb.TaskFailureDetails | None,
) -> None:
    """Deliver the outcome of a sub-orchestration to the execution that waits for it, if it still does."""
    parent = store.execution(child.parent_key) if child.parent_key is not None else None
    if parent is None or child.parent_task is None:
        return
    if status == pb.ORCHESTRATION_STATUS_COMPLETED:
        completed = pb.SubOrchestrationInstanceCompletedEvent(
            taskScheduledId=child.parent_task, result=events.text(output)
        )
        event = events.happened(subOrchestrationInstanceCompleted=completed)
    else:
        event = sub_orchestration_failed(
            child.parent_task,
            failure
            or pb.TaskFailureDetails(
                errorType="OrchestrationTerminated",
                errorMessage=f"sub-orchestration '{child.id}' was terminated" + (f": {output}" if output else ""),
                isNonRetriable=True,
            ),
        )
    post(store, effects, parent, event)


def sub_orchestration_failed(task: int, failure: pb.TaskFailureDetails) -> pb.HistoryEvent:
    """Return the event that fails a sub-orchestration task."""
    return events.happened(
        subOrchestrationInstanceFailed=pb.SubOrchestrationInstanceFailedEvent(
            taskScheduledId=task, failureDetails=failure
        )
    )


def purge(store: Store, effects: Effects, instance: Instance, recurse: bool) -> int:
    """Delete an instance that has ended, with its ended sub-orchestrations if asked; returns how many went."""
    if not instance.is_terminal:
        return 0
    count = 1
    if recurse:
        count += sum(purge(store, effects, child, recurse) for child in store.children(instance.id))
    remove(store, effects, instance)
    return count


def restart(store: Store, effects: Effects, instance: Instance, new_id: str | None) -> str:
    """Run an ended instance once more with its input, under its own or a new id; returns the id."""
    if not instance.is_terminal:
        raise WrongStateError(f"expected instance '{instance.id}' to have ended before it is restarted, found it alive")
    instance_id = new_id or instance.id
    if new_id is None:
        remove(store, effects, instance)
    create(
        store,
        effects,
        instance_id,
        Start(instance.name, instance.version, instance.input, instance.tag_map),
    )
    return instance_id
