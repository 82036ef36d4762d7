"""The handlers of the API, with a double of the durable client; records lie in a real Azurite."""

import json

import pytest

from api import migrations
from api.routes import ROUTES
from shared import remains, runs, settings
from shared.errors import Refusal
from shared.request import MigrationRequest
from tests.fixtures.asking import BODY, answered, ask


def test_a_start_answers_202_with_the_place_to_look(engine):
    status, body, headers = ask(engine, "POST", "migrations", BODY)
    assert status == 202
    assert headers["Location"] == f"/api/migrations/{body['id']}"
    [(orchestrator, instance, run)] = engine.scheduled
    assert (orchestrator, instance, run["request"]["target"]) == ("migrate", body["id"], "demo")


def test_a_doubled_click_starts_one_migration(engine):
    headers = {"idempotency-key": "click-1"}
    first = ask(engine, "POST", "migrations", BODY, headers)
    second = ask(engine, "POST", "migrations", BODY, headers)
    assert first[0] == second[0] == 202
    assert first[1]["id"] == second[1]["id"]
    assert len(engine.scheduled) == 1


def test_a_start_that_is_repeated_is_told_its_run_whoever_holds_the_target_by_now(engine):
    headers = {"idempotency-key": "click-1"}
    first = ask(engine, "POST", "migrations", BODY, headers)
    engine.set(first[1]["id"], "COMPLETED", output={"verdict": "verified"})
    other = ask(engine, "POST", "migrations", BODY)
    assert other[0] == 202
    again = ask(engine, "POST", "migrations", BODY, headers)
    assert (again[0], again[1]["id"]) == (202, first[1]["id"])
    engine.set(other[1]["id"], "COMPLETED", output={"verdict": "verified"})
    ask(engine, "POST", "migrations", BODY, headers)
    assert runs.take_target("demo", "probe").run == other[1]["id"], "a run that is over never takes the target again"
    assert len(engine.scheduled) == 2


