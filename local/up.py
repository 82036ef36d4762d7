"""`make up` and `make down`: a stack that stays when the command ends.

`python -m local.up [--snapshot FILE] [--sql CONNECTION_STRING] [--target postgres]`, `python -m local.up --down [--delete]`.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local.appsettings import FILES, PROFILE, TARGET
from local.processes import ProcessError, stop_pid
from local.stack import Stack, Target, chosen

NAME = "up"
# PostgreSQL would wait for its sessions to end on SIGTERM; SIGINT is its fast shutdown.
SIGNALS = {"postgres": signal.SIGINT, "store": signal.SIGINT}


def main() -> int:
    """Start or stop the parts; 0, or 2 with a sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m local.up", description="Start all parts and leave them running.")
    parser.add_argument("--snapshot", type=Path, help="the backup that the Mendix Cloud stand-in hands out")
    parser.add_argument("--sql", default=os.environ.get("SQL"), help="a SQL Server: Server=…;Database=…;UID=…;PWD=…")
    parser.add_argument("--target", choices=("sqlserver", "postgres"), default="sqlserver", help="kind of the target")
    parser.add_argument("--down", action="store_true", help="stop the parts")
    parser.add_argument("--name", default=NAME, help="folder under .local/ (up)")
    parser.add_argument("--delete", action="store_true", help="with --down: delete their data too")
    given = parser.parse_args()
    try:
        if given.down:
            down(given.name, given.delete)
        else:
            up(given.name, given.snapshot, chosen(given.target, given.sql))
    except (ProcessError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def up(name: str, snapshot: Path | None, target: Target | None) -> None:
    """Start the parts (those of an earlier `up` are stopped first) and print their addresses."""
    stack = Stack(name, snapshot or _sample(name), target, with_parent=False)
    _stop_parts(stack)
    stack.start()
    _print(stack)


def down(name: str, delete: bool) -> None:
    """Stop the parts of the last `up`."""
    stack = Stack(name)
    stopped = _stop_parts(stack)
    if delete:
        stack.empty()
    print(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.")


def _sample(name: str) -> Path:
    from local.sample.build import Request, build

    made = Stack.folder_of(name) / "snapshot.tar.gz"
    if not made.exists():
        print("Making a sample backup (20,000 rows, 200 files); give SNAPSHOT=… to use your own.")
        made.parent.mkdir(parents=True, exist_ok=True)
        build(Request(rows=20_000, files=200), made)
    return made


def _stop_parts(stack: Stack) -> list[str]:
    """Stop the processes that an earlier `up` recorded, if they are still those."""
    stopped = []
    for name, pid in reversed(list(stack.state.pids.items())):
        if _is_ours(pid, stack.folder) and stop_pid(pid, SIGNALS.get(name, signal.SIGTERM)):
            stopped.append(name)
    stack.forget_processes()
    return stopped


def _is_ours(pid: int, folder: Path) -> bool:
    """Tell whether that pid is a part of this stack: its output is a file in the stack's folder."""
    try:
        return Path(f"/proc/{pid}/fd/2").resolve().is_relative_to(folder.resolve())
    except OSError:
        return False


def _print(stack: Stack) -> None:
    table = Table(title="The parts are running; `make down` stops them", show_header=False)
    table.add_row("API", f"{stack.url}/api/migrations")
    table.add_row("page", f"{stack.url}/api/ui")
    table.add_row("function key", str(stack.facts["host"]["function_key_file"]))
    table.add_row("Azurite", stack.azurite.account_url)
    table.add_row("PostgreSQL", f"{stack.postgres.host}:{stack.postgres.port}")
    settings = stack.app_settings()
    table.add_row("target", settings.get(f"{TARGET}__SQL__SERVER") or settings[f"{TARGET}__POSTGRES__DATABASE"])
    table.add_row("Mendix Cloud", str(stack.facts["mendixcloud"]["backups_url"]))
    table.add_row("target app", str(stack.facts["targetapp"]["address"]))
    table.add_row("passwords and keys", str(stack.folder / "stack.json"))
    table.add_row("logs", str(stack.folder))
    console = Console()
    console.print(table)
    print("Start a migration:")
    print(
        f'  curl -X POST {stack.url}/api/migrations -H "x-functions-key: $(cat {stack.facts["host"]["function_key_file"]})" '
        f'-d \'{{"source": {{"kind": "mendix-cloud", "profile": "{PROFILE}"}}, "target": "{PROFILE}"}}\''
    )
    print(f"Files arrive in the container {FILES}.")


if __name__ == "__main__":
    sys.exit(main())
