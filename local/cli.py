"""`python -m local.cli`: start, watch, approve, abort and read migrations from a terminal, through the API alone.

The function key comes from the environment (MXFERRY_KEY) or from a file (--key-file), never from the command line,
where every user of the machine could read it; so does the Entra token (MXFERRY_TOKEN) of an app that asks for one.

Exit codes: 0 done (with --watch: verified, or planned); 1 the migration ended otherwise; 2 wrong usage; 3 the API
refused; 4 it does not answer; 5 a file is no JSON, or cannot be written.
"""

import argparse
import getpass
import json
import os
import sys
import time
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, TextIO

import httpx
from pydantic import BaseModel
from rich.console import Console
from rich.table import Column, Table

from api.migrations import MigrationView
from api.standing import ELSEWHERE
from local.api import Api, ApiError
from local.plaintext import plain, plain_values
from local.progressview import view
from shared.communication.memory import sentences
from shared.contracts import Gate
from shared.wording import gate_words, moment

GOOD = {"verified", "planned"}
EXIT_OK, EXIT_NOT_VERIFIED, EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_FILE = 0, 1, 3, 4, 5
ID_WIDTH = len("20261128t203000-3f9a1c")
"""An id is shown whole, however narrow the terminal is: it is what the other commands take."""
FORMS = ("environment", "kubernetes", "mendix-operator", "azure", "console", "removal")
MEDIA = {"html": "text/html", "json": "application/json", "markdown": "text/markdown", "sql": "text/plain"}


