"""Durable functions in the host: the strict boundary, failures, concurrency, and death at any moment."""

import random
import sys
import time
from pathlib import Path

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb

from local import processes
from tests.fixtures.host import HostFactory, RunningHost

APP = '''
import dataclasses
import os
import pathlib
import threading
import time
import azure.durable_functions as df
import azure.functions as func
from durabletask import task

EFFECTS = pathlib.Path(os.environ["EFFECTS"])
app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)


@dataclasses.dataclass
class Thing:
    name: str


def mark(_ctx, payload):
    """Append to a file of its own for every run, as an effect that a test can count."""
    with (EFFECTS / str(payload["n"])).open("a") as file:
        file.write("x")
    time.sleep(payload.get("seconds", 0.0))
    return {"n": payload["n"]}


def overruns_once(_ctx, payload):
    """Overrun any time limit when called for the first time."""
    place = EFFECTS / "overrun"
    if place.exists():
        return "the second delivery"
    place.touch()
    while not (EFFECTS / "over").exists():
        time.sleep(0.05)
    return "the first delivery"


def raises(_ctx, payload):
    raise ValueError(payload["text"])


def leaves(_ctx, payload):
    raise SystemExit(3)


def gives(_ctx, payload):
    """Return what the name says."""
    return {"nothing": None, "text": "plain", "list": [1, {"a": None}], "thing": Thing("x"), "set": {1},
            "envelope": {"__class__": "Thing", "__module__": "function_app", "__data__": "{}"}}[payload["what"]]


def takes(_ctx, payload):
    return {"taken": payload}


running, most, lock = 0, 0, threading.Lock()


def crowd(_ctx, payload):
    """Return the most of these that ever ran at the same time."""
    global running, most
    with lock:
        running += 1
        most = max(most, running)
    time.sleep(0.2)
    with lock:
        running -= 1
        return most


def windows(ctx, inp):
    done = 0
    for start in range(0, inp["count"], inp["window"]):
        tasks = [ctx.call_activity("mark", input={"n": n, "seconds": inp.get("seconds", 0.0)})
                 for n in range(start, min(start + inp["window"], inp["count"]))]
        yield task.when_all(tasks)
        done += len(tasks)
        ctx.set_custom_status({"done": done})
    return done


def groups(ctx, inp):
    found = yield task.when_all([
        ctx.call_sub_orchestrator("span", input={**inp, "start": start}, instance_id=f"{ctx.instance_id}:{start}")
        for start in range(0, inp["count"], inp["size"])])
    return sum(found)


def span(ctx, inp):
    found = yield task.when_all([
        ctx.call_activity("mark", input={"n": n, "seconds": inp.get("seconds", 0.0)})
        for n in range(inp["start"], inp["start"] + inp["size"])])
    return len(found)


def crowds(ctx, inp):
    return max((yield task.when_all([ctx.call_activity("crowd", input=n) for n in range(inp)])))


def one(ctx, inp):
    return (yield ctx.call_activity(inp["activity"], input=inp.get("input")))


def quick(ctx, inp):
    return "quick"


for orchestrator in (windows, groups, span, crowds, one, quick):
    app.orchestration_trigger(context_name="context")(orchestrator)
for activity in (mark, overruns_once, raises, leaves, gives, takes, crowd):
    app.activity_trigger(input_name="payload")(activity)


@app.route(route="start/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    found = await client.schedule_new_orchestration(req.route_params["name"], input=req.get_json())
    return func.HttpResponse(found, status_code=202)


@app.route(route="wait/{id}", methods=["GET"])
@app.durable_client_input(client_name="client")
def wait(req: func.HttpRequest, client: df.SyncDurableFunctionsClient) -> func.HttpResponse:
    state = client.wait_for_orchestration_completion(req.route_params["id"], timeout=60)
    return func.HttpResponse(state.runtime_status.name)
'''


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    folder = tmp_path / "effects"
    folder.mkdir()
    return folder


@pytest.fixture
def host(functions_host: HostFactory, effects: Path) -> RunningHost:
    return functions_host(APP, {"EFFECTS": str(effects), "PYTHON_THREADPOOL_THREAD_COUNT": "8"})


def run(host: RunningHost, name: str, value: object, timeout: int = 60):
    client = host.durable()
    instance_id = client.schedule_new_orchestration(name, input=value)
    state = client.wait_for_orchestration_completion(instance_id, timeout=timeout)
    client.close()
    assert state is not None
    return state


