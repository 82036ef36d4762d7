"""Stops and starts the target app, and looks at it; people do it where the profile has no adapter."""

from typing import Literal

from pydantic import Field

from activities.boundary import activity, closing_activity
from shared.apps.app import State, app_of
from shared.contracts import RunWork
from shared.settings import settings
from shared.strict import Strict


class CommandWork(RunWork):
    """Input of `command_app`."""

    command: Literal["start", "stop", "look"]


class Commanded(Strict):
    """Output: what the app does now."""

    state: State
    manual: bool = Field(default=False, description="No adapter: people stop and start this app.")


@activity
def command_app(work: CommandWork) -> Commanded:
    """Ask the target app to start or to stop, unless it is there already, and say what it does now."""
    app = app_of(settings().target_profile(work.run.request.target))
    if app is None:
        return Commanded(state="unknown", manual=True)
    state = app.state()
    if work.command == "start" and state != "running":
        app.start()
        state = app.state()
    if work.command == "stop" and state != "stopped":
        app.stop()
        state = app.state()
    return Commanded(state=state)


@closing_activity
def look_at_app(work: RunWork) -> Commanded:
    """Say what the target app does now; works after an abort too."""
    app = app_of(settings().target_profile(work.run.request.target))
    return Commanded(state="unknown", manual=True) if app is None else Commanded(state=app.state())
