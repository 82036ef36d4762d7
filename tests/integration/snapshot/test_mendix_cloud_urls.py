"""The archive that Mendix Cloud makes of a snapshot, and its URL: asked for, refused, expired, renewed."""

import os
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from activities import snapshot as snapshot_activities
from activities import source
from orchestrators import snapshot as snapshot_orchestrators
from orchestrators.snapshot import take_snapshot
from shared.errors import Refusal
from shared.snapshot import inflating, staging
from shared.snapshot.layout import SNIFF
from tests.fixtures import driving
from tests.fixtures.mendixcloud import Cloud, serve
from tests.integration.snapshot.conftest import Start, take_as_source


def ordered(cloud: Cloud) -> int:
    """How many archives were asked for."""
    return len([one for one in cloud.control()["calls"] if one.startswith("POST") and one.endswith("/archives")])


def staged_in_small_blocks(monkeypatch: pytest.MonkeyPatch, archive: Path) -> int:
    """Make every `stage_range` one block, and the archive five; return a block's bytes."""
    size = -(-archive.stat().st_size // 5)
    for module in (staging, snapshot_activities):
        monkeypatch.setattr(module, "BLOCK", size)
    monkeypatch.setattr(snapshot_activities, "RANGE_BLOCKS", 1)
    monkeypatch.setattr(inflating, "BLOCK", size)
    return size


def spans(cloud: Cloud) -> list[int]:
    """Where each range began that was served and is no look at the first bytes."""
    looks = f"bytes=0-{SNIFF - 1}"
    found = [one.removeprefix("bytes=").split("-")[0] for one in cloud.control()["downloads"] if one != looks]
    return [int(first) for first in found]


def test_a_url_that_expires_in_the_middle_of_the_copy_is_renewed_and_no_block_is_read_twice(
    in_the_cloud: Start, mendix_cloud: Cloud, sample_snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = staged_in_small_blocks(monkeypatch, sample_snapshot)
    # One look and two blocks, then the end of the URL's life for all that follow.
    mendix_cloud.control(faults=[{"path": "/download/", "status": 403, "after": 3, "times": 2}])
    stand = in_the_cloud(snapshot="latest")
    taken = stand.drive(take_snapshot, stand.work)
    assert ordered(mendix_cloud) == 2
    assert sorted(spans(mendix_cloud)) == [number * size for number in range(5)]
    assert stand.staging.download_blob(taken["archive_blob"]).readall() == sample_snapshot.read_bytes()


def test_an_archive_that_is_another_after_the_renewal_is_copied_anew_and_never_mixed(
    tmp_path: Path, in_the_cloud: Start, sample_snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = staged_in_small_blocks(monkeypatch, sample_snapshot)
    archive = Path(shutil.copy(sample_snapshot, tmp_path / "archive.tar.gz"))
    request = driving.ACTIVITIES["request_archive"]

    def remade(ctx: Any, work: dict[str, Any]) -> dict[str, Any]:
        os.utime(archive, (work["renewal"], work["renewal"]))  # another ETag for each
        return request(ctx, work)

    for cloud in serve(tmp_path, archive, "--queued", "0.1", "--running", "0.1", "--rate", "0"):
        take_as_source(monkeypatch, cloud)
        stand = in_the_cloud(snapshot="latest")
        monkeypatch.setitem(driving.ACTIVITIES, "request_archive", remade)
        cloud.control(faults=[{"path": "/download/", "status": 410, "after": 3, "times": 2}])
        taken = stand.drive(take_snapshot, stand.work)
        assert sorted(spans(cloud)) == sorted([0, size, *(number * size for number in range(5))])
        assert stand.staging.download_blob(taken["archive_blob"]).readall() == sample_snapshot.read_bytes()


def test_a_url_that_expires_where_no_parts_are_served_is_renewed_too(
    tmp_path: Path, in_the_cloud: Start, sample_snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cloud in serve(tmp_path, sample_snapshot, "--no-ranges", "--queued", "0.1", "--running", "0.1", "--rate", "0"):
        take_as_source(monkeypatch, cloud)
        cloud.control(faults=[{"path": "/download/", "status": 403, "after": 1}])
        stand = in_the_cloud(snapshot="latest")
        taken = stand.drive(take_snapshot, stand.work)
        assert ordered(cloud) == 2
        assert stand.staging.download_blob(taken["archive_blob"]).readall() == sample_snapshot.read_bytes()


def test_a_url_that_never_works_is_renewed_once_and_then_explained(in_the_cloud: Start, mendix_cloud: Cloud) -> None:
    mendix_cloud.control(faults=[{"path": "/download/", "status": 403, "times": 1000}])
    stand = in_the_cloud(snapshot="latest")
    code, _, message = stand.refusal(take_snapshot, stand.work)
    assert code == "SOURCE_URL_DENIED"
    assert "has just handed out" in message
    assert ordered(mendix_cloud) == 2


def test_renewals_come_to_an_end(
    in_the_cloud: Start, mendix_cloud: Cloud, sample_snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def expired(*_: Any) -> dict[str, Any]:
        return {"refused": Refusal("SOURCE_URL_EXPIRED", "host", "expected it, found 403.").finding().model_dump()}

    monkeypatch.setitem(driving.ACTIVITIES, "stage_range", expired)
    monkeypatch.setattr(snapshot_orchestrators, "MOST_RENEWALS", 2)
    stand = in_the_cloud(snapshot="latest")
    assert stand.refusal(take_snapshot, stand.work)[0] == "SOURCE_URL_EXPIRED"
    assert ordered(mendix_cloud) == 3


def test_a_late_look_at_an_archive_that_is_staged_brings_its_url_into_staging_no_more(
    in_the_cloud: Start, mendix_cloud: Cloud
) -> None:
    stand = in_the_cloud(snapshot="latest")
    calls: list[tuple[str, Any]] = []
    driving.drive(take_snapshot, stand.work, stand.statuses, calls)
    look = next(work for name, work in calls if name == "poll_archive")
    answer = source.poll_archive(None, look)
    assert (answer["state"], answer["archive"]) == ("done", look["archive"])
    assert not list(stand.staging.list_blob_names(name_starts_with=f"runs/{stand.run.id}/secret/"))


def test_an_archive_that_cannot_be_made_is_explained_in_mendix_words(in_the_cloud: Start, mendix_cloud: Cloud) -> None:
    mendix_cloud.control(fail_archives="Failed to prepare the archive: no space left")
    stand = in_the_cloud(snapshot="latest")
    code, _, message = stand.refusal(take_snapshot, stand.work)
    assert code == "MENDIX_ARCHIVE_FAILED"
    assert message.endswith("could not make it: Failed to prepare the archive: no space left")


def test_an_environment_without_a_completed_snapshot_is_refused(
    tmp_path: Path, in_the_cloud: Start, sample_snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cloud in serve(tmp_path, sample_snapshot, "--rate", "0"):
        take_as_source(monkeypatch, cloud)
        with httpx.Client(headers=cloud.headers) as client:
            for one in client.get(cloud.snapshots).json()["snapshots"]:
                client.delete(f"{cloud.snapshots}/{one['snapshot_id']}")
        stand = in_the_cloud(snapshot="latest")
        assert stand.refusal(take_snapshot, stand.work)[:2] == ("MENDIX_NO_SNAPSHOT", "live")
