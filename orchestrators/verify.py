"""Verifying rows: plan, groups of jobs one after another, the summary at the end."""

from durabletask import task

from orchestrators.calling import Payload, Steps, call, call_sub, fan_out
from shared.contracts import Counts, RestoredWork, StageProgress, Verified
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
    progress = StageProgress(stage="verify", started_at=ctx.current_utc_datetime, total=total)
    findings: list[Finding] = []
    for number, group in enumerate(plan.groups):
        instance = f"{ctx.instance_id}:{number}"
        progress.children = [instance]
        ctx.set_custom_status(progress.model_dump(mode="json"))
        work = VerifyGroup(**base, group=group.model_dump(), limit=plan.limit)
        answer = yield from call_sub(ctx, "verify_group", work.model_dump(mode="json"), instance)
        done = GroupVerified.model_validate(answer)
        findings = [*findings, *done.findings][:FINDINGS_KEPT]
        progress.done = Counts(rows=progress.done.rows + done.rows, bytes=progress.done.bytes + done.bytes)
        progress.children = []
    finish = FinishVerification(**base, jobs=sum(group.jobs for group in plan.groups), findings=findings)
    answer = yield from call(ctx, "finish_verification", finish.model_dump(mode="json"))
    summary = VerificationSummary.model_validate(answer)
    return Verified(
        checks=summary.checks, findings=summary.findings, tables_blob=summary.tables_blob
    ).model_dump(mode="json")  # fmt: skip


def verify_group(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Verify the jobs of one group. Input: `VerifyGroup`; output: `GroupVerified`."""
    work = VerifyGroup.model_validate(payload)
    result = GroupVerified()
    progress = StageProgress(
        stage="verify",
        started_at=ctx.current_utc_datetime,
        total=Counts(rows=work.group.rows, bytes=work.group.bytes),
    )

    def on_result(answer: Payload) -> None:
        done = JobVerified.model_validate(answer)
        result.rows += done.rows
        result.bytes += done.bytes
        result.findings = [*result.findings, *done.findings][:FINDINGS_KEPT]
        progress.done = Counts(rows=result.rows, bytes=result.bytes)
        ctx.set_custom_status(progress.model_dump(mode="json"))

    jobs = (
        VerifyJob(run=work.run, restore=work.restore, blob=work.group.blob, job=number).model_dump(mode="json")
        for number in range(work.group.jobs)
    )
    yield from fan_out(ctx, "verify_slices", jobs, work.limit, on_result)
    return result.model_dump(mode="json")
