"""Which adapter a target profile has, and what an app is started with."""

from shared.apps.protocol import App, Configurable
from shared.request import Purpose
from shared.settings import Application, TargetProfile

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
