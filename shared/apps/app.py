"""What every adapter can do, and which one a target profile has."""

from typing import Literal, Protocol, runtime_checkable

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
    """An application whose custom runtime settings the adapter can set, for the hand-over of target mode `runtime`."""

    def configure(self, settings: dict[str, str]) -> None:
        """Add custom runtime settings, name → value, beside those there are; again changes nothing but the values."""

    def unconfigure(self) -> None:
        """Take the SourceDatabase settings away, and nothing else; the platform then starts the app again."""


def configurable_of(profile: TargetProfile) -> Configurable | None:
    """Return the adapter of a profile if it can set settings; None where people must."""
    app = app_of(profile)
    return app if isinstance(app, Configurable) else None


def app_of(profile: TargetProfile) -> App | None:
    """Return the adapter of a profile; None where people stop and start the app by hand."""
    return None if profile.app is None or profile.app.kind == "manual" else _made(profile.app)


def _made(settings: Application) -> App:
    # Imported here, so that a profile without Kubernetes never loads what only Kubernetes needs.
    if settings.kind == "webhook":
        from shared.apps.webhook import Webhook

        return Webhook(settings)
    if settings.kind == "azure":
        from shared.apps.azure import AzureApp

        return AzureApp(settings)
    from shared.apps.kubernetes import KubernetesApp

    return KubernetesApp(settings)
