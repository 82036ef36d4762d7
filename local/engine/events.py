"""History events as the protocol wants them, stamped with the time they happen at."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import StringValue


def now() -> int:
    """Return the time in microseconds since 1970, as the state file keeps it."""
    return time.time_ns() // 1000


def stamp(microseconds: int) -> Timestamp:
    """Return a protocol timestamp."""
    return Timestamp(seconds=microseconds // 1_000_000, nanos=microseconds % 1_000_000 * 1000)


def micros(timestamp: Timestamp) -> int:
    """Return a protocol timestamp in microseconds."""
    return timestamp.seconds * 1_000_000 + timestamp.nanos // 1000


def iso(microseconds: int) -> str:
    """Return a time for a log line."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).isoformat()


def text(value: str | None) -> StringValue | None:
    """Return an optional string as the protocol wraps it."""
    return None if value is None else StringValue(value=value)


def happened(event_id: int = -1, **kind: Any) -> pb.HistoryEvent:
    """Return an event of now: `happened(taskCompleted=pb.TaskCompletedEvent(...))`."""
    return pb.HistoryEvent(eventId=event_id, timestamp=stamp(now()), **kind)


def execution_started(
    name: str,
    instance_id: str,
    execution_id: str,
    *,
    version: str | None,
    value: str | None,
    tags: Mapping[str, str] | None,
    trace: pb.TraceContext | None,
    parent: pb.ParentInstanceInfo | None,
) -> pb.HistoryEvent:
    """Return the first event of an execution."""
    return happened(
        executionStarted=pb.ExecutionStartedEvent(
            name=name,
            version=text(version),
            input=text(value),
            orchestrationInstance=pb.OrchestrationInstance(instanceId=instance_id, executionId=text(execution_id)),
            parentInstance=parent,
            parentTraceContext=trace,
            tags=tags,
        )
    )


def fragment(events: list[pb.HistoryEvent]) -> bytes:
    """Encode events so that concatenated fragments parse as one request with all of them as past events.

    Protocol buffers merge concatenated messages, and repeated fields then append.
    """
    return pb.OrchestratorRequest(pastEvents=events).SerializeToString()


def past(fragments: list[bytes]) -> pb.OrchestratorRequest:
    """Decode fragments into a request that holds them as past events."""
    return pb.OrchestratorRequest.FromString(b"".join(fragments))
