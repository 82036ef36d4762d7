"""`make demo`: a whole migration on one machine, on real parts, through the same `function_app.py` as in Azure.

`python -m local.demo [--rows N] [--files N] [--seed N] [--snapshot FILE] [--sql CONNECTION_STRING] [--target postgres]`. Exit code 0 only if
everything was verified; 1 if the migration ended otherwise; 2 if it could not be done.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from api.migrations import MigrationView
from local.api import Api, ApiError
from local.appsettings import PROFILE
from local.processes import ProcessError
from local.progressview import view
from local.stack import BACKUPS, Stack, Target, chosen
from local.summaryview import print_summary
from shared.reporting.model import Report
from shared.wording import count, duration, size

NAME = "demo"
POLL_SECONDS = 0.4


def main() -> int:
    """Do the demo; the exit code."""
    signal.signal(signal.SIGTERM, _end)
    given = _arguments()
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=140)
    try:
        target = chosen(given.target, given.sql)
        if given.snapshot and not given.snapshot.is_file():
            raise ValueError(f"SNAPSHOT={given.snapshot} is not a file.")
        return _demo(console, given, target)
    except (ProcessError, ApiError, ValueError, OSError) as error:
        console.print(f"[bold red]The demo could not be done.[/] {error}", markup=True, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        console.print("Stopped. Every process of the demo has been stopped, too.")
        return 130


def _demo(console: Console, given: argparse.Namespace, target: Target | None) -> int:
    stack = Stack(given.name, target=target)
    stack.empty()
    stack.snapshot = given.snapshot or _sample(console, stack.folder / "snapshot.tar.gz", given)
    try:
        servers = "PostgreSQL" if target == "postgres" else "PostgreSQL, SQL Server"
        with console.status(f"Starting Azurite, {servers}, Mendix Cloud and the Functions host"):
            began = time.monotonic()
            stack.start()
        parts = ", ".join(f"{name} on {port}" for name, port in stack.state.ports.items())
        console.print(f"The parts are up after {duration(time.monotonic() - began)}: {parts}.", soft_wrap=True)
        report = _migrate(console, stack, given)
    finally:
        stack.stop()
    print_summary(console, report)
    console.print(f"The report: {stack.folder / 'report.html'} and report.json; logs are beside it.", soft_wrap=True)
    return 0 if report.verdict == "verified" else 1


def _sample(console: Console, out: Path, given: argparse.Namespace) -> Path:
    from local.sample.build import Request, build

    request = Request(given.rows, given.files, given.seed, with_problems=given.with_problems)
    with console.status("Making a sample backup"):
        made = build(request, out)
    console.print(
        f"Made a sample backup in {duration(made.seconds)}: {count(made.rows)} rows in {len(made.tables)} tables, "
        f"{count(made.files)} files, {size(made.archive_bytes)}."
    )
    return out


def _migrate(console: Console, stack: Stack, given: argparse.Namespace) -> Report:
    api = Api(stack.url, stack.function_key)
    try:
        run = api.start(_request(stack, given))
        with view(console) as shown:
            while True:
                seen = api.show(run)
                shown.show(seen)
                if seen.verdict is not None:
                    break
                stack.check()
                time.sleep(POLL_SECONDS)
        content = _report(api, seen)
        (stack.folder / "report.json").write_bytes(content)
        (stack.folder / "report.html").write_bytes(api.report(run, "text/html"))
    finally:
        api.close()
    if memory := peak_memory(stack.host.pid):
        console.print(f"The Functions host used at most {size(memory)} of memory.")
    return Report.model_validate_json(content)


def _report(api: Api, seen: MigrationView) -> bytes:
    """Fetch the report; without one, the error says how the migration ended."""
    try:
        return api.report(seen.id, "application/json")
    except ApiError as error:
        found = "; ".join(f"{one.code} {one.object}: {one.message}" for one in seen.findings if one.severity == "error")
        raise ApiError(f"The migration ended {seen.verdict} without a report ({error}) {seen.reason} {found}") from None


def _request(stack: Stack, given: argparse.Namespace) -> dict[str, Any]:
    request: dict[str, Any] = {
        "source": _source(stack, given.source), "target": PROFILE, "smoke": _smoke(stack, given),
    }  # fmt: skip
    if given.drop:
        request |= {"target_not_empty": "drop", "confirm": PROFILE}
    return request


def _smoke(stack: Stack, given: argparse.Namespace) -> dict[str, Any]:
    """Return the smoke checks: the app's page, and of a sample a document, which the app hands out to somebody signed in only."""
    from local.sample.build import Request
    from local.sample.files import Files

    address = stack.facts["targetapp"]["address"]
    checks: dict[str, Any] = {"http": [{"name": "home page", "url": f"{address}/", "text": "<title>Mendix"}]}
    if given.snapshot is None and given.files:
        made = Request(given.rows, given.files, given.seed)
        blob = Files(made.seed, made.files, made.mean_file_bytes).file(0).uuid
        document = {"name": "a document", "url": f"{address}/file?guid={blob}", "blob": blob, "signed_in": True}
        checks["documents"] = [document]
    return checks


def _source(stack: Stack, kind: str) -> dict[str, Any]:
    if kind == "mendix-cloud":
        return {"kind": kind, "profile": PROFILE, "snapshot": "new", "stop_app": True}
    assert stack.snapshot
    stack.upload(BACKUPS, stack.snapshot)
    return {"kind": "blob", "container": BACKUPS, "blob": stack.snapshot.name}


def peak_memory(pid: int) -> int | None:
    """Return the most memory that a process has had resident, in bytes; None where /proc does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def _end(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.demo", description="A whole migration on one machine.")
    parser.add_argument("--rows", type=int, default=200_000, help="rows of the sample (200000)")
    parser.add_argument("--files", type=int, default=2_000, help="files of the sample (2000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the sample (1)")
    parser.add_argument("--with-problems", action="store_true", help="a sample that the data preflight refuses")
    parser.add_argument("--snapshot", type=Path, help="your own backup instead of a sample")
    parser.add_argument(
        "--sql",
        default=os.environ.get("SQL"),
        help="a SQL Server instead of the stand-in: Server=…;Database=…;UID=…;PWD=…",
    )
    parser.add_argument(
        "--target",
        choices=("sqlserver", "postgres"),
        default="sqlserver",
        help="kind of the target database (sqlserver)",
    )
    parser.add_argument("--drop", action="store_true", help="empty that target first; it must hold nothing you need")
    parser.add_argument("--source", choices=("mendix-cloud", "blob"), default="mendix-cloud", help="where it lies")
    parser.add_argument("--name", default=NAME, help="folder under .local/ (demo)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
