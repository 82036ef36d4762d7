"""`rehearsals` and `readiness`: rehearsals side by side, and what still speaks against the cut-over."""

import argparse
from typing import Any

from api.rehearsals import Rehearsals
from local.api import Api
from local.cli.output import EXIT_NO, EXIT_OK, add_json, command, print_json, print_table
from local.plaintext import plain
from shared.readiness import Readiness
from shared.wording import count, duration, moment, size, stage_words


def add_commands(commands: Any) -> None:
    """Add the commands for rehearsals."""
    what = "list the rehearsals of each target, and those that the timer could not start"
    listing = command(commands, "rehearsals", what, "rehearsals --target rehearsal --compare", _rehearsals)
    listing.add_argument("--compare", action="store_true", help="stage by stage, side by side")
    what = "say what still speaks against the cut-over; exit 0 only if nothing does"
    ready = command(commands, "readiness", what, "readiness --target rehearsal", _readiness)
    for parser in (listing, ready):
        parser.add_argument("--target", metavar="PROFILE", help="of this rehearsal target alone")
        add_json(parser)


def _rehearsals(api: Api, given: argparse.Namespace) -> int:
    found = _wanted(api, given.target)
    if given.json:
        return print_json(found)
    for target in found.targets:
        print(plain(f"On to {target.target}"))
        (_compare if given.compare else _list)(target)
    for missed in found.missed:
        print(plain(f"{moment(missed.at)}: could not start: [{missed.code}] {missed.why} {missed.remedy}".rstrip()))
    if not found.targets and not found.missed:
        print("No rehearsal has ended yet.")
    return EXIT_OK


def _readiness(api: Api, given: argparse.Namespace) -> int:
    found = _wanted(api, given.target)
    ready = bool(found.targets) and all(one.ready for one in found.targets)
    if given.json:
        print_json(found)
        return EXIT_OK if ready else EXIT_NO
    for one in found.targets:
        print(plain(f"{one.target}: {'ready for the cut-over' if one.ready else 'not ready'}"))
        for sentence in (*one.open, *one.regressions):
            print(plain(f"  {sentence}"))
    if not found.targets:
        print("not ready: No rehearsal has ended yet.")
    return EXIT_OK if ready else EXIT_NO


def _wanted(api: Api, target: str | None) -> Rehearsals:
    """Return the answer of the API, of one target if it is named; what could not start may be any target's."""
    found = api.rehearsals()
    if target is None:
        return found
    missed = [one for one in found.missed if one.target in (None, target)]
    return Rehearsals(targets=[one for one in found.targets if one.target == target], missed=missed)


def _list(target: Readiness) -> None:
    columns = ("Run", "Verdict", "Started", ">Duration", ">Rows", ">Files", ">Bytes", ">Findings")
    rows = [
        (one.id, one.verdict, moment(one.created_at), duration(one.seconds), count(one.rows), count(one.files),
         size(one.bytes), count(len(one.findings)))
        for one in target.rehearsals
    ]  # fmt: skip
    print_table(columns, rows)


def _compare(target: Readiness) -> None:
    names = list(dict.fromkeys(name for one in target.rehearsals for name in one.stages))
    rows = [
        (("▲ " if name in target.slower else "") + stage_words(name),
         *(duration(one.stages[name]) if name in one.stages else "–" for one in target.rehearsals))
        for name in names
    ]  # fmt: skip
    rows.append(("in all", *(duration(one.seconds) for one in target.rehearsals)))
    rows.append(("verdict", *(one.verdict for one in target.rehearsals)))
    print_table(("Stage", *(f">{one.id}" for one in target.rehearsals)), rows)
    for sentence in target.regressions:
        print(plain(f"  {sentence}"))
