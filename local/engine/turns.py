"""What an orchestrator's turn changes: its actions become rows, in the transaction that commits the turn."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from durabletask.internal import orchestrator_service_pb2 as pb

from local.engine import events, instances
from local.engine.instances import Effects, Parent, Start
from local.engine.store import Instance, Store


@dataclass(frozen=True, slots=True)
class Turn:
    """A batch of events that a worker is processing."""

    token: str
    key: int
    seqs: list[int]  # inbox rows in the batch
    new_events: list[pb.HistoryEvent]  # as sent, the orchestratorStarted first
    stream: int  # the worker that has it
    began: int  # microseconds since 1970


def apply(store: Store, effects: Effects, turn: Turn, response: pb.OrchestratorResponse) -> None:
    """Commit a turn: its events go to history, its actions are carried out, its inbox rows are done."""
    instance = store.execution(turn.key)
    if instance is None or instance.is_terminal:
        return
    store.forget(turn.seqs)
    _Applied(store, effects, instance, turn).run(response)


class _Applied:
    """One turn being applied."""

    def __init__(self, store: Store, effects: Effects, instance: Instance, turn: Turn) -> None:
        self._store = store
        self._effects = effects
        self._instance = instance
        self._history = list(turn.new_events)
        self._status = _status_after(instance.status, turn.new_events)
        self._ending: pb.CompleteOrchestrationAction | None = None

    def run(self, response: pb.OrchestratorResponse) -> None:
        """Carry out every action, then end the turn."""
        for action in response.actions:
            kind = action.WhichOneof("orchestratorActionType")
            carry_out = self._CARRY_OUT.get(kind or "")
            if carry_out is None:
                self._fail(f"the local engine does not know the orchestrator action '{kind}'")
            else:
                carry_out(self, action)
        custom = {"custom_status": response.customStatus.value or None} if response.HasField("customStatus") else {}
        ending = self._ending
        if ending is not None and ending.orchestrationStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
            self._continue_as_new(ending, custom)
        elif ending is not None:
            self._end(ending, custom)
        else:
            self._history.append(events.happened(orchestratorCompleted=pb.OrchestratorCompletedEvent()))
            self._store.append_history(self._instance.key, events.fragment(self._history))
            self._store.update_instance(self._instance.key, status=self._status, started=1, **custom)
            self._effects.ready.append(self._instance.key)  # events may have come in meanwhile

    def _fail(self, message: str) -> None:
        failure = pb.TaskFailureDetails(errorType="UnsupportedAction", errorMessage=message, isNonRetriable=True)
        self._ending = pb.CompleteOrchestrationAction(
            orchestrationStatus=pb.ORCHESTRATION_STATUS_FAILED, failureDetails=failure
        )

    # -- actions

    def _complete(self, action: pb.OrchestratorAction) -> None:
        self._ending = self._ending or action.completeOrchestration

    def _schedule_task(self, action: pb.OrchestratorAction) -> None:
        task = action.scheduleTask
        self._history.append(
            events.happened(
                action.id,
                taskScheduled=pb.TaskScheduledEvent(
                    name=task.name,
                    version=task.version if task.HasField("version") else None,
                    input=task.input if task.HasField("input") else None,
                    parentTraceContext=task.parentTraceContext if task.HasField("parentTraceContext") else None,
                    tags=task.tags,
                ),
            )
        )
        version = task.version.value if task.HasField("version") else None
        seq = self._store.insert_activity(
            key=self._instance.key,
            instance_id=self._instance.id,
            task=action.id,
            name=task.name,
            version=version,
            input=task.input.value if task.HasField("input") else None,
            tags=json.dumps(dict(task.tags)) if task.tags else None,
            trace=task.parentTraceContext.SerializeToString() if task.HasField("parentTraceContext") else None,
        )
        self._effects.activities.append((seq, task.name, version))

    def _create_timer(self, action: pb.OrchestratorAction) -> None:
        fire_at = action.createTimer.fireAt
        self._history.append(events.happened(action.id, timerCreated=pb.TimerCreatedEvent(fireAt=fire_at)))
        due = events.micros(fire_at)
        self._effects.timers.append((self._store.insert_timer(self._instance.key, action.id, due), due))

    def _create_sub_orchestration(self, action: pb.OrchestratorAction) -> None:
        sub = action.createSubOrchestration
        instance_id = sub.instanceId or uuid.uuid4().hex
        version = sub.version.value if sub.HasField("version") else None
        self._history.append(
            events.happened(
                action.id,
                subOrchestrationInstanceCreated=pb.SubOrchestrationInstanceCreatedEvent(
                    instanceId=instance_id,
                    name=sub.name,
                    version=events.text(version),
                    input=sub.input if sub.HasField("input") else None,
                    tags=sub.tags,
                ),
            )
        )
        start = Start(
            sub.name,
            version,
            sub.input.value if sub.HasField("input") else None,
            dict(sub.tags),
            sub.parentTraceContext if sub.HasField("parentTraceContext") else None,
        )
        try:
            instances.make_room(self._store, self._effects, instance_id, None)
        except instances.InstanceExistsError as error:
            failure = pb.TaskFailureDetails(errorType="InstanceExists", errorMessage=str(error), isNonRetriable=True)
            self._store.post(self._instance.key, instances.sub_orchestration_failed(action.id, failure))
            return
        instances.create(self._store, self._effects, instance_id, start, Parent(self._instance, action.id))

    def _send_event(self, action: pb.OrchestratorAction) -> None:
        sent = action.sendEvent
        value = sent.data if sent.HasField("data") else None
        self._history.append(
            events.happened(
                action.id,
                eventSent=pb.EventSentEvent(instanceId=sent.instance.instanceId, name=sent.name, input=value),
            )
        )
        target = self._store.instance(sent.instance.instanceId)
        if target is not None:
            raised = events.happened(eventRaised=pb.EventRaisedEvent(name=sent.name, input=value))
            instances.post(self._store, self._effects, target, raised)

    def _terminate(self, action: pb.OrchestratorAction) -> None:
        wanted = action.terminateOrchestration
        target = self._store.instance(wanted.instanceId)
        if target is not None and target.key != self._instance.key:
            instances.terminate(self._store, self._effects, target, wanted.reason.value or None, wanted.recurse)

    _CARRY_OUT: ClassVar[dict[str, Callable[["_Applied", pb.OrchestratorAction], None]]] = {
        "completeOrchestration": _complete,
        "scheduleTask": _schedule_task,
        "createTimer": _create_timer,
        "createSubOrchestration": _create_sub_orchestration,
        "sendEvent": _send_event,
        "terminateOrchestration": _terminate,
    }

    # -- endings

    def _end(self, ending: pb.CompleteOrchestrationAction, custom: dict[str, str | None]) -> None:
        """End the execution; activities scheduled and not waited for still run, as they do in Azure."""
        status = ending.orchestrationStatus
        output = ending.result.value if ending.HasField("result") else None
        failure = ending.failureDetails if ending.HasField("failureDetails") else None
        completed = pb.ExecutionCompletedEvent(
            orchestrationStatus=status, result=events.text(output), failureDetails=failure
        )
        self._history.append(events.happened(orchestratorCompleted=pb.OrchestratorCompletedEvent()))
        self._history.append(events.happened(executionCompleted=completed))
        key = self._instance.key
        self._store.append_history(key, events.fragment(self._history))
        self._store.clear_inbox(key)
        self._store.delete_timers(key)
        self._store.update_instance(
            key,
            status=status,
            started=1,
            output=output,
            failure=failure.SerializeToString() if failure else None,
            completed=events.now(),
            **custom,
        )
        instances.tell_parent(self._store, self._effects, self._instance, status, output, failure)

    def _continue_as_new(self, ending: pb.CompleteOrchestrationAction, custom: dict[str, str | None]) -> None:
        """Replace the execution by a fresh one with the new input; results for the old one find nobody."""
        old = self._instance
        store = self._store
        store.update_instance(old.key, id=f"{old.id}\x00{old.key}")  # the id is free for the next execution
        now = events.now()
        new_key = store.insert_instance(
            id=old.id,
            execution=uuid.uuid4().hex,
            name=old.name,
            version=ending.newVersion.value if ending.HasField("newVersion") else old.version,
            status=self._status,
            input=ending.result.value if ending.HasField("result") else None,
            custom_status=custom.get("custom_status", old.custom_status),
            tags=old.tags,
            trace=old.trace,
            created=old.created,
            updated=now,
            parent_key=old.parent_key,
            parent_id=old.parent_id,
            parent_name=old.parent_name,
            parent_task=old.parent_task,
        )
        instances.post_start(store, self._effects, new_key)
        for event in ending.carryoverEvents:
            store.post(new_key, event)
        store.replace_execution(old.key, new_key)
        self._effects.gone.append(old.key)


def _status_after(status: int, new_events: list[pb.HistoryEvent]) -> int:
    """Return the status of a living instance after a batch: suspended and resumed as the last such event says."""
    if status == pb.ORCHESTRATION_STATUS_PENDING:
        status = pb.ORCHESTRATION_STATUS_RUNNING
    for event in new_events:
        if event.HasField("executionSuspended"):
            status = pb.ORCHESTRATION_STATUS_SUSPENDED
        elif event.HasField("executionResumed"):
            status = pb.ORCHESTRATION_STATUS_RUNNING
    return status
