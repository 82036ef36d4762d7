"""Timer triggers: schedules from settings, missed ones after a restart, programs bound to their parents, bad apps."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.processes import ProcessError
from tests.fixtures.host import HostFactory, write_app

APP = """
import itertools
import json
import os
import pathlib
import azure.durable_functions as df
import azure.functions as func

app = df.DFApp()


@app.timer_trigger(schedule="%TICK%", arg_name="timer", run_on_startup=False)
def tick(timer: func.TimerRequest) -> None:
    with pathlib.Path(os.environ["TICKS"]).open("a") as file:
        file.write(json.dumps({"past_due": timer.past_due, "next": timer.schedule_status["Next"]}) + "\\n")
"""


def ticks(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def until(condition, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_a_timer_runs_by_the_schedule_in_its_setting(functions_host: HostFactory, tmp_path: Path) -> None:
    path = tmp_path / "ticks"
    functions_host(APP, {"TICK": "*/1 * * * * *", "TICKS": str(path)})
    until(lambda: len(ticks(path)) >= 3)
    found = ticks(path)[:3]
    assert not any(tick["past_due"] for tick in found)
    due = [datetime.fromisoformat(str(tick["next"])) for tick in found]
    assert [later - earlier for earlier, later in itertools.pairwise(due)] == [timedelta(seconds=1)] * 2


def test_a_timer_missed_while_the_host_was_down_runs_at_start_and_says_it_is_late(
    functions_host: HostFactory, tmp_path: Path
) -> None:
    path = tmp_path / "ticks"
    environment = {"TICK": "0 0 0 1 1 *", "TICKS": str(path)}
    host = functions_host(APP, environment)
    record_path = host.state / "timers" / "tick.json"
    until(record_path.exists)
    host.kill()
    assert ticks(path) == []
    record = json.loads(record_path.read_text())
    record["next"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    record_path.write_text(json.dumps(record))
    host.start()
    until(lambda: len(ticks(path)) == 1)
    assert ticks(path)[0]["past_due"] is True
    host.stop()
    host.start()
    time.sleep(1.0)
    assert len(ticks(path)) == 1


def test_a_timer_switched_off_by_its_setting_does_not_run(functions_host: HostFactory, tmp_path: Path) -> None:
    path = tmp_path / "ticks"
    host = functions_host(APP, {"TICK": "*/1 * * * * *", "TICKS": str(path), "AzureWebJobs.tick.Disabled": "true"})
    time.sleep(2.0)
    assert ticks(path) == []
    assert not (host.state / "timers").exists()


@pytest.mark.parametrize(
    ("source", "environment", "trouble"),
    [
        (APP, {}, "'%TICK%' needs the app setting TICK, which is not set"),
        (APP, {"TICK": "every day"}, "schedule 'every day': expected six fields, found 2"),
        ("import no_such_module", {}, "No module named 'no_such_module'"),
        ("x = 1", {}, "Could not find top level function app instances"),
        (
            APP + "\n\n@app.blob_trigger(arg_name='b', path='x', connection='y')\ndef blobs(b): pass\n",
            {"TICK": "0 0 0 1 1 *"},
            "function 'blobs' has a blobTrigger, which this host does not run",
        ),
    ],
)
def test_an_app_that_cannot_be_served_ends_the_host_with_the_reason(
    functions_host: HostFactory, source: str, environment: dict[str, str], trouble: str
) -> None:
    with pytest.raises(ProcessError, match=trouble.replace("%", "%")):
        functions_host(source, environment)


@pytest.mark.parametrize("module", ["local.host", "local.engine"])
def test_a_program_bound_to_its_parent_dies_with_it(tmp_path: Path, module: str) -> None:
    """A parent of our own starts the program, prints its ready line and is killed."""
    app = write_app(tmp_path / "app", "import azure.durable_functions as df\napp = df.DFApp()\n")
    where = ["--app", str(app), "--state", str(tmp_path / "state")]
    if module == "local.engine":
        where = ["--state", str(tmp_path / "engine.db")]
    command = [sys.executable, "-m", module, *where, "--with-parent"]
    script = f"import subprocess; subprocess.run({command!r})"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        ready = json.loads(parent.stdout.readline())
        assert ready["ready"] is True
        parent.send_signal(signal.SIGKILL)
    until(lambda: not _alive(ready["pid"]))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
