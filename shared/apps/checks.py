"""What preflight asks the target app."""

from shared.apps.app import app_of
from shared.errors import Finding
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
