"""`python -m local.mendixcloud --snapshot FILE --folder FOLDER [--port N] …`; the API key comes from MXFERRY_MENDIX_API_KEY."""

import argparse
import asyncio
import os
import secrets
import signal
import sys
from pathlib import Path

from local.engine import program
from local.mendixcloud.environment import Environment, Timing
from local.mendixcloud.faults import Faults
from local.mendixcloud.server import MendixCloud

USERNAME = "migration@example.com"
KEY_VARIABLE = "MXFERRY_MENDIX_API_KEY"


def main() -> int:
    """Serve until SIGTERM."""
    given = _arguments()
    if given.with_parent:
        program.die_with_parent()
    program.log_to_stderr()
    if not given.snapshot.is_file():
        sys.stderr.write(f"{given.snapshot} is not a file; give the backup to hand out with --snapshot.\n")
        return 2
    given.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_serve(given))
    return 0


async def _serve(given: argparse.Namespace) -> None:
    environment = Environment(given.snapshot, given.folder, Timing(given.queued, given.running))
    cloud = MendixCloud(
        environment,
        USERNAME,
        os.environ.get(KEY_VARIABLE) or secrets.token_urlsafe(24),
        Faults(rate=given.rate),
        given.url_lifetime,
        not given.no_ranges,
    )
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    port = await cloud.start(given.port)
    base = f"http://127.0.0.1:{port}"
    program.ready(
        port=port,
        backups_url=f"{base}/api/v2",
        deploy_url=f"{base}/api/1",
        project_id=environment.project_id,
        environment_id=environment.environment_id,
        app_id=environment.app_id,
        username=USERNAME,
        pid=os.getpid(),
    )
    await stopping.wait()
    await cloud.stop()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.mendixcloud", description="A Mendix Cloud stand-in.")
    parser.add_argument("--snapshot", type=Path, required=True, help="the backup file that it hands out")
    parser.add_argument("--folder", type=Path, required=True, help="where it keeps what it takes out of that file")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    parser.add_argument("--queued", type=float, default=0.5, help="seconds a job is queued (0.5)")
    parser.add_argument("--running", type=float, default=1.5, help="seconds a job runs (1.5)")
    parser.add_argument("--rate", type=float, default=20, help="calls a second before 429; 0 is no limit (20)")
    parser.add_argument("--url-lifetime", type=float, default=8 * 3600, help="seconds a download URL lives (8 hours)")
    parser.add_argument("--no-ranges", action="store_true", help="serve downloads whole, without ranges")
    parser.add_argument("--with-parent", action="store_true", help="end when the parent process ends")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
