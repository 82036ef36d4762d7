"""A URL source is one version of one archive from the first byte to the last, however little its server tells of it."""

import base64
import hashlib
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient

from activities import snapshot
from shared import runs
from shared.contracts import Said
from shared.errors import Refusal, TransientError
from shared.snapshot import staging
from shared.snapshot.inflating import Checkpoint
from shared.snapshot.origin import OriginFacts
from shared.snapshot.sealing import _check
from shared.sources import url as url_source
from shared.sources.url import UrlOrigin
from tests.fixtures.slowserver import sending
from tests.integration.snapshot.archive_server import ArchiveServer, serving
from tests.integration.snapshot.archives import backup, uuid_of
from tests.integration.snapshot.conftest import Stand

BLOCK = 256 * 1024
DATA = backup(b"PGDMP", [(uuid_of(1), random.Random(1).randbytes(3 * BLOCK))])
OTHER = DATA[:-100] + bytes(100)  # as long, and as a server may have it a moment later
YESTERDAY, TODAY = "Fri, 27 Nov 2026 08:00:00 GMT", "Sat, 28 Nov 2026 08:00:00 GMT"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (staging, snapshot):
        monkeypatch.setattr(module, "BLOCK", BLOCK)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ArchiveServer]:
    monkeypatch.setattr(url_source, "settings", lambda: SimpleNamespace(allow_http_sources=True))
    with serving(DATA) as one:
        one.conditions = False  # If-Match is not heeded: the answers have to be looked at
        yield one


def staged(stand: Stand, facts: OriginFacts) -> Any:
    work = {**stand.work, "facts": facts.model_dump(mode="json"), "first": 0, "stop": -(-len(DATA) // BLOCK)}
    return (snapshot.stage_range if facts.ranges else snapshot.stage_whole)(None, work)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"etag": '"one"'}, {"etag": '"two"'}, 'found ETag "two" instead of "one"'),
        ({"etag": '"one"'}, {"etag": None}, 'found ETag no longer told instead of "one"'),
        ({"etag": 'W/"one"'}, {"etag": 'W/"two"'}, 'found ETag W/"two" instead of W/"one"'),
        ({"etag": None, "modified": YESTERDAY}, {"modified": TODAY}, f"Last-Modified {TODAY} instead of {YESTERDAY}"),
        ({"etag": None}, {"data": OTHER + b"more"}, f"found {len(DATA) + 4:,} bytes instead of {len(DATA):,}"),
        ({"etag": None}, {"data": DATA[:-1]}, f"found {len(DATA) - 1:,} bytes instead of {len(DATA):,}"),
    ],
)
def test_an_archive_that_changes_while_it_is_copied_is_refused_at_once(
    by_url: Stand, server: ArchiveServer, ranges: bool, before: dict[str, Any], after: dict[str, Any], said: str
) -> None:
    server.ranges = ranges
    vars(server).update(before)
    facts = UrlOrigin(server.signed).facts()
    vars(server).update(after)
    finding = staged(by_url, facts)["refused"]
    assert finding["code"] == "SOURCE_CHANGED"
    assert said in finding["message"]


def test_a_time_of_last_change_is_no_version_where_a_strong_etag_tells_one(
    by_url: Stand, server: ArchiveServer
) -> None:
    server.modified = YESTERDAY
    facts = UrlOrigin(server.signed).facts()
    server.modified = TODAY  # another machine behind the same address
    assert staged(by_url, facts)["bytes"] == len(DATA)


def test_an_archive_that_became_shorter_than_what_is_asked_for_is_refused(server: ArchiveServer) -> None:
    server.etag = None
    facts = UrlOrigin(server.signed).facts()
    server.data = DATA[:1000]
    with pytest.raises(Refusal, match="SOURCE_CHANGED"):
        UrlOrigin(server.signed).read(BLOCK, 100, facts)


