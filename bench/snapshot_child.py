"""The snapshot, restore and files stages in a process of their own, so that it can be measured, and killed.

`python -m bench.snapshot_child RUN.json` prints each stage as it begins, and at its end peak memory and the bytes written
to disk; the system lets it write to no file, of whatever file system. With `--goes-on`, what has ended is kept in a file
beside the run's, as the durable engine keeps it.
"""

import json
import resource
import sys
from pathlib import Path

from bench.memory import peak_mib, reset_peak
from bench.stand import History, copy_files, restore_database, take_snapshot, verify_files

STAGES = {
    "describe_source": "staging",
    "stage_range": "staging",
    "commit_staged": "staging",
    "inflate_archive": "inflating",
    "seal_snapshot": "inflating",
    "read_contents": "restoring",
    "locate_tables": "restoring",
    "prepare_database": "restoring",
    "load_tables": "restoring",
    "finish_restore": "restoring",
    "plan_files": "files",
    "copy_batch": "files",
    "verify_listing": "verifying",
}


class Peaks:
    """The peak memory of every stage, in MiB: begun anew at each stage."""

    def __init__(self) -> None:
        self.of: dict[str, float] = {}
        self._stage = "start"

    def begin(self, activity: str) -> None:
        """Tell the stage that an activity belongs to, if it is another one."""
        stage = STAGES[activity]
        if stage != self._stage:
            self.end()
            self._stage = stage
            print(json.dumps({"stage": stage}), flush=True)

    def end(self) -> None:
        """Keep the peak of the stage that ends."""
        self.of[self._stage] = peak_mib()
        reset_peak()


def main() -> None:
    """Do the stages and say what they took."""
    run = Path(sys.argv[1])
    peaks = Peaks()
    work = json.loads(run.read_text())
    if "--goes-on" in sys.argv:
        history = History(run.with_suffix(".history"), peaks.begin)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        history = History(tell=peaks.begin)
    taken = take_snapshot(work, history)
    restored = restore_database(taken, history)
    files = copy_files(taken, history)
    verified = verify_files(taken, history)
    if verified["md5_equal"] != files or verified["unexpected"]:
        raise RuntimeError(f"expected {files:,} equal files and no other, found {verified}")
    peaks.end()
    io = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    print(json.dumps({"files": files, "rows": restored["rows"], "peaks": peaks.of, "written": int(io["write_bytes"])}))


if __name__ == "__main__":
    main()
