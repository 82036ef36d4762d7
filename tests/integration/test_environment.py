"""The environment of a run: PostgreSQL is started and stopped, the target is scaled, through a double of ARM over HTTP.

Marks lie in a real container (Azurite), orchestrators run on durabletask's own worker with its in-memory back end.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from azure.storage.blob import ContainerClient
from durabletask.client import TaskHubGrpcClient

from activities import environment as activities
from local.postgres import PostgresServer
from orchestrators import environment as orchestrators
from shared import runs, settings
from shared.azure.arm import ResourceManager, sku_name
from shared.blobs import clients
from shared.contracts import Run, Said
from shared.errors import Refusal, TransientError
from shared.postgres import ownership
from shared.request import MigrationRequest
from tests.fixtures.appsettings import postgres_settings, set_settings, staging_settings, target_settings
from tests.fixtures.armdouble import DATABASE_ID, POSTGRES_ID, ArmDouble
from tests.fixtures.driving import ORCHESTRATORS
from tests.fixtures.hub import task_hub

RUNS = ("20261128t200000-aaaaaa", "20261128t200100-bbbbbb")


@pytest.fixture
def arm(
    azurite: str, container: ContainerClient, private_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ArmDouble]:
    """ARM's double, named in the settings together with a fresh container for the marks, and a real server."""
    with ArmDouble() as double:
        set_settings(
            monkeypatch,
            staging_settings(azurite, container.container_name),
            postgres_settings(private_postgres),
            target_settings("REHEARSAL", azurite, container.container_name),
            {
                "POSTGRES__RESOURCE_ID": POSTGRES_ID,
                "TARGET__REHEARSAL__SQL__RESOURCE_ID": DATABASE_ID,
                "TARGET__REHEARSAL__SQL__SCALE_UP_TO": "GP_Gen5_8",
                "MANAGEMENT_URL": double.url + "/",
            },
        )
        yield double


def run(number: int = 0) -> Run:
    request = MigrationRequest.model_validate(
        {"source": {"kind": "blob", "container": "backups", "blob": "snapshot.tar.gz"}, "target": "rehearsal"}
    )
    return Run(id=RUNS[number], request=request, created_at="2026-11-28T20:00:00Z")  # type: ignore[arg-type]


def payload(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"run": run(number).model_dump(mode="json"), **more}


def start(number: int = 0) -> dict[str, Any]:
    return activities.start_postgres(None, payload(number))


def stop(number: int = 0) -> dict[str, Any]:
    return activities.stop_postgres(None, payload(number))


def scale(to: str, number: int = 0) -> dict[str, Any]:
    return activities.scale_sql(None, payload(number, to=to))


def another_comes_while_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run marks the server as needed in the moment after ARM was asked to stop it."""
    stop_server = ResourceManager.stop_postgres

    def stop_and_meanwhile(manager: ResourceManager, server: str) -> None:
        stop_server(manager, server)
        activities.ServerMarks(clients.reports()).put(RUNS[1])

    monkeypatch.setattr(ResourceManager, "stop_postgres", stop_and_meanwhile)


def until_reached(step: Any, *arguments: Any) -> list[dict[str, Any]]:
    answers = [step(*arguments)]
    while not answers[-1]["reached"] and len(answers) < 20:
        answers.append(step(*arguments))
    return answers


def test_a_stopped_server_is_started_once_and_waited_for(arm: ArmDouble) -> None:
    states = [one["state"] for one in until_reached(start)]
    assert states == ["Starting", "Starting", "Starting", "Ready"]
    assert arm.calls == ["postgres/start"]


def test_the_token_is_asked_for_the_manager_in_the_settings(arm: ArmDouble) -> None:
    start()
    assert set(arm.identity.scopes) == {f"{arm.url}/.default"}


def test_a_server_that_is_being_stopped_is_started_when_it_has_stopped(arm: ArmDouble) -> None:
    until_reached(start)
    stop()
    states = [one["state"] for one in until_reached(start, 1)]
    assert states[0] == "Stopping"
    assert states[-1] == "Ready"
    assert arm.calls == ["postgres/start", "postgres/stop", "postgres/start"]


def test_a_server_that_another_run_needs_is_not_stopped(arm: ArmDouble) -> None:
    until_reached(start)
    until_reached(start, 1)
    assert stop()["state"] == "kept running"
    assert stop(1)["state"] == "Stopping"
    assert arm.calls == ["postgres/start", "postgres/stop"]


def test_stopping_twice_stops_once(arm: ArmDouble) -> None:
    until_reached(start)
    stop()
    assert stop()["state"] == "Stopping"
    assert arm.calls.count("postgres/stop") == 1


@pytest.fixture
def theirs(private_postgres: PostgresServer) -> Iterator[str]:
    """A run's database that another installation has on the same server."""
    name = "run_20261128t200200_cccccc"
    with psycopg.connect(private_postgres.dsn(), autocommit=True) as session:
        session.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
        ownership.claim(session, name, "0ther1d")
        yield name
        session.execute(f'DROP DATABASE "{name}"')  # type: ignore[arg-type]