def test_blocks_of_a_stream_whose_version_nobody_knows_are_put_again(by_url: Stand, server: ArchiveServer) -> None:
    server.ranges, server.etag = False, None
    origin = UrlOrigin(server.signed)
    server.data = OTHER
    staged(by_url, origin.facts())
    server.data = DATA
    facts = origin.facts()
    size = staged(by_url, facts)["bytes"]
    snapshot.commit_staged(None, {**by_url.work, "facts": facts.model_dump(mode="json"), "size": size})
    assert by_url.staging.download_blob(f"runs/{by_url.run.id}/snapshot.archive").readall() == DATA


def test_blocks_that_the_service_copied_short_are_refused_and_not_waited_for(
    by_url: Stand, server: ArchiveServer
) -> None:
    facts = UrlOrigin(server.signed).facts()
    archive = by_url.staging.get_blob_client("short")
    with pytest.raises(Refusal, match="STAGING_INCOMPLETE"):
        staging.commit_archive(facts, archive, len(DATA))
    staging.stage_blocks(UrlOrigin(server.signed), facts, archive, 0, staging.blocks_of(len(DATA)))
    staging.put_block(archive, 1, b"short", staging._version(facts))
    with pytest.raises(Refusal, match=r"SOURCE_CHANGED.*found 5 bytes where block 1 should be"):
        staging.commit_archive(facts, archive, len(DATA))


def test_blocks_that_the_service_copied_of_another_version_are_refused(
    by_url: Stand, server: ArchiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copied_later(archive: BlobClient, name: str, *_: Any, source_length: int, **__: Any) -> None:
        archive.stage_block(name, OTHER[:source_length])
        server.etag = '"two"'

    facts = UrlOrigin(server.signed).facts()
    monkeypatch.setattr(BlobClient, "stage_block_from_url", copied_later)
    assert staged(by_url, facts)["refused"]["code"] == "SOURCE_CHANGED"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"etag": '"one"'}, False),
        ({"etag": 'W/"one"'}, "one weak ETag or one time of its last change"),
        ({"etag": None, "modified": YESTERDAY}, "one weak ETag or one time of its last change"),
        ({"etag": None}, "not pinned to a version"),
    ],
)
def test_the_report_says_when_nothing_told_one_version_from_another(
    server: ArchiveServer, told: dict[str, Any], said: str | bool
) -> None:
    vars(server).update(told)
    words = _check(UrlOrigin(server.signed).facts(), Checkpoint())
    assert (said in words) if isinstance(said, str) else words.endswith("with its checksum.")


