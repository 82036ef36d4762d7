"""The inflating pass goes on from its checkpoints, whoever dies, and always ends with the same tar and index."""

import gzip
import hashlib
import io
import json
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import runpaths
from shared.blobs import clients
from shared.blobs.blocks import BlockWriter
from shared.errors import Refusal
from shared.snapshot import digest, inflating
from shared.snapshot.index import Row, open_index, seal, slice_of
from shared.snapshot.inflating import Checkpoint, InflatePass
from shared.snapshot.layout import Layout
from shared.snapshot.members import FILE
from tests.integration.snapshot.archives import file_name, tar_of, uuid_of
from tests.integration.snapshot.conftest import Stand

BLOCK = 64 * 1024
PIECE = 100_000


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint every 128 KiB, an index part every ten files and a piece every 100 KB: many of each."""
    monkeypatch.setattr(inflating, "BLOCK", BLOCK)
    monkeypatch.setattr(inflating, "CHECKPOINT", 2)
    monkeypatch.setattr(inflating, "ROWS_OF_PART", 10)
    monkeypatch.setattr(digest, "PIECE", PIECE)


def archive() -> bytes:
    """A tar of 200 files of up to 30 KB, and one that reaches over several checkpoints."""
    rng = random.Random(7)
    files = [(file_name(uuid_of(number)), rng.randbytes(rng.randint(0, 30_000))) for number in range(200)]
    files.insert(50, (file_name(uuid_of(1000)), rng.randbytes(700_000)))
    return tar_of([(".metadata", b"{}"), ("db/db.backup", rng.randbytes(100_000)), *files])


TAR = archive()
ZIPPED = gzip.compress(TAR, 1)


def pieces_of(data: bytes) -> bytes | None:
    """What the index holds of a file that has several pieces."""
    starts = range(0, len(data), PIECE)
    return b"".join(hashlib.md5(data[at : at + PIECE]).digest() for at in starts) if len(starts) > 1 else None


def expected() -> list[Row]:
    rows = []
    with tarfile.open(fileobj=io.BytesIO(TAR)) as tar:
        for member in tar:
            data = TAR[member.offset_data : member.offset_data + member.size]
            if found := FILE.match(member.name):
                uuid, md5 = bytes.fromhex(found[1].replace("-", "")), hashlib.md5(data).digest()
                rows.append(Row("file", uuid, member.offset_data, member.size, md5, pieces_of(data)))
            else:
                kind = {".metadata": "metadata"}.get(member.name, "dump")
                rows.append(Row(kind, None, member.offset_data, member.size, None))
    return rows


def staged(stand: Stand, data: bytes) -> None:
    clients.staged(stand.run.id, runpaths.ARCHIVE).upload_blob(data, overwrite=True)


def index_of(stand: Stand, end: Checkpoint) -> list[Row]:
    sealed = clients.staged(stand.run.id, runpaths.INDEX)
    rows = seal((clients.staged(stand.run.id, runpaths.index_part(number)) for number in range(end.parts)), sealed)
    return slice_of(open_index(sealed), 0, rows)


def split(stand: Stand, size: int, layout: Layout = "tar.gz", md5: bytes | None = None) -> tuple[Checkpoint, int]:
    """Do the pass with as many activities as there are checkpoints; return its end and their number."""
    calls, end = 0, Checkpoint()
    while not end.finished:
        end = InflatePass(stand.run.id, layout, size, md5.hex() if md5 else None).advance(lambda: True)
        calls += 1
    return end, calls


def test_a_pass_split_over_many_activities_gives_the_same_tar_and_index(stand: Stand) -> None:
    staged(stand, ZIPPED)
    end, calls = split(stand, len(ZIPPED))
    assert calls > 10
    assert clients.staged(stand.run.id, runpaths.TAR).download_blob().readall() == TAR
    assert index_of(stand, end) == expected()
    assert (end.files, end.bytes) == (201, len(TAR))


def test_an_activity_that_dies_anywhere_is_succeeded(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    staged(stand, ZIPPED)
    rng = random.Random(3)
    put = BlockWriter.put
    lives = {"left": 0}

    def mortal(writer: BlockWriter, number: int, data: bytes) -> None:
        lives["left"] -= 1
        if lives["left"] < 0:
            raise KeyboardInterrupt("killed here")
        put(writer, number, data)

    monkeypatch.setattr(BlockWriter, "put", mortal)
    deaths = 0
    while True:
        lives["left"] = rng.randint(0, 9)
        try:
            end = InflatePass(stand.run.id, "tar.gz", len(ZIPPED)).advance(lambda: False)
        except KeyboardInterrupt:
            deaths += 1
            assert deaths < 100
        else:
            break
    assert deaths > 5
    assert clients.staged(stand.run.id, runpaths.TAR).download_blob().readall() == TAR
    assert index_of(stand, end) == expected()


def test_two_deliveries_at_once_give_the_same_tar_and_index(stand: Stand) -> None:
    staged(stand, ZIPPED)

    def deliver(_: int) -> Checkpoint:
        while True:
            end = InflatePass(stand.run.id, "tar.gz", len(ZIPPED)).advance(lambda: True)
            if end.finished:
                return end

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(deliver, range(2)))
    assert ends[0].parts == ends[1].parts
    assert clients.staged(stand.run.id, runpaths.TAR).download_blob().readall() == TAR
    assert index_of(stand, ends[0]) == expected()


def test_an_uncompressed_tar_is_indexed_where_it_lies(stand: Stand) -> None:
    staged(stand, TAR)
    end, _ = split(stand, len(TAR), "tar")
    assert index_of(stand, end) == expected()
    assert not clients.staged(stand.run.id, runpaths.TAR).exists()


def test_a_damaged_end_is_found_even_after_many_checkpoints(stand: Stand) -> None:
    staged(stand, ZIPPED[:-6])
    with pytest.raises(Refusal, match="ARCHIVE_CORRUPT"):
        split(stand, len(ZIPPED) - 6)
    assert not clients.staged(stand.run.id, runpaths.TAR).exists()


def test_ignored_names_are_listed_however_many_activities_read_the_archive_up_to_a_limit(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inflating, "MAX_LISTED", 250)
    names = [f"other/{number:04d}" for number in range(300)]
    tar = tar_of([("db/db.backup", b""), *((name, bytes(5000)) for name in names)])
    staged(stand, gzip.compress(tar, 1))
    end, _ = split(stand, len(gzip.compress(tar, 1)))
    assert (end.ignored_count, end.ignored) == (300, names[:100])
    assert end.ignored_parts > 3
    parts = [
        clients.staged(stand.run.id, runpaths.ignored_part(number)).download_blob().readall()
        for number in range(end.ignored_parts)
    ]
    assert [json.loads(line)["name"] for line in b"".join(parts).splitlines()] == names[:250]


@pytest.mark.parametrize("limit", ["MAX_BLOCKS", "MAX_FILES"])
def test_an_archive_up_to_the_limit_is_taken_and_a_larger_one_refused(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    staged(stand, ZIPPED)
    most = {"MAX_BLOCKS": -(-len(TAR) // BLOCK), "MAX_FILES": 201}[limit]
    monkeypatch.setattr(inflating, limit, most - 1)
    with pytest.raises(Refusal, match="ARCHIVE_TOO_LARGE"):
        split(stand, len(ZIPPED))
    monkeypatch.setattr(inflating, limit, most)
    assert split(stand, len(ZIPPED))[0].files == 201


@pytest.mark.parametrize("layout", ["tar.gz", "tar", "dump"])
def test_the_md5_of_the_archive_is_known_however_many_activities_read_it(stand: Stand, layout: Layout) -> None:
    data = ZIPPED if layout == "tar.gz" else TAR
    staged(stand, data)
    end, calls = split(stand, len(data), layout, hashlib.md5(data).digest())
    assert (end.md5, calls > 10) == (hashlib.md5(data).hexdigest(), True)


@pytest.mark.parametrize("layout", ["tar.gz", "tar", "dump"])
def test_another_md5_than_the_sources_is_refused_however_many_activities_read_it(stand: Stand, layout: Layout) -> None:
    data = ZIPPED if layout == "tar.gz" else TAR
    staged(stand, data)
    with pytest.raises(Refusal, match="ARCHIVE_MD5"):
        split(stand, len(data), layout, bytes(16))


def test_without_a_libcrypto_sums_end_at_a_checkpoint_and_are_not_known(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "library", lambda: None)
    staged(stand, ZIPPED)
    end, _ = split(stand, len(ZIPPED), md5=hashlib.md5(ZIPPED).digest())
    assert end.md5 is None
    step = inflating.CHECKPOINT * BLOCK
    for row, wanted in zip(index_of(stand, end), expected(), strict=True):
        divided = row.offset // step != (row.offset + row.size) // step
        assert row[:4] == wanted[:4]
        assert row[4:] == ((None, None) if divided else wanted[4:])
