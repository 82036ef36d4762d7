"""`report`, `runbook`, `schema`: the documents of a run."""

import argparse
from pathlib import Path
from typing import Any

from local.api import Api
from local.cli.output import command, hand_out

MEDIA = {"html": "text/html", "json": "application/json", "markdown": "text/markdown", "sql": "text/plain"}
DOCUMENTS = (
    ("report", "print the report of a run that is over", ("json", "html"), "report <id> --form html --out report.html"),
    ("runbook", "print the runbook of a run as it stands", ("markdown", "html"), "runbook <id> --out runbook.md"),
    ("schema", "print the script of what is made on the target", ("sql",), "schema <id> --out schema.sql"),
)


def add_commands(commands: Any) -> None:
    """Add the commands that fetch a document."""
    for name, what, forms, example in DOCUMENTS:
        read = command(commands, name, what, example, _read)
        read.add_argument("id")
        read.add_argument("--form", choices=forms, default=forms[0])
        read.add_argument("--out", type=Path, help="a file; else standard output")
        read.set_defaults(what=name)


def _read(api: Api, given: argparse.Namespace) -> int:
    return hand_out(api.report(given.id, MEDIA[given.form], what=given.what), given.out)
