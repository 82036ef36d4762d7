"""How long a migration will take: the limits that Azure documents, the rates that we measured, one formula.

The load of the rows is bound by the slower of two: what one session can send, times the sessions; and what the target
may write to its log. Files are bound by requests, not by bytes, unless they are large. Preflight's ETA and docs/sizing.md
use this module.
"""

import math
import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.snapshot.filecopy import PUTS_AT_ONCE
from shared.wording import size

MB = 1_000_000

# Megabytes a second that Azure SQL lets a database write to its log, by tier and vCores (resource limits of vCore single
# databases, https://learn.microsoft.com/azure/azure-sql/database/resource-limits-vcore-single-databases).
LOG_PER_CORE = {"GP": 4.5, "BC": 12.0}
LOG_MOST = {"GP": 50.0, "BC": 96.0}
LOG_HYPERSCALE = 100.0
LOG_HYPERSCALE_PREMIUM = 150.0
# DTU tiers publish no log rate; Premium measures near BC with few cores, Standard well below GP. Cautious guesses.
LOG_DTU = {"Basic": 0.5, "S": 2.0, "P": 12.0}

SESSION = 42.0  # MB a second of PostgreSQL rows: ADBC → Arrow → bulk copy, one session, measured on one core
RESTORE = 75.0  # MB a second of COPY text into the temporary server, one stream, measured
BURSTABLE_RESTORE = 30.0  # a burstable server once its credits are spent: an assumption
INFLATE = 47.0  # MB a second of tar: unpacking and staging, measured against an emulator; Azure was not slower
SNAPSHOT = 100.0  # MB a second of server-side copy: an assumption
FILE_REQUEST = 0.05  # seconds a small file: one write, with its share of a read; an assumption for one region
FILE_BYTES = 100.0  # MB a second of file contents, all slices together: an assumption
LOG_FACTOR = {
    "heap-first": 2.0,
    "keys-first": 1.2,
}  # bytes of log per byte of row: heap-first writes the clustered index again
VERIFY = 200.0  # MB a second that both ends read and hash side by side
START = 300.0  # seconds: server start, cold start, preflight, report


class Load(BaseModel):
    """What is to be moved."""

    model_config = ConfigDict(extra="forbid")

    rows: int = Field(ge=0)
    row_bytes: int = Field(ge=0, description="Bytes of the tables in PostgreSQL, indexes not counted.")
    files: int = Field(ge=0)
    file_bytes: int = Field(ge=0)
    archive_bytes: int = Field(ge=0, description="Bytes of the snapshot as downloaded.")


class Capacity(BaseModel):
    """What it is moved with."""

    model_config = ConfigDict(extra="forbid")

    objective: str = Field(description="Service objective of the target, such as GP_Gen5_8; empty for no limit known.")
    parallel_chunks: int = Field(default=4, ge=1)
    parallel_files: int = Field(default=4, ge=1)
    load: Literal["heap-first", "keys-first"] = "heap-first"
    burstable: bool = False


class Estimate(BaseModel):
    """Seconds by stage; `total` counts the two sides, which run side by side, once."""

    snapshot: float
    restore: float
    rows: float
    verify: float
    files: float
    total: float
    bound_by: Literal["log rate of the target", "sessions"]


def log_rate(objective: str) -> float | None:
    """Return the megabytes a second that a service objective may write to its log; None where no limit is known."""
    name = objective.strip()
    if name.startswith("HS_"):
        return LOG_HYPERSCALE_PREMIUM if name.startswith(("HS_PRMS", "HS_MOPRMS")) else LOG_HYPERSCALE
    vcores = re.fullmatch(r"(GP|BC)_(?:S_)?\w*?_(\d+)", name)
    if vcores:
        tier = vcores[1]
        return min(LOG_PER_CORE[tier] * int(vcores[2]), LOG_MOST[tier])
    dtu = re.fullmatch(r"(Basic|S|P)\d*", name)
    return LOG_DTU[dtu[1]] if dtu else None


def row_rate(capacity: Capacity) -> tuple[float, Literal["log rate of the target", "sessions"]]:
    """Return megabytes of rows a second, and what bounds them."""
    by_sessions = SESSION * capacity.parallel_chunks
    allowed = log_rate(capacity.objective)
    by_log = math.inf if allowed is None else allowed / LOG_FACTOR[capacity.load]
    return (by_log, "log rate of the target") if by_log < by_sessions else (by_sessions, "sessions")


def estimate(load: Load, capacity: Capacity) -> Estimate:
    """Return how long a migration of that load takes with that capacity, in seconds. Within a factor of two, no better."""
    rate, bound_by = row_rate(capacity)
    snapshot = load.archive_bytes / MB / SNAPSHOT + (load.file_bytes + load.row_bytes) / MB / INFLATE
    restore = load.row_bytes / MB / (BURSTABLE_RESTORE if capacity.burstable else RESTORE)
    rows = load.row_bytes / MB / rate
    verify = load.row_bytes / MB / VERIFY
    files = file_seconds(load, capacity)
    total = START + snapshot + restore + max(rows + verify, files)
    return Estimate(
        snapshot=snapshot, restore=restore, rows=rows, verify=verify, files=files, total=total, bound_by=bound_by
    )


def stages(load: Load, capacity: Capacity) -> dict[str, float]:
    """Return the same estimate by the names of a run's stages, in seconds; their sum is the estimate's total.

    Where the log is the limit, what `heap-first` writes a second time is written when the keys are made.
    """
    found = estimate(load, capacity)
    again = 1 - 1 / LOG_FACTOR[capacity.load] if found.bound_by == "log rate of the target" else 0.0
    return {
        "environment": START, "snapshot": found.snapshot, "restore": found.restore, "copy": found.rows * (1 - again),
        "finish": found.rows * again, "verify": found.verify, "files": found.files,
    }  # fmt: skip


def unopened(archive_bytes: int) -> Load:
    """Return the load taken for an archive that nobody has looked into yet: either side as large as the archive."""
    return Load(rows=0, row_bytes=archive_bytes, files=0, file_bytes=archive_bytes, archive_bytes=archive_bytes)


def basis(load: Load, capacity: Capacity) -> str:
    """Return what an estimate was reckoned from, as words that follow `reckoned from`."""
    rate, bound_by = row_rate(capacity)
    pace = f"{rate:.0f} MB/s ({bound_by}{f' of {capacity.objective}' if capacity.objective else ''})"
    pace = pace.replace("of the target of", "of")
    if load.archive_bytes:
        archive = size(load.archive_bytes)
        return f"an archive of {archive}, either side taken to be as large until it is unpacked, rows at {pace}"
    rows = f"{size(load.row_bytes)} of rows at {pace}"
    return f"{rows}, {load.files:,} files of {size(load.file_bytes)}; no rehearsal has measured it yet"


def file_seconds(load: Load, capacity: Capacity) -> float:
    """Return the seconds for the files: by their number if they are small, by their bytes if they are large."""
    by_number = load.files * FILE_REQUEST / (capacity.parallel_files * PUTS_AT_ONCE)
    return max(by_number, load.file_bytes / MB / FILE_BYTES)
