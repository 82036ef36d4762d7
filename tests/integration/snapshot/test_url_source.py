"""A snapshot behind a pre-signed URL: resumed, pinned to its version, and never named where it could be read."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceNotFoundError

from orchestrators.snapshot import take_snapshot
from shared.errors import Refusal, TransientError
from shared.snapshot import staging
from shared.snapshot.staging import BLOCK
from shared.sources import url as url_source
from shared.sources.checks import check_source
from shared.sources.url import UrlOrigin, source_url, stow_source_url
from tests.integration.snapshot.archive_server import ArchiveServer, serving
from tests.integration.snapshot.archives import backup, uuid_of
from tests.integration.snapshot.conftest import Stand

SECRET = "s3cr3t-signature"


@pytest.fixture
def server(sample_dump: Path) -> Iterator[ArchiveServer]:
    import random

    incompressible = random.Random(1).randbytes(BLOCK + 3_000_000)  # more than one block
    with serving(backup(sample_dump.read_bytes(), [(uuid_of(1), incompressible)])) as one:
        yield one


def test_the_archive_is_staged_by_ranges(by_url: Stand, server: ArchiveServer) -> None:
    taken = by_url.drive(take_snapshot, by_url.work)
    assert taken["archive_bytes"] == len(server.data)
    assert by_url.staging.download_blob(taken["archive_blob"]).readall() == server.data
    assert {command for command, _ in server.requests} == {"GET"}, "a pre-signed URL is signed for GET alone"
    assert len(server.requests) > 2


def test_a_source_without_ranges_is_streamed(by_url: Stand, server: ArchiveServer) -> None:
    server.ranges = False
    taken = by_url.drive(take_snapshot, by_url.work)
    assert by_url.staging.download_blob(taken["archive_blob"]).readall() == server.data


def test_a_dropped_connection_goes_on_where_it_broke(by_url: Stand, server: ArchiveServer) -> None:
    facts = UrlOrigin(server.signed).facts()
    server.drop_after = 6_000_000
    data = UrlOrigin(server.signed).read(100, BLOCK, facts)
    assert data == server.data[100 : 100 + BLOCK]
    assert [span for _, span in server.requests[1:]] == [
        f"bytes={start}-{100 + BLOCK - 1}" for start in (100, 6_000_100, 12_000_100)
    ]


def test_a_stream_that_ends_early_is_not_taken_for_the_whole(by_url: Stand, server: ArchiveServer) -> None:
    server.ranges, server.drop_after = False, 5_000_000
    with pytest.raises(Exception, match=r"SOURCE_(UNREACHABLE|DROPPED)"):
        by_url.drive(take_snapshot, by_url.work)


@pytest.mark.parametrize(
    ("status", "code"), [(403, "SOURCE_URL_EXPIRED"), (410, "SOURCE_URL_EXPIRED"), (404, "SOURCE_MISSING")]
)
def test_an_expired_or_wrong_url_is_refused_without_naming_it(
    by_url: Stand, server: ArchiveServer, status: int, code: str
) -> None:
    server.status = status
    found, about, message = by_url.refusal(take_snapshot, by_url.work)
    assert found == code
    assert about == "127.0.0.1/…/snapshot.tar.gz"
    assert SECRET not in message


def test_a_server_that_is_busy_is_asked_again_later(by_url: Stand, server: ArchiveServer) -> None:
    server.status = 503
    with pytest.raises(TransientError, match="SOURCE_BUSY"):
        UrlOrigin(server.signed).facts()


def test_another_version_of_the_archive_is_refused(server: ArchiveServer, stand: Stand) -> None:
    facts = UrlOrigin(server.signed).facts()
    server.etag = '"two"'
    with pytest.raises(Refusal, match="SOURCE_CHANGED"):
        UrlOrigin(server.signed).read(0, 100, facts)


def test_blocks_of_another_version_are_not_mixed_in(by_url: Stand, server: ArchiveServer) -> None:
    origin = UrlOrigin(server.signed)
    archive = by_url.staging.get_blob_client("pinned")
    staging.stage_blocks(origin, origin.facts(), archive, 0, 1)
    server.etag, server.data = '"two"', bytes(reversed(server.data[:2])) + server.data[2:]
    # the new version begins with other bytes, so it is no gzip any more: its facts are made by hand
    facts = url_source.OriginFacts(size=len(server.data), etag='"two"', ranges=True, layout="tar.gz")
    assert staging.stage_blocks(origin, facts, archive, 0, 2).existed == 0
    staging.commit_archive(facts, archive, len(server.data))
    assert archive.download_blob().readall() == server.data


def test_a_successor_takes_over_the_blocks_of_a_dead_delivery(by_url: Stand, server: ArchiveServer) -> None:
    origin = UrlOrigin(server.signed)
    archive, facts = by_url.staging.get_blob_client("resumed"), origin.facts()
    assert staging.stage_blocks(origin, facts, archive, 0, 1).through_us == 1
    again = staging.stage_blocks(origin, facts, archive, 0, 2)
    assert (again.existed, again.through_us) == (1, 1)


def test_the_url_is_in_no_answer_status_log_or_kept_blob(
    by_url: Stand, server: ArchiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    taken = by_url.drive(take_snapshot, by_url.work)
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("mxferry"))
    for said in (json.dumps(taken), json.dumps(by_url.statuses), logged):
        assert SECRET not in said
    for container in (by_url.staging, by_url.reports):
        for blob in container.list_blobs():
            assert SECRET.encode() not in container.download_blob(blob.name).readall()
    with pytest.raises(Refusal, match="SOURCE_URL_GONE"):
        source_url(by_url.run.id)
    with pytest.raises(ResourceNotFoundError):
        by_url.staging.get_blob_client(f"runs/{by_url.run.id}/secret/source-url").get_blob_properties()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "https:///x",
        "file:///etc/passwd",
        "snapshot.tar.gz",
        "http://h/x?sig=s3cr3t-signature",
        "https://host:port/x?sig=s3cr3t-signature",
        "https://[half/x?sig=s3cr3t-signature",
    ],
)
def test_urls_that_are_not_https_are_refused(stand: Stand, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    from shared.settings import settings

    monkeypatch.setenv("ALLOW_HTTP_SOURCES", "false")
    settings.cache_clear()
    with pytest.raises(Refusal) as caught:
        stow_source_url("20261122t000000-abcdef", url)
    assert caught.value.code == "SOURCE_URL_INVALID"
    assert SECRET not in str(caught.value)


def test_preflight_looks_at_the_source(by_url: Stand, server: ArchiveServer) -> None:
    assert check_source(by_url.run.request.source, None, by_url.run.id) == []
    server.status = 404
    assert [one.code for one in check_source(by_url.run.request.source, None, by_url.run.id)] == ["SOURCE_MISSING"]