def test_a_server_on_which_another_installation_has_a_database_is_not_stopped(arm: ArmDouble, theirs: str) -> None:
    """The marks of its runs lie in its own container, where nobody else sees them."""
    until_reached(start)
    answer = stop()
    assert (answer["state"], arm.calls) == ("kept running", ["postgres/start"])
    [finding] = answer["findings"]
    assert (finding["code"], finding["severity"]) == ("POSTGRES_KEPT_RUNNING", "warning")
    assert f"{theirs} of installation 0ther1d" in finding["message"]


def test_a_server_that_cannot_be_asked_who_uses_it_is_not_stopped(
    arm: ArmDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    until_reached(start)
    monkeypatch.setenv("POSTGRES__PASSWORD", "wrong")
    settings.settings.cache_clear()
    answer = stop()
    assert (answer["state"], arm.calls) == ("kept running", ["postgres/start"])
    assert "cannot be asked" in answer["findings"][0]["message"]
    assert "wrong" not in str(answer)


def test_a_run_that_came_while_the_server_was_being_stopped_is_named(
    arm: ArmDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    until_reached(start)
    another_comes_while_it_is_stopped(monkeypatch)
    assert stop()["needed_by"] == [RUNS[1]]


def test_a_server_stays_up_where_the_settings_say_so(arm: ArmDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES__STOP_WHEN_IDLE", "false")
    settings.settings.cache_clear()
    until_reached(start)
    assert stop()["state"] == "kept running"
    assert arm.state == "Ready"


def test_without_resource_ids_nothing_is_asked(arm: ArmDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTGRES__RESOURCE_ID", "TARGET__REHEARSAL__SQL__RESOURCE_ID"):
        monkeypatch.delenv(name)
    settings.settings.cache_clear()
    assert start() == {"managed": False, "state": "", "reached": True, "needed_by": [], "findings": []}
    assert scale("load")["reached"] is True
    assert stop()["managed"] is False
    assert arm.calls == []


def test_a_database_is_scaled_up_and_back_to_what_it_was(arm: ArmDouble) -> None:
    up = until_reached(scale, "load")
    assert up[-1] == {"managed": True, "sku": "GP_Gen5_8", "wanted": "GP_Gen5_8", "reached": True}
    down = until_reached(scale, "before")
    assert down[-1]["sku"] == "GP_Gen5_2"
    assert arm.calls == ["sql/GP_Gen5_8", "sql/GP_Gen5_2"]


def test_a_second_run_on_a_scaled_up_database_goes_back_to_the_first_size(arm: ArmDouble) -> None:
    """The first run crashed without scaling back: its mark is the size to go back to."""
    until_reached(scale, "load")
    until_reached(scale, "load", 1)
    until_reached(scale, "before", 1)
    assert arm.sku == "GP_Gen5_2"


def test_a_database_that_was_never_scaled_stays_as_it_is(arm: ArmDouble) -> None:
    assert scale("before") == {"managed": True, "sku": "GP_Gen5_2", "wanted": "GP_Gen5_2", "reached": True}
    assert arm.calls == []


def test_a_busy_database_is_asked_again_later(arm: ArmDouble) -> None:
    arm.requested_sku = "GP_Gen5_4"
    answers = until_reached(scale, "load")
    assert answers[0]["reached"] is False
    assert arm.sku == "GP_Gen5_8"


def test_a_run_that_was_aborted_is_not_scaled_up_any_more_and_is_scaled_back(arm: ArmDouble) -> None:
    scale("load")
    runs.ask_to_abort(RUNS[0], Said(by="kim"))
    assert scale("load")["refused"]["code"] == "ABORTED"
    assert until_reached(scale, "before")[-1]["sku"] == "GP_Gen5_2"
    assert arm.calls == ["sql/GP_Gen5_8", "sql/GP_Gen5_2"]


def test_a_delivery_that_comes_after_the_clean_up_scales_nothing_up(arm: ArmDouble) -> None:
    runs.close(RUNS[0])
    assert scale("load")["refused"]["code"] == "RUN_OVER"
    assert (arm.calls, arm.sku) == ([], "GP_Gen5_2")


def test_a_missing_role_is_a_refusal_that_names_the_remedy(arm: ArmDouble) -> None:
    arm.forbidden = True
    refused = start()["refused"]
    assert refused["code"] == "ARM_FORBIDDEN"
    assert "infra/" in refused["remedy"]


def test_throttling_and_server_errors_are_transient(arm: ArmDouble) -> None:
    for status in (429, 503):
        arm.fail_next = [(status, "TooManyRequests")]
        with ResourceManager() as manager, pytest.raises(TransientError) as caught:
            manager.postgres_state(POSTGRES_ID)
        assert caught.value.code == "ARM_THROTTLED"


def test_a_manager_that_does_not_answer_is_transient(arm: ArmDouble) -> None:
    with ResourceManager(url="http://127.0.0.1:9") as manager, pytest.raises(TransientError) as caught:
        manager.postgres_state(POSTGRES_ID)
    assert caught.value.code == "ARM_UNREACHABLE"


def test_a_wrong_resource_id_is_a_refusal(arm: ArmDouble) -> None:
    with ResourceManager() as manager, pytest.raises(Refusal) as caught:
        manager.database_size("/subscriptions/1/resourceGroups/x/providers/Microsoft.Sql/servers/s/databases/other")
    assert caught.value.code == "ARM_REFUSED"
    assert caught.value.about == "databases/other"


def test_no_token_reaches_an_answer_or_an_error(arm: ArmDouble, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    texts = [str(until_reached(start)), str(scale("load"))]
    arm.fail_next = [(400, "BadRequest")]
    texts += [str(stop()), caplog.text]
    assert not [one for one in texts if arm.token in one or "c=secret" in one]


@pytest.mark.parametrize(
    ("sku", "name"),
    [
        ({"name": "GP_Gen5", "capacity": 2}, "GP_Gen5_2"),
        ({"name": "GP_Gen5_2", "capacity": 2}, "GP_Gen5_2"),
        ({"name": "HS_Gen5", "capacity": 4}, "HS_Gen5_4"),
        ({"name": "S3", "capacity": 100}, "S3"),
        ({"name": "Basic"}, "Basic"),
    ],
)
def test_a_sku_has_one_name_however_arm_tells_it(sku: dict[str, Any], name: str) -> None:
    assert sku_name(sku) == name


@pytest.fixture
def engine(arm: ArmDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskHubGrpcClient]:
    """durabletask's in-memory back end with the real orchestrators and activities; looks come quickly."""
    monkeypatch.setattr(orchestrators, "LOOK_EVERY", timedelta(milliseconds=20))
    stages = [ORCHESTRATORS[name] for name in ("open_environment", "scale_for_load", "close_environment")]
    work = [activities.start_postgres, activities.restart_postgres, activities.stop_postgres, activities.scale_sql]
    with task_hub(stages, work) as client:
        yield client


def orchestrated(engine: TaskHubGrpcClient, name: str, number: int = 0) -> Any:
    instance = engine.schedule_new_orchestration(name, input=payload(number))
    state = engine.wait_for_orchestration_completion(instance, timeout=60)
    assert state is not None
    assert state.runtime_status.name == "COMPLETED", state.failure_details
    return state.get_output()


def test_the_environment_is_opened_scaled_and_closed_again(arm: ArmDouble, engine: TaskHubGrpcClient) -> None:
    assert orchestrated(engine, "open_environment")["state"] == "Ready"
    scaled = orchestrated(engine, "scale_for_load")
    assert (scaled["sku"], scaled["findings"]) == ("GP_Gen5_8", [])
    closed = orchestrated(engine, "close_environment")
    assert closed["sql"]["sku"] == "GP_Gen5_2"
    assert closed["postgres"]["state"] == "Stopping"
    assert arm.calls == ["postgres/start", "sql/GP_Gen5_8", "sql/GP_Gen5_2", "postgres/stop"]


def test_a_server_that_is_left_running_for_others_is_a_finding_of_the_run(
    arm: ArmDouble, engine: TaskHubGrpcClient, theirs: str
) -> None:
    orchestrated(engine, "open_environment")
    closed = orchestrated(engine, "close_environment")
    assert [one["code"] for one in closed["findings"]] == ["POSTGRES_KEPT_RUNNING"]


def test_a_server_stopped_under_another_runs_hands_is_started_again(
    arm: ArmDouble, engine: TaskHubGrpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    orchestrated(engine, "open_environment")
    another_comes_while_it_is_stopped(monkeypatch)
    assert orchestrated(engine, "close_environment")["postgres"]["state"] == "Ready"
    assert arm.calls == ["postgres/start", "postgres/stop", "postgres/start"]


def test_a_refusal_of_arm_leaves_the_orchestration_as_a_refusal(arm: ArmDouble, engine: TaskHubGrpcClient) -> None:
    arm.forbidden = True
    assert orchestrated(engine, "open_environment")["refused"]["code"] == "ARM_FORBIDDEN"


def test_a_size_that_cannot_be_brought_back_is_a_finding_and_the_server_is_stopped_all_the_same(
    arm: ArmDouble, engine: TaskHubGrpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    orchestrated(engine, "open_environment")
    orchestrated(engine, "scale_for_load")

    def forbidden(_manager: ResourceManager, _database: str, _sku: str) -> None:
        raise Refusal(
            "ARM_FORBIDDEN", "databases/app", "expected the app's identity to be allowed this, found 403.", ""
        )

    monkeypatch.setattr(ResourceManager, "scale_database", forbidden)
    closed = orchestrated(engine, "close_environment")
    assert [(one["code"], one["severity"]) for one in closed["findings"]] == [("ARM_FORBIDDEN", "warning")]
    assert closed["postgres"]["state"] == "Stopping"


def test_a_size_for_the_load_that_does_not_come_in_time_is_a_finding_with_what_to_do(
    arm: ArmDouble, engine: TaskHubGrpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orchestrators, "PATIENCE", timedelta(milliseconds=50))
    arm.looks = 100
    scaled = orchestrated(engine, "scale_for_load")
    (found,) = scaled["findings"]
    assert (found["code"], found["severity"], found["message"]) == (
        "NOT_SCALED_UP",
        "warning",
        "expected GP_Gen5_8 for the load, found GP_Gen5_2 after 0:00:00.050000.",
    )
    assert found["remedy"]


def test_a_size_that_does_not_come_back_in_time_is_a_finding(
    arm: ArmDouble, engine: TaskHubGrpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    orchestrated(engine, "open_environment")
    orchestrated(engine, "scale_for_load")
    monkeypatch.setattr(orchestrators, "PATIENCE", timedelta(milliseconds=50))
    arm.looks = 100
    closed = orchestrated(engine, "close_environment")
    (found,) = closed["findings"]
    assert (found["code"], found["message"]) == (
        "NOT_SCALED_BACK",
        "expected GP_Gen5_2 again, found GP_Gen5_8 after 0:00:00.050000.",
    )
    assert closed["postgres"]["state"] == "Stopping"
