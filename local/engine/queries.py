"""Questions about many instances, answered page by page.

Pages continue after the last row seen (its time and id), so that instances created meanwhile neither shift nor repeat
a page.
"""

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.wrappers_pb2 import BoolValue, StringValue

from local.engine import events, instances
from local.engine.instances import Effects
from local.engine.store import TERMINAL, Instance, Store

PAGE = 1000


def state(instance: Instance, payloads: bool) -> pb.OrchestrationState:
    """Return an instance as the protocol describes it; inputs and outputs only if asked for."""
    found = pb.OrchestrationState(
        instanceId=instance.id,
        name=instance.name,
        version=events.text(instance.version),
        orchestrationStatus=instance.status,  # type: ignore[arg-type]
        createdTimestamp=events.stamp(instance.created),
        lastUpdatedTimestamp=events.stamp(instance.updated),
        customStatus=events.text(instance.custom_status),
        executionId=events.text(instance.execution),
        parentInstanceId=events.text(instance.parent_id),
        tags=instance.tag_map,
    )
    if instance.scheduled is not None:
        found.scheduledStartTimestamp.CopyFrom(events.stamp(instance.scheduled))
    if instance.completed is not None:
        found.completedTimestamp.CopyFrom(events.stamp(instance.completed))
    if instance.failure is not None:
        found.failureDetails.ParseFromString(instance.failure)
    if payloads:
        if instance.input is not None:
            found.input.value = instance.input
        if instance.output is not None:
            found.output.value = instance.output
    return found


class _Filter:
    """A WHERE clause being put together."""

    def __init__(self) -> None:
        self.clauses: list[str] = []
        self.values: list[object] = []

    def add(self, clause: str, *values: object) -> None:
        self.clauses.append(clause)
        self.values.extend(values)

    def statuses(self, wanted: list[int]) -> None:
        if wanted:
            self.add(f"status IN ({', '.join('?' * len(wanted))})", *wanted)

    def select(self, store: Store, order: str, limit: int) -> list[Instance]:
        where = f" WHERE {' AND '.join(self.clauses)}" if self.clauses else ""
        sql = f"SELECT * FROM instance{where} ORDER BY {order} LIMIT ?"
        return [Instance(*row) for row in store.query(sql, (*self.values, limit))]  # type: ignore[arg-type]


def query_instances(store: Store, query: pb.InstanceQuery) -> pb.QueryInstancesResponse:
    """Return a page of instances, oldest first."""
    wanted = _Filter()
    wanted.statuses(list(query.runtimeStatus))
    if query.HasField("createdTimeFrom"):
        wanted.add("created >= ?", events.micros(query.createdTimeFrom))
    if query.HasField("createdTimeTo"):
        wanted.add("created < ?", events.micros(query.createdTimeTo))
    if query.HasField("instanceIdPrefix") and query.instanceIdPrefix.value:
        prefix = query.instanceIdPrefix.value
        wanted.add("substr(id, 1, ?) = ?", len(prefix), prefix)
    _continue_after(wanted, "created", query.continuationToken.value)
    size = query.maxInstanceCount if query.maxInstanceCount > 0 else PAGE
    page = wanted.select(store, "created, id", size + 1)
    response = pb.QueryInstancesResponse(
        orchestrationState=[state(instance, query.fetchInputsAndOutputs) for instance in page[:size]]
    )
    if len(page) > size:
        last = page[size - 1]
        response.continuationToken.value = f"{last.created}|{last.id}"
    return response


def list_ended(store: Store, request: pb.ListInstanceIdsRequest) -> pb.ListInstanceIdsResponse:
    """Return a page of the ids of ended instances, in the order they ended."""
    wanted = _Filter()
    wanted.add("completed IS NOT NULL")
    wanted.statuses(list(request.runtimeStatus))
    if request.HasField("completedTimeFrom"):
        wanted.add("completed >= ?", events.micros(request.completedTimeFrom))
    if request.HasField("completedTimeTo"):
        wanted.add("completed < ?", events.micros(request.completedTimeTo))
    _continue_after(wanted, "completed", request.lastInstanceKey.value)
    size = request.pageSize if request.pageSize > 0 else PAGE
    page = wanted.select(store, "completed, id", size + 1)
    last = StringValue(value=f"{page[size - 1].completed}|{page[size - 1].id}") if len(page) > size else None
    return pb.ListInstanceIdsResponse(instanceIds=[instance.id for instance in page[:size]], lastInstanceKey=last)


def _continue_after(wanted: _Filter, column: str, token: str) -> None:
    if not token:
        return
    moment, bar, instance_id = token.partition("|")
    if not bar or not moment.isdigit():
        raise ValueError(f"expected a continuation token that this engine gave out, found '{token}'")
    wanted.add(f"({column}, id) > (?, ?)", int(moment), instance_id)


def purge(store: Store, effects: Effects, request: pb.PurgeInstancesRequest) -> pb.PurgeInstancesResponse:
    """Delete ended instances: one, a batch, or all that a filter names; living ones are left alone."""
    kind = request.WhichOneof("request")
    if kind == "purgeInstanceFilter":
        found = _matching(store, request.purgeInstanceFilter)
    else:
        ids = [request.instanceId] if kind == "instanceId" else list(request.instanceBatch.instanceIds)
        found = [instance for instance in map(store.instance, ids) if instance is not None]
    count = 0
    for instance in found:
        if store.execution(instance.key) is not None:  # not gone with its parent already
            count += instances.purge(store, effects, instance, request.recursive)
    return pb.PurgeInstancesResponse(deletedInstanceCount=count, isComplete=BoolValue(value=True))


def _matching(store: Store, purge_filter: pb.PurgeInstanceFilter) -> list[Instance]:
    wanted = _Filter()
    wanted.statuses(list(purge_filter.runtimeStatus) or list(TERMINAL))
    if purge_filter.HasField("createdTimeFrom"):
        wanted.add("created >= ?", events.micros(purge_filter.createdTimeFrom))
    if purge_filter.HasField("createdTimeTo"):
        wanted.add("created < ?", events.micros(purge_filter.createdTimeTo))
    return wanted.select(store, "created, id", -1)
