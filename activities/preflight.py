"""Everything that can be known before the snapshot: connectivity, rights, room, emptiness. All findings at once."""

from collections.abc import Callable, Iterable

from pydantic import Field

from activities.boundary import activity
from activities.failures import attempts_with, classify
from activities.handover import check_hand_over
from shared import capacity, events, masking, rehearsals, remains, runs, sessions
from shared.apps.checks import check_settable, check_stopped
from shared.blobs import checks as blob_checks
from shared.contracts import Findings, RunWork
from shared.errors import Finding, TransientError, open_errors
from shared.mendix.remedies import collations, decide
from shared.postgres import checks as postgres_checks
from shared.postgres import targetchecks
from shared.request import MigrationRequest
from shared.settings import TargetProfile, settings
from shared.smoke.runtime import version_of
from shared.smoke.signin import check_sign_in
from shared.sources import checks as source_checks
from shared.sources.environment import check_database, check_runtime
from shared.sqlserver import checks as sqlserver_checks

Check = Callable[[], Iterable[Finding]]
NOT_EMPTY = {"TARGET_NOT_EMPTY", "CONTAINER_NOT_EMPTY"}
ATTEMPTS = 4
"""How often preflight is done while something does not answer: 15 seconds of pauses, and the time that logins take. It
may be a server that is just getting ready; more often it is a wrong name or a firewall, which people want to know soon."""
ATTEMPTS_OF = {sqlserver_checks.WAKING: 10, blob_checks.UNREACHABLE: 2}
"""Five minutes for a paused serverless database, which takes about one to resume
(https://learn.microsoft.com/azure/azure-sql/database/serverless-tier-overview#latency); for storage the SDK
itself repeats for most of a minute."""


class PreflightWork(RunWork):
    """Input of `preflight`."""

    early: bool = Field(default=False, description="The run waits for its window: the temporary server may be asleep.")


@activity
def preflight(work: PreflightWork) -> Findings:
    """Check source, staging, temporary PostgreSQL (if it is used, and awake) and target.

    Writes nothing but a probe in staging and, in target mode `runtime`, a login without rights that is dropped at once.
    What may answer soon raises a TransientError after all checks are done; at the last attempt it is a finding.
    """
    request = work.run.request
    profile = settings().target_profile(request.target)
    on_temporary: tuple[Check, ...] = (
        lambda: postgres_checks.check_server(settings().postgres) if profile.kind == "sqlserver" else [],
        lambda: check_hand_over(request) if request.options.target_mode == "runtime" else [],
        lambda: _restorable(profile, request),
        lambda: capacity.find_out(work.run),
    )
    if not work.early:
        events.run_started(work.run)
    staging, staging_passing = gather(blob_checks.check_staging)
    found, passing = gather(
        lambda: _holds_target(work.run.id, request.target),
        lambda: remains.check_keep(request),
        lambda: blob_checks.check_target(profile, request.options.blob_prefix),
        lambda: _database(profile, request),
        lambda: rehearsals.unmasked(request),
        lambda: masking.check(request),
        lambda: rehearsals.events_on(request),
        lambda: check_stopped(profile, request),
        lambda: check_settable(profile, request),
        lambda: check_sign_in(profile.app, request),
        lambda: source_checks.check_source(
            request.source,
            request.expected_model_version,
            work.run.id,
            rehearsal=request.options.purpose == "rehearsal",
        ),
        lambda: _runtimes(profile, request),
        *(() if work.early else on_temporary),
    )
    # The attempts are counted in staging; where it may not be written the count would stand still.
    refused = bool(open_errors(staging)) and not staging_passing
    passing = sorted([*staging_passing, *passing], key=_attempts, reverse=True)
    if passing and not refused:
        # One count for everything that does not answer; otherwise each such thing would add attempts of its own.
        first = passing[0]
        most = _attempts(first)
        if attempts_with("AGAIN", "preflight", work.model_dump(mode="json"), work.run.id, most) < most:
            # A code of its own: the boundary refuses some codes after two attempts, and the other findings would be lost.
            raise TransientError("PREFLIGHT_AGAIN", first.about, first.message, first.remedy)
    return Findings(findings=[_decided(finding, request) for finding in (*staging, *found)])


def gather(*checks: Check) -> tuple[list[Finding], list[TransientError]]:
    """Do every check; one that cannot be done is a finding too, so that one run of preflight says everything.

    Returns the findings, and the errors among them that may pass, the one with the most attempts first.
    """
    found: list[Finding] = []
    passing: list[TransientError] = []
    for check in checks:
        try:
            found.extend(check())
        except Exception as error:
            failure = classify(error, "preflight", "")
            if failure.code == "UNEXPECTED":
                raise  # an error of ours: the boundary logs where it was raised
            found.append(failure.finding())
            if isinstance(failure, TransientError):
                passing.append(failure)
    return found, sorted(passing, key=_attempts, reverse=True)


def _attempts(error: TransientError) -> int:
    return ATTEMPTS_OF.get(error.code, ATTEMPTS)


def _holds_target(run: str, target: str) -> list[Finding]:
    holder = runs.take_target(target, run)
    if holder is None:
        return []
    return [
        Finding(
            code="TARGET_BUSY", severity="error", object=target,
            message=f"expected this run to hold the target, found {holder.run} holding it.",
            remedy=f"Wait for {holder.run} to end, then start again.",
        )
    ]  # fmt: skip


def _restorable(profile: TargetProfile, request: MigrationRequest) -> list[Finding]:
    """Check that the restoring server (the temporary one, or the target) can restore from the source's PostgreSQL."""
    if request.source.kind != "mendix-cloud":
        return []
    return check_database(request.source, profile.postgres or settings().postgres)


def _runtimes(profile: TargetProfile, request: MigrationRequest) -> list[Finding]:
    """Check that source and target run the same Mendix version, where both tell it."""
    return check_runtime(request.source, version_of(profile.app)) if request.source.kind == "mendix-cloud" else []


def _database(profile: TargetProfile, request: MigrationRequest) -> list[Finding]:
    if profile.kind == "postgres":
        return targetchecks.check_target(profile)
    mode: sqlserver_checks.Mode = "existing" if request.options.target_mode == "existing" else "create"
    identity = settings().identity_name
    return sqlserver_checks.check_target(
        profile,
        request.options.collation,
        identity=identity,
        mode=mode,
        of_remedies=collations(request.options.remedies),
    )


def _decided(finding: Finding, request: MigrationRequest) -> Finding:
    """Apply what the request has decided: to drop the target, to stop the app on it, or to accept its sessions."""
    if finding.code == sessions.IN_USE:
        (finding,) = decide([finding], request.options.remedies)
        if request.options.purpose == "rehearsal":
            finding = finding.model_copy(update={"remedy": sessions.REHEARSED})
    if finding.code == sessions.IN_USE and finding.chosen is None and request.stop_target_app:
        return finding.model_copy(update={"severity": "warning", "chosen": "stop the target app"})
    if finding.code in NOT_EMPTY and request.target_not_empty == "drop":
        return finding.model_copy(update={"severity": "warning", "chosen": "drop"})
    return finding
