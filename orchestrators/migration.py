"""The migration, stage by stage; reads as the runbook does.

environment → preflight → snapshot → restore → plan → inspect → (in time?) → (approval) → (app stopped, nobody on the target) → scale → { database | files } →
reconcile → smoke → report → clean-up → stand-down. Until `database` and `files` start, nothing on the target has been
written: everything that can be known beforehand is known by then. A failure anywhere goes to report and clean-up with
what is known.
"""

import contextlib

from durabletask import task

from orchestrators import sourceapp
from orchestrators.applications import app_left, app_started, app_stopped, smoke_tested, target_free
from orchestrators.calling import Payload, StageRefused, Steps, call
from orchestrators.gates import Place, approval, in_time, record_findings, snapshot_due, window_opens
from orchestrators.modes import mode_of
from orchestrators.outcome import Outcome
from orchestrators.sides import side_by_side
from orchestrators.snapshot import ignored_names
from orchestrators.stages import StageFailed, StageRecord, aside, child_stage, failure_of, stage
from shared.contracts import Run
from shared.errors import Finding, open_errors

EARLY = "early-preflight"


def migrate(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Do one migration. Input: `Run`; output: `Summary`. Never ends without a report and a clean-up."""
    run = Run.model_validate(payload)
    record = StageRecord(ctx, run.id)
    outcome = Outcome(run)
    try:
        yield from _known_early(record, run, outcome)
        yield from window_opens(record, run)
        outcome.findings.clear()  # preflight looks at all of it again
        yield from _prepare(record, run, outcome)
        if run.request.options.dry_run:
            outcome.planned()
        else:
            yield from in_time(record, run, outcome, "before the approval")
            yield from approval(record, run)
            yield from app_stopped(record, run, outcome)
            yield from in_time(record, run, outcome, "before the target is written")  # people may have taken their time
            yield from target_free(record, run, outcome)
            yield from _move(record, run, outcome)
            yield from _prove(record, run, outcome)
    except StageFailed as failed:
        outcome.failed(failed)
    except (StageRefused, task.TaskFailedError) as error:  # a call outside any stage; clean up all the same
        outcome.failed(failure_of("migration", error))
    yield from _close(record, run, outcome)
    return outcome.summary(record).model_dump(mode="json")


def _known_early(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """Before waiting for the window, report what is wrong already. Nothing of it stops the run: there is time to mend it."""
    window = run.request.window
    if window is None or window.start is None or window.start <= record.now():
        return
    work = {"run": run.model_dump(mode="json"), "early": True}
    with contextlib.suppress(StageFailed):  # an abort ends the run at the wait that follows
        outcome.answered(EARLY, (yield from stage(record, EARLY, call(record.ctx, "preflight", work))))
        wrong = len(open_errors(outcome.findings))
        record.note(EARLY, f"errors that stop the run unless they are mended: {wrong}" if wrong else "")
        yield from record_findings(record, outcome)


def _prepare(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """Everything before the point of no return: reads the source, writes only staging and the temporary database."""
    work = {"run": run.model_dump(mode="json")}
    yield from child_stage(record, "environment", "open_environment", work)
    outcome.opened = True
    yield from _checked(record, outcome, "preflight", stage(record, "preflight", call(record.ctx, "preflight", work)))
    if not run.request.options.dry_run:
        yield from in_time(record, run, outcome, "before the snapshot")  # the users are still at work
    yield from snapshot_due(record, run)
    snapshot = yield from child_stage(record, "snapshot", "take_snapshot", work)
    outcome.snapshot = snapshot
    outcome.findings.extend(ignored_names(snapshot))
    yield from sourceapp.after_snapshot(record, run, outcome)
    _same_version(record, run, "snapshot", snapshot.get("metadata", {}).get("modelVersion"))
    yield from _in_time_midway(record, run, outcome, "after the snapshot")
    held: StageFailed | None = None
    for step in mode_of(run).before:
        steps = step.steps(record, run, outcome.handed)
        try:
            answer = yield from (_checked(record, outcome, step.stage, steps) if step.checks else steps)
        except StageFailed as failed:
            if not (step.with_next and failed.listed):
                raise
            held = failed
            continue
        if held is not None:
            raise held
        if step.stage == "restore":
            outcome.restore = outcome.answers["restore"]
        _same_version(record, run, step.stage, answer.get("model_version"))
        if step.stage == "restore":
            yield from _in_time_midway(record, run, outcome, "after the restore")


def _in_time_midway(record: StageRecord, run: Run, outcome: Outcome, place: Place) -> Steps:
    if run.late_midway and not run.request.options.dry_run:
        yield from in_time(record, run, outcome, place)


def _same_version(record: StageRecord, run: Run, stage_name: str, found: str | None) -> None:
    """Refuse a snapshot of another model version than the request expects; an unknown version passes."""
    expected = run.request.expected_model_version
    if expected is None or found is None or found == expected:
        return
    finding = Finding(
        code="MODEL_VERSION_DIFFERS", severity="error", object=stage_name,
        message=f"expected a snapshot of model version {expected}, found {found}.",
        remedy="Deploy the expected version and take a new snapshot, or expect the version that the snapshot has.",
    )  # fmt: skip
    record.fail(stage_name, finding.code)
    raise StageFailed(stage_name, finding)


def _checked(record: StageRecord, outcome: Outcome, name: str, steps: Steps) -> Steps:
    """Do a checking stage; keep its findings where the API reads them; stop at the first stage with errors."""
    answer = yield from steps
    outcome.answered(name, answer)
    findings = [Finding.model_validate(one) for one in answer.get("findings", [])]
    if findings:
        yield from record_findings(record, outcome)
    errors = open_errors(findings)
    if errors:
        record.fail(name, errors[0].code)
        raise StageFailed(name, errors[0], listed=True)
    return answer


def _move(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """Past the point of no return: database and files."""
    scaled = yield from child_stage(record, "scale", "scale_for_load", {"run": run.model_dump(mode="json")})
    outcome.answered("scale", scaled)
    if scaled.get("findings"):  # to be read while the load runs
        yield from record_findings(record, outcome)
    record.progress.target_written_at = record.now()
    outcome.target_written = True
    failures = yield from side_by_side(record, run, outcome)
    yield from record_findings(record, outcome)
    if failures:
        raise failures[0]


def _prove(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """Rows against files, then the app is started and the smoke checks are done, if asked for."""
    work = {"run": run.model_dump(mode="json")}
    answer = yield from stage(record, "reconcile", call(record.ctx, "reconcile_files", work | outcome.handed))
    outcome.answered("reconcile", answer)
    ready = yield from app_started(record, run, outcome)
    if not run.request.smoke.wanted:
        record.skip("smoke", "the request asked for no smoke checks")
    elif not ready:
        record.skip("smoke", "the app was not started")
    else:
        outcome.answered("smoke", (yield from stage(record, "smoke", smoke_tested(record, run))))
    # Heeds an abort that was accepted while the last of these activities worked; from here on it is too late for one.
    yield from aside("outcome", call(record.ctx, "heed_abort", work))


def _close(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """Report what is known, clean up, and complete the report with what the clean-up did."""
    outcome.judge()
    if not sourceapp.handed_over(record):
        yield from sourceapp.at_the_end(record, run, outcome)
    yield from app_left(record, run, outcome)
    work = {"run": run.model_dump(mode="json")}
    if outcome.target_written and outcome.verdict != "verified":
        yield from _do_closing_stage(outcome, "stock", stage(record, "stock", call(record.ctx, "take_stock", work)))
    closing = (
        ("report", stage(record, "report", call(record.ctx, "write_report", outcome.report(record)))),
        ("clean-up", stage(record, "clean-up", call(record.ctx, "clean_up", outcome.record_input()))),
        ("stand-down", child_stage(record, "stand-down", "close_environment", work)),
    )
    for name, steps in closing:
        yield from _do_closing_stage(outcome, name, steps)
        if name == "clean-up" and sourceapp.handed_over(record):
            yield from sourceapp.at_the_end(record, run, outcome)
    try:
        yield from call(record.ctx, "write_report", outcome.report(record))
    except (StageRefused, task.TaskFailedError) as error:
        outcome.reason = outcome.reason or f"The report could not be written: {error}"


def _do_closing_stage(outcome: Outcome, name: str, steps: Steps) -> Steps:
    """Do one closing stage; one that fails is a warning, and the others are done all the same."""
    try:
        outcome.answered(name, (yield from steps))
    except StageFailed as failed:
        outcome.findings.append(failed.finding.model_copy(update={"severity": "warning"}))
