"""What commands share: how they are described, what they print, how they exit."""

import argparse
import getpass
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.api import Api
from local.plaintext import plain
from shared.errors import Finding

ID_WIDTH = len("20261128t203000-3f9a1c")
EXIT_OK, EXIT_NO, EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_FILE = 0, 1, 3, 4, 5

Command = Callable[[Api, argparse.Namespace], int]


class BadFile(Exception):  # noqa: N818 - what is wrong is the file
    """A file of the person's own that cannot be read as what it should be, or not be written; the text is a sentence."""


def command(commands: Any, name: str, what: str, example: str, run: Command) -> argparse.ArgumentParser:
    """Add a command with one line that says what it does, and an example."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=f"Example: python -m local.cli {example}"
    )
    parser.set_defaults(run=run)
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option by which a machine reads the answer."""
    parser.add_argument("--json", action="store_true", help="the API's answer as JSON")


def add_by(parser: argparse.ArgumentParser, who: str) -> None:
    """Add the option that says whose word it is."""
    parser.add_argument("--by", default=_user(), help=f"{who} (default %(default)s)")


def print_json(model: BaseModel) -> int:
    """Print an answer as JSON."""
    print_document(model.model_dump_json(indent=2))
    return EXIT_OK


def print_document(text: str) -> None:
    """Print a document: byte for byte into a file or a pipe, harmless on a terminal."""
    print(plain(text) if sys.stdout.isatty() else text)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose cells are taken literally; column names that start with `>` are of numbers.

    Names of columns, and the ids in the first one, are shown whole, however narrow the terminal is.
    """
    table = Table(box=None, pad_edge=False)
    for at, name in enumerate(columns):
        least = max(len(name), 0 if at else ID_WIDTH)
        table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left", min_width=least)
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    Console(soft_wrap=True).print(table)


def finding_line(found: Finding) -> str:
    """Return a finding as one line."""
    return plain(f"{found.severity}: [{found.code}] {found.object}: {found.message} {found.remedy}".rstrip())


def hand_out(body: bytes, out: Path | None) -> int:
    """Write a document into a file, or print it."""
    if out:
        try:
            out.write_bytes(body)
        except OSError as error:
            raise BadFile(f"--out: {error}. Nothing was written.") from None
    elif sys.stdout.isatty():
        print_document(body.decode())
    else:
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
    return EXIT_OK


def request_in(file: TextIO) -> dict[str, Any]:
    """Return the JSON object in a file; `BadFile` if there is none."""
    try:
        found = json.load(file)
    except ValueError as error:
        raise BadFile(f"{file.name}: expected a MigrationRequest as JSON, found {error}.") from None
    if not isinstance(found, dict):
        raise BadFile(f"{file.name}: expected a MigrationRequest as JSON, found no object.")
    return found


def _user() -> str | None:
    try:
        return getpass.getuser()
    except OSError:  # a container's user without a name: the API will ask for one
        return None
