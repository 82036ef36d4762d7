"""The whole local stack: it comes up, keeps its addresses, guards its secrets, and leaves nothing behind."""

import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from azure.storage.blob import BlobServiceClient

from local.appsettings import FILES, REPORTS, STAGING
from local.processes import ROOT, ProcessError
from local.stack import Stack

PARTS = {"azurite", "postgres", "store", "sqlserver", "mendixcloud", "targetapp", "host"}


@pytest.fixture
def name() -> Iterator[str]:
    chosen = f"test-{secrets.token_hex(4)}"
    yield chosen
    shutil.rmtree(Stack.folder_of(chosen), ignore_errors=True)


@pytest.fixture(scope="module")
def running(sample_snapshot: Path) -> Iterator[Stack]:
    chosen = f"test-{secrets.token_hex(4)}"
    with Stack(chosen, sample_snapshot) as stack:
        yield stack
    shutil.rmtree(stack.folder, ignore_errors=True)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until_gone(pids: list[int]) -> list[int]:
    deadline = time.monotonic() + 20
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def test_a_stack_started_again_keeps_its_ports_its_secrets_and_its_data(name: str, sample_snapshot: Path) -> None:
    with Stack(name, sample_snapshot) as first:
        ports, kept, key = dict(first.state.ports), first.state.secrets, first.function_key
        assert set(ports) == PARTS
        assert httpx.get(f"{first.url}/api/health").json()["status"] == "ok"
        with BlobServiceClient.from_connection_string(first.azurite.connection_string) as service:
            assert {STAGING, REPORTS, FILES} <= {container.name for container in service.list_containers()}
            service.get_blob_client(FILES, "kept").upload_blob(b"bytes")
        pids = [child.pid for child in first.children.values()]
    assert wait_until_gone(pids) == []
    with Stack(name, sample_snapshot) as second:
        assert (second.state.ports, second.state.secrets, second.function_key) == (ports, kept, key)
        with BlobServiceClient.from_connection_string(second.azurite.connection_string) as service:
            assert service.get_blob_client(FILES, "kept").download_blob().readall() == b"bytes"


def test_secrets_lie_in_a_file_for_the_owner_alone_and_in_no_argument(running: Stack) -> None:
    file = running.folder / "stack.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(running.folder.stat().st_mode) == 0o700
    arguments = b"".join(Path(f"/proc/{child.pid}/cmdline").read_bytes() for child in running.children.values())
    for secret in running.state.secrets.all():
        assert secret in file.read_text()
        assert secret.encode() not in arguments


def test_the_apps_role_may_create_databases_and_is_no_superuser(running: Stack) -> None:
    settings = running.app_settings()
    with psycopg.connect(
        host=settings["POSTGRES__HOST"],
        port=int(settings["POSTGRES__PORT"]),
        user=settings["POSTGRES__USER"],
        password=settings["POSTGRES__PASSWORD"],
        dbname="postgres",
    ) as connection:
        found = connection.execute("SELECT rolcreatedb, rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert found == (True, False)


def test_two_commands_cannot_use_one_folder_at_once(name: str) -> None:
    first = Stack(name)
    with pytest.raises(ProcessError, match="Another command is using"):
        Stack(name)
    first.stop()
    Stack(name).stop()


def test_a_part_that_does_not_start_stops_the_others(name: str, tmp_path: Path) -> None:
    stack = Stack(name, tmp_path / "no-such-backup.tar.gz")
    with pytest.raises(ProcessError, match=r"mendixcloud ended with code 2.*\n.*is not a file"):
        stack.start()
    assert stack.children == {}
    assert stack.state.pids == {}


def test_a_part_that_dies_is_named_and_can_be_started_again_where_it_was(running: Stack) -> None:
    running.check()
    url = running.url
    running.host.kill()
    with pytest.raises(ProcessError, match=r"The part host died; its log is .*host\.log"):
        running.check()
    running.start_host()
    assert running.url == url
    assert httpx.get(f"{url}/api/health").status_code == 200


def test_kill_9_of_the_command_leaves_no_part_and_no_temporary_file_behind(
    name: str, sample_snapshot: Path, tmp_path: Path
) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom local.stack import Stack\n"
        "stack = Stack(sys.argv[1], Path(sys.argv[2])).start()\n"
        "print(*(child.pid for child in stack.children.values()), flush=True)\ntime.sleep(600)"
    )
    command = [sys.executable, "-c", code, name, str(sample_snapshot)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as parent:
        assert parent.stdout
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == len(PARTS)
        parent.send_signal(signal.SIGKILL)
    assert wait_until_gone(pids) == []
    assert list(tmp_path.iterdir()) == []


def test_up_leaves_the_parts_running_and_down_stops_them(name: str, sample_snapshot: Path) -> None:
    up = [sys.executable, "-m", "local.up", "--name", name]
    started = subprocess.run(
        [*up, "--snapshot", str(sample_snapshot)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert started.returncode == 0, started.stderr
    stack = Stack(name)
    pids, url = list(stack.state.pids.values()), stack.url
    stack.release()
    try:
        assert httpx.get(f"{url}/api/health").status_code == 200
        assert f"{url}/api/migrations" in started.stdout
        assert all(secret not in started.stdout for secret in stack.state.secrets.all())
    finally:
        stopped = subprocess.run([*up, "--down", "--delete"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "Stopped host, targetapp, mendixcloud, sqlserver, store, postgres, azurite." in stopped.stdout
    assert wait_until_gone(pids) == []
