"""Room on a PostgreSQL server: the sentence for a server that has none left. Nothing here asks beforehand."""

import psycopg

from shared.errors import Refusal

# 53100; and 25006, because a flexible server turns read-only when its storage is nearly full
# (https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-storage).
FULL = (psycopg.errors.DiskFull, psycopg.errors.ReadOnlySqlTransaction)
REMEDY = (
    "Give the server more storage (Azure: Compute + storage, or turn storage auto-grow on; it cannot shrink again), "
    "then start the migration again."
)


def when_full(about: str, error: psycopg.Error) -> Refusal:
    """Return the refusal for a server that ran out of room while `about` was being written."""
    message = f"expected room on the PostgreSQL server, found: {error.diag.message_primary}."
    return Refusal("SERVER_FULL", about, message, REMEDY)