def test_two_hundred_activities_in_windows_of_eight_through_http(host: RunningHost, effects: Path) -> None:
    with host.http() as http:
        started = http.post("/api/start/windows", json={"count": 200, "window": 8})
        assert started.status_code == 202
        assert http.get(f"/api/wait/{started.text}").text == "COMPLETED"
    assert len(list(effects.iterdir())) == 200
    assert {len(path.read_text()) for path in effects.iterdir()} == {1}


def test_sub_orchestrations_side_by_side_return_to_their_parent(host: RunningHost) -> None:
    state = run(host, "groups", {"count": 60, "size": 10})
    assert state.get_output() == 60
    assert {one.name for one in host.durable().get_all_orchestration_states()} == {"groups", "span"}


@pytest.mark.parametrize(("what", "result"), [("nothing", None), ("text", "plain"), ("list", [1, {"a": None}])])
def test_json_passes_the_durable_boundary_as_it_is(host: RunningHost, what: str, result: object) -> None:
    state = run(host, "one", {"activity": "gives", "input": {"what": what}})
    assert state.runtime_status.name == "COMPLETED"
    assert state.get_output() == result


def test_an_activity_called_without_input_gets_none(host: RunningHost) -> None:
    assert run(host, "one", {"activity": "takes"}).get_output() == {"taken": None}


@pytest.mark.parametrize(
    ("given", "trouble"),
    [
        ({"activity": "gives", "input": {"what": "thing"}}, "must be json serializable (Thing"),
        ({"activity": "gives", "input": {"what": "set"}}, "must be json serializable"),
        ({"activity": "gives", "input": {"what": "envelope"}}, "Payload declares function_app.Thing"),
        ({"activity": "takes", "input": {"__class__": "A", "__module__": "b", "__data__": "{}"}}, "__class__"),
    ],
)
def test_what_is_not_plain_json_fails_here_as_it_would_in_azure(host: RunningHost, given: object, trouble: str) -> None:
    state = run(host, "one", given)
    assert state.runtime_status.name == "FAILED"
    assert trouble in state.failure_details.message


def test_an_exception_reaches_the_orchestrator_with_its_type_and_its_text_intact(host: RunningHost) -> None:
    text = 'rows: 5 of 7 – "ö": {x}\nsecond: line'
    state = run(host, "one", {"activity": "raises", "input": {"text": text}})
    assert state.runtime_status.name == "FAILED"
    inner = state.failure_details.inner_failure
    assert (inner.error_type, inner.message) == ("ValueError", text)
    assert "raise ValueError" in inner.stack_trace


def test_an_activity_that_calls_exit_fails_and_the_host_stays(host: RunningHost) -> None:
    state = run(host, "one", {"activity": "leaves"})
    assert state.failure_details.inner_failure.error_type == "SystemExit"
    assert run(host, "quick", None).get_output() == "quick"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("one", {"activity": "nowhere"}, "the app has no activity 'nowhere'"),
        ("nobody", {}, "the app has no orchestrator 'nobody'"),
    ],
)
def test_a_name_that_the_app_does_not_have_fails_at_once(
    host: RunningHost, name: str, value: object, text: str
) -> None:
    state = run(host, name, value, timeout=20)
    assert state.runtime_status.name == "FAILED"
    assert text in state.failure_details.message


def test_long_activities_do_not_keep_orchestrators_from_their_turns(host: RunningHost) -> None:
    """Twelve activities of 2 s want six threads of eight; the turns have the other two."""
    client = host.durable()
    client.schedule_new_orchestration("span", input={"start": 0, "size": 12, "seconds": 2.0}, instance_id="slow")
    assert client.wait_for_orchestration_start("slow", timeout=20) is not None
    for _ in range(5):
        assert run(host, "quick", None).get_output() == "quick"
    assert client.get_orchestration_state("slow").runtime_status.name == "RUNNING"
    client.terminate_orchestration("slow")


def test_as_many_activities_run_side_by_side_as_the_pool_has_threads_but_two(host: RunningHost) -> None:
    assert run(host, "crowds", 24).get_output() == 6


