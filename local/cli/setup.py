"""`setup`: the check to be asked for once after a deployment."""

import argparse
from typing import Any

from local.api import Api
from local.cli.output import EXIT_NO, EXIT_OK, add_json, command, finding_line, print_json


def add_commands(commands: Any) -> None:
    """Add the command for the set-up check."""
    what = "check the app's logins, make its database users where it may; exit 0 only if everything is ready"
    setup = command(commands, "setup", what, "setup --channels", _setup)
    setup.add_argument(
        "--administrators", metavar="GROUP", help="the Entra group that administers the PostgreSQL servers"
    )
    setup.add_argument("--channels", action="store_true", help="send a test message to every channel, too")
    add_json(setup)


def _setup(api: Api, given: argparse.Namespace) -> int:
    found = api.setup(given.administrators, channels=given.channels)
    if given.json:
        print_json(found)
    else:
        for one in found.findings:
            print(finding_line(one))
        print("ready" if found.ready else "not ready")
    return EXIT_OK if found.ready else EXIT_NO
