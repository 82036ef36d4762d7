"""`start`: a migration or a rehearsal, from a file or from options."""

import argparse
from typing import Any

from local.api import Api
from local.cli.output import EXIT_OK, command, request_in
from local.cli.watching import watch


def add_commands(commands: Any) -> None:
    """Add the commands that start a run."""
    what = "start a migration, or with --rehearsal a rehearsal, and print its id"
    start = command(commands, "start", what, "start request.json --rehearsal --watch", _start)
    start.add_argument(
        "request", nargs="?", type=argparse.FileType("r"),
        help="MigrationRequest as JSON, - for standard input; the options change it, or make one",
    )  # fmt: skip
    start.add_argument("--rehearsal", action="store_true", help="on to a throw-away profile")
    start.add_argument("--blob", metavar="CONTAINER/BLOB", help="the snapshot's place")
    start.add_argument("--cloud", metavar="PROFILE", help="take a new snapshot from this Mendix Cloud source profile")
    start.add_argument("--target", metavar="PROFILE")
    start.add_argument("--approval", action="store_true", help="wait for an approval before the target is written")
    start.add_argument("--dry-run", action="store_true", help="stop before the target is written")
    start.add_argument("--drop", metavar="PROFILE", help="drop what the target holds; the target profile's name again")
    start.add_argument("--idempotency-key", help="the same key starts only one")
    start.add_argument("--watch", action="store_true", help="until it is over; the exit code tells the verdict")


def _start(api: Api, given: argparse.Namespace) -> int:
    run = api.start(_request(given), rehearsal=given.rehearsal, key=given.idempotency_key)
    print(run)
    return watch(api, run) if given.watch else EXIT_OK


def _request(given: argparse.Namespace) -> dict[str, Any]:
    request = request_in(given.request) if given.request else {}
    if given.blob:
        container, _, blob = given.blob.partition("/")
        request["source"] = {"kind": "blob", "container": container, "blob": blob}
    if given.cloud:
        request["source"] = {"kind": "mendix-cloud", "profile": given.cloud}
    if given.target:
        request["target"] = given.target
    if given.approval:
        request["approval"] = True
    if given.dry_run:
        request.setdefault("options", {})["dry_run"] = True
    if given.drop:
        request |= {"target_not_empty": "drop", "confirm": given.drop}
    return request
