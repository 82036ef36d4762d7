"""What every adapter of an application can do."""

from typing import Literal, Protocol, runtime_checkable

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