def test_an_idempotency_key_with_another_body_is_refused(engine):
    headers = {"idempotency-key": "click-1"}
    ask(engine, "POST", "migrations", BODY, headers)
    status, body, _ = ask(engine, "POST", "migrations", BODY | {"approval": True}, headers)
    assert (status, body["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")


def test_one_migration_at_a_time_per_target(engine):
    _, first, _ = ask(engine, "POST", "migrations", BODY)
    status, body, _ = ask(engine, "POST", "migrations", BODY)
    assert (status, body["code"]) == (409, "TARGET_BUSY")
    assert first["id"] in body["detail"]
    engine.set(first["id"], "COMPLETED", output={"verdict": "verified"})
    assert ask(engine, "POST", "migrations", BODY)[0] == 202


@pytest.mark.parametrize("state", ["TERMINATED", "FAILED"])
def test_a_run_that_was_ended_from_outside_is_closed_when_the_next_one_takes_its_target(engine, state):
    _, first, _ = ask(engine, "POST", "migrations", BODY | {"options": {"cleanup": "keep", "keep_days": 2}})
    assert ask(engine, "POST", "migrations", BODY)[0] == 409
    assert not runs.closed(first["id"])
    engine.set(first["id"], state)
    assert ask(engine, "POST", "migrations", BODY)[0] == 202
    with pytest.raises(Refusal, match="RUN_OVER"):
        runs.stop_if_closed(first["id"])
    assert remains.closing(first["id"]).keep_days == 2


def test_the_record_of_a_run_is_there_before_its_url_is_stowed(engine, monkeypatch):
    """The sweep deletes nothing in staging that has no record, and nothing of a record that is young."""
    known = []
    monkeypatch.setattr(migrations, "stow_source_url", lambda run_id, _: known.append(runs.load(run_id)))
    source = {"kind": "url", "url": "https://example.org/s.tar.gz?sig=secret"}
    _, body, _ = ask(engine, "POST", "migrations", BODY | {"source": source})
    assert [(run.id, run.request.source.url) for run in known] == [(body["id"], None)]


def test_what_is_left_of_a_run_is_shown_with_it(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    path = f"migrations/{body['id']}"
    assert ask(engine, "GET", path)[1]["remains"] is None
    remains.save(body["id"], remains.Remains(done=["Deleted 2 staging blobs."], left={"database": "Not deleted: busy"}))
    assert ask(engine, "GET", path)[1]["remains"] == {
        "done": ["Deleted 2 staging blobs."], "kept_until": None, "left": {"database": "Not deleted: busy"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        ({"target": None}, "target", "valid string"),
        ({"traget": "demo"}, "traget", "Extra inputs are not permitted"),
        ({"source": {"kind": "ftp"}}, "source", "does not match any of the expected tags"),
        ({"source": {"kind": "blob", "container": "../x", "blob": "b"}}, "source.blob.container", "should match pattern"),
        ({"target_not_empty": "drop"}, "(body)", 'needs "confirm": "demo"'),
        ({"window": {"end": "2026-11-28T20:00:00"}}, "window", "time zone"),
        ({"options": {"keep_days": 3}}, "options", "`always` keeps nothing"),
        ({"options": {"max_rejects": -1}}, "options.max_rejects", "greater than or equal to 0"),
        ({"options": {"target_mode": "existing", "collation": "Latin1_General_100_CS_AS"}}, "options", "collation"),
    ],
)  # fmt: skip
def test_a_wrong_body_gets_a_400_that_names_the_field(engine, change, field, text):
    status, body, _ = ask(engine, "POST", "migrations", BODY | change)
    assert (status, body["code"]) == (400, "INVALID_REQUEST")
    [error] = body["errors"]
    assert error["field"] == field
    assert text in error["message"]


def test_an_error_never_echoes_what_was_sent(engine):
    secret = "https://user:hunter2@host/?sig=abc"
    _, body, _ = ask(engine, "POST", "migrations", BODY | {"target": secret})
    assert "hunter2" not in json.dumps(body)


def test_what_is_not_json_gets_a_400(engine):
    status, body, _ = ask(engine, "POST", "migrations", b"{nope")
    assert (status, body["code"]) == (400, "INVALID_REQUEST")


def test_a_body_over_the_limit_is_refused(engine):
    assert ask(engine, "POST", "migrations", b" " * (1024 * 1024 + 1))[0] == 413


def test_an_unknown_target_names_the_known_ones(engine):
    status, body, _ = ask(engine, "POST", "migrations", BODY | {"target": "prod"})
    assert (status, body["code"], body["object"]) == (400, "UNKNOWN_TARGET", "prod")
    assert "demo" in body["detail"]
    assert "TARGET__PROD__" in body["remedy"]


@pytest.fixture
def postgres_profile(monkeypatch):
    """A second target profile, `other`, of kind postgres."""
    monkeypatch.setenv("TARGET__OTHER__KIND", "postgres")
    for name, value in {"HOST": "127.0.0.1", "USER": "app", "DATABASE": "app"}.items():
        monkeypatch.setenv(f"TARGET__OTHER__POSTGRES__{name}", value)
    monkeypatch.setenv("TARGET__OTHER__BLOB__ACCOUNT_URL", "https://x.blob.core.windows.net")
    monkeypatch.setenv("TARGET__OTHER__BLOB__CONTAINER", "files")
    settings.settings.cache_clear()
    yield "other"
    settings.settings.cache_clear()


@pytest.mark.parametrize(("target", "mode"), [("demo", "create"), ("other", "postgres")])
def test_a_run_gets_the_target_mode_that_its_profile_has(engine, postgres_profile, target, mode):
    status, body, _ = ask(engine, "POST", "migrations", BODY | {"target": target})
    assert status == 202, body
    assert runs.load(body["id"]).request.options.target_mode == mode


@pytest.mark.parametrize(("target", "mode"), [("demo", "postgres"), ("other", "create"), ("other", "existing")])
def test_a_target_mode_that_does_not_fit_the_profile_is_refused_before_anything_starts(
    engine, postgres_profile, target, mode
):
    status, body, _ = ask(engine, "POST", "migrations", BODY | {"target": target, "options": {"target_mode": mode}})
    assert (status, body["code"], body["object"]) == (400, "TARGET_MODE_UNFIT", target)
    assert f"`{mode}`" in body["detail"]
    assert engine.scheduled == []


@pytest.mark.parametrize("query", ["?lang=de&Sig=s3cr3t", "?token=s3cr3t", "?X-Amz-Signature=s3cr3t", "?a=1;code=s3cr3t", "?api-key=s3cr3t", "?key=s3cr3t", "?AccountKey=s3cr3t", "?%73ig=s3cr3t", "#access_token=s3cr3t"])  # fmt: skip
def test_an_address_with_a_secret_in_it_is_refused_and_not_kept(engine, query):
    smoke = {"http": [{"name": "home", "url": f"https://app.example.com/{query}"}]}
    status, told, _ = ask(engine, "POST", "migrations", BODY | {"smoke": smoke})
    assert (status, told["code"], told["object"]) == (400, "SECRET_IN_ADDRESS", "smoke check home")
    assert "s3cr3t" not in str(told)
    assert engine.scheduled == []
    MigrationRequest.model_validate(
        BODY | {"smoke": smoke}
    )  # the record of a run that was started before stays readable


def test_a_level_that_compares_no_row_of_a_postgresql_target_is_refused_alone(engine, postgres_profile):
    body = BODY | {"target": "other", "options": {"verify": ["sample", "aggregates"]}}
    status, told, _ = ask(engine, "POST", "migrations", body)
    assert (status, told["code"]) == (400, "VERIFY_UNFIT")
    assert ask(engine, "POST", "migrations", body | {"options": {"verify": ["sample", "hash"]}})[0] == 202


def test_a_target_mode_that_is_not_there_is_refused_by_name(engine):
    status, body, _ = ask(engine, "POST", "migrations", BODY | {"options": {"target_mode": "copy-it-somehow"}})
    assert (status, body["errors"][0]["field"]) == (400, "options.target_mode")


def test_a_source_url_never_reaches_the_engine(engine):
    url = "https://backups.example.com/x.tar.gz?sig=secret-signature"
    status, body, _ = ask(engine, "POST", "migrations", BODY | {"source": {"kind": "url", "url": url}})
    assert status == 202, body
    assert "secret-signature" not in json.dumps(engine.scheduled)
    assert "secret-signature" not in runs.read(f"runs/{body['id']}/run.json").decode()


@pytest.mark.parametrize("url", ["", "ftp://x/y", "http://x/y", "https://", "file:///etc/passwd"])
def test_a_source_url_that_is_not_https_is_refused(engine, url):
    status, body, _ = ask(engine, "POST", "migrations", BODY | {"source": {"kind": "url", "url": url}})
    assert status == 400
    assert body["remedy"]


def test_a_migration_shows_its_stages_and_findings(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    stage = {"name": "restore", "started_at": "2026-11-28T20:00:00Z", "instance": f"{body['id']}:restore"}
    engine.set(body["id"], "RUNNING", custom={"stages": [stage]})
    child = {"stage": "restore", "done": {"rows": 5, "bytes": 50}, "total": {"rows": 10, "bytes": 100}}
    engine.set(f"{body['id']}:restore", "RUNNING", custom=child)
    status, seen, headers = ask(engine, "GET", f"migrations/{body['id']}")
    assert (status, seen["status"], seen["stage"]) == (200, "running", "restore")
    assert seen["progress"]["stages"][0]["done"]["rows"] == 5
    assert headers["ETag"]


def test_a_list_is_newest_first_and_paged(engine):
    made = []
    for _ in range(3):
        made.append(ask(engine, "POST", "migrations", BODY)[1]["id"])
        engine.set(made[-1], "COMPLETED", output={"verdict": "verified"})
    _, page, _ = ask(engine, "GET", "migrations", query={"limit": "2"})
    rest = ask(engine, "GET", "migrations", query={"limit": "2", "before": page["next"]})[1]
    assert [one["id"] for one in page["items"] + rest["items"]] == sorted(made, reverse=True)
    assert rest["next"] is None
    assert ask(engine, "GET", "migrations", query={"limit": "x"})[0] == 400


def test_the_same_answer_again_is_a_304(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    engine.set(body["id"], "COMPLETED", output={"verdict": "verified"})
    _, _, headers = ask(engine, "GET", f"migrations/{body['id']}")
    status, nothing, _ = ask(engine, "GET", f"migrations/{body['id']}", headers={"if-none-match": headers["ETag"]})
    assert (status, nothing) == (304, None)


@pytest.mark.parametrize("path", ["migrations/20261128t200000-abc123", "migrations/nope", "migrations/..%2f"])
def test_an_unknown_migration_is_a_404(engine, path):
    for method, suffix in (
        ("GET", ""),
        ("GET", "/report"),
        ("GET", "/schema"),
        ("GET", "/request"),
        ("POST", "/approve"),
        ("POST", "/abort"),
    ):
        status, body, _ = ask(engine, method, path + suffix, {} if method == "POST" else None)
        assert (status, body["code"]) == (404, "UNKNOWN_RUN")


def test_the_report_comes_as_html_or_json_by_accept(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    path = f"migrations/{body['id']}/report"
    assert ask(engine, "GET", path)[1]["code"] == "REPORT_NOT_READY"
    runs.write(f"runs/{body['id']}/report.json", b'{"verdict": "verified"}', "application/json")
    assert ask(engine, "GET", path)[1] == {"verdict": "verified"}


def test_the_script_of_the_schema_is_handed_out_once_it_is_planned(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    path = body["links"]["schema"].removeprefix("/api/")
    assert ask(engine, "GET", path)[1]["code"] == "SCHEMA_NOT_READY"
    runs.write(f"runs/{body['id']}/schema.sql", "CREATE TABLE [é] (x int);".encode(), "text/plain")
    found = answered(engine, "GET", path)
    assert (found.status, found.content_type) == (200, "text/plain; charset=utf-8")
    assert found.body.decode() == "CREATE TABLE [é] (x int);"
    assert found.headers["X-Content-Type-Options"] == "nosniff"


def test_a_runs_request_is_a_body_to_start_another_one_with(engine):
    wanted = BODY | {"approval": True, "options": {"remedies": {"A": "b"}, "dry_run": False}, "idempotency_key": "one"}
    _, body, _ = ask(engine, "POST", "migrations", wanted)
    status, found, _ = ask(engine, "GET", body["links"]["request"].removeprefix("/api/"))
    assert status == 200
    assert found == BODY | {"approval": True, "options": {"remedies": {"A": "b"}, "target_mode": "create"}}
    engine.set(body["id"], "COMPLETED", output={"verdict": "refused"})
    assert ask(engine, "POST", "migrations", found)[0] == 202


def test_health_is_open_and_says_little(engine, monkeypatch):
    # The page is an empty shell: it holds no data and asks for the key.
    assert {one.path for one in ROUTES if one.auth == "anonymous"} == {"health", "ui", "ui/{file}"}
    assert ask(engine, "GET", "health")[:2] == (200, {"status": "ok", "version": "0.2.0"})
    monkeypatch.delenv("POSTGRES__HOST")
    settings.settings.cache_clear()
    assert ask(engine, "GET", "health")[0] == 503


def test_what_a_handler_did_not_foresee_is_a_500_without_details(engine, monkeypatch):
    monkeypatch.setattr(migrations.runs, "ids", lambda *_: 1 / 0)
    status, body, _ = ask(engine, "GET", "migrations")
    assert (status, body["code"]) == (500, "INTERNAL_ERROR")
    assert "division" not in json.dumps(body)
