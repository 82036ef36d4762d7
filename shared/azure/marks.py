"""Who needs what of the shared environment: small blobs in the reports container.

The temporary PostgreSQL server serves several runs; it is stopped by the last one. A scaled-up database remembers the
size it had, so that whoever comes next, after a crash too, can bring it back.
"""

import hashlib
import json
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContainerClient

# A run that crashed leaves its mark; it must not keep the server awake for ever.
FORGOTTEN_AFTER = timedelta(hours=48)
LOST_AFTER = timedelta(days=30)
STOPPING, STOPS_WITHIN = "environment/postgres-stopping", timedelta(minutes=5)


class ServerMarks:
    """Marks of the runs that need the temporary PostgreSQL server."""

    def __init__(self, container: ContainerClient) -> None:
        self.container = container

    def put(self, run: str) -> None:
        """Mark that a run needs the server."""
        self.container.upload_blob(_server_mark(run), b"", overwrite=True)

    def take_away(self, run: str) -> None:
        """Take a run's mark away; it may be gone already."""
        try:
            self.container.delete_blob(_server_mark(run))
        except ResourceNotFoundError:
            return

    def others(self, run: str) -> list[str]:
        """Return the other runs whose marks are not older than two days."""
        since = datetime.now(UTC) - FORGOTTEN_AFTER
        prefix = _server_mark("")
        return [
            name
            for blob in self.container.list_blobs(name_starts_with=prefix)
            if (name := blob.name.removeprefix(prefix)) != run and blob.last_modified >= since
        ]

    def forgotten(self) -> list[str]:
        """Return the runs whose marks are older than that: they have crashed, or wait for longer.

        Nothing waits for a month: a mark that old is of a run whose engine is gone.
        """
        now = datetime.now(UTC)
        since, before = now - LOST_AFTER, now - FORGOTTEN_AFTER
        prefix = _server_mark("")
        marks = self.container.list_blobs(name_starts_with=prefix)
        return [blob.name.removeprefix(prefix) for blob in marks if since < blob.last_modified < before]

    def stopping(self) -> None:
        """Mark that the server is about to be stopped; a run that sees it Ready waits until it is not, or starts it again."""
        self.container.upload_blob(STOPPING, b"", overwrite=True)

    def not_stopping(self) -> None:
        """Take that mark away; it may be gone already."""
        try:
            self.container.delete_blob(STOPPING)
        except ResourceNotFoundError:
            return

    def is_stopping(self) -> bool:
        """Say whether the server is about to be stopped; a mark that somebody left is forgotten after some minutes."""
        since = datetime.now(UTC) - STOPS_WITHIN
        return any(one.last_modified >= since for one in self.container.list_blobs(name_starts_with=STOPPING))


class SizeMark:
    """The size a database had before it was scaled up."""

    def __init__(self, container: ContainerClient, database_id: str) -> None:
        self.container = container
        digest = hashlib.sha256(database_id.lower().encode()).hexdigest()[:32]
        self.name = f"environment/sql/{digest}.json"

    def put(self, sku: str, run: str) -> None:
        """Remember the size, unless a size is remembered already: the first one is the one to go back to."""
        try:
            self.container.upload_blob(self.name, json.dumps({"sku": sku, "run": run}).encode(), overwrite=False)
        except ResourceExistsError:
            return

    def read(self) -> str | None:
        """Return the remembered size, or None."""
        try:
            return str(json.loads(self.container.download_blob(self.name).readall())["sku"])
        except ResourceNotFoundError:
            return None

    def forget(self) -> None:
        """Forget it; it may be forgotten already."""
        try:
            self.container.delete_blob(self.name)
        except ResourceNotFoundError:
            return


def _server_mark(run: str) -> str:
    return f"environment/postgres/{run}"
