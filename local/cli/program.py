"""`python -m local.cli`: start, watch, steer and read migrations and rehearsals from a terminal, through the API alone.

The function key comes from the environment (MXFERRY_KEY) or from a file (--key-file), never from the command line,
where every user of the machine could read it; so does the Entra token (MXFERRY_TOKEN) of an app that asks for one.

Exit codes: 0 done (with --watch: verified, or planned; readiness: ready; setup: everything ready); 1 the migration ended
otherwise, or not ready; 2 wrong usage; 3 the API refused; 4 it does not answer; 5 a file is not what it should be, or
cannot be written. `COMMAND --help` has an example of each.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

import httpx

from local.api import Api, ApiError
from local.cli import deciding, reading, rehearsing, requesting, starting, watching
from local.cli import setup as setting_up
from local.cli.output import EXIT_FILE, EXIT_NO, EXIT_REFUSED, EXIT_UNREACHABLE, BadFile
from local.plaintext import plain


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
        return EXIT_NO
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
    for concept in (starting, requesting, watching, deciding, reading, rehearsing, setting_up):
        concept.add_commands(commands)
    return parser


def _key(file: Path | None) -> str:
    return (file.read_text() if file else os.environ.get("MXFERRY_KEY", "")).strip()


def _let_in(key: str) -> str:
    if not key:
        return "Set MXFERRY_KEY to a function key of the app, or name a file that holds it: --key-file."
    return "Is it a function key of this app? An app with Entra sign-in wants a token too: set MXFERRY_TOKEN."
