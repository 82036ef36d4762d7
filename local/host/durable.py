"""Durable work items: from the engine's stream into the app's functions, and their outcomes back.

The engine hands out no more than the limits of host.json, so whatever arrives here starts at once, and the activities
leave threads of the worker's pool to the orchestrators (they share it: durabletask runs sync code of both there).
"""

import asyncio
import base64
import json
import logging
import math
from typing import Any

import grpc
import grpc.aio
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as stubs
from google.protobuf.wrappers_pb2 import StringValue

from local.engine.server import CLIENT_OPTIONS
from local.host.app import App, Function, FunctionFailed
from local.host.messages import TypedData
from local.host.settings import HostSettings

log = logging.getLogger("mxferry.host.durable")

RECONNECT_PAUSE = 0.5  # seconds
DELIVERY_TRIES = 120  # with the pause: a minute for an engine that is being restarted, or has no room on its disk
PATIENCE = 1.5  # seconds for what is under way when the host is asked to stop; the rest is redelivered at next start


def client_binding(engine: str, task_hub: str) -> str:
    """Return what a durable client binding gets: the engine's address, and no management URL or key at all."""
    return json.dumps(
        {
            "taskHubName": task_hub,
            "connectionName": "Storage",
            "rpcBaseUrl": f"http://{engine}",
            "baseUrl": "",
            "httpBaseUrl": "",
            "requiredQueryStringParameters": "",
            "creationUrls": {},
            "managementUrls": {},
            "maxGrpcMessageSizeInBytes": 2**31 - 1,
        }
    )


