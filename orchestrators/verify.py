"""Verifying rows: plan, groups of jobs one after another, the summary at the end."""

from durabletask import task

from orchestrators.calling import Payload, Steps, call, call_sub, fan_out
from orchestrators.stagestatus import StageStatus
from shared.contracts import Counts, RestoredWork, Verified
from shared.errors import Finding
from shared.rowcontracts import (
    FinishVerification,
    GroupVerified,
    JobVerified,
    VerificationSummary,
    VerifyGroup,
    VerifyJob,
    VerifyPlan,
)

FINDINGS_KEPT = 200  # a finding is about 1 KB, and the answer crosses the durable boundary


def verify_rows(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Verify every planned table at the levels of the request. Input: `RestoredWork`; output: `Verified`."""
    plan = VerifyPlan.model_validate((yield from call(ctx, "plan_verification", payload)))
    base = RestoredWork.model_validate(payload).model_dump()
    total = Counts(rows=plan.rows, bytes=sum(group.bytes for group in plan.groups))
    status = StageStatus(ctx, "verify", total=total)
    findings: list[Finding] = []
    for number, group in enumerate(plan.groups):
        instance = f"{ctx.instance_id}:{number}"
        status.show(children=[instance])
        work = VerifyGroup(**base, group=group.model_dump(), limit=plan.limit)
        answer = yield from call_sub(ctx, "verify_group", work.model_dump(mode="json"), instance)
        done = GroupVerified.model_validate(answer)
        findings = [*findings, *done.findings][:FINDINGS_KEPT]
        status.show(done=status.done + Counts(rows=done.rows, bytes=done.bytes), children=[])
    finish = FinishVerification(**base, jobs=sum(group.jobs for group in plan.groups), findings=findings)
    answer = yield from call(ctx, "finish_verification", finish.model_dump(mode="json"))
    summary = VerificationSummary.model_validate(answer)
    return Verified(
        checks=summary.checks, findings=summary.findings, tables_blob=summary.tables_blob
    ).model_dump(mode="json")  # fmt: skip


def verify_group(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Verify the jobs of one group. Input: `VerifyGroup`; output: `GroupVerified`."""
    work = VerifyGroup.model_validate(payload)
    status = StageStatus(ctx, "verify", total=Counts(rows=work.group.rows, bytes=work.group.bytes))
    findings: list[Finding] = []

    def on_result(answer: Payload) -> None:
        done = JobVerified.model_validate(answer)
        findings.extend(done.findings[: FINDINGS_KEPT - len(findings)])
        status.add(Counts(rows=done.rows, bytes=done.bytes))

    jobs = (
        VerifyJob(run=work.run, restore=work.restore, blob=work.group.blob, job=number).model_dump(mode="json")
        for number in range(work.group.jobs)
    )
    yield from fan_out(ctx, "verify_slices", jobs, work.limit, on_result)
    return GroupVerified(rows=status.done.rows, bytes=status.done.bytes, findings=findings).model_dump(mode="json")
