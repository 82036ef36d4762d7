"""What may go wrong in the night of the cut-over, on the whole stack: no time, a change of mind; and rehearsals before it."""

import hashlib
import os
import random
import secrets
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyodbc
import pytest
from azure.storage.blob import BlobServiceClient

from api.migrations import MigrationView
from local.api import Api
from local.appsettings import FILES, PROFILE
from local.stack import BACKUPS, DATABASE, SQL_LOGIN, Stack
from shared.reporting.model import Report
from shared.sqlserver.connection import driver

ABORTS = int(os.environ.get("ABORTS", "1"))
"""Aborts at random moments; 10 in the bar of the project."""
PATIENCE = 240
OURS = {"mxferry$ledger", "mxferry$marker"}


class Night:
    """The stack, and what the target holds, seen without the app's own code."""

    def __init__(self, stack: Stack, snapshot: Path) -> None:
        self.stack = stack
        self.api = Api(stack.url, stack.function_key)
        self.request: dict[str, Any] = {
            "source": {"kind": "blob", "container": BACKUPS, "blob": snapshot.name}, "target": PROFILE,
            "target_not_empty": "drop", "confirm": PROFILE,
        }  # fmt: skip

    def ended(self, run: str) -> MigrationView:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            seen = self.api.show(run)
            if seen.verdict is not None:
                return seen
            time.sleep(0.3)
        raise AssertionError(f"{run} is still {seen.status} at {seen.stage}")

    def report(self, run: str) -> Report:
        return Report.model_validate_json(self.api.report(run, "application/json"))

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every table of the target with its rows in a fixed order."""
        with self._connection() as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sys.tables ORDER BY name").fetchall()]
            return {
                name: sorted(
                    (tuple(row) for row in connection.execute(f"SELECT * FROM [dbo].[{name}]").fetchall()), key=repr
                )
                for name in names
                if not name.startswith("mxferry")
            }

    def files(self) -> dict[str, str]:
        """Every blob of the target container with the SHA-256 of its bytes."""
        with BlobServiceClient.from_connection_string(self.stack.azurite.connection_string) as service:
            container = service.get_container_client(FILES)
            return {
                one.name: hashlib.sha256(container.download_blob(one.name).readall()).hexdigest()
                for one in container.list_blobs()
            }

    def _connection(self) -> pyodbc.Connection:
        port = self.stack.state.ports["sqlserver"]
        text = f"Driver={{{driver()}}};Server=127.0.0.1,{port};Database={DATABASE};UID={SQL_LOGIN};TrustServerCertificate=yes"
        return pyodbc.connect(f"{text};PWD={self.stack.state.secrets.sql_login}")


@pytest.fixture(scope="module")
def night(sample_snapshot: Path) -> Iterator[Night]:
    """A stack whose target holds a verified migration."""
    name = f"night-{secrets.token_hex(4)}"
    with Stack(name, sample_snapshot) as stack:
        stack.upload(BACKUPS, sample_snapshot)
        made = Night(stack, sample_snapshot)
        assert made.ended(made.api.start(made.request)).verdict == "verified"
        yield made
        made.api.close()
    shutil.rmtree(Stack.folder_of(name), ignore_errors=True)


@pytest.mark.slow
def test_a_window_that_is_too_short_leaves_the_target_as_it_was_byte_by_byte(night: Night) -> None:
    before = (night.rows(), night.files())
    assert sum(len(rows) for rows in before[0].values()) > 1000
    window = {"end": (datetime.now(UTC) + timedelta(seconds=3)).isoformat(), "when_late": "stop"}
    seen = night.ended(night.api.start(night.request | {"window": window}))
    assert seen.verdict == "refused"
    assert "WINDOW_TOO_SHORT" in seen.reason
    assert (night.rows(), night.files()) == before
    report = night.report(seen.id)
    assert report.target_written_at is None
    assert report.stock is None


@pytest.mark.slow
def test_two_rehearsals_are_compared_and_say_whether_we_are_ready(night: Night) -> None:
    url = night.stack.url
    request = {key: night.request[key] for key in ("source", "target")}
    smoke = {"smoke": {"sql": [{"name": "users", "table": "system$user", "at_least": 1}]}}
    runs = []
    for _ in range(2):
        runs.append(night.api.start(request | smoke, rehearsal=True))
        assert night.ended(runs[-1]).verdict == "verified"
    keyed = {"x-functions-key": night.stack.function_key}
    [found] = httpx.get(f"{url}/api/rehearsals", headers=keyed).json()["targets"]
    assert [one["id"] for one in found["rehearsals"][:2]] == runs[::-1]
    assert found["rehearsals"][0]["smoke"] == 1
    assert found["ready"] == (not found["open"])
    assert night.report(runs[1]).compared_with == runs[0]
    text = httpx.get(f"{url}/api/migrations/{runs[1]}/runbook", headers=keyed).text
    assert f"rehearsal {runs[1]}" in text


@pytest.mark.slow
@pytest.mark.parametrize("nth", range(ABORTS))
def test_an_abort_at_any_moment_ends_clean_with_a_report_that_tells_the_truth(night: Night, nth: int) -> None:
    chance = random.Random(secrets.randbits(64))
    moment = chance.uniform(0.5, 22)
    before = (night.rows(), night.files())
    run = night.api.start(night.request)
    time.sleep(moment)
    answered = httpx.post(
        f"{night.stack.url}/api/migrations/{run}/abort", json={"by": "kim", "comment": f"abort {nth}"},
        headers={"x-functions-key": night.stack.function_key}, timeout=30,
    )  # fmt: skip
    seen = night.ended(run)
    report = night.report(run)
    said = f"aborted after {moment:.1f} s at {seen.stage}: {seen.verdict}, {seen.reason}"
    assert seen.verdict == "aborted" or answered.status_code == 409 or seen.verdict == "verified", said
    rows, files = night.rows(), night.files()
    if report.target_written_at is None:
        assert (rows, files) == before, said
    elif seen.verdict != "verified":
        assert report.stock is not None, said
        held = {name: len(found) for name, found in rows.items()}
        assert (report.stock.tables, report.stock.rows) == (len(held), sum(held.values())), said
        assert report.stock.files == len(files), said
    assert [stage.name for stage in report.stages][-2:] == ["clean-up", "stand-down"], said
    assert not any("left" in line.lower() and "could not" in line.lower() for line in report.cleanup), said
