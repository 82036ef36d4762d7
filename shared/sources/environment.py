"""Preflight of a Mendix Cloud environment: access to its backups, its status, its model and its PostgreSQL version."""

from shared.errors import Finding, Refusal, TransientError
from shared.postgres.connection import connect
from shared.request import MendixCloudSource
from shared.settings import MendixCloud, Postgres, settings
from shared.sources.cloudsteps import profile_of
from shared.sources.mendixcloud import Busy, CloudEnvironment, MendixCloudApi, Unreachable


def check_database(source: MendixCloudSource, server: Postgres) -> list[Finding]:
    """Return whether the environment's PostgreSQL is newer than the server that its dump is restored to.

    Empty without a personal access token in the profile, and where the server cannot be asked, which other checks say:
    then the dump itself tells its version, before it is restored.
    """
    profile = settings().source_profile(source.profile).mendix_cloud
    try:
        told = MendixCloudApi(profile).database_version() if profile else None
        major = (told or "").partition(".")[0][:9]
        ours = _major_of(server) if major.isascii() and major.isdigit() else None
    except (Busy, TransientError):
        return []
    except Refusal as refused:
        return [_version_not_told(source, refused)]
    if ours is None or int(major) <= ours:
        return []
    return [
        Finding(
            code="SERVER_OLDER_THAN_SOURCE",
            severity="error",
            object=f"{server.host}:{server.port}",
            message=f"expected a PostgreSQL at least as new as the source's {told}, found {ours}.",
            remedy=f"Upgrade the server to PostgreSQL {major} or newer, before a snapshot is taken.",
        )
    ]


def _major_of(server: Postgres) -> int | None:
    """Return the server's major version; None when it does not let us in."""
    try:
        with connect(server, autocommit=True, application_name="mxferry preflight") as connection:
            return connection.info.server_version // 10_000
    except Refusal:
        return None


def _version_not_told(source: MendixCloudSource, refused: Refusal) -> Finding:
    name = source.profile.upper().replace("-", "_")
    return Finding(
        code="SOURCE_VERSION_UNKNOWN",
        severity="warning",
        object=source.profile,
        message=f"expected the source's PostgreSQL version from the Deploy API v4, found {refused.code}.",
        remedy=f"Give SOURCE__{name}__MENDIX_CLOUD__PERSONAL_ACCESS_TOKEN the scope mx:deployment:read, or leave it out: "
        "then the version is known when the snapshot is there.",
    )


def check_environment(
    source: MendixCloudSource, expected_model_version: str | None, *, rehearsal: bool = False
) -> list[Finding]:
    """Return what keeps us from taking a backup there, and what the team should know before it does.

    Raises `Refusal` where the API refuses.
    """
    profile = profile_of(source)
    api = MendixCloudApi(profile)
    try:
        next(api.snapshots(), None)
        if profile.app_id is None:
            return _without_app_id(source)
        found = api.environment()
        left_running = found.Status == "Running" and not source.stop_app and source.snapshot == "new"
        warned = [_running(source)] if left_running and not rehearsal else []
        return [*_status(source, profile, found, expected_model_version), *warned]
    except Unreachable as away:
        return [
            Finding(
                code="MENDIX_UNREACHABLE",
                severity="error",
                object=source.profile,
                message=f"expected an answer about the environment, found: {away.why}.",
                remedy="Let the app reach Mendix Cloud by https (network rules, name resolution, proxy), or correct the "
                "profile's BACKUPS_URL and DEPLOY_URL.",
            )
        ]
    except Busy as busy:
        return [
            Finding(
                code="MENDIX_BUSY",
                severity="warning",
                object=source.profile,
                message=f"expected an answer about the environment, found: {busy.why}.",
                remedy="The run waits for Mendix Cloud; start it outside the nightly backup to be faster.",
            )
        ]


def check_runtime(source: MendixCloudSource, target_version: str | None) -> list[Finding]:
    """Return whether the target's runtime is of another version than the source's; empty where one is not told."""
    profile = profile_of(source)
    if target_version is None or profile.app_id is None:
        return []
    try:
        version = MendixCloudApi(profile).environment().MendixVersion
    except Busy:
        return []
    if version is None or _release(version) == _release(target_version):
        return []
    return [
        Finding(
            code="RUNTIME_VERSION",
            severity="warning",
            object="target app",
            message=f"expected the source's Mendix runtime {version}, found {target_version}.",
            remedy="Deploy the target with the source's version; a runtime of another one changes the database when it "
            "starts, or refuses it.",
        )
    ]


def _release(version: str) -> list[str]:
    """Return major, minor and patch; a build number may follow."""
    return version.split(".")[:3]


def _without_app_id(source: MendixCloudSource) -> list[Finding]:
    if not source.stop_app:
        return []
    return [
        Finding(
            code="SOURCE_PROFILE_INCOMPLETE",
            severity="error",
            object=source.profile,
            message="expected the app id of the environment to stop the app, found none in the profile.",
            remedy=f"Add the app setting SOURCE__{source.profile.upper().replace('-', '_')}__MENDIX_CLOUD__APP_ID.",
        )
    ]


def _running(source: MendixCloudSource) -> Finding:
    return Finding.warning(
        "SOURCE_APP_RUNNING", source.profile,
        "expected a stopped app for a cut-over, found it running: what users change after the snapshot stays behind, and "
        "files they delete meanwhile may be missing from it.",
        'Ask for "stop_app": true, or stop the app before.',
    )  # fmt: skip


def _status(
    source: MendixCloudSource, profile: MendixCloud, found: CloudEnvironment, expected_model_version: str | None
) -> list[Finding]:
    findings = []
    if found.EnvironmentId and found.EnvironmentId != profile.environment_id:
        findings.append(
            Finding(
                code="MENDIX_WRONG_ENVIRONMENT",
                severity="error",
                object=source.profile,
                message=f"expected environment {profile.environment_id}, found that {profile.app_id} {profile.mode} is "
                f"{found.EnvironmentId}.",
                remedy="Correct ENVIRONMENT_ID, APP_ID or MODE in the source profile.",
            )
        )
    if expected_model_version and found.ModelVersion and found.ModelVersion != expected_model_version:
        findings.append(
            Finding(
                code="MODEL_VERSION",
                severity="error",
                object=source.profile,
                message=f"expected model version {expected_model_version}, found {found.ModelVersion} deployed.",
                remedy="Deploy the expected version to the source, or ask for the one that is there.",
            )
        )
    return findings
