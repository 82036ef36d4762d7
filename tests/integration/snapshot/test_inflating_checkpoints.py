"""The inflating pass goes on from its checkpoints, whoever dies, and always ends with the same tar and index."""

import gzip
import hashlib
import io
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.blobs.blocks import BlockWriter
from shared.snapshot import inflating, places
from shared.snapshot.index import Row, open_index, seal, slice_of
from shared.snapshot.inflating import Checkpoint, InflatePass
from shared.snapshot.members import FILE
from tests.integration.snapshot.archives import file_name, tar_of, uuid_of
from tests.integration.snapshot.conftest import Stand

BLOCK = 64 * 1024


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint every 128 KiB and an index part every ten files, so that a small archive has many of both."""
    monkeypatch.setattr(inflating, "BLOCK", BLOCK)
    monkeypatch.setattr(inflating, "CHECKPOINT", 2)
    monkeypatch.setattr(inflating, "ROWS_OF_PART", 10)


def archive() -> bytes:
    """A tar of 200 files of up to 30 KB, and one that reaches over several checkpoints."""
    rng = random.Random(7)
    files = [(file_name(uuid_of(number)), rng.randbytes(rng.randint(0, 30_000))) for number in range(200)]
    files.insert(50, (file_name(uuid_of(1000)), rng.randbytes(700_000)))
    return tar_of([(".metadata", b"{}"), ("db/db.backup", rng.randbytes(100_000)), *files])


TAR = archive()
ZIPPED = gzip.compress(TAR, 1)


def expected() -> list[Row]:
    rows = []
    with tarfile.open(fileobj=io.BytesIO(TAR)) as tar:
        for member in tar:
            data = TAR[member.offset_data : member.offset_data + member.size]
            found = FILE.match(member.name)
            kind = "file" if found else {".metadata": "metadata"}.get(member.name, "dump")
            uuid = bytes.fromhex(found[1].replace("-", "")) if found else None
            rows.append(Row(kind, uuid, member.offset_data, member.size, hashlib.md5(data).digest()))
    return rows


def staged(stand: Stand, data: bytes) -> None:
    places.staged(stand.run.id, places.ARCHIVE).upload_blob(data, overwrite=True)


def index_of(stand: Stand, end: Checkpoint) -> list[Row]:
    sealed = places.staged(stand.run.id, places.INDEX)
    rows = seal((places.staged(stand.run.id, places.index_part(number)) for number in range(end.parts)), sealed)
    return slice_of(open_index(sealed), 0, rows)


def assert_equal(found: list[Row]) -> None:
    """Every member is there, with its MD5 unless a checkpoint lay in its data."""
    wanted = expected()
    assert [row[:4] for row in found] == [row[:4] for row in wanted]
    step = inflating.CHECKPOINT * BLOCK
    for row, other in zip(found, wanted, strict=True):
        divided = row.offset // step != (row.offset + row.size) // step
        assert row.md5 == other.md5 or (divided and row.md5 is None)


def test_a_pass_split_over_many_activities_gives_the_same_tar_and_index(stand: Stand) -> None:
    staged(stand, ZIPPED)
    calls, end = 0, Checkpoint()
    while not end.finished:
        end = InflatePass(stand.run.id, "tar.gz", len(ZIPPED)).advance(lambda: True)
        calls += 1
    assert calls > 10
    assert places.staged(stand.run.id, places.TAR).download_blob().readall() == TAR
    assert_equal(index_of(stand, end))
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
    assert places.staged(stand.run.id, places.TAR).download_blob().readall() == TAR
    assert_equal(index_of(stand, end))


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
    assert places.staged(stand.run.id, places.TAR).download_blob().readall() == TAR
    assert_equal(index_of(stand, ends[0]))


def test_an_uncompressed_tar_is_indexed_where_it_lies(stand: Stand) -> None:
    staged(stand, TAR)
    while not (end := InflatePass(stand.run.id, "tar", len(TAR)).advance(lambda: True)).finished:
        pass
    assert_equal(index_of(stand, end))
    assert not places.staged(stand.run.id, places.TAR).exists()


def test_a_damaged_end_is_found_even_after_many_checkpoints(stand: Stand) -> None:
    from shared.errors import Refusal

    staged(stand, ZIPPED[:-6])
    with pytest.raises(Refusal, match="ARCHIVE_CORRUPT"):
        while not InflatePass(stand.run.id, "tar.gz", len(ZIPPED) - 6).advance(lambda: True).finished:
            pass
    assert not places.staged(stand.run.id, places.TAR).exists()
