"""The settings of the runtime over HTTP, on the page and in the terminal: a password once, for who asks, and nowhere else."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest
from psycopg import sql

from local.cli.program import main
from local.postgres import PostgresServer
from shared import handedout, runs, settings
from shared.blobs import clients
from shared.contracts import Gate, Progress, Run, StageState
from shared.postgres import readers
from shared.postgres.connection import database_name
from shared.request import MigrationRequest
from tests.fixtures.apiserver import ApiServer
from tests.fixtures.browser import Browser

REQUEST = {
    "source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"},
    "target": "demo",
    "options": {"target_mode": "runtime"},
}


@pytest.fixture
def waiting(api: ApiServer, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The id of a run that waits for its runtime, with a temporary database that holds one table."""
    for name, value in {
        "PORT": str(postgres_server.port), "USER": postgres_server.user, "PASSWORD": postgres_server.password,
        "SSLMODE": "disable",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"POSTGRES__{name}", value)
    settings.settings.cache_clear()
    run_id = f"20261128t200000-{secrets.token_hex(3)}"
    name = sql.Identifier(database_name(run_id))
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        with psycopg.connect(postgres_server.dsn(database_name(run_id))) as inside:
            inside.execute("CREATE TABLE kept (id bigint)")
        put(api, run_id)
        yield run_id
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        readers.drop_reader(settings.settings().postgres, database_name(run_id))


def put(api: ApiServer, run_id: str, decision: str | None = None) -> None:
    """The run waits at the gate `started`, which its database's side holds."""
    now = datetime.now(UTC)
    gate = Gate.model_validate({"name": "started", "asked_at": now, "answers_by": now + timedelta(hours=2), "decision": decision})  # fmt: skip
    stage = StageState(name="hand-over", state="waiting", started_at=now)
    side = StageState(name="database", started_at=now, instance=f"{run_id}:database")
    runs.save(Run(id=run_id, request=MigrationRequest.model_validate(REQUEST), created_at=now))
    api.engine.set(run_id, "RUNNING", custom=Progress(stages=[side], target_written_at=now).model_dump(mode="json"))
    held = Progress(stages=[stage], gates=[gate]).model_dump(mode="json")
    api.engine.set(f"{run_id}:database", "RUNNING", custom=held)


def asked(api: ApiServer, method: str, run_id: str, **more: object) -> httpx.Response:
    address = f"{api.url}/api/migrations/{run_id}/source-database"
    return httpx.request(method, address, headers={"x-functions-key": api.key}, **more)  # type: ignore[arg-type]


def logs_in(found: dict[str, str]) -> bool:
    host, _, port = found["SourceDatabaseHost"].partition(":")
    try:
        psycopg.connect(
            host=host, port=int(port), dbname=found["SourceDatabaseName"], user=found["SourceDatabaseUserName"],
            password=found["SourceDatabasePassword"],
        ).close()  # fmt: skip
    except psycopg.OperationalError:
        return False
    return True


def test_a_password_is_given_once_to_who_asks_and_lies_nowhere(api: ApiServer, waiting: str) -> None:
    shown = asked(api, "GET", waiting).json()
    assert (shown["password_included"], shown["settings"]["SourceDatabasePassword"]) == (False, "<password>")
    answer = asked(api, "POST", waiting, json={"by": "Ada"})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert "etag" not in answer.headers
    first = answer.json()
    assert logs_in(first["settings"])
    assert first["settings"]["SourceDatabaseName"] == database_name(waiting)
    second = asked(api, "POST", waiting, json={"by": "Bo"}).json()
    assert not logs_in(first["settings"])
    assert logs_in(second["settings"])
    assert [one.by for one in handedout.load_all(waiting)] == ["Ada", "Bo"]
    passwords = [one["settings"]["SourceDatabasePassword"] for one in (first, second)]
    kept = b"".join(runs.read(name) or b"" for name in clients.reports().list_blob_names())
    assert b"Ada" in kept
    assert not [one for one in passwords if one.encode() in kept]
    again = asked(api, "GET", waiting)
    assert not [one for one in passwords if one in again.text]


def test_nothing_is_handed_out_before_or_after_the_wait(api: ApiServer, waiting: str) -> None:
    put(api, waiting, "approved")
    for method in ("GET", "POST"):
        answer = asked(api, method, waiting)
        assert (answer.status_code, answer.json()["code"]) == (409, "NOTHING_TO_HAND_OUT")
        assert asked(api, method, "20261128t200000-ffffff").status_code == 404
    assert asked(api, "POST", waiting, content=b'{"by": ""}').status_code == 400
    assert handedout.load_all(waiting) == []


def test_nobody_is_given_a_password_without_a_name(api: ApiServer, waiting: str) -> None:
    answer = asked(api, "POST", waiting, json={})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "by")
    assert handedout.load_all(waiting) == []


def test_the_page_shows_the_settings_and_the_password_only_after_a_click(
    api: ApiServer, waiting: str, browser: Browser
) -> None:
    browser.open(f"{api.url}/api/ui")
    browser.sign_in(api.key)
    browser.go(f"runs/{waiting}")
    browser.reads("Has the app copied the source, and started?")
    browser.reads("Without the password.")
    browser.find(".source-settings summary").click()
    browser.reads("MXRUNTIME_SourceDatabasePassword=<password>")
    browser.fill("#by", "Ada")
    browser.click("Make a password and show it")
    browser.reads("With a password, shown this once")
    text = browser.find(".source-settings code").text
    found = dict(line.removeprefix("MXRUNTIME_").split("=", 1) for line in text.splitlines())
    assert logs_in(found)
    browser.shot("hand-over")
    assert [one.by for one in handedout.load_all(waiting)] == ["Ada"]
    browser.click("Approve")
    browser.reads("Approved; the run goes on.")
    (instance, event, said) = api.engine.events[-1]
    assert (instance, event, said["by"]) == (f"{waiting}:database", "approve-started", "Ada")


def test_the_terminal_prints_the_settings_with_a_password_when_asked(
    api: ApiServer, waiting: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MXFERRY_KEY", api.key)
    command = ["--url", api.url, "source-settings", waiting]
    assert main(command) == 0
    assert "MXRUNTIME_SourceDatabasePassword=<password>" in capsys.readouterr().out
    assert main([*command, "--form", "console", "--password", "--by", "Ada"]) == 0
    assert logs_in(dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines()))
    assert main([*command, "--form", "mendix-operator"]) == 0
    assert "customConfiguration" in capsys.readouterr().out
