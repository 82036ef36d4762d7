"""A server that dies in the middle of a restore: the activity is repeated, and the database is whole and loaded once."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from activities import restore
from local.postgres import PostgresServer
from local.processes import ProcessError
from orchestrators.snapshot import take_snapshot
from shared.copying import batches
from shared.errors import TransientError
from shared.postgres.connection import database_name
from shared.settings import settings
from shared.snapshot.dumpsource import table_text
from tests.fixtures.dumps.reading import FOLDER, content_of
from tests.integration.snapshot.conftest import Stand


@pytest.fixture
def server(tmp_path: Path, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """A server of this test alone, with a log that survives it."""
    with PostgresServer(tmp_path / "mortal", throw_away=False, settings={"wal_level": "replica"}) as found:
        monkeypatch.setenv("POSTGRES__PORT", str(found.port))
        monkeypatch.setenv("POSTGRES__PASSWORD", found.password)
        settings.cache_clear()
        yield found


def kill_the_session(server: PostgresServer) -> None:
    """SIGKILL the session that loads: the server takes all sessions down and recovers from its log."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'mxferry restore' AND query LIKE 'COPY%'"
        for (pid,) in connection.execute(query).fetchall():
            os.kill(pid, signal.SIGKILL)


def kill_the_server(server: PostgresServer) -> None:
    """SIGKILL the server's first process and start it again at once, where it was."""
    assert server.child
    server.child.kill()
    for attempt in range(100):
        try:
            server.start()
        except ProcessError:  # the sessions of the dead one have not all noticed yet
            assert attempt < 99
            time.sleep(0.1)
        else:
            return


def patiently(activity: Any, payload: dict[str, Any], failures: list[str]) -> dict[str, Any]:
    """Call an activity as the orchestrator's retry policy does, with shorter pauses."""
    for _ in range(150):
        try:
            answer: dict[str, Any] = activity(None, payload)
        except TransientError as error:
            failures.append(error.code)
            time.sleep(0.2)
        else:
            assert "refused" not in answer, answer
            return answer
    raise AssertionError(f"still failing: {failures[-1]}")


@pytest.mark.parametrize("kill", [kill_the_session, kill_the_server])
def test_a_restore_outlives_a_server_that_is_killed_in_the_middle_of_a_load(
    stand: Stand, server: PostgresServer, monkeypatch: pytest.MonkeyPatch, kill: Callable[[PostgresServer], None]
) -> None:
    stand.give((FOLDER / "16-gzip.dump").read_bytes())
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    killed: list[str] = []

    def deadly(dump: Any, table: Any, meter: Any) -> Iterator[bytes]:
        for piece in table_text(dump, table, meter):
            half = len(piece) // 2
            yield piece[:half]
            if table.table not in killed and table.table in ("a$entity", "a$wide"):
                killed.append(table.table)
                kill(server)
            yield piece[half:]

    monkeypatch.setattr(batches, "table_text", deadly)
    failures: list[str] = []
    patiently(restore.read_contents, work, failures)
    prepared = patiently(restore.prepare_database, work, failures)
    for batch in range(prepared["batches"]):
        patiently(restore.load_tables, {**work, "batch": batch}, failures)
    restored = patiently(restore.finish_restore, work, failures)
    assert sorted(killed) == ["a$entity", "a$wide"]
    assert len(failures) >= 2, "each death must have cost an attempt"
    with psycopg.connect(server.dsn(database_name(stand.run.id)), autocommit=True) as connection:
        assert content_of(connection) == (FOLDER / "rows.txt").read_bytes()
    assert restored["rows"] == 400 + 400 + 3 + 5