@pytest.mark.parametrize("most", [100_000, BLOCK // 2])
def test_a_server_that_answers_a_range_with_its_beginning_only_is_asked_until_all_is_there(
    server: ArchiveServer, most: int
) -> None:
    facts = UrlOrigin(server.signed).facts()
    server.most = most
    assert UrlOrigin(server.signed).read(7, 2 * BLOCK, facts) == DATA[7 : 7 + 2 * BLOCK]
    assert len(server.requests) - 1 == -(-2 * BLOCK // most)


def test_a_server_that_hardly_answers_is_given_up(server: ArchiveServer) -> None:
    facts = UrlOrigin(server.signed).facts()
    server.most = 10
    with pytest.raises(TransientError, match="SOURCE_DROPPED"):
        UrlOrigin(server.signed).read(0, BLOCK, facts)
    assert len(server.requests) - 1 == url_source.FRUITLESS


def test_a_read_that_takes_too_long_is_given_up(server: ArchiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = UrlOrigin(server.signed).facts()
    monkeypatch.setattr(url_source, "MOST_SECONDS", -1)
    with pytest.raises(TransientError, match="SOURCE_DROPPED"):
        UrlOrigin(server.signed).read(0, BLOCK, facts)


def test_a_server_that_sends_more_than_asked_for_is_not_read_on(server: ArchiveServer) -> None:
    facts = UrlOrigin(server.signed).facts()
    server.to_the_end = True
    assert UrlOrigin(server.signed).read(10, 5000, facts) == DATA[10:5010]


def test_a_server_that_sends_another_part_than_asked_for_is_not_believed(server: ArchiveServer) -> None:
    facts = UrlOrigin(server.signed).facts()
    server.shifted = 1
    with pytest.raises(TransientError, match="expected the bytes from 10 on"):
        UrlOrigin(server.signed).read(10, 5000, facts)


@pytest.mark.parametrize("length", ["²", "9" * 5000, "-1", ""])
def test_a_length_that_is_no_number_is_not_known(length: str) -> None:
    answer = SimpleNamespace(status_code=200, headers={"Content-Length": length})
    assert url_source._total(cast("Any", answer)) is None
    answer = SimpleNamespace(status_code=206, headers={"Content-Range": f"bytes 0-1/{length}"})
    assert url_source._total(cast("Any", answer)) is None


MD5 = base64.b64encode(hashlib.md5(DATA).digest()).decode()


@pytest.mark.parametrize(
    ("header", "ranges", "known"),
    [
        ({"x-ms-blob-content-md5": MD5}, True, True),
        ({"x-ms-blob-content-md5": MD5}, False, True),
        ({"Content-MD5": MD5}, False, True),
        ({"Content-MD5": MD5}, True, False),  # that of the part
        ({"x-ms-blob-content-md5": "no base64"}, True, False),
        ({"x-ms-blob-content-md5": "AAAA"}, True, False),
    ],
)
def test_an_md5_that_the_server_tells_is_compared(
    server: ArchiveServer, header: dict[str, str], ranges: bool, known: bool
) -> None:
    server.headers, server.ranges = header, ranges
    assert UrlOrigin(server.signed).facts().md5 == (hashlib.md5(DATA).hexdigest() if known else None)


@pytest.mark.parametrize("ranges", [True, False])
def test_an_empty_archive_is_refused_as_what_it_is(server: ArchiveServer, ranges: bool) -> None:
    server.data, server.ranges = b"", ranges
    with pytest.raises(Refusal, match=r"ARCHIVE_UNKNOWN.*found nothing \(0 bytes\)"):
        UrlOrigin(server.signed).facts()


# --- streams ---------------------------------------------------------------------------------------------------------


def test_a_source_without_parts_that_is_too_slow_is_refused_with_another_way(
    by_url: Stand, server: ArchiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ranges = False
    monkeypatch.setattr(staging, "STREAM_SECONDS", -1)
    finding = staged(by_url, UrlOrigin(server.signed).facts())["refused"]
    assert finding["code"] == "SOURCE_TOO_SLOW"
    assert '"blob" source' in finding["remedy"]


def test_a_stream_stops_when_the_run_is_aborted(
    by_url: Stand, server: ArchiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ranges = False
    monkeypatch.setattr(staging, "LOOK_SECONDS", 0)
    facts, put = UrlOrigin(server.signed).facts(), staging.BlockWriter.put

    def aborted_meanwhile(writer: Any, number: int, data: bytes) -> None:
        put(writer, number, data)
        if number == 0:
            runs.ask_to_abort(by_url.run.id, Said(by="somebody"))

    monkeypatch.setattr(staging.BlockWriter, "put", aborted_meanwhile)
    assert staged(by_url, facts)["refused"]["code"] == "ABORTED"
    assert len(staging.staged_blocks(by_url.staging.get_blob_client(f"runs/{by_url.run.id}/snapshot.archive"))) == 1


@pytest.mark.timeout(60)  # it once waited for a whole block, which never comes
def test_a_stream_that_trickles_is_given_up_and_hears_of_an_abort(
    by_url: Stand, server: ArchiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ranges = False
    facts = UrlOrigin(server.signed).facts()
    server.trickles = lambda: None
    monkeypatch.setattr(staging, "STREAM_SECONDS", 0.5)
    assert staged(by_url, facts)["refused"]["code"] == "SOURCE_TOO_SLOW"
    monkeypatch.setattr(staging, "STREAM_SECONDS", 3600)
    monkeypatch.setattr(staging, "LOOK_SECONDS", 0)
    server.trickles = lambda: runs.ask_to_abort(by_url.run.id, Said(by="somebody"))
    assert staged(by_url, facts)["refused"]["code"] == "ABORTED"


@pytest.mark.timeout(60)
def test_first_bytes_that_trickle_are_given_up(server: ArchiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.trickles = lambda: None
    monkeypatch.setattr(url_source, "FACTS_SECONDS", 0.5)
    with pytest.raises(TransientError, match=r"SOURCE_DROPPED.* within 0\.5 seconds"):
        UrlOrigin(server.signed).facts()


def test_blocks_that_pass_through_us_hear_of_an_abort(
    by_url: Stand, server: ArchiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, read = UrlOrigin(server.signed), UrlOrigin.read

    def aborted_meanwhile(*arguments: Any) -> bytes:
        runs.ask_to_abort(by_url.run.id, Said(by="somebody"))
        return read(*arguments)

    monkeypatch.setattr(UrlOrigin, "read", aborted_meanwhile)
    monkeypatch.setattr(staging, "PARALLEL", 1)
    assert staged(by_url, origin.facts())["refused"]["code"] == "ABORTED"
    assert len(staging.staged_blocks(by_url.staging.get_blob_client(f"runs/{by_url.run.id}/snapshot.archive"))) == 1


def test_a_stream_without_an_end_is_refused_at_the_limit(
    by_url: Stand, server: ArchiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.endless = True
    facts = UrlOrigin(server.signed).facts()
    assert facts.size is None
    monkeypatch.setattr(staging, "MAX_BLOCKS", 3)
    assert staged(by_url, facts)["refused"]["code"] == "ARCHIVE_TOO_LARGE"
    assert len(staging.staged_blocks(by_url.staging.get_blob_client(f"runs/{by_url.run.id}/snapshot.archive"))) == 3


def test_a_stream_of_exactly_the_limit_is_taken(
    by_url: Stand, server: ArchiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ranges, server.data = False, DATA[: 3 * BLOCK]
    facts = UrlOrigin(server.signed).facts()
    monkeypatch.setattr(staging, "MAX_BLOCKS", 3)
    assert staged(by_url, facts)["bytes"] == 3 * BLOCK


def test_an_archive_of_exactly_as_many_blocks_as_a_blob_holds_is_taken() -> None:
    assert staging.blocks_of(50_000 * BLOCK) == 50_000
    with pytest.raises(Refusal, match="ARCHIVE_TOO_LARGE"):
        staging.blocks_of(50_000 * BLOCK + 1)


# --- copies by the service -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "through_us"),
    [(408, False), (429, False), (503, False), (403, True), (500, True), (501, True), (504, True)],
)
def test_a_service_that_is_busy_is_asked_again_and_one_that_refuses_is_not(
    by_url: Stand, server: ArchiveServer, monkeypatch: pytest.MonkeyPatch, status: int, through_us: bool
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise HttpResponseError(response=cast("Any", SimpleNamespace(status_code=status, reason="", headers={})))

    facts = UrlOrigin(server.signed).facts()
    monkeypatch.setattr(BlobClient, "stage_block_from_url", refuse)
    if through_us:
        assert staged(by_url, facts)["through_us"] == staging.blocks_of(len(DATA))
    else:
        with pytest.raises(TransientError, match="STAGING_BUSY"):
            staged(by_url, facts)


def test_a_service_that_has_copied_the_first_block_and_fails_at_another_is_asked_again(
    by_url: Stand, server: ArchiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_later(blob: BlobClient, block_id: str, *_: Any, **options: Any) -> None:
        if options["source_offset"]:
            raise HttpResponseError(response=cast("Any", SimpleNamespace(status_code=500, reason="", headers={})))
        blob.stage_block(block_id, DATA[:BLOCK])

    facts = UrlOrigin(server.signed).facts()
    monkeypatch.setattr(BlobClient, "stage_block_from_url", fail_later)
    with pytest.raises(TransientError, match="STAGING_BUSY"):
        staged(by_url, facts)


def test_an_archives_server_whose_headers_come_by_the_byte_is_given_up(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(url_source, "HEADERS_SECONDS", 0.5)
    with (
        sending(b"HTTP/1.1 206 Partial Content\r\nX: ", b"x", 0.02) as port,
        pytest.raises(TransientError, match=r"SOURCE_UNREACHABLE.*ReadTimeout"),
    ):
        UrlOrigin(f"http://127.0.0.1:{port}/snapshot.tar.gz").facts()
