"""The stage `inspect`: the data preflight in parallel groups of tables, then the remedies into the plan."""

from durabletask import task

from orchestrators.calling import Payload, Steps, call, fan_out
from orchestrators.stagestatus import StageStatus
from shared.contracts import Counts


def inspect_data(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Inspect the temporary database. Input: `RestoredWork`; output: `Findings`."""
    planned = yield from call(ctx, "plan_inspection", payload)
    findings: list[Payload] = planned["findings"]
    status = StageStatus(ctx, "inspect", total=Counts(rows=planned["rows"], tables=planned["tables"]))

    def inspected(result: Payload) -> None:
        findings.extend(result["findings"])
        status.add(Counts(rows=result["rows"], tables=result["tables"]))

    works = [payload | {"group": group, "collation": planned["collation"]} for group in range(planned["groups"])]
    yield from fan_out(ctx, "inspect_group", works, planned["window"], inspected)
    findings.sort(key=lambda one: (one["code"], one["object"]))
    return (yield from call(ctx, "settle_inspection", payload | {"findings": findings}))
