"""From a Mendix Cloud environment to a staged archive, through everything the API may answer on the way."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from activities import source as source_activities
from orchestrators import cloud as cloud_orchestrators
from orchestrators.calling import StageRefused
from orchestrators.snapshot import take_snapshot
from orchestrators.sourceapp import start_source
from shared.settings import settings
from shared.sources import cloudsteps
from shared.sources.checks import check_source
from shared.sources.environment import check_database, check_runtime
from shared.sources.mendixcloud import MendixCloudApi
from tests.fixtures import driving
from tests.fixtures.mendixcloud import Cloud
from tests.fixtures.runs import new_run
from tests.integration.snapshot.conftest import Start


def test_a_new_snapshot_is_made_awaited_and_staged(
    in_the_cloud: Start, mendix_cloud: Cloud, sample_snapshot: Path
) -> None:
    stand = in_the_cloud()
    taken = stand.drive(take_snapshot, stand.work)
    assert stand.staging.download_blob(taken["archive_blob"]).readall() == sample_snapshot.read_bytes()
    calls = mendix_cloud.control()["calls"]
    assert len([call for call in calls if call.startswith("POST") and call.endswith("/snapshots")]) == 1
    assert len([call for call in calls if call.startswith("POST") and call.endswith("/archives")]) == 1
    assert any(status["state"] == "waiting" for status in stand.statuses)


def test_the_latest_completed_snapshot_is_found_over_all_pages(
    in_the_cloud: Start, mendix_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.sources.mendixcloud.PAGE", 10)
    stand = in_the_cloud(snapshot="latest")
    taken = stand.drive(take_snapshot, stand.work)
    assert taken["kind"] == "full"
    calls = mendix_cloud.control()["calls"]
    assert len([call for call in calls if call.startswith("GET") and call.endswith("/snapshots")]) >= 4
    assert not [call for call in calls if call.startswith("POST") and call.endswith("/snapshots")]


def test_a_failed_snapshot_is_explained_in_mendix_words(in_the_cloud: Start, mendix_cloud: Cloud) -> None:
    listed = httpx.get(mendix_cloud.snapshots, headers=mendix_cloud.headers).json()["snapshots"]
    failed = next(one for one in listed if one["state"] == "failed")
    stand = in_the_cloud(snapshot=failed["snapshot_id"])
    code, about, message = stand.refusal(take_snapshot, stand.work)
    assert (code, about) == ("MENDIX_SNAPSHOT_FAILED", failed["snapshot_id"])
    assert message == f"expected a completed snapshot, found that it failed: {failed['status_message']}"


@pytest.mark.parametrize(
    ("status", "code", "retry_after"),
    [
        (429, "RATE_LIMIT", 7),
        (400, "ENVIRONMENT_BUSY", None),
        (400, "INVALID_STATE", None),
        (500, "SERVICE_UNAVAILABLE", None),
    ],
)
def test_what_may_pass_is_waited_for_by_timers(
    in_the_cloud: Start, mendix_cloud: Cloud, status: int, code: str, retry_after: int | None
) -> None:
    fault = {"path": "/snapshots", "status": status, "code": code, "times": 3, "retry_after": retry_after}
    mendix_cloud.control(faults=[fault])
    stand = in_the_cloud()
    assert stand.drive(take_snapshot, stand.work)["kind"] == "full"
    told = [status["note"] for status in stand.statuses if status["state"] == "waiting" and status["note"]]
    assert told[:3] == [f"Mendix Cloud asks to wait: {code}"] * 3


def test_an_expired_url_is_renewed_and_the_archive_staged_all_the_same(
    in_the_cloud: Start, mendix_cloud: Cloud, sample_snapshot: Path
) -> None:
    mendix_cloud.control(faults=[{"path": "/download/", "status": 403, "times": 1}])
    stand = in_the_cloud()
    taken = stand.drive(take_snapshot, stand.work)
    assert stand.staging.download_blob(taken["archive_blob"]).readall() == sample_snapshot.read_bytes()
    calls = mendix_cloud.control()["calls"]
    assert len([call for call in calls if call.startswith("POST") and call.endswith("/archives")]) == 2
    assert len([call for call in calls if call.startswith("POST") and call.endswith("/snapshots")]) == 1


@pytest.mark.parametrize(("seconds", "at_least", "at_most"), [(90, 30, 90), (3600, 120, 120)])
@pytest.mark.parametrize("as_date", [True, False])
def test_the_time_to_wait_is_told_in_seconds_or_as_a_date_and_no_timer_is_so_long_that_an_abort_is_not_heard(
    in_the_cloud: Start, mendix_cloud: Cloud, seconds: int, at_least: int, at_most: int, as_date: bool
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    fault = {"path": "/snapshots", "status": 429, "code": "RATE", "retry_after": date if as_date else seconds}
    mendix_cloud.control(faults=[fault])
    stand = in_the_cloud()
    answer = source_activities.choose_snapshot(None, stand.work)
    assert answer["state"] == "wait"
    assert at_least <= answer["seconds"] <= at_most
    assert (answer["not_before"] is None) == (seconds < 120)


@pytest.mark.parametrize(("asked", "hours"), [(7200, 2), (30 * 86_400, 6), ("²", 0), ("9" * 5000, 0)])
def test_mendix_cloud_is_not_asked_again_before_the_time_that_it_tells_up_to_some_hours(
    in_the_cloud: Start, mendix_cloud: Cloud, asked: int | str, hours: int
) -> None:
    mendix_cloud.control(faults=[{"path": "/snapshots", "status": 429, "code": "RATE", "retry_after": asked}])
    stand = in_the_cloud()
    before = datetime.now(UTC)
    told = source_activities.choose_snapshot(None, stand.work)["not_before"]
    if not hours:
        assert told is None
        return
    assert timedelta(hours=hours) <= datetime.fromisoformat(told) - before < timedelta(hours=hours, minutes=10)
    mendix_cloud.control(clear=True)
    for activity in (
        source_activities.stop_source_app,
        source_activities.choose_snapshot,
        source_activities.poll_snapshot,
        source_activities.request_archive,
        source_activities.poll_archive,
        source_activities.start_source_app,
    ):
        answer = activity(None, {**stand.work, "not_before": told})
        assert (answer["state"], answer["seconds"], answer["not_before"]) == ("wait", 120, told)
        assert "asks to wait until" in answer["note"]
    assert mendix_cloud.control()["calls"] == []


def test_a_long_wait_is_many_short_timers_over_all_children_and_no_call(
    in_the_cloud: Start, mendix_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloudsteps, "TIMER_SECONDS", 0.5)
    monkeypatch.setattr(cloud_orchestrators, "POLLS_OF_CHILD", 4)
    mendix_cloud.control(faults=[{"path": "/snapshots", "status": 429, "code": "RATE", "retry_after": 9}])
    stand = in_the_cloud(snapshot="latest")
    made: list[Any] = []
    driving.drive(take_snapshot, stand.work, stand.statuses, made)
    assert len([name for name, _ in made if name == "choose_snapshot"]) > 5
    listed = [one for one in mendix_cloud.control()["calls"] if one.startswith("GET") and one.endswith("/snapshots")]
    assert len(listed) == 2, "the one that was told to wait, and the one after the wait"


def test_a_cloud_that_is_never_ready_is_given_up_with_its_last_words(
    in_the_cloud: Start, mendix_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_orchestrators, "PATIENCE", timedelta(minutes=10))
    monkeypatch.setattr(cloud_orchestrators, "POLLS_OF_CHILD", 4)
    mendix_cloud.control(faults=[{"path": "/snapshots", "status": 400, "code": "ENVIRONMENT_BUSY", "times": 1000}])
    stand = in_the_cloud()
    calls: list[Any] = []
    with pytest.raises(StageRefused) as caught:
        driving.drive(take_snapshot, stand.work, stand.statuses, calls)
    assert (caught.value.finding.code, caught.value.finding.object) == ("MENDIX_TOO_SLOW", "live")
    assert caught.value.finding.message.endswith("still waiting: Mendix Cloud asks to wait: ENVIRONMENT_BUSY.")
    assert 8 < len([name for name, _ in calls if name == "timer"]) < 30


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BACKUPS_URL", "ftp://deploy.mendix.com"),
        ("BACKUPS_URL", "https://:x/"),
        ("API_KEY", "two\nlines"),
        ("USERNAME", "zoë"),
    ],
)
def test_settings_that_make_no_request_are_refused_and_not_waited_for(
    in_the_cloud: Start, mendix_cloud: Cloud, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"SOURCE__LIVE__MENDIX_CLOUD__{name}", value)
    settings.cache_clear()
    stand = in_the_cloud()
    code, about, message = stand.refusal(take_snapshot, stand.work)
    assert (code, about) == ("MENDIX_SETTINGS", mendix_cloud.environment_id)
    assert value not in message


def test_preflight_says_when_mendix_cloud_cannot_be_reached(
    in_the_cloud: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = in_the_cloud().run.request.source
    monkeypatch.setenv("SOURCE__LIVE__MENDIX_CLOUD__BACKUPS_URL", "http://127.0.0.1:1/api/v2")
    settings.cache_clear()
    [found] = check_source(source, None)
    assert (found.code, found.severity) == ("MENDIX_UNREACHABLE", "error")


def test_a_wrong_key_is_refused_with_the_rights_that_are_needed(
    in_the_cloud: Start, mendix_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE__LIVE__MENDIX_CLOUD__API_KEY", "wrong")
    settings.cache_clear()
    stand = in_the_cloud()
    code, about, message = stand.refusal(take_snapshot, stand.work)
    assert (code, about) == ("MENDIX_DENIED", mendix_cloud.environment_id)
    assert message == "expected access to the environment's backups, found status 403 NO_ACCESS."


def test_the_app_is_stopped_only_when_the_request_says_so(in_the_cloud: Start, mendix_cloud: Cloud) -> None:
    stand = in_the_cloud(snapshot="latest")
    stand.drive(take_snapshot, stand.work)
    assert mendix_cloud.control()["status"] == "Running"
    stand = in_the_cloud(stop_app=True)
    stand.drive(take_snapshot, stand.work)
    assert mendix_cloud.control()["status"] == "Stopped"


def test_an_app_that_does_not_stop_is_refused_after_some_attempts(in_the_cloud: Start, mendix_cloud: Cloud) -> None:
    failed = {"path": "/stop", "status": 500, "code": "STOP_FAILED"}
    stand = in_the_cloud(stop_app=True)
    mendix_cloud.control(faults=[{**failed, "times": 2}])
    stand.drive(take_snapshot, stand.work)
    assert stand.drive(start_source, stand.work)["outcome"] == "started"
    mendix_cloud.control(clear=True)
    mendix_cloud.control(faults=[{**failed, "times": 1000}])
    stand = in_the_cloud(stop_app=True)
    code, about, message = stand.refusal(take_snapshot, stand.work)
    assert (code, about) == ("MENDIX_STOP_FAILED", "live")
    assert "found that 5 attempts failed; the last: Mendix Cloud could not stop the app" in message
    calls = mendix_cloud.control()["calls"]
    assert len([one for one in calls if one.startswith("POST") and one.endswith("/stop")]) == 5


def test_an_app_that_this_run_stopped_is_started_again_once_and_awaited(
    in_the_cloud: Start, mendix_cloud: Cloud
) -> None:
    stand = in_the_cloud(stop_app=True)
    mendix_cloud.control(clear=True)
    stand.drive(take_snapshot, stand.work)
    for _ in range(2):
        assert stand.drive(start_source, stand.work)["outcome"] == "started"
    found = mendix_cloud.control()
    assert found["status"] == "Running"
    assert len([one for one in found["calls"] if one.startswith("POST") and one.endswith("/start")]) == 1
    assert [one["note"] for one in stand.statuses if one["note"]][-1] == "the source app is starting"


def test_an_app_that_somebody_else_stopped_is_left_alone(in_the_cloud: Start, mendix_cloud: Cloud) -> None:
    first = in_the_cloud(stop_app=True)
    first.drive(take_snapshot, first.work)
    second = replace(first, run=new_run({"kind": "mendix-cloud", "profile": "live", "stop_app": True}))
    second.drive(take_snapshot, second.work)
    assert second.drive(start_source, second.work)["outcome"] == "not-ours"
    assert mendix_cloud.control()["status"] == "Stopped"


@pytest.mark.parametrize("code", ["DB_SYNC_FAILED", "START_FAILED", "MISSING_CONSTANT"])
def test_an_app_that_does_not_start_is_said_with_the_reason(
    in_the_cloud: Start, mendix_cloud: Cloud, code: str
) -> None:
    stand = in_the_cloud(stop_app=True)
    stand.drive(take_snapshot, stand.work)
    mendix_cloud.control(faults=[{"path": "/start", "status": 500, "code": code, "times": 1}])
    found = stand.refusal(start_source, stand.work)
    assert found[0] == "MENDIX_START_FAILED"
    assert code in found[2]


def test_a_start_that_meets_trouble_on_the_way_is_asked_for_again(in_the_cloud: Start, mendix_cloud: Cloud) -> None:
    stand = in_the_cloud(stop_app=True)
    stand.drive(take_snapshot, stand.work)
    faults = [
        {"path": "/start", "status": 500, "times": 2},
        {"path": "/start", "status": 400, "code": "ALREADY_LOCKED"},
    ]
    mendix_cloud.control(faults=faults)
    assert stand.drive(start_source, stand.work)["state"] == "done"
    assert mendix_cloud.control()["status"] == "Running"


def test_a_snapshot_from_before_the_agreed_time_is_refused(in_the_cloud: Start) -> None:
    stand = in_the_cloud(snapshot="latest")
    agreed = stand.run.request.model_copy(update={"snapshot_at": datetime.now(UTC)})
    late = replace(stand, run=stand.run.model_copy(update={"request": agreed}))
    code, _, message = late.refusal(take_snapshot, late.work)
    assert code == "SNAPSHOT_TOO_OLD"
    assert "found one of " in message


def test_choosing_a_new_snapshot_twice_makes_one(in_the_cloud: Start, mendix_cloud: Cloud) -> None:
    stand = in_the_cloud()
    chosen = [source_activities.choose_snapshot(None, stand.work) for _ in range(2)]
    assert chosen[0]["snapshot"] == chosen[1]["snapshot"]
    latest = in_the_cloud(snapshot="latest")
    work = {**latest.work, "snapshot": source_activities.choose_snapshot(None, latest.work)["snapshot"]}
    asked = [source_activities.request_archive(None, work) for _ in range(2)]
    assert asked[0]["archive"] == asked[1]["archive"]


def test_key_and_url_are_in_no_answer_status_or_blob(in_the_cloud: Start, mendix_cloud: Cloud) -> None:
    stand = in_the_cloud()
    calls: list[Any] = []
    taken = driving.drive(take_snapshot, stand.work, stand.statuses, calls)
    said = json.dumps([taken, stand.statuses, calls])
    assert mendix_cloud.api_key not in said
    assert "/download/" not in said
    for blob in stand.staging.list_blobs():
        content = stand.staging.download_blob(blob.name).readall()
        assert mendix_cloud.api_key.encode() not in content
        assert b"/download/" not in content


def test_preflight_tells_version_status_and_access(
    in_the_cloud: Start, mendix_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = in_the_cloud().run.request.source
    assert [one.code for one in check_source(source, None)] == ["SOURCE_APP_RUNNING"]
    assert {one.code for one in check_source(source, "9.9.9")} == {"SOURCE_APP_RUNNING", "MODEL_VERSION"}
    assert check_source(source, None, rehearsal=True) == [], "users go on working at the source, as they should"
    stopped = in_the_cloud(stop_app=True).run.request.source
    assert check_source(stopped, "4.7.1.88") == []
    monkeypatch.setenv("SOURCE__LIVE__MENDIX_CLOUD__ENVIRONMENT_ID", "00000000-0000-0000-0000-000000000000")
    settings.cache_clear()
    assert [one.code for one in check_source(source, None)] == ["MENDIX_NOT_FOUND"]


def test_preflight_compares_the_sources_postgresql_with_the_server_that_restores_it(
    in_the_cloud: Start, mendix_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = in_the_cloud().run.request.source
    server = settings().postgres
    assert check_database(source, server) == []  # without a token nothing is asked
    monkeypatch.setenv("SOURCE__LIVE__MENDIX_CLOUD__PERSONAL_ACCESS_TOKEN", mendix_cloud.api_key)
    settings.cache_clear()
    mendix_cloud.control(clear=True)
    assert check_database(source, server) == []  # 15.8 goes into our 17
    assert mendix_cloud.control()["calls"] == [
        f"GET /api/v4/apps/{mendix_cloud.project_id}/environments/{mendix_cloud.environment_id}"
    ]
    monkeypatch.setattr(MendixCloudApi, "database_version", lambda _: "99.1")
    [older] = check_database(source, server)
    assert (older.code, older.severity) == ("SERVER_OLDER_THAN_SOURCE", "error")
    assert "the source's 99.1" in older.message


@pytest.mark.parametrize(
    ("target", "found"), [(None, []), ("10.18.3", []), ("10.18.3.71234", []), ("10.18.4", ["RUNTIME_VERSION"])]
)
def test_preflight_warns_of_a_target_with_another_runtime_version(
    in_the_cloud: Start, target: str | None, found: list[str]
) -> None:
    assert [one.code for one in check_runtime(in_the_cloud().run.request.source, target)] == found


def test_a_token_that_may_not_look_is_a_warning_and_stops_nothing(
    in_the_cloud: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = in_the_cloud().run.request.source
    monkeypatch.setenv("SOURCE__LIVE__MENDIX_CLOUD__PERSONAL_ACCESS_TOKEN", "not the token")
    settings.cache_clear()
    [found] = check_database(source, settings().postgres)
    assert (found.code, found.severity) == ("SOURCE_VERSION_UNKNOWN", "warning")
    assert "not the token" not in found.model_dump_json()


def test_an_answer_that_is_not_as_documented_is_refused(in_the_cloud: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MendixCloudApi, "_ask", lambda *_, **__: {"unexpected": 1})
    stand = in_the_cloud(snapshot="some-id")
    code, about, message = stand.refusal(take_snapshot, stand.work)
    assert (code, about) == ("MENDIX_ANSWER", "CloudSnapshot")
    assert "without snapshot_id, state" in message
