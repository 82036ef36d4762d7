"""The gRPC face of the engine: the protocol's calls, in terms of the core.

What a local engine does not do (entities, rewind, task hub administration) is answered with UNIMPLEMENTED, which is
what the base class does for every call not listed here; `_unimplemented` says why.
"""

import functools
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import grpc
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as stubs
from google.protobuf import empty_pb2

from local.engine import events, instances, queries
from local.engine.core import Accepts, Core
from local.engine.store import Instance

log = logging.getLogger("mxferry.engine")

MOST_WAITERS = 128  # every waiting client holds a server thread; the rest of the threads stay for the workers
HISTORY_CHUNK = 500  # events

_CODES: dict[type[Exception], grpc.StatusCode] = {
    instances.NoSuchInstanceError: grpc.StatusCode.NOT_FOUND,
    instances.InstanceExistsError: grpc.StatusCode.ALREADY_EXISTS,
    instances.WrongStateError: grpc.StatusCode.FAILED_PRECONDITION,
    ValueError: grpc.StatusCode.INVALID_ARGUMENT,
}


def _answers[R](call: Callable[..., R]) -> Callable[..., R]:
    """Turn the core's refusals into status codes."""

    @functools.wraps(call)
    def answer(self: "Service", request: Any, context: grpc.ServicerContext) -> R:
        try:
            return call(self, request, context)
        except tuple(_CODES) as error:
            context.abort(_CODES[type(error)], str(error))
            raise  # never reached: abort raises

    return answer


