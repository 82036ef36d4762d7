"""The embedded servers: they start, keep their data, and die with whoever started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient

from local import postgres
from local.azurite import Azurite, new_account_key
from local.postgres import PostgresServer
from local.processes import ROOT, Child, ProcessError, Program, ready_line, start

STARTS_BOTH = """
import sys, time
from pathlib import Path
from local.azurite import Azurite
from local.postgres import PostgresServer
folder = Path(sys.argv[1])
blobs, database = Azurite(folder).start(), PostgresServer(folder).start()
print(blobs.child.pid, database.child.pid, flush=True)
time.sleep(600)
"""


def _gone(pid: int, within: float = 10) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.05)
    return False


def test_kill_9_of_the_parent_leaves_no_server_behind(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTS_BOTH, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert parent.stdout
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert [_gone(pid) for pid in pids] == [True, True]


def test_a_stopped_postgres_starts_again_with_its_data_and_its_password(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path)
    with server, psycopg.connect(server.dsn()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'ü' AS value")
    again = PostgresServer(tmp_path, password=server.password)
    with again, psycopg.connect(again.dsn()) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == ("ü",)


def test_postgres_refuses_a_wrong_password(postgres_server: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_server.dsn().replace(postgres_server.password, "guess"))


def test_postgres_runs_from_a_folder_that_only_its_owner_may_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with PostgresServer(closed) as server, psycopg.connect(server.dsn()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_root_without_user_namespaces_runs_postgres_as_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "namespaces_allowed", lambda: False)
    with PostgresServer(tmp_path) as server, psycopg.connect(server.dsn()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert server.child
        owner = Path(f"/proc/{server.child.pid}").stat().st_uid
        assert owner == (postgres.NOBODY if os.geteuid() == 0 else os.geteuid())
    data = server.data
    assert data.exists()
    server.destroy()
    assert not data.exists()


def test_data_of_another_postgres_version_is_refused_with_a_remedy(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path)
    with server:
        pass
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(ProcessError, match=r"was made by PostgreSQL 9, and .* delete that folder"):
        PostgresServer(tmp_path).start()


def test_azurite_keeps_its_blobs_over_a_restart_and_refuses_another_key(tmp_path: Path) -> None:
    with Azurite(tmp_path) as first:
        with BlobServiceClient.from_connection_string(first.connection_string) as service:
            service.create_container("kept").upload_blob("a", b"bytes")
        key, port = first.key, first.port
    with Azurite(tmp_path, key=key, port=port) as second:
        assert second.port == port
        with BlobServiceClient.from_connection_string(second.connection_string) as service:
            assert service.get_blob_client("kept", "a").download_blob().readall() == b"bytes"
        wrong = second.connection_string.replace(key, new_account_key())
        with (
            BlobServiceClient.from_connection_string(wrong) as service,
            pytest.raises(HttpResponseError, match="AuthorizationFailure"),
        ):
            service.get_blob_client("kept", "a").download_blob()


def test_azurite_serves_https_with_a_certificate_that_a_client_can_trust(tmp_path: Path) -> None:
    with Azurite(tmp_path, in_memory=True, https=True) as server:
        service = BlobServiceClient.from_connection_string(
            server.connection_string, connection_verify=str(server.certificate)
        )
        with service:
            service.create_container("over-tls")
            assert [found.name for found in service.list_containers()] == ["over-tls"]


def _python(folder: Path, code: str) -> Child:
    return start(Program(name="program", command=[sys.executable, "-c", code], folder=folder))


def test_a_program_that_ends_at_once_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = _python(tmp_path, "raise SystemExit('the disk is full')")
    with pytest.raises(ProcessError, match=r"program ended with code 1\.(.|\n)*the disk is full"):
        child.wait_until(ready_line, timeout=20)


def test_a_program_that_never_serves_is_stopped_and_reported(tmp_path: Path) -> None:
    child = _python(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(ProcessError, match="program did not serve within 1 s"):
        child.wait_until(ready_line, timeout=1)
    assert not child.running()


def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        'print(\'{"ready": true, "port": 1}\', flush=True)\ntime.sleep(60)'
    )
    child = _python(tmp_path, code)
    assert child.wait_until(ready_line, timeout=20) == {"ready": True, "port": 1}
    child.stop(grace=0.2)
    assert child.process.returncode == -signal.SIGKILL
