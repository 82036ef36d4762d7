"""`request`: what a run was started with, an example of a request, or whether a file is one."""

import argparse
import json
from typing import Any

from pydantic import ValidationError

from local.api import Api
from local.cli.output import EXIT_OK, BadFile, command, print_document, request_in
from shared.request import MigrationRequest


def add_commands(commands: Any) -> None:
    """Add the command for requests."""
    what = "show what a run was started with, an example of a request, or check a file that is to be one"
    request = command(commands, "request", what, "request --check request.json", _request)
    asked = request.add_mutually_exclusive_group(required=True)
    asked.add_argument("id", nargs="?", help="a run; its request can start another one")
    asked.add_argument("--example", action="store_true", help="a small request, with the profiles that the app has")
    asked.add_argument(
        "--check", metavar="FILE", type=argparse.FileType("r"),
        help="exit 5 if the file (- for standard input) is no MigrationRequest or names a profile that the app has not; "
        "starting looks closer",
    )  # fmt: skip


def _request(api: Api, given: argparse.Namespace) -> int:
    if given.check:
        return _check(api, given.check.name, request_in(given.check))
    if given.example:
        print_document(json.dumps(_example(api), indent=2))
        return EXIT_OK
    body = json.loads(api.report(given.id, "application/json", what="request"))
    print_document(json.dumps(body, indent=2, ensure_ascii=False))
    return EXIT_OK


def _example(api: Api) -> dict[str, Any]:
    """Return a request that is complete, careful, and names what the app has."""
    found = api.profiles()
    cloud = next((one.name for one in found.sources if one.mendix_cloud), None)
    blob = {"kind": "blob", "container": "uploads", "blob": "snapshot.tar.gz"}
    return {
        "source": {"kind": "mendix-cloud", "profile": cloud} if cloud else blob,
        "target": next((one.name for one in found.targets), "production"),
        "approval": True,
        "options": {"dry_run": True},
    }


def _check(api: Api, file: str, body: dict[str, Any]) -> int:
    try:
        request = MigrationRequest.model_validate_json(json.dumps(body), strict=True)
    except ValidationError as error:
        wrong = [
            f"  {'.'.join(map(str, one['loc'])) or '(body)'}: {one['msg']}" for one in error.errors(include_url=False)
        ]
        raise BadFile("\n".join([f"{file}: expected a MigrationRequest, found:", *wrong])) from None
    found = api.profiles()
    unknown = [] if request.target in {one.name for one in found.targets} else [("target", request.target)]
    source = getattr(request.source, "profile", None)
    if source is not None and source not in {one.name for one in found.sources}:
        unknown.append(("source.profile", source))
    if unknown:
        wrong = [f"  {field}: expected a profile of the app, found {name}" for field, name in unknown]
        raise BadFile("\n".join([f"{file}: profiles that the app has not:", *wrong]))
    print(f"{file}: a MigrationRequest on to {request.target}. Its profiles are known to the app.")
    return EXIT_OK
