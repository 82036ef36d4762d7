"""Every wait of an activity ends before the host ends the activity: its own error says more than a host that restarts."""

import ast
import re
from math import prod
from pathlib import Path

import pytest

from local.host.settings import load_host_settings
from orchestrators.calling import MOST_WAITS
from orchestrators.copy import CALLS_PER_JOB, PAUSE
from shared.copying.job import SEARCH_SECONDS
from shared.postgres.connection import STATEMENT_SECONDS
from shared.postgres.postdata import INDEX_SECONDS
from shared.sqlserver.bulk import LOCK_WAIT_MS
from shared.sqlserver.completion import BUILD_SECONDS, DELIVERY_WAIT

ROOT = Path(__file__).parents[3]
WAIT = re.compile(r"[A-Z_]*_(SECONDS|WAIT)|((QUERY|LOGIN)_)?TIMEOUT")


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


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds that host.json gives an activity."""
    monkeypatch.setenv("TASKHUB_NAME", "mxferry")
    monkeypatch.setenv("PYTHON_THREADPOOL_THREAD_COUNT", "16")
    return load_host_settings(ROOT / "host.json").function_timeout


def test_no_wait_of_an_activity_is_as_long_as_the_host_lets_an_activity_last(limit: float) -> None:
    found = waits()
    assert {
        "shared/sqlserver/completion.py BUILD_SECONDS": BUILD_SECONDS,
        "shared/postgres/connection.py STATEMENT_SECONDS": STATEMENT_SECONDS,
        "shared/postgres/locks.py DELIVERY_WAIT": 150,
    }.items() <= found.items()
    assert {name: value for name, value in found.items() if value >= limit} == {}


def test_a_key_or_an_index_can_be_built_after_the_longest_wait_for_another_delivery(limit: float) -> None:
    waited = waits()["shared/postgres/locks.py DELIVERY_WAIT"]
    assert limit > waited + INDEX_SECONDS  # `postdata.make`
    assert limit > DELIVERY_WAIT + BUILD_SECONDS  # `completion.add_keys`, of a large table one a call
    assert min(INDEX_SECONDS, BUILD_SECONDS) > 0.9 * limit  # the host's limit is there for an index: it may use it


def test_a_key_that_the_server_makes_for_a_dead_activity_is_waited_for_until_it_can_be_there() -> None:
    waited = waits()["shared/postgres/locks.py DELIVERY_WAIT"]
    assert MOST_WAITS * waited > INDEX_SECONDS
    assert MOST_WAITS * DELIVERY_WAIT > BUILD_SECONDS


def test_the_search_for_refused_rows_ends_before_other_deliveries_stop_asking_for_the_chunk(limit: float) -> None:
    assert SEARCH_SECONDS < CALLS_PER_JOB * (PAUSE.total_seconds() + LOCK_WAIT_MS / 1000) < limit
    assert SEARCH_SECONDS < STATEMENT_SECONDS  # the one that reads the chunk meanwhile


def test_no_session_of_postgresql_takes_the_time_out_off_its_statements() -> None:
    unlimited = re.compile(r"statement_timeout\s*(=|TO)\s*['\"]?0\b", re.IGNORECASE)
    paths = (path for top in ("shared", "activities") for path in (ROOT / top).rglob("*.py"))
    assert [path.name for path in paths if unlimited.search(path.read_text())] == []
