"""What preflight asks the target app."""

from shared.apps.app import app_of
from shared.apps.azure import AzureApp
from shared.errors import Finding, Refusal
from shared.request import MigrationRequest
from shared.settings import TargetProfile


def check_stopped(profile: TargetProfile, request: MigrationRequest) -> list[Finding]:
    """Return TARGET_APP_RUNS if the app of a rehearsal is up and the run is not to stop it.

    An app that runs already is not started, so that nothing would turn its scheduled events off: it would work on the copy
    of production with all its interfaces. Where people start and stop the app nobody can be asked.
    """
    if request.options.purpose != "rehearsal" or request.stop_target_app:
        return []
    app = app_of(profile)
    state = app.state() if app is not None else "unknown"
    if state not in ("running", "changing"):
        return []
    return [
        Finding.error(
            "TARGET_APP_RUNS", request.target,
            f"expected the rehearsal's app to be stopped, found it {state}: it would go on with its scheduled events "
            "on the copy of production.",
            'Say `"stop_target_app": true`, or stop it before. The run starts it without scheduled events where '
            "`start_target_app` says so.",
        )
    ]  # fmt: skip


def check_settable(profile: TargetProfile, request: MigrationRequest) -> list[Finding]:
    """Return TARGET_APP_SETTINGS if the run will change the settings of an app on Azure, and may not.

    A rehearsal starts its app without scheduled events; a hand-over by adapter gives the app its source database. Both come
    when the data lies there, hours later.
    """
    options = request.options
    by_start = options.purpose == "rehearsal" and request.start_target_app != "no"
    by_hand_over = options.target_mode == "runtime" and options.hand_over == "adapter"
    app = app_of(profile) if by_start or by_hand_over else None
    if not isinstance(app, AzureApp):
        return []
    try:
        app.try_settings()
    except Refusal as refused:
        return [
            Finding.error(
                "TARGET_APP_SETTINGS", request.target,
                f"expected the app's identity to be allowed to change the settings of the target app, found: {refused.message}",
                "Deploy infra/ again with `throwAway: true` for this target, or `takesSettings: true` in its `app`: either "
                "gives the identity that role.",
            )
        ]  # fmt: skip
    return []
