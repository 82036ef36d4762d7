"""`list`, `status`, `tables`: which runs there are, and how far one is."""

import argparse
import time
from typing import Any

from rich.console import Console

from api.migrations import MigrationView
from api.standing import ELSEWHERE
from local.api import Api
from local.cli.output import EXIT_NO, EXIT_OK, add_json, command, finding_line, print_json, print_table
from local.plaintext import plain_values
from local.progressview import view
from shared.communication.memory import sentences
from shared.contracts import Gate
from shared.wording import count, gate_words, moment, size

GOOD = {"verified", "planned"}


def add_commands(commands: Any) -> None:
    """Add the commands that look at runs."""
    listing = command(commands, "list", "list migrations, newest first", "list --limit 5", _list)
    listing.add_argument("--limit", type=int, default=20)
    status = command(commands, "status", "show how far a migration is", "status <id> --watch", _status)
    status.add_argument("id")
    status.add_argument("--watch", action="store_true", help="until it is over; the exit code tells the verdict")
    what = "show the tables of a run with their rows, planned and on the target"
    tables = command(commands, "tables", what, "tables <id>", _tables)
    tables.add_argument("id")
    for parser in (listing, status, tables):
        add_json(parser)


def _list(api: Api, given: argparse.Namespace) -> int:
    found = api.index(given.limit)
    if given.json:
        return print_json(found)
    rows = [
        (
            item.id,
            f"{item.status} ({item.hub})" if item.hub else item.status,
            item.purpose,
            item.target,
            f"{item.created_at:%Y-%m-%d %H:%M:%S}",
        )
        for item in found.items
    ]
    print_table(("Run", "Status", "Purpose", "Target", "Asked for (UTC)"), rows)
    return EXIT_OK


def _status(api: Api, given: argparse.Namespace) -> int:
    if given.watch:
        return watch(api, given.id)
    seen = api.show(given.id)
    if given.json:
        return print_json(seen)
    _show(seen)
    return EXIT_OK


def _tables(api: Api, given: argparse.Namespace) -> int:
    found = api.tables(given.id)
    if given.json:
        return print_json(found)
    rows = [
        (one.name, "left empty" if one.empty else count(one.rows), count(one.rows_target),
         f"{min(100, 100 * one.rows_target // one.rows)} %" if one.rows and one.rows_target is not None else "", size(one.bytes))
        for one in found.tables
    ]  # fmt: skip
    print_table(("Table", ">Rows", ">On the target", ">", ">Bytes"), rows)
    if not found.tables:
        print("No table is planned yet.")
    elif found.counted_at is not None:
        print(f"{'Of the report' if found.final else 'Counted on the target'}, {moment(found.counted_at)}.")
    return EXIT_OK


def watch(api: Api, run: str) -> int:
    """Show a migration until it is over; the exit code tells the verdict."""
    with view(Console()) as shown:
        seen = api.show(run)
        while seen.verdict is None and seen.status != ELSEWHERE:
            shown.show(_plain(seen))
            time.sleep(1)
            seen = api.show(run)
        shown.show(_plain(seen))
    _end(_plain(seen))
    return EXIT_OK if seen.verdict in GOOD else EXIT_NO


def _show(seen: MigrationView) -> None:
    seen = _plain(seen)
    with view(Console()) as shown:
        shown.show(seen)
    _end(seen)


def _end(seen: MigrationView) -> None:
    print(f"{seen.id}: {seen.status}{'. ' + seen.reason if seen.reason else ''}")
    for gate in seen.progress.gates:
        print(f"  {gate_line(gate)}")
    if seen.forecast is not None:
        print(f"  expected end: {moment(seen.forecast.ends_at)} (reckoned from {seen.forecast.basis})")
    for finding in seen.findings:
        print(f"  {finding_line(finding)}")
    if seen.remains is not None and seen.remains.kept_until is not None:
        print(f"  staging and the temporary database are kept until {moment(seen.remains.kept_until)}")
    for part, why in (seen.remains.left if seen.remains is not None else {}).items():
        print(f"  not deleted yet: {part}: {why}")
    for line in sentences(seen.messages) if seen.messages is not None else []:
        print(f"  messages: {line}")


def _plain(seen: MigrationView) -> MigrationView:
    return MigrationView.model_validate(plain_values(seen.model_dump(mode="json")))


def gate_line(gate: Gate) -> str:
    """Say what a gate asked, and what became of it."""
    if gate.decision is None:
        return f"{gate_words(gate)} It waits until {moment(gate.answers_by)}."
    who = f" by {gate.who}" if gate.who else ""
    why = f": {gate.comment}" if gate.comment else ""
    return f"{gate_words(gate)} {gate.decision}{who}, {moment(gate.decided_at)}{why}"
