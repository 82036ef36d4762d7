"""Room on a PostgreSQL server: looked for before a restore, and the sentence for a server that ran out of it.

PostgreSQL has no function that tells what its disk holds. What there is is told by Azure Resource Manager for a flexible
server, and by the settings for any other; what is in use the server says itself.
"""

import re
from dataclasses import dataclass
from typing import Any

import psycopg

from shared.azure.arm import ResourceManager
from shared.contracts import DumpRef
from shared.errors import Finding, MxferryError, Refusal
from shared.settings import Postgres, TemporaryPostgres

# 53100; and 25006, because a flexible server turns read-only when its storage is nearly full
# (https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-storage).
FULL = (psycopg.errors.DiskFull, psycopg.errors.ReadOnlySqlTransaction)
REMEDY = (
    "Give the server more storage (Azure: Compute + storage, or turn storage auto-grow on; it cannot shrink again), "
    "then start the migration again."
)

BYTES = re.compile(r"[0-9]{1,18}\Z")  # `isdigit` takes more than `int` does
GIB = 1 << 30
WITH_LOG = 1.3  # the write-ahead log of the load lies beside the tables for a time; docs/sizing.md
OF_A_DUMP = {"none": 1.5}  # bytes of a database with its indexes for one of its dump
OF_A_COMPRESSED_DUMP = 6.0
# A flexible server turns read-only at 95 percent, or with 5 GiB left, whichever comes first.
KEPT_BY_AZURE = (0.05, 5 * GIB)

USED = """
    SELECT COALESCE(sum(pg_database_size(oid)), 0)::bigint FROM pg_database
    WHERE datname <> %s AND (has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE'))
"""
MAY_SEE_LOG = "SELECT has_function_privilege('pg_ls_waldir()', 'EXECUTE')"
LOG = "SELECT COALESCE(sum(size), 0)::bigint FROM pg_ls_waldir()"


@dataclass(frozen=True)
class Storage:
    """What a server may fill, in bytes, and whether Azure gives it more by itself."""

    bytes: int
    grows: bool = False


@dataclass(frozen=True)
class Need:
    """What a restored database will take, in bytes, and what that was reckoned from."""

    bytes: int
    reckoned: str
    estimate: bool = False


def when_full(about: str, error: psycopg.Error) -> Refusal:
    """Return the refusal for a server that ran out of room while `about` was being written."""
    message = f"expected room on the PostgreSQL server, found: {error.diag.message_primary}."
    return Refusal("SERVER_FULL", about, message, REMEDY)


def need_of(metadata: dict[str, str], dump: DumpRef) -> Need:
    """Return what the source's database will need: by its size in the archive's metadata, else by the dump's."""
    size = metadata.get("databaseSize", "")
    if BYTES.match(size) and int(size):
        return Need(int(int(size) * WITH_LOG), f"the source's size of {int(size):,} bytes x {WITH_LOG}")
    factor = OF_A_DUMP.get(dump.compression, OF_A_COMPRESSED_DUMP)
    words = f"an estimate from {dump.size:,} bytes of dump x {factor} x {WITH_LOG}"
    return Need(int(dump.size * factor * WITH_LOG), words, estimate=True)


def check_room(
    connection: psycopg.Connection[Any], server: Postgres, code: str, need: Need, *, database: str, given_back: int = 0
) -> list[Finding]:
    """Return what is to be said of the server's room for a database: nothing where it is enough.

    `database` is left out of what is in use, `given_back` are bytes that will be. An error only where the size is known
    and the storage does not grow.
    """
    where = f"{server.host}:{server.port}"
    needed = f"{need.bytes:,} bytes free ({need.reckoned})"
    try:
        storage = _storage(server)
    except MxferryError as error:
        return [_unknown(code, where, needed, f"Azure did not tell the server's storage ({error.message})")]
    if storage is None:
        return [_unknown(code, where, needed, "no setting tells the server's storage, and it tells none itself")]
    free = max(0, storage.bytes - _used(connection, database) + given_back)
    if free >= need.bytes:
        return []
    message = f"expected {needed}, found {free:,} of {storage.bytes:,} that may be filled"
    if storage.grows:
        message += "; storage auto-grow is on, so Azure will give it more while it is loaded, and never take it back."
        return [
            Finding.warning(code, where, message, "Give it the storage before, if the load must not wait for that.")
        ]
    say = Finding.warning if need.estimate else Finding.error
    return [say(code, where, f"{message}.", REMEDY)]


def _storage(server: Postgres) -> Storage | None:
    if isinstance(server, TemporaryPostgres) and server.resource_id is not None:
        with ResourceManager() as manager:
            size, grows = manager.postgres_storage(server.resource_id)
        share, least = KEPT_BY_AZURE
        return Storage(size - max(int(size * share), least), grows)
    return None if server.storage_gb is None else Storage(server.storage_gb * GIB)


def _used(connection: psycopg.Connection[Any], database: str) -> int:
    used = (connection.execute(USED, (database,)).fetchone() or (0,))[0]
    if connection.execute(MAY_SEE_LOG).fetchone() == (True,):
        used += (connection.execute(LOG).fetchone() or (0,))[0]
    return int(used)


def _unknown(code: str, where: str, needed: str, why: str) -> Finding:
    message = f"expected {needed}; whether they are was not looked at: {why}."
    remedy = "Look at the server's storage; STORAGE_GB beside the server's HOST in the settings lets the next run look."
    return Finding.info(code, where, message, remedy)