class DurableWorker:
    """The host's side of the work item stream."""

    def __init__(self, app: App, engine: str, settings: HostSettings, deliver_twice: bool = False) -> None:
        self._app = app
        self._engine = engine
        self._settings = settings
        self._twice = deliver_twice
        self._orchestrators = app.named("orchestrationTrigger", "orchestration")
        self._activities = app.named("activityTrigger", "activity")
        self._tasks: set[asyncio.Future[Any]] = set()
        self._running: set[str] = set()  # tokens of activities
        self._stub: stubs.TaskHubSidecarServiceStub

    async def run(self) -> None:
        """Take work items until cancelled, then let those under way finish for a moment."""
        async with grpc.aio.insecure_channel(self._engine, options=CLIENT_OPTIONS) as channel:
            self._stub = stubs.TaskHubSidecarServiceStub(channel)
            try:
                await self._take()
            finally:
                if self._tasks:
                    await asyncio.wait(self._tasks, timeout=PATIENCE)

    async def _take(self) -> None:
        """Read the stream; open it again when the engine is restarted."""
        wanted = pb.GetWorkItemsRequest(
            maxConcurrentActivityWorkItems=max(1, self._settings.most_activities // (2 if self._twice else 1)),
            maxConcurrentOrchestrationWorkItems=self._settings.most_turns,
        )
        while True:
            try:
                async for item in self._stub.GetWorkItems(wanted):
                    self._begin(item)
            except grpc.RpcError as error:
                log.warning("the engine's stream broke: %s", error.code())
            await asyncio.sleep(RECONNECT_PAUSE)

    def _begin(self, item: pb.WorkItem) -> None:
        kind = item.WhichOneof("request")
        if kind == "orchestratorRequest":
            work = self._turn(item.orchestratorRequest, item.completionToken)
        elif kind == "activityRequest":
            if item.completionToken in self._running:
                return  # given again after a broken stream; the run under way will answer with the same token
            work = self._activity(item.activityRequest, item.completionToken)
        else:
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- orchestrators

    async def _turn(self, request: pb.OrchestratorRequest, token: str) -> None:
        try:
            response = await self._run_turn(request)
        except Exception as error:
            log.exception("a turn of '%s' failed", request.instanceId)
            response = _failed_turn(request.instanceId, type(error).__name__, str(error))
        response.completionToken = token
        await self._deliver(self._stub.CompleteOrchestratorTask, response)

    async def _run_turn(self, request: pb.OrchestratorRequest) -> pb.OrchestratorResponse:
        started = next(
            event.executionStarted
            for events in (request.pastEvents, request.newEvents)
            for event in events
            if event.HasField("executionStarted")
        )
        function = self._orchestrators.get(started.name)
        if function is None:
            return _failed_turn(
                request.instanceId, "OrchestratorNotRegistered", f"the app has no orchestrator '{started.name}'"
            )
        value = TypedData(string=base64.b64encode(request.SerializeToString()).decode())
        answer = await self._app.call(function, value)
        if answer is None:
            raise RuntimeError(f"orchestrator '{started.name}' gave no response")
        return pb.OrchestratorResponse.FromString(base64.b64decode(answer.get("string")))

    # -- activities

    async def _activity(self, request: pb.ActivityRequest, token: str) -> None:
        self._running.add(token)
        limit = self._settings.function_timeout
        work = asyncio.ensure_future(self._answered(request, token))
        try:
            await asyncio.wait({work}, timeout=limit if math.isfinite(limit) else None)
            if not work.done():
                # In Azure the host restarts itself at that moment, and delivers again what was under way: to the
                # orchestration it is no failure (https://github.com/Azure/azure-functions-durable-extension/issues/2101).
                # A thread cannot be killed: here the overrun goes on behind the orchestration's back.
                log.error(
                    "activity %s took longer than functionTimeout, %.0f s; it is delivered again", request.name, limit
                )
                self._tasks.add(work)
                work.add_done_callback(self._tasks.discard)
            delivered = work.done() and await self._deliver(self._stub.CompleteActivityTask, work.result())
        finally:
            self._running.discard(token)
        if not delivered:
            await self._stub.AbandonTaskActivityWorkItem(pb.AbandonActivityTaskRequest(completionToken=token))

    async def _answered(self, request: pb.ActivityRequest, token: str) -> pb.ActivityResponse:
        response = pb.ActivityResponse(
            instanceId=request.orchestrationInstance.instanceId, taskId=request.taskId, completionToken=token
        )
        try:
            response.result.value = await self._run_activity(request)
        except FunctionFailed as failure:
            log.warning("activity %s failed: %s: %s", request.name, failure.kind, failure.text)
            response.failureDetails.CopyFrom(_details(failure))
        except Exception as error:
            log.exception("activity %s could not be run", request.name)
            response.failureDetails.errorType = type(error).__name__
            response.failureDetails.errorMessage = str(error)
        return response

    async def _run_activity(self, request: pb.ActivityRequest) -> str:
        function = self._activities.get(request.name)
        if function is None:
            raise FunctionFailed("ActivityNotRegistered", f"the app has no activity '{request.name}'", "")
        value = request.input.value if request.HasField("input") else "null"
        answer = await self._invoked(function, TypedData(string=value))
        if answer is None:
            return "null"
        result = answer.get("json")
        return str(result) if result is not None else json.dumps(answer.get("string"))

    async def _invoked(self, function: Function, value: TypedData) -> TypedData | None:
        """Call an activity; with `deliver_twice` two at once, of which the first to end answers.

        The slower one goes on behind the orchestration's back, as it does in Azure when a worker loses its lease and
        another takes the work over.
        """
        if not self._twice:
            return await self._app.call(function, value)
        twins = [asyncio.ensure_future(self._app.call(function, value)) for _ in range(2)]
        for twin in twins:
            self._tasks.add(twin)
            twin.add_done_callback(self._twin_ended)
        done, _ = await asyncio.wait(twins, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()

    def _twin_ended(self, twin: asyncio.Future[TypedData | None]) -> None:
        self._tasks.discard(twin)
        if not twin.cancelled() and (error := twin.exception()) is not None:
            log.warning("one of two deliveries failed: %s", error)

    # -- answers

    async def _deliver(self, call: grpc.aio.UnaryUnaryMultiCallable, response: object) -> bool:
        """Hand an outcome over, also to an engine that is just being restarted; False when it will not have it."""
        for number in range(DELIVERY_TRIES):
            try:
                await call(response)
            except grpc.RpcError as error:
                if number == 0:
                    log.warning("the engine did not take an outcome: %s %s", error.code(), error.details())
                await asyncio.sleep(RECONNECT_PAUSE)
            else:
                return True
        log.error("the engine did not take an outcome within a minute")
        return False


def _failed_turn(instance_id: str, kind: str, text: str) -> pb.OrchestratorResponse:
    failure = pb.TaskFailureDetails(errorType=kind, errorMessage=text, isNonRetriable=True)
    failed = pb.CompleteOrchestrationAction(orchestrationStatus=pb.ORCHESTRATION_STATUS_FAILED, failureDetails=failure)
    return pb.OrchestratorResponse(
        instanceId=instance_id, actions=[pb.OrchestratorAction(id=-1, completeOrchestration=failed)]
    )


def _details(failure: FunctionFailed) -> pb.TaskFailureDetails:
    return pb.TaskFailureDetails(
        errorType=failure.kind,
        errorMessage=failure.text,
        stackTrace=StringValue(value=failure.stack),
        isNonRetriable=failure.kind == "ActivityNotRegistered",
    )
