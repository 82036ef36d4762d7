"""The snapshot and files stages in a process of their own, so that it can be measured, and killed.

`python -m bench.snapshot_child RUN.json`: goes on from whatever is there; prints peak memory and bytes written to disk.
"""

import json
import resource
import sys
from pathlib import Path

from bench.stand import copy_files, take_snapshot


def main() -> None:
    """Do both stages and say what they took."""
    work = json.loads(Path(sys.argv[1]).read_text())
    files = copy_files(take_snapshot(work))
    written = 0
    for line in Path("/proc/self/io").read_text().splitlines():
        name, _, value = line.partition(": ")
        if name == "write_bytes":
            written = int(value)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"files": files, "peak_mib": peak, "written": written}))


if __name__ == "__main__":
    main()
