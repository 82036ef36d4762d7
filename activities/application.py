"""Stops and starts the target app, and looks at it and at its database; people do it where the profile has no adapter."""

from typing import Literal

from pydantic import Field

from activities.boundary import activity, closing_activity
from shared import runs
from shared.apps.app import app_of, settings_for, started
from shared.apps.protocol import App, State
from shared.contracts import Findings, RunWork
from shared.mendix.remedies import decide
from shared.postgres import targetchecks
from shared.settings import Application, settings
from shared.sqlserver import checks
from shared.strict import Strict


class CommandWork(RunWork):
    """Input of `command_app`."""

    command: Literal["start", "stop", "look"]


class LeaveWork(RunWork):
    """Input of `leave_app`."""

    command: Literal["start", "stop"]


class Commanded(Strict):
    """Output: what the app does now."""

    state: State
    manual: bool = Field(default=False, description="No adapter: people stop and start this app.")
    patience_seconds: int = Field(default=0, description="How long the app may take to do what it is asked for.")


@activity
def command_app(work: CommandWork) -> Commanded:
    """Ask the target app to start or to stop, unless it has done so already, and say what it does now.

    Refuses to stop an app that this run has asked to start: such a delivery is late, and people already work in the app.
    """
    app = _app(work)
    if app is None:
        return _manual()
    state = app.state()
    if work.command == "start" and state != "running":
        runs.ask_start(work.run.id)
        started(app, _start_with(work))
        state = app.state()
    if work.command == "stop" and state != "stopped":
        runs.stop_if_start_asked(work.run.id)
        app.stop()
        state = app.state()
    return _seen(work, state)


@closing_activity
def leave_app(work: LeaveWork) -> Commanded:
    """Start or stop the target app, as it shall be left at the end of the run; works after an abort too.

    A delivery that comes after the clean-up has begun is refused: by then the app is in people's hands again.
    """
    app = _app(work)
    if app is None:
        return _manual()
    runs.stop_if_closed(work.run.id)
    if work.command == "start":
        runs.ask_start(work.run.id)
        started(app, _start_with(work))
    else:
        app.stop()
    return _seen(work, app.state())


@closing_activity
def look_at_app(work: RunWork) -> Commanded:
    """Say what the target app does now; works after an abort too."""
    app = _app(work)
    return _manual() if app is None else _seen(work, app.state())


@activity
def look_for_sessions(work: RunWork) -> Findings:
    """List the other sessions on the target database just before it is written: an error unless the request accepts them."""
    profile = settings().target_profile(work.run.request.target)
    found = targetchecks.in_use(profile.postgres) if profile.postgres is not None else []
    if profile.kind == "sqlserver" and profile.sql is not None:
        found = checks.in_use(profile.sql)
    decided = decide(found, work.run.request.options.remedies)
    return Findings(findings=[one if one.chosen else one.model_copy(update={"severity": "error"}) for one in decided])


def _app(work: RunWork) -> App | None:
    return app_of(settings().target_profile(work.run.request.target), _start_with(work))


def _start_with(work: RunWork) -> dict[str, str]:
    return settings_for(work.run.request.options.purpose)


def _manual() -> Commanded:
    return Commanded(state="unknown", manual=True)


def _seen(work: RunWork, state: State) -> Commanded:
    app = settings().target_profile(work.run.request.target).app or Application()
    return Commanded(state=state, patience_seconds=app.patience_minutes * 60)
