"""How often a run may sign in without success: twice, whatever is delivered again and whoever dies in between.

The runtime blocks a user after three wrong passwords. So a note is written before the password is sent, and taken back when
the app took it, or never saw it; two notes are the end. A password that the app has refused uses up both.
"""

from contextlib import suppress
from datetime import UTC, datetime

from azure.core.exceptions import AzureError
from azure.storage.blob import BlobClient
from pydantic import AwareDatetime, BaseModel

from shared import runpaths
from shared.blobs import documents
from shared.blobs.clients import staged

MOST = 2


class _Tried(BaseModel):
    """A password was sent."""

    at: AwareDatetime


class Tries:
    """The sign-ins of a run that have had no success, over all its deliveries."""

    def __init__(self, run: str) -> None:
        self._notes = [staged(run, runpaths.sign_in(number)) for number in range(MOST)]
        self._mine: BlobClient | None = None

    def begin(self) -> bool:
        """Note a try before it is made; False where there is none left."""
        self._mine = next((note for note in self._notes if documents.write_once(note, _now())), None)
        return self._mine is not None

    def take_back(self) -> None:
        """Say that the app took the password, or never saw it; a note that stays all the same costs one try."""
        if self._mine is not None:
            with suppress(AzureError):
                self._mine.delete_blob()
        self._mine = None

    def use_up(self) -> None:
        """Say that the app refused the password: there is no other try."""
        for note in self._notes:
            documents.write_once(note, _now())


def _now() -> _Tried:
    return _Tried(at=datetime.now(UTC))
