"""How much memory copy and verification hold with large values, measured in the process that the app is: all of it."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobServiceClient

from bench.copy_stand import NARROW, PASSWORD, WIDE, CopyStand, copy_stand
from bench.harness import Measured, bench
from local.azurite import Azurite
from shared import runpaths
from shared.databaseplan import DatabasePlan, IndexColumn, PlannedIndex

KEYED = WIDE.model_copy(
    update={"primary_key": PlannedIndex(name="pk_wide", columns=[IndexColumn(name="id")], unique=True)}
)
LARGE = 20_000_000  # bytes of a large value
LARGE_ROWS, SMALL_ROWS = 16, 2_000_000
MOST_MIB = 381  # 400 MB


@bench("copy_memory", unit="MiB peak RSS", goal=f"<= {MOST_MIB}")
def memory_with_large_values() -> Measured:
    """A table whose rows hold two values of 20 MB each, one load at a time."""
    with app_and_ends(LARGE_ROWS) as one:
        found = copied(one, wide=1)
    return Measured(found["peak_mib"], "", _said(found))


@bench("copy_memory_of_many", unit="MiB peak RSS", goal=f"<= {MOST_MIB}")
def memory_with_large_values_and_many_loads() -> Measured:
    """The same by 2 and 4 loads at a time in one process, and by 4 beside 2 of small rows; the largest counts."""
    peaks = {}
    for name, narrow in (("2 loads", 0), ("4 loads", 0), ("4 + 2 loads", 2)):
        with app_and_ends(LARGE_ROWS, SMALL_ROWS if narrow else 0) as one:
            peaks[name] = copied(one, wide=int(name[0]), narrow=narrow)["peak_mib"]
    return Measured(max(peaks.values()), "", ", ".join(f"{name} {peak:.0f}" for name, peak in peaks.items()))


@bench("copy_verify_memory", unit="MiB peak RSS", goal=f"<= {MOST_MIB}")
def memory_of_verification() -> Measured:
    """Every level of verification on rows of two values of 20 MB, four slices at the same time."""
    with app_and_ends(4, discard=False) as one:
        found = copied(one, wide=1, verify=4)
    if found["failed"]:
        raise RuntimeError(f"expected equal rows, found that these checks did not pass: {found['failed']}")
    return Measured(found["verify_mib"], "", f"{found['rows']} rows of 2 x 20 MB, 4 slices at a time, every level")


@contextmanager
def app_and_ends(wide: int, narrow: int = 0, *, discard: bool = True) -> Iterator[tuple[CopyStand, dict[str, str]]]:
    """Start both ends and a storage account with the plan of a run; give them and the app's settings."""
    with copy_stand(wide, narrow, large=LARGE, discard=discard) as stand, Azurite(stand.folder / "azurite") as azurite:
        now = datetime.now(UTC)
        run = f"{now:%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"
        tables = [KEYED.model_copy(update={"rows": wide}), NARROW.model_copy(update={"rows": narrow})]
        with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
            for container in ("mxferry-staging", "mxferry-reports"):
                service.create_container(container)
            plan = DatabasePlan(run=run, tables=tables).model_dump_json().encode()
            service.get_blob_client("mxferry-staging", runpaths.of_run(run, runpaths.PLAN)).upload_blob(plan)
        options = {"verify": ["counts", "aggregates", "hash", "sample"]}
        request = {
            "source": {"kind": "blob", "container": "backups", "blob": "b"},
            "target": "bench",
            "options": options,
        }
        yield (
            stand,
            _settings(stand, azurite)
            | {"BENCH_RUN": json.dumps({"id": run, "created_at": now.isoformat(), "request": request})},
        )


def copied(one: tuple[CopyStand, dict[str, str]], wide: int, narrow: int = 0, verify: int = 0) -> dict[str, Any]:
    """Copy both tables, and verify them, by the app's activities, so many at a time; return rows and peak memory."""
    command = [sys.executable, "-m", "bench.copy_app", str(wide), str(narrow), str(verify)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **one[1]})
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _settings(stand: CopyStand, azurite: Azurite) -> dict[str, str]:
    return {
        "STAGING__CONNECTION_STRING": azurite.connection_string,
        "POSTGRES__HOST": stand.postgres.host,
        "POSTGRES__PORT": str(stand.postgres.port),
        "POSTGRES__USER": stand.postgres.user,
        "POSTGRES__PASSWORD": stand.postgres.password,
        "POSTGRES__SSLMODE": "disable",
        "TARGET__BENCH__SQL__SERVER": stand.target.server,
        "TARGET__BENCH__SQL__DATABASE": stand.target.database,
        "TARGET__BENCH__SQL__USER": "sa",
        "TARGET__BENCH__SQL__PASSWORD": PASSWORD,
        "TARGET__BENCH__SQL__ENCRYPT": "no",
        "TARGET__BENCH__BLOB__CONNECTION_STRING": azurite.connection_string,
        "TARGET__BENCH__BLOB__CONTAINER": "target",
        "REHEARSAL_SCHEDULE": "0 0 2 * * 6",
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }


def _said(found: dict[str, Any]) -> str:
    return f"{found['rows']:,} rows of 2 x 20 MB in {found['chunks']} chunks; the idle app holds {found['idle_mib']:.0f} MiB"
