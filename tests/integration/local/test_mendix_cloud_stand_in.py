"""The Mendix Cloud stand-in does what the Backups and Deploy API documentation says."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.mendixcloud import Cloud, serve


@pytest.fixture
def client(mendix_cloud: Cloud) -> Iterator[httpx.Client]:
    with httpx.Client(headers=mendix_cloud.headers) as opened:
        yield opened


def finished(client: httpx.Client, url: str) -> tuple[list[str], dict[str, Any]]:
    """Poll a job to its end; return the states that were seen and the last answer."""
    states: list[str] = []
    while True:
        job = client.get(url).json()
        if job["state"] not in states:
            states.append(job["state"])
        if job["state"] in ("completed", "failed"):
            return states, job
        time.sleep(0.02)


def archive_url(client: httpx.Client, cloud: Cloud, data_type: str = "files_and_database") -> str:
    newest = next(one for one in client.get(cloud.snapshots).json()["snapshots"] if one["state"] == "completed")
    archives = f"{cloud.snapshots}/{newest['snapshot_id']}/archives"
    asked = client.post(archives, params={"data_type": data_type}).json()
    assert asked["url"] is None
    _, done = finished(client, f"{archives}/{asked['archive_id']}")
    return str(done["url"])


def test_a_snapshot_goes_from_queued_over_running_to_completed(client: httpx.Client, mendix_cloud: Cloud) -> None:
    made = client.post(mendix_cloud.snapshots, json={"comment": "before the move"}).json()
    assert (made["state"], made["comment"], made["finished_at"]) == ("queued", "before the move", None)
    states, done = finished(client, f"{mendix_cloud.snapshots}/{made['snapshot_id']}")
    assert states == ["queued", "running", "completed"]
    assert done["status_message"] == "Completed backup creation"
    assert done["model_version"] == "4.7.1.88"
    assert done["created_at"] < done["finished_at"] < done["expires_at"]
    assert done["finished_at"].endswith("Z")


def test_a_second_snapshot_at_the_same_time_is_refused_as_busy(client: httpx.Client, mendix_cloud: Cloud) -> None:
    made = client.post(mendix_cloud.snapshots, json={}).json()
    second = client.post(mendix_cloud.snapshots, json={})
    assert (second.status_code, second.json()["errorCode"]) == (400, "ENVIRONMENT_BUSY")
    finished(client, f"{mendix_cloud.snapshots}/{made['snapshot_id']}")


def test_the_list_is_paged_by_total_and_shows_failed_snapshots_without_a_model_version(
    client: httpx.Client, mendix_cloud: Cloud
) -> None:
    first = client.get(mendix_cloud.snapshots, params={"limit": 10}).json()
    pages = [first]
    while (offset := pages[-1]["offset"] + 10) < first["total"]:
        pages.append(client.get(mendix_cloud.snapshots, params={"offset": offset, "limit": 10}).json())
    found = [one for page in pages for one in page["snapshots"]]
    assert len({one["snapshot_id"] for one in found}) == first["total"] > 30
    assert [one["created_at"] for one in found] == sorted((one["created_at"] for one in found), reverse=True)
    failed = [one for one in found if one["state"] == "failed"]
    assert failed
    assert all("model_version" not in one and "not reachable" in one["status_message"] for one in failed)


def test_the_archive_is_the_backup_byte_for_byte(
    client: httpx.Client, mendix_cloud: Cloud, sample_snapshot: Path
) -> None:
    url = archive_url(client, mendix_cloud)
    answer = httpx.get(url)
    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(sample_snapshot.read_bytes()).digest()
    assert "files_and_database-" in url
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_the_database_archive_is_the_dump_alone(client: httpx.Client, mendix_cloud: Cloud, sample_dump: Path) -> None:
    assert httpx.get(archive_url(client, mendix_cloud, "database_only")).content == sample_dump.read_bytes()


def test_downloads_serve_ranges_of_one_version(
    client: httpx.Client, mendix_cloud: Cloud, sample_snapshot: Path
) -> None:
    url = archive_url(client, mendix_cloud)
    part = httpx.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, sample_snapshot.read_bytes()[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{sample_snapshot.stat().st_size}"
    again = httpx.get(url, headers={"Range": "bytes=0-9", "If-Match": part.headers["ETag"]})
    assert again.status_code == 206
    other = httpx.get(url, headers={"Range": "bytes=0-9", "If-Match": '"another"'})
    assert other.status_code == 412


def test_a_download_url_is_signed_for_get_and_for_its_path_and_expires(
    client: httpx.Client, mendix_cloud: Cloud
) -> None:
    url = archive_url(client, mendix_cloud)
    assert httpx.head(url).status_code == 405
    assert httpx.get(url.replace("files_and_database", "database")).status_code == 403
    assert httpx.get(url.split("?")[0]).status_code == 403
    mendix_cloud.control(expire=True)
    denied = httpx.get(url)
    assert denied.status_code == 403
    assert "AccessDenied" in denied.text


def test_a_download_can_be_made_to_break_and_to_be_resumed(
    client: httpx.Client, mendix_cloud: Cloud, sample_snapshot: Path
) -> None:
    url = archive_url(client, mendix_cloud)
    mendix_cloud.control(faults=[{"path": "/download/", "cut_after": 5000}])
    received = b""
    with pytest.raises(httpx.RemoteProtocolError), httpx.stream("GET", url) as answer:
        for piece in answer.iter_bytes():
            received += piece
    assert 0 < len(received) <= 5000
    rest = httpx.get(url, headers={"Range": f"bytes={len(received)}-"})
    assert received + rest.content == sample_snapshot.read_bytes()


@pytest.mark.parametrize("headers", [{}, {"Mendix-Username": "migration@example.com", "Mendix-ApiKey": "wrong"}])
def test_calls_without_the_right_key_are_refused(mendix_cloud: Cloud, headers: dict[str, str]) -> None:
    for url in (mendix_cloud.snapshots, f"{mendix_cloud.deploy_url}/apps"):
        answer = httpx.get(url, headers=headers)
        assert (answer.status_code, answer.json()["errorCode"]) == (403, "NO_ACCESS")


def test_unknown_things_are_refused_with_the_documented_codes(client: httpx.Client, mendix_cloud: Cloud) -> None:
    other = mendix_cloud.snapshots.replace(mendix_cloud.environment_id, "00000000-0000-4000-8000-000000000000")
    newest = client.get(mendix_cloud.snapshots).json()["snapshots"][0]["snapshot_id"]
    calls = {
        "ENVIRONMENT_NOT_FOUND": client.get(other),
        "NOT_FOUND": client.get(f"{mendix_cloud.snapshots}/nothing"),
        "UNSUPPORTED": client.post(f"{mendix_cloud.snapshots}/{newest}/archives?data_type=files_only"),
        "INVALID_PARAMETERS": client.get(mendix_cloud.snapshots, params={"limit": "many"}),
    }
    assert {code: answer.json()["errorCode"] for code, answer in calls.items()} == {code: code for code in calls}


def test_errors_can_be_injected_for_a_number_of_calls(client: httpx.Client, mendix_cloud: Cloud) -> None:
    fault = {"path": "/snapshots$", "method": "GET", "status": 429, "code": "RATE", "retry_after": 3, "times": 2}
    mendix_cloud.control(faults=[fault])
    answers = [client.get(mendix_cloud.snapshots) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "3"


def test_too_many_calls_a_second_get_429_with_retry_after(tmp_path: Path, sample_snapshot: Path) -> None:
    for cloud in serve(tmp_path, sample_snapshot, "--rate", "3"):
        with httpx.Client(headers=cloud.headers) as client:
            answers = [client.get(cloud.snapshots) for _ in range(12)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert all(answer.headers["Retry-After"] == "1" for answer in refused)


def test_without_ranges_a_download_comes_whole(tmp_path: Path, sample_snapshot: Path) -> None:
    for cloud in serve(tmp_path, sample_snapshot, "--no-ranges", "--queued", "0", "--running", "0.1"):
        with httpx.Client(headers=cloud.headers) as client:
            answer = httpx.get(archive_url(client, cloud), headers={"Range": "bytes=0-9"})
        assert (answer.status_code, len(answer.content)) == (200, sample_snapshot.stat().st_size)
        assert "Accept-Ranges" not in answer.headers


def test_the_app_can_be_stopped_and_started(client: httpx.Client, mendix_cloud: Cloud) -> None:
    environment = f"{mendix_cloud.deploy_url}/apps/{mendix_cloud.app_id}/environments/Production"
    seen = client.get(environment).json()
    assert (seen["Status"], seen["EnvironmentId"]) == ("Running", mendix_cloud.environment_id)
    assert client.post(f"{environment}/stop").content == b""
    assert client.get(environment).json()["Status"] == "Stopped"
    job = client.post(f"{environment}/start", json={"AutoSyncDb": True}).json()["JobId"]
    while client.get(f"{environment}/start/{job}").json()["Status"] == "Starting":
        time.sleep(0.02)
    assert client.get(environment).json()["Status"] == "Running"
    assert client.post(f"{environment}/start").json()["errorCode"] == "ALREADY_STARTED"


def test_apps_environments_package_and_settings_have_the_documented_fields(
    client: httpx.Client, mendix_cloud: Cloud
) -> None:
    (app,) = client.get(f"{mendix_cloud.deploy_url}/apps").json()
    assert app["ProjectId"] == mendix_cloud.project_id
    environments = f"{mendix_cloud.deploy_url}/apps/{app['AppId']}/environments"
    (environment,) = client.get(environments).json()
    assert {"Status", "EnvironmentId", "Url", "Mode", "ModelVersion", "MendixVersion", "Production"} <= set(environment)
    package = client.get(f"{environments}/Production/package").json()
    assert package["Version"] == environment["ModelVersion"] == "4.7.1.88"
    assert set(client.get(f"{environments}/Production/settings").json()) == {
        "Constants",
        "CustomSettings",
        "ScheduledEvents",
    }


def test_the_stand_in_counts_its_calls_so_that_a_test_can_see_that_nothing_was_restored(
    client: httpx.Client, mendix_cloud: Cloud
) -> None:
    client.get(mendix_cloud.snapshots)
    calls = mendix_cloud.control()["calls"]
    assert len(calls) == 1
    assert calls[0].startswith("GET /api/v2/apps/")
