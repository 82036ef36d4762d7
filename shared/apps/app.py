"""What every adapter can do, and which one a target profile has."""

from typing import Literal, Protocol, runtime_checkable

from shared.request import Purpose
from shared.settings import Application, TargetProfile

State = Literal["running", "stopped", "changing", "unknown"]


class App(Protocol):
    """An application. Every call is short: a change is asked for, and its progress is read by `state`.

    All raise `TransientError` for what a retry may mend and `Refusal` for what it cannot.
    """

    def state(self) -> State:
        """Return what it does now."""

    def start(self) -> None:
        """Ask for the start; asking again changes nothing."""

    def stop(self) -> None:
        """Ask for the stop; asking again changes nothing."""


@runtime_checkable
class Configurable(App, Protocol):
    """An application whose custom runtime settings the adapter can set."""

    def configure(self, settings: dict[str, str]) -> None:
        """Add custom runtime settings, name → value, beside those there are; again changes nothing but the values."""

    def unconfigure(self) -> None:
        """Take the SourceDatabase settings away, and nothing else; the platform then starts the app again."""


REHEARSAL_SETTINGS = {"ScheduledEventExecution": "NONE"}
"""What the app of a rehearsal is started with. The runtime's own default is NONE, but images of Mendix' buildpacks say ALL
where nobody says otherwise (https://github.com/mendix/cf-mendix-buildpack, buildpack/core/runtime.py): without it the copy
of last night would send the mails and call the interfaces of this morning.
https://docs.mendix.com/refguide/custom-settings/#ScheduledEventExecution"""


def configurable_of(profile: TargetProfile) -> Configurable | None:
    """Return the adapter of a profile if it can set settings; None where people must."""
    app = app_of(profile)
    return app if isinstance(app, Configurable) else None


def app_of(profile: TargetProfile, start_with: dict[str, str] | None = None) -> App | None:
    """Return the adapter of a profile; None where people stop and start the app by hand.

    A hook is told the custom runtime settings `start_with` when it is told to start.
    """
    return None if profile.app is None or profile.app.kind == "manual" else _made(profile.app, start_with)


def started(app: App, start_with: dict[str, str]) -> None:
    """Ask for the start with custom runtime settings, which stay in the app; a hook has them from `app_of`."""
    if start_with and isinstance(app, Configurable):
        app.configure(start_with)
    app.start()


def settings_for(purpose: Purpose) -> dict[str, str]:
    """Return the custom runtime settings with which an app is started on what a run of that purpose has written."""
    return REHEARSAL_SETTINGS if purpose == "rehearsal" else {}


def _made(settings: Application, start_with: dict[str, str] | None) -> App:
    # Imported here, so that a profile without Kubernetes never loads what only Kubernetes needs.
    if settings.kind == "webhook":
        from shared.apps.webhook import Webhook

        return Webhook(settings, start_with)
    if settings.kind == "azure":
        from shared.apps.azure import AzureApp

        return AzureApp(settings)
    from shared.apps.kubernetes import KubernetesApp

    return KubernetesApp(settings)
