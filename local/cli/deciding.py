"""`approve`, `abort`, `tick`, `source-settings`: what people decide, do and ask for, each with a name."""

import argparse
import sys
from typing import Any

from local.api import Api
from local.cli.output import EXIT_OK, add_by, command
from local.cli.watching import gate_line
from local.plaintext import plain
from shared.wording import moment

FORMS = ("environment", "kubernetes", "mendix-operator", "azure", "console", "removal")


def add_commands(commands: Any) -> None:
    """Add the commands that carry a person's name."""
    approve = command(commands, "approve", "say go at the gate that a migration waits at",
                      'approve <id> --by "Ada Fischer" --comment "Go."', _decide)  # fmt: skip
    abort = command(commands, "abort", "stop a migration", 'abort <id> --by "Ada Fischer"', _decide)
    for what, decide in (("approve", approve), ("abort", abort)):
        decide.add_argument("id")
        add_by(decide, "who decides")
        decide.add_argument("--comment", default="")
        decide.set_defaults(what=what, gate=None)
    approve.add_argument(
        "--gate", help="the gate that is meant; refused if it waits at another (default: the one shown)"
    )
    what = "say that a step of the runbook is done, or take it back"
    tick = command(commands, "tick", what, "tick <id> switch-dns --by Ada", _tick)
    tick.add_argument("id")
    tick.add_argument("step", help="its key, which the runbook has")
    tick.add_argument("--undo", action="store_true", help="take it back: it is not done, after all")
    add_by(tick, "who says so")
    tick.add_argument("--comment", default="")
    what = "show the settings by which the app copies its source (target mode runtime)"
    settings = command(commands, "source-settings", what, "source-settings <id> --form kubernetes", _source_settings)
    settings.add_argument("id")
    settings.add_argument("--form", choices=FORMS, default=FORMS[0])
    settings.add_argument("--password", action="store_true", help="make a new password, and print it this once")
    add_by(settings, "who asks for the password")


def _decide(api: Api, given: argparse.Namespace) -> int:
    gate = given.gate
    if given.what == "approve" and gate is None:
        waiting = api.show(given.id).progress.gate
        if waiting is not None and waiting.decision is None:
            print(plain(gate_line(waiting)))
            gate = waiting.name
    api.decide(given.id, given.what, given.by, given.comment, gate)
    at = f" at the gate `{gate}`" if gate else ""
    print(f"{given.id}: {given.what}{at} asked for by {given.by}")
    return EXIT_OK


def _tick(api: Api, given: argparse.Namespace) -> int:
    kept = api.tick(given.id, given.step, given.by, given.comment, done=not given.undo)
    print(plain(f"{given.id}: {kept.step} {'done' if kept.done else 'not done'}, says {kept.by}, {moment(kept.at)}"))
    return EXIT_OK


def _source_settings(api: Api, given: argparse.Namespace) -> int:
    found = api.source_settings(given.id, given.by if given.password else None)
    print(getattr(found, given.form.replace("-", "_")))
    if not found.password_included:
        print("Without the password: --password makes one, and keeps who asked for it.", file=sys.stderr)
    return EXIT_OK
