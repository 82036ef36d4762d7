"""schemathesis's own command against the whole stack: no server error, no answer that the description does not have."""

import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.stack import Stack

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "ignored_auth",
)  # fmt: skip


@pytest.fixture(scope="module")
def stack(sample_snapshot: Path) -> Iterator[Stack]:
    name = f"fuzz-{secrets.token_hex(4)}"
    with Stack(name, sample_snapshot) as made:
        yield made
    shutil.rmtree(Stack.folder_of(name), ignore_errors=True)


@pytest.mark.slow
def test_every_answer_of_the_running_app_is_described_and_none_is_a_server_error(stack: Stack, tmp_path: Path) -> None:
    keyed = {"x-functions-key": stack.function_key}
    described = httpx.get(f"{stack.url}/api/openapi.json", headers=keyed, timeout=60)
    (tmp_path / "openapi.json").write_bytes(described.content)
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