class Service(stubs.TaskHubSidecarServiceServicer):
    """The servicer."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._waiters = threading.BoundedSemaphore(MOST_WAITERS)

    def Hello(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """Answer a greeting."""
        return empty_pb2.Empty()

    # -- clients

    @_answers
    def StartInstance(  # noqa: N802
        self, request: pb.CreateInstanceRequest, context: grpc.ServicerContext
    ) -> pb.CreateInstanceResponse:
        """Create an instance; ALREADY_EXISTS as the reuse policy says (see `instances.make_room`)."""
        instance_id = request.instanceId or uuid.uuid4().hex
        policy = request.orchestrationIdReusePolicy
        replaceable = frozenset(policy.replaceableStatus) if request.HasField("orchestrationIdReusePolicy") else None
        start = instances.Start(
            request.name,
            request.version.value if request.HasField("version") else None,
            request.input.value if request.HasField("input") else None,
            dict(request.tags),
            request.parentTraceContext if request.HasField("parentTraceContext") else None,
            events.micros(request.scheduledStartTimestamp) if request.HasField("scheduledStartTimestamp") else None,
        )
        with self._core.change() as effects:
            instances.make_room(self._core.store, effects, instance_id, replaceable)
            instances.create(self._core.store, effects, instance_id, start)
        return pb.CreateInstanceResponse(instanceId=instance_id)

    def GetInstance(  # noqa: N802
        self, request: pb.GetInstanceRequest, context: grpc.ServicerContext
    ) -> pb.GetInstanceResponse:
        """Return the state of an instance."""
        with self._core.reading() as store:
            return _found(store.instance(request.instanceId), request)

    def WaitForInstanceStart(  # noqa: N802
        self, request: pb.GetInstanceRequest, context: grpc.ServicerContext
    ) -> pb.GetInstanceResponse:
        """Return the state once the instance has had its first turn."""
        return self._wait(request, context, lambda one: one.status != pb.ORCHESTRATION_STATUS_PENDING)

    def WaitForInstanceCompletion(  # noqa: N802
        self, request: pb.GetInstanceRequest, context: grpc.ServicerContext
    ) -> pb.GetInstanceResponse:
        """Return the state once the instance has ended."""
        return self._wait(request, context, lambda one: one.is_terminal)

    def _wait(
        self, request: pb.GetInstanceRequest, context: grpc.ServicerContext, until: Callable[[Instance], bool]
    ) -> pb.GetInstanceResponse:
        if not self._waiters.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"more than {MOST_WAITERS} clients wait; poll instead")
        context.add_callback(self._core.wake)  # a client that hangs up frees its thread
        try:
            found = self._core.wait(
                request.instanceId, until, lambda: context.time_remaining() if context.is_active() else 0.0
            )
        finally:
            self._waiters.release()
        if found is None and context.is_active():
            with self._core.reading() as store:
                if store.instance(request.instanceId) is not None:
                    context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"'{request.instanceId}' is not there yet")
        return _found(found, request)

    @_answers
    def RaiseEvent(  # noqa: N802
        self, request: pb.RaiseEventRequest, context: grpc.ServicerContext
    ) -> pb.RaiseEventResponse:
        """Deliver an external event; an instance that does not wait for it yet keeps it."""
        value = request.input if request.HasField("input") else None
        raised = pb.EventRaisedEvent(name=request.name, input=value)
        self._post(request.instanceId, eventRaised=raised)
        return pb.RaiseEventResponse()

    @_answers
    def SuspendInstance(  # noqa: N802
        self, request: pb.SuspendRequest, context: grpc.ServicerContext
    ) -> pb.SuspendResponse:
        """Stop giving an instance turns."""
        self._post(request.instanceId, executionSuspended=pb.ExecutionSuspendedEvent(input=request.reason))
        return pb.SuspendResponse()

    @_answers
    def ResumeInstance(  # noqa: N802
        self, request: pb.ResumeRequest, context: grpc.ServicerContext
    ) -> pb.ResumeResponse:
        """Go on with a suspended instance."""
        self._post(request.instanceId, executionResumed=pb.ExecutionResumedEvent(input=request.reason))
        return pb.ResumeResponse()

    def _post(self, instance_id: str, **event: Any) -> None:
        with self._core.change() as effects:
            instance = instances.get(self._core.store, instance_id)
            instances.post(self._core.store, effects, instance, events.happened(**event))

    @_answers
    def TerminateInstance(  # noqa: N802
        self, request: pb.TerminateRequest, context: grpc.ServicerContext
    ) -> pb.TerminateResponse:
        """End an instance now, with its sub-orchestrations if asked."""
        output = request.output.value if request.HasField("output") else None
        with self._core.change() as effects:
            instance = instances.get(self._core.store, request.instanceId)
            instances.terminate(self._core.store, effects, instance, output, request.recursive)
        return pb.TerminateResponse()

    @_answers
    def RestartInstance(  # noqa: N802
        self, request: pb.RestartInstanceRequest, context: grpc.ServicerContext
    ) -> pb.RestartInstanceResponse:
        """Run an ended instance once more with its input."""
        new_id = uuid.uuid4().hex if request.restartWithNewInstanceId else None
        with self._core.change() as effects:
            instance = instances.get(self._core.store, request.instanceId)
            instance_id = instances.restart(self._core.store, effects, instance, new_id)
        return pb.RestartInstanceResponse(instanceId=instance_id)

    @_answers
    def QueryInstances(  # noqa: N802
        self, request: pb.QueryInstancesRequest, context: grpc.ServicerContext
    ) -> pb.QueryInstancesResponse:
        """Return a page of instances that match a query."""
        with self._core.reading() as store:
            return queries.query_instances(store, request.query)

    @_answers
    def ListInstanceIds(  # noqa: N802
        self, request: pb.ListInstanceIdsRequest, context: grpc.ServicerContext
    ) -> pb.ListInstanceIdsResponse:
        """Return a page of the ids of ended instances."""
        with self._core.reading() as store:
            return queries.list_ended(store, request)

    @_answers
    def PurgeInstances(  # noqa: N802
        self, request: pb.PurgeInstancesRequest, context: grpc.ServicerContext
    ) -> pb.PurgeInstancesResponse:
        """Delete ended instances."""
        with self._core.change() as effects:
            return queries.purge(self._core.store, effects, request)

    @_answers
    def StreamInstanceHistory(  # noqa: N802
        self, request: pb.StreamInstanceHistoryRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.HistoryChunk]:
        """Return the history of an instance, in chunks."""
        with self._core.reading() as store:
            instance = instances.get(store, request.instanceId)
            history = events.past(store.history(instance.key)).pastEvents
        starts = range(0, len(history), HISTORY_CHUNK)
        return (pb.HistoryChunk(events=history[start : start + HISTORY_CHUNK]) for start in starts)

    def CreateTaskHub(  # noqa: N802
        self, request: pb.CreateTaskHubRequest, context: grpc.ServicerContext
    ) -> pb.CreateTaskHubResponse:
        """The state file is the task hub, and exists."""
        if request.recreateIfExists:
            _unimplemented(context, "stop the engine and delete its state file to start afresh")
        return pb.CreateTaskHubResponse()

    # -- workers

    def GetWorkItems(  # noqa: N802
        self, request: pb.GetWorkItemsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WorkItem]:
        """Stream work items to a worker; what it has in hands when the stream ends is given to the next."""
        filters = request.workItemFilters if request.HasField("workItemFilters") else None
        worker = self._core.join(
            _accepts(filters.orchestrations if filters else None),
            _accepts(filters.activities if filters else None),
            request.maxConcurrentOrchestrationWorkItems,
            request.maxConcurrentActivityWorkItems,
        )
        if not context.add_callback(lambda: self._core.leave(worker)):
            self._core.leave(worker)  # the call ended before the callback was in place
        try:
            while (item := self._core.next_item(worker)) is not None:
                yield item
        finally:
            self._core.leave(worker)

    def CompleteOrchestratorTask(  # noqa: N802
        self, request: pb.OrchestratorResponse, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        """Commit an orchestrator's turn."""
        if request.isPartial or request.requiresHistory:
            _unimplemented(context, "expected a whole response to a turn with its whole history")
        if not self._core.complete_turn(request):
            log.info("a turn of '%s' counts no longer", request.instanceId)
        return pb.CompleteTaskResponse()

    def CompleteActivityTask(  # noqa: N802
        self, request: pb.ActivityResponse, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        """Take an activity's result."""
        if not self._core.complete_activity(request):
            log.info("a result of task %d of '%s' counts no longer", request.taskId, request.instanceId)
        return pb.CompleteTaskResponse()

    def AbandonTaskOrchestratorWorkItem(  # noqa: N802
        self, request: pb.AbandonOrchestrationTaskRequest, context: grpc.ServicerContext
    ) -> pb.AbandonOrchestrationTaskResponse:
        """Give a turn back."""
        self._core.abandon(request.completionToken)
        return pb.AbandonOrchestrationTaskResponse()

    def AbandonTaskActivityWorkItem(  # noqa: N802
        self, request: pb.AbandonActivityTaskRequest, context: grpc.ServicerContext
    ) -> pb.AbandonActivityTaskResponse:
        """Give an activity back."""
        self._core.abandon(request.completionToken)
        return pb.AbandonActivityTaskResponse()

    # -- not here

    def RewindInstance(  # noqa: N802
        self, request: pb.RewindInstanceRequest, context: grpc.ServicerContext
    ) -> pb.RewindInstanceResponse:
        """Refuse: a rewound history does not fit activities called with a retry policy."""
        _unimplemented(context, "rewind is not supported by the local engine; restart the instance")

    def SignalEntity(  # noqa: N802
        self, request: pb.SignalEntityRequest, context: grpc.ServicerContext
    ) -> pb.SignalEntityResponse:
        """Refuse: there are no entities here."""
        _unimplemented(context, "entities are not supported by the local engine")

    def GetEntity(  # noqa: N802
        self, request: pb.GetEntityRequest, context: grpc.ServicerContext
    ) -> pb.GetEntityResponse:
        """Refuse: there are no entities here."""
        _unimplemented(context, "entities are not supported by the local engine")


def _unimplemented(context: grpc.ServicerContext, why: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNIMPLEMENTED, why)
    raise AssertionError("abort raises")


def _found(instance: Instance | None, request: pb.GetInstanceRequest) -> pb.GetInstanceResponse:
    if instance is None:
        return pb.GetInstanceResponse(exists=False)
    return pb.GetInstanceResponse(exists=True, orchestrationState=queries.state(instance, request.getInputsAndOutputs))


def _accepts(filters: Any) -> Accepts:
    """Return whether a worker takes a (name, version): all without filters, else the names listed."""
    if filters is None:
        return lambda _name, _version: True
    versions: dict[str, set[str]] = {}
    for one in filters:
        versions.setdefault(one.name, set()).update(one.versions)

    def accepts(name: str, version: str | None) -> bool:
        wanted = versions.get(name)
        return wanted is not None and (not wanted or (version or "") in wanted)

    return accepts
