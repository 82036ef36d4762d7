"""How much memory verification holds with large values. As a program it is the measured process itself."""

import json
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg

from bench.copy_memory import LARGE, MOST_MIB
from bench.copy_speed import child
from bench.copy_stand import PASSWORD, WIDE, copy_stand
from bench.harness import Measured, bench
from shared.copying.model import Chunk
from shared.databaseplan import IndexColumn, PlannedIndex
from shared.settings import SqlServer
from shared.sqlserver.connection import session
from shared.verification.model import Level
from shared.verification.sides import Sides
from shared.verification.slices import verify_slice

WORKERS = 4
LEVELS: list[Level] = ["counts", "aggregates", "hash", "sample"]
KEYED = WIDE.model_copy(
    update={"primary_key": PlannedIndex(name="pk_wide", columns=[IndexColumn(name="id")], unique=True)}
)


@bench("copy_verify_memory", unit="MiB peak RSS", goal=f"<= {MOST_MIB}")
def memory_of_verification() -> Measured:
    """Every level of verification on rows of two values of 20 MB, four slices at the same time in one process."""
    with copy_stand(4, large=LARGE, discard=False) as stand:
        child(stand, "copy", workers=1)
        command = [sys.executable, "-m", "bench.copy_verify", stand.uri, stand.target.server]
        environment = {**os.environ, "BENCH_PASSWORD": PASSWORD}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found = json.loads(done.stdout)
    if found["findings"]:
        raise RuntimeError(f"the rows should be equal: {found['findings']}")
    return Measured(
        found["peak_mib"], "", f"{WORKERS} slices of {found['rows']} rows of 2 x 20 MB: {', '.join(LEVELS)}"
    )


def main() -> None:
    """Verify the whole table on every worker, and print the peak."""
    uri, server = sys.argv[1:3]
    password = os.environ["BENCH_PASSWORD"]
    target = SqlServer(server=server, database="bench", user="sa", password=password, encrypt="no")

    def verify(number: int) -> tuple[int, list[str]]:
        with psycopg.connect(uri, autocommit=True) as postgres, session(target, timeout=300) as connection:
            result, findings = verify_slice(
                Sides(postgres, connection, KEYED, Chunk(table="wide", number=number)), LEVELS
            )
        return result.rows_target, [f"{one.code}: {one.examples}" for one in findings]

    with ThreadPoolExecutor(WORKERS) as pool:
        done = list(pool.map(verify, range(WORKERS)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mib": peak, "rows": done[0][0], "findings": [one for _, found in done for one in found]}))


if __name__ == "__main__":
    main()