@pytest.mark.parametrize("seed", range(4))
def test_a_host_killed_in_the_middle_of_a_fan_out_goes_on_and_every_effect_is_there(
    functions_host: HostFactory, effects: Path, seed: int
) -> None:
    moments = random.Random(seed)
    host = functions_host(APP, {"EFFECTS": str(effects), "PYTHON_THREADPOOL_THREAD_COUNT": "8"})
    client = host.durable()
    value = {"count": 120, "size": 30, "seconds": 0.02}
    client.schedule_new_orchestration("groups", input=value, instance_id="fan")
    client.close()
    for _ in range(3):
        wanted = len(list(effects.iterdir())) + moments.randrange(1, 25)
        deadline = time.monotonic() + 20
        while len(list(effects.iterdir())) < min(wanted, 118) and time.monotonic() < deadline:
            time.sleep(0.005)
        host.kill()
        assert len(list(effects.iterdir())) < 120  # in the middle, not after it
        host.start()
    client = host.durable()
    state = client.wait_for_orchestration_completion("fan", timeout=60)
    client.close()
    assert state.runtime_status.name == "COMPLETED"
    assert state.get_output() == 120
    runs = {int(path.name): len(path.read_text()) for path in effects.iterdir()}
    assert sorted(runs) == list(range(120))
    # At least once: only what was in hands at a kill (six at a time, three kills) ran again.
    assert sum(runs.values()) <= 120 + 3 * 6


def test_a_host_asked_to_stop_stops_within_five_seconds_and_the_next_one_goes_on(
    host: RunningHost, effects: Path
) -> None:
    client = host.durable()
    client.schedule_new_orchestration("windows", input={"count": 12, "window": 4, "seconds": 1.5}, instance_id="w")
    while not list(effects.iterdir()):
        time.sleep(0.02)
    client.close()
    host.child.process.terminate()
    assert host.child.process.wait(5) == 0
    host.start()
    client = host.durable()
    assert client.wait_for_orchestration_completion("w", timeout=60).get_output() == 12
    client.close()


def test_a_second_host_on_the_same_state_is_refused(host: RunningHost) -> None:
    second = RunningHost(host.app, host.state, host.environment)
    with pytest.raises(Exception, match=f"is owned by process {host.child.pid}"):
        second.start()


def test_a_policy_travels_from_the_app_s_client_to_the_engine(host: RunningHost) -> None:
    run(host, "quick", None)
    client = host.durable()
    client.schedule_new_orchestration("quick", instance_id="same")
    client.wait_for_orchestration_completion("same", timeout=20)
    with pytest.raises(Exception, match="ALREADY_EXISTS"):
        client.schedule_new_orchestration("quick", instance_id="same", reuse_id_policy=pb.OrchestrationIdReusePolicy())


def test_an_engine_of_its_own_may_die_and_come_back_under_the_host(
    functions_host: HostFactory, effects: Path, tmp_path: Path
) -> None:
    port = processes.free_port()
    state = tmp_path / "engine" / "engine.db"
    program = processes.Program(
        "engine",
        [sys.executable, "-m", "local.engine", "--state", str(state), "--port", str(port)],
        tmp_path / "engine",
    )
    engine = processes.start(program)
    engine.wait_until(processes.ready_line, 20)
    try:
        host = functions_host(APP, {"EFFECTS": str(effects)}, arguments=("--engine", f"127.0.0.1:{port}"))
        client = host.durable()
        client.schedule_new_orchestration("windows", input={"count": 60, "window": 6, "seconds": 0.1}, instance_id="w")
        while len(list(effects.iterdir())) < 15:
            time.sleep(0.02)
        engine.kill()
        client.close()
        engine = processes.start(program)
        engine.wait_until(processes.ready_line, 20)
        client = host.durable()
        assert client.wait_for_orchestration_completion("w", timeout=60).get_output() == 60
        client.close()
        host.stop()
    finally:
        engine.stop()
    # What ran while the engine was away is answered with the old token and not run again.
    assert [len(path.read_text()) for path in effects.iterdir()] == [1] * 60


def test_deliver_twice_runs_every_activity_twice_at_once_and_answers_once(
    functions_host: HostFactory, effects: Path
) -> None:
    host = functions_host(APP, {"EFFECTS": str(effects)}, arguments=("--deliver-twice",))
    assert run(host, "windows", {"count": 10, "window": 4, "seconds": 0.2}).get_output() == 10
    assert {path.name: path.read_text() for path in effects.iterdir()} == {str(n): "xx" for n in range(10)}


def test_an_activity_that_overruns_its_time_limit_is_delivered_again_and_no_failure(
    functions_host: HostFactory, effects: Path
) -> None:
    settings = {"EFFECTS": str(effects), "AzureFunctionsJobHost__functionTimeout": "00:00:02"}
    state = run(functions_host(APP, settings), "one", {"activity": "overruns_once"})
    (effects / "over").touch()
    assert state.get_output() == "the second delivery"