class BadFile(Exception):  # noqa: N818 - what is wrong is the file
    """A file of the person's own that cannot be read as what it should be, or not be written; the text is a sentence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        key = _key(given.key_file)
    except OSError as error:
        parser.error(f"--key-file: {error}")
    api = Api(given.url.rstrip("/"), key, os.environ.get("MXFERRY_TOKEN"))
    try:
        return int(given.run(api, given))
    except ApiError as error:
        print(plain(str(error)), file=sys.stderr)
        if error.status == HTTPStatus.UNAUTHORIZED:
            print(_let_in(key), file=sys.stderr)
        return EXIT_REFUSED
    except BadFile as error:
        print(plain(str(error)), file=sys.stderr)
        return EXIT_FILE
    except httpx.TransportError as error:
        print(f"{given.url} does not answer ({type(error).__name__}). Is the app up, and --url right?", file=sys.stderr)
        return EXIT_UNREACHABLE
    except KeyboardInterrupt:
        print("\nThe migration goes on; `status --watch` shows it again.", file=sys.stderr)
        return EXIT_NOT_VERIFIED
    finally:
        api.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.cli", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    url = os.environ.get("MXFERRY_URL", "http://127.0.0.1:7071")
    parser.add_argument("--url", default=url, help="the app's address (MXFERRY_URL; default %(default)s)")
    parser.add_argument("--key-file", type=Path, help="a file with the function key; else MXFERRY_KEY")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_start(commands)
    listing = commands.add_parser("list", help="list migrations, newest first")
    listing.add_argument("--limit", type=int, default=20)
    listing.set_defaults(run=_list)
    status = commands.add_parser("status", help="show one migration")
    status.add_argument("id")
    status.add_argument("--watch", action="store_true", help="until it is over; the exit code tells the verdict")
    status.add_argument("--json", action="store_true", help="as JSON")
    status.set_defaults(run=_status)
    for what, words in (("approve", "say go at the gate it waits at"), ("abort", "stop it")):
        decide = commands.add_parser(what, help=words)
        decide.add_argument("id")
        decide.add_argument("--by", default=_user(), help="who decides (default %(default)s)")
        decide.add_argument("--comment", default="")
        if what == "approve":
            decide.add_argument(
                "--gate", help="the gate that is meant; refused if it waits at another (default: the one shown)"
            )
        decide.set_defaults(run=_decide, what=what, gate=None)
    settings = commands.add_parser(
        "source-settings", help="target mode runtime: the settings by which the app copies its source"
    )
    settings.add_argument("id")
    settings.add_argument("--form", choices=FORMS, default=FORMS[0])
    settings.add_argument("--password", action="store_true", help="make a new password, and print it this once")
    settings.add_argument("--by", default=_user(), help="who asks for the password (default %(default)s)")
    settings.set_defaults(run=_source_settings)
    for what, forms in (("report", ("json", "html")), ("runbook", ("markdown", "html")), ("schema", ("sql",))):
        read = commands.add_parser(what, help=f"fetch the {what}")
        read.add_argument("id")
        read.add_argument("--form", choices=forms, default=forms[0])
        read.add_argument("--out", type=Path, help="a file; else standard output")
        read.set_defaults(run=_read, what=what)
    return parser


def _add_start(commands: Any) -> None:
    start = commands.add_parser(
        "start", help="start a migration or a rehearsal",
        description="Starts what a JSON file (or - for standard input) asks for; the options change or make a request.",
    )  # fmt: skip
    start.add_argument("request", nargs="?", type=argparse.FileType("r"), help="MigrationRequest as JSON")
    start.add_argument("--rehearsal", action="store_true", help="on to a throw-away profile")
    start.add_argument("--blob", metavar="CONTAINER/BLOB", help="the snapshot's place")
    start.add_argument("--cloud", metavar="PROFILE", help="take a new snapshot from this Mendix Cloud source profile")
    start.add_argument("--target", metavar="PROFILE")
    start.add_argument("--approval", action="store_true", help="wait for an approval before the target is written")
    start.add_argument("--dry-run", action="store_true", help="stop before the target is written")
    start.add_argument("--drop", metavar="PROFILE", help="drop what the target holds; the target profile's name again")
    start.add_argument("--idempotency-key", help="the same key starts only one")
    start.add_argument("--watch", action="store_true", help="until it is over; the exit code tells the verdict")
    start.set_defaults(run=_start)


def _key(file: Path | None) -> str:
    return (file.read_text() if file else os.environ.get("MXFERRY_KEY", "")).strip()


def _user() -> str | None:
    try:
        return getpass.getuser()
    except OSError:  # a container's user without a name: the API will ask for one
        return None


def _let_in(key: str) -> str:
    if not key:
        return "Set MXFERRY_KEY to a function key of the app, or name a file that holds it: --key-file."
    return "Is it a function key of this app? An app with Entra sign-in wants a token too: set MXFERRY_TOKEN."


def _start(api: Api, given: argparse.Namespace) -> int:
    run = api.start(_request(given), rehearsal=given.rehearsal, key=given.idempotency_key)
    print(run)
    return _watch(api, run) if given.watch else EXIT_OK


def _request(given: argparse.Namespace) -> dict[str, Any]:
    request = _loaded(given.request) if given.request else {}
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


def _loaded(file: TextIO) -> dict[str, Any]:
    try:
        found = json.load(file)
    except ValueError as error:
        raise BadFile(f"{file.name}: expected a MigrationRequest as JSON, found {error}.") from None
    if not isinstance(found, dict):
        raise BadFile(f"{file.name}: expected a MigrationRequest as JSON, found no object.")
    return found


def _list(api: Api, given: argparse.Namespace) -> int:
    table = Table(
        Column("Run", min_width=ID_WIDTH), "Status", "Purpose", "Target", "Asked for (UTC)", box=None, pad_edge=False
    )
    for item in api.index(given.limit).items:
        table.add_row(
            item.id,
            f"{item.status} ({item.hub})" if item.hub else item.status,
            item.purpose,
            item.target,
            f"{item.created_at:%Y-%m-%d %H:%M:%S}",
        )
    Console(soft_wrap=True).print(table)
    return EXIT_OK


def _status(api: Api, given: argparse.Namespace) -> int:
    if given.watch:
        return _watch(api, given.id)
    seen = api.show(given.id)
    if given.json:
        _print(_json(seen))
    else:
        _show(seen)
    return EXIT_OK


def _watch(api: Api, run: str) -> int:
    with view(Console()) as shown:
        seen = api.show(run)
        while seen.verdict is None and seen.status != ELSEWHERE:
            shown.show(_plain(seen))
            time.sleep(1)
            seen = api.show(run)
        shown.show(_plain(seen))
    _end(_plain(seen))
    return EXIT_OK if seen.verdict in GOOD else EXIT_NOT_VERIFIED


def _show(seen: MigrationView) -> None:
    seen = _plain(seen)
    with view(Console()) as shown:
        shown.show(seen)
    _end(seen)


def _end(seen: MigrationView) -> None:
    print(f"{seen.id}: {seen.status}{'. ' + seen.reason if seen.reason else ''}")
    for gate in seen.progress.gates:
        print(f"  {_gate(gate)}")
    if seen.forecast is not None:
        print(f"  expected end: {moment(seen.forecast.ends_at)} (reckoned from {seen.forecast.basis})")
    for finding in seen.findings:
        print(f"  {finding.severity}: [{finding.code}] {finding.object}: {finding.message} {finding.remedy}".rstrip())
    if seen.remains is not None and seen.remains.kept_until is not None:
        print(f"  staging and the temporary database are kept until {moment(seen.remains.kept_until)}")
    for part, why in (seen.remains.left if seen.remains is not None else {}).items():
        print(f"  not deleted yet: {part}: {why}")
    for line in sentences(seen.messages) if seen.messages is not None else []:
        print(f"  messages: {line}")


def _plain(seen: MigrationView) -> MigrationView:
    return MigrationView.model_validate(plain_values(seen.model_dump(mode="json")))


def _gate(gate: Gate) -> str:
    """Say what a gate asked, and what became of it."""
    if gate.decision is None:
        return f"{gate_words(gate)} It waits until {moment(gate.answers_by)}."
    who = f" by {gate.who}" if gate.who else ""
    why = f": {gate.comment}" if gate.comment else ""
    return f"{gate_words(gate)} {gate.decision}{who}, {moment(gate.decided_at)}{why}"


def _decide(api: Api, given: argparse.Namespace) -> int:
    gate = given.gate
    if given.what == "approve" and gate is None:
        waiting = api.show(given.id).progress.gate
        if waiting is not None and waiting.decision is None:
            print(plain(_gate(waiting)))
            gate = waiting.name
    api.decide(given.id, given.what, given.by, given.comment, gate)
    at = f" at the gate `{gate}`" if gate else ""
    print(f"{given.id}: {given.what}{at} asked for by {given.by}")
    return EXIT_OK


def _source_settings(api: Api, given: argparse.Namespace) -> int:
    found = api.source_settings(given.id, given.by if given.password else None)
    print(getattr(found, given.form.replace("-", "_")))
    if not found.password_included:
        print("Without the password: --password makes one, and keeps who asked for it.", file=sys.stderr)
    return EXIT_OK


def _read(api: Api, given: argparse.Namespace) -> int:
    body = api.report(given.id, MEDIA[given.form], what=given.what)
    if given.out:
        try:
            given.out.write_bytes(body)
        except OSError as error:
            raise BadFile(f"--out: {error}. Nothing was written.") from None
    elif sys.stdout.isatty():
        _print(body.decode())
    else:
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
    return EXIT_OK


def _print(text: str) -> None:
    """Print a document: byte for byte into a file or a pipe, harmless on a terminal."""
    print(plain(text) if sys.stdout.isatty() else text)


def _json(model: BaseModel) -> str:
    return model.model_dump_json(indent=2)


if __name__ == "__main__":
    sys.exit(main())
