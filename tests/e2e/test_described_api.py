"""schemathesis's own command against the whole stack: no server error, no answer that the description does not have."""

import json
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.api import Api
from local.appsettings import PROFILE
from local.stack import BACKUPS, Stack

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "ignored_auth",
)  # fmt: skip

PATIENCE = 240
"""Seconds for a dry run of the sample on a machine that does other work."""


@pytest.fixture(scope="module")
def stack(sample_snapshot: Path) -> Iterator[Stack]:
    name = f"fuzz-{secrets.token_hex(4)}"
    with Stack(name, sample_snapshot) as made:
        yield made
    shutil.rmtree(Stack.folder_of(name), ignore_errors=True)


@pytest.fixture(scope="module")
def ended(stack: Stack, sample_snapshot: Path) -> str:
    """The id of a run that is over: a dry run, which has a report and a schema script."""
    stack.upload(BACKUPS, sample_snapshot)
    source = {"kind": "blob", "container": BACKUPS, "blob": sample_snapshot.name}
    api = Api(stack.url, stack.function_key)
    run = api.start({"source": source, "target": PROFILE, "options": {"dry_run": True}})
    deadline = time.monotonic() + PATIENCE
    while (seen := api.show(run)).verdict is None:
        assert time.monotonic() < deadline, seen.status
        time.sleep(0.5)
    assert seen.verdict == "planned", seen.reason
    return run


def knowing(described: dict[str, Any], run: str) -> dict[str, Any]:
    """The description with ids to ask for: of a run that is there, and of one that is not."""
    for operations in described["paths"].values():
        for operation in operations.values():
            for one in operation["parameters"]:
                if (one["in"], one["name"]) == ("path", "id"):
                    one["schema"] = {"type": "string", "enum": [run, "20261122t203000-3f9a1c"]}
                    one["example"] = run
    return described


@pytest.mark.slow
def test_every_answer_of_the_running_app_is_described_and_none_is_a_server_error(
    stack: Stack, ended: str, tmp_path: Path
) -> None:
    keyed = {"x-functions-key": stack.function_key}
    described = httpx.get(f"{stack.url}/api/openapi.json", headers=keyed, timeout=60)
    with_report = httpx.get(f"{stack.url}/api/migrations/{ended}/schema", headers=keyed, timeout=60)
    assert with_report.status_code == 200
    (tmp_path / "openapi.json").write_text(json.dumps(knowing(described.json(), ended)))
    done = subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), "run", tmp_path / "openapi.json", "--url", stack.url,
         "-H", f"x-functions-key: {stack.function_key}", "--checks", ",".join(CHECKS), "--max-examples", "15",
         "--phases", "examples,coverage,fuzzing", "--request-timeout", "60", "--no-color"],
        cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    summary = done.stdout[-6000:].replace(stack.function_key, "…")
    assert done.returncode == 0, summary
    found = re.search(r"(\d+) generated", summary)
    assert found is not None, summary
    assert int(found.group(1)) > 500
    operations = [method for path in described.json()["paths"].values() for method in path if method in ("get", "post")]
    assert re.search(r"Tested: +(\d+)", summary).group(1) == str(len(operations)), summary  # type: ignore[union-attr]


def test_a_path_with_a_line_break_is_no_matter(stack: Stack) -> None:
    answered = httpx.get(f"{stack.url}/api/migrations/a%0Ab", headers={"x-functions-key": stack.function_key})
    assert (answered.status_code, answered.json()["code"]) == (404, "UNKNOWN_RUN")
