"""The stage `finish`: keys and indexes of all tables in parallel, then foreign keys, then the database itself."""

from durabletask import task

from orchestrators.calling import Payload, Steps, call, fan_out
from orchestrators.stagestatus import StageStatus
from shared.contracts import Counts


def finish_schema(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Complete the target's schema. Input: `RestoredWork`; output: `Findings`."""
    planned = yield from call(ctx, "plan_finish", payload)
    findings: list[Payload] = []
    status = StageStatus(ctx, "finish", total=Counts(tables=planned["tables"]), note="keys and indexes")

    def keyed(result: Payload) -> None:
        findings.extend(result["findings"])
        status.add(Counts(tables=result["tables"]))

    def linked(result: Payload) -> None:
        findings.extend(result["findings"])

    yield from fan_out(ctx, "finish_tables", _works(payload, planned["groups"]), planned["window"], keyed, status.held)
    status.show(note="foreign keys")
    yield from fan_out(ctx, "finish_links", _works(payload, planned["linked"]), planned["window"], linked, status.held)
    last = yield from call(ctx, "finish_database", payload)
    findings.extend(last["findings"])
    findings.sort(key=lambda one: (one["code"], one["object"]))
    return {"findings": findings}


def _works(payload: Payload, groups: int) -> list[Payload]:
    return [payload | {"group": group} for group in range(groups)]
