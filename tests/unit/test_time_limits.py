"""Every wait of an activity ends before the host ends the activity: its own error says more than a host that restarts."""

import ast
import re
from math import prod
from pathlib import Path

import pytest

from local.host.settings import load_host_settings
from shared.postgres.connection import A_STATEMENT
from shared.sqlserver.completion import BUILD_SECONDS

ROOT = Path(__file__).parents[2]
WAIT = re.compile(r"[A-Z_]*_(SECONDS|WAIT)|((QUERY|LOGIN)_)?TIMEOUT|A_STATEMENT")


def waits() -> dict[str, float]:
    """Seconds of the constants of shared/ and activities/ that are named as waits."""
    found = {}
    for path in (path for top in ("shared", "activities") for path in sorted((ROOT / top).rglob("*.py"))):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name, value = node.targets[0].id, seconds(node.value)
                if value is not None and WAIT.fullmatch(name):
                    found[f"{path.relative_to(ROOT)} {name}"] = value
    return found


def seconds(node: ast.expr) -> float | None:
    """A number, a product of numbers, or PostgreSQL's `150s`."""
    factors = re.sub(r"^'(\d+)s'$", r"\1", ast.unparse(node)).split(" * ")
    return prod(map(float, factors)) if all(re.fullmatch(r"[\d.]+", factor) for factor in factors) else None


def test_no_wait_of_an_activity_is_as_long_as_the_host_lets_an_activity_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TASKHUB_NAME", "mxferry")
    monkeypatch.setenv("PYTHON_THREADPOOL_THREAD_COUNT", "16")
    limit = load_host_settings(ROOT / "host.json").function_timeout
    found = waits()
    assert {
        "shared/sqlserver/completion.py BUILD_SECONDS": BUILD_SECONDS,
        "shared/postgres/connection.py A_STATEMENT": A_STATEMENT,
        "shared/postgres/temporary.py LOCK_WAIT": 150,
    }.items() <= found.items()
    assert {name: value for name, value in found.items() if value >= limit} == {}
