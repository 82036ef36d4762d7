"""The app's row stages in a process of its own: `python -m bench.copy_app WIDE NARROW VERIFY`, so many of each at a time.

It loads `function_app` as the host does, and calls the activities that the orchestrations call; 0 leaves verification
out. Settings and the run come from the environment. Prints JSON: rows, chunks, idle_mib (the app, loaded), peak_mib of
the copy, verify_mib and the checks that failed.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import function_app
from activities import copy, verify
from bench.memory import peak_mib, reset_peak
from bench.stand import done
from shared.blobs import clients
from shared.contracts import RestoredWork, RestoreRef, Run
from shared.copying.model import Job
from shared.copying.stage import JOBS_PER_GROUP, read_lines
from shared.settings import settings
from shared.sqlserver import marker
from shared.sqlserver.connection import session


def main() -> None:
    """Plan, copy, finish."""
    function_app.app.get_functions()
    run = Run.model_validate_json(os.environ["BENCH_RUN"])
    restore = RestoreRef(database="postgres", tables=2, rows=0, bytes=0, server_version=170000)
    work = RestoredWork(run=run, restore=restore).model_dump(mode="json")
    target = settings().target_profile("bench").sql
    if target is None:
        raise RuntimeError("the bench's target is a SQL Server")
    with session(target) as connection:
        marker.set_created(connection, run.id)
    reset_peak()
    idle = peak_mib()
    plan = done(copy.plan_copy(None, work))
    load(work, plan, {"wide": int(sys.argv[1]), "narrow": int(sys.argv[2])})
    copied = done(copy.finish_copy(None, {**work, "chunks": plan["chunks"]}))
    found = {"rows": copied["rows"], "chunks": copied["chunks"], "idle_mib": idle, "peak_mib": peak_mib()}
    if at_once := int(sys.argv[3]):
        reset_peak()
        failed = verified(work, at_once)
        found |= {"verify_mib": peak_mib(), "failed": failed}
    print(json.dumps(found))


def verified(work: dict[str, Any], at_once: int) -> list[str]:
    """Verify everything, so many jobs at a time; return the checks that did not pass."""
    plan = done(verify.plan_verification(None, work))
    calls = [
        {**work, "blob": group["blob"], "job": number} for group in plan["groups"] for number in range(group["jobs"])
    ]
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda call: done(verify.verify_slices(None, call)), calls))
    summed = done(verify.finish_verification(None, {**work, "jobs": len(calls), "findings": []}))
    return [check["name"] for check in summed["checks"] if check["outcome"] != "passed"]


def load(work: dict[str, Any], plan: dict[str, Any], at_once: dict[str, int]) -> None:
    """Call `copy_chunks` for every job, those of each table so many at a time."""
    calls: dict[str, list[dict[str, Any]]] = {"wide": [], "narrow": []}
    for group in plan["groups"]:
        for job in read_lines(clients.staging(), group["blob"], Job):
            call = {
                **work,
                "blob": group["blob"],
                "job": job.number % JOBS_PER_GROUP,
                "table_lock": True,
                "log_stats": False,
            }
            calls[job.chunks[0].table].append(call)
    with ThreadPoolExecutor(2) as tables:
        list(tables.map(lambda name: _some(calls[name], at_once[name]), calls))


def _some(calls: list[dict[str, Any]], at_once: int) -> None:
    if calls:
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda call: done(copy.copy_chunks(None, call)), calls))


if __name__ == "__main__":
    main()
