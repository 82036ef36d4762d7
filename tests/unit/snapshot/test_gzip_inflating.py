"""Inflating gzip: whole or refused, in blocks of the size asked for."""

import gzip
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Refusal
from shared.snapshot import gz
from shared.snapshot.gz import Inflation, Place, inflate

RAW = random.Random(1).randbytes(30_000) + b"abc" * 30_000
ZIPPED = gzip.compress(RAW, 6)


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def inflated(data: bytes, piece: int = 1000, block: int = 4096) -> bytes:
    return b"".join(inflate(pieces_of(data, piece), block))


def refused(data: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        inflated(data)
    assert caught.value.code == "ARCHIVE_CORRUPT"
    return caught.value.message


@pytest.mark.parametrize("piece", [1, 100, 4096, 1 << 20])
@pytest.mark.parametrize("block", [1000, 4096, 1 << 20])
def test_blocks_have_the_size_asked_for_and_the_bytes_of_the_original(piece: int, block: int) -> None:
    blocks = list(inflate(pieces_of(ZIPPED, piece), block))
    assert b"".join(blocks) == RAW
    assert all(len(one) == block for one in blocks[:-1])


@pytest.mark.parametrize("piece", [1, 7, 100, 1 << 20])
def test_several_members_and_padding_are_one_file(piece: int) -> None:
    assert inflated(gzip.compress(RAW[:99]) + gzip.compress(RAW[99:]) + bytes(300), piece) == RAW


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 1000, len(ZIPPED) - 1, len(ZIPPED)])
def test_a_file_cut_anywhere_is_refused(cut: int) -> None:
    refused(ZIPPED[:-cut])


def test_a_wrong_checksum_is_refused() -> None:
    assert "incorrect data check" in refused(ZIPPED[:-8] + bytes(4) + ZIPPED[-4:])


def test_a_wrong_length_is_refused() -> None:
    refused(ZIPPED[:-4] + b"\1\2\3\4")


def test_other_data_after_the_end_is_refused() -> None:
    assert "68 65 6c 6c after the end" in refused(ZIPPED + b"hello")


BLOCK = 8192
LONG = b"".join(str(random.Random(n).random()).encode() for n in range(30_000)) + RAW
LONG_ZIPPED = gzip.compress(LONG[:200_000], 6) + gzip.compress(LONG[200_000:], 6)


def places() -> list[tuple[int, Place]]:
    """Every block border of the output with the last place before it, as a checkpoint would keep them."""
    inflation = Inflation(BLOCK)
    inflation.marking = True
    found = []
    for number, _ in enumerate(inflation.blocks(pieces_of(LONG_ZIPPED, 5000)), 1):
        if inflation.place:
            found.append((number * BLOCK, Place.model_validate_json(inflation.place.model_dump_json())))
    return found


def resumed(place: Place, done: int, data: bytes = LONG_ZIPPED, piece: int = 4096) -> bytes:
    blocks = Inflation(BLOCK, place).blocks(pieces_of(data[place.read_from :], piece), done - place.produced)
    return b"".join(blocks)


def test_inflating_goes_on_from_every_place() -> None:
    found = places()
    assert len({place.produced for _, place in found}) > 5
    assert {place.bits for _, place in found} > {0}
    for done, place in found:
        assert place.produced <= done
        assert resumed(place, done) == LONG[done:]


def test_a_successor_checks_the_end_as_if_it_had_begun_at_the_start() -> None:
    done, place = places()[-1]
    for damaged in (LONG_ZIPPED[:-1], LONG_ZIPPED[:-8] + bytes(4) + LONG_ZIPPED[-4:], LONG_ZIPPED[:-1] + b"\x55"):
        with pytest.raises(Refusal, match="ARCHIVE_CORRUPT"):
            resumed(place, done, damaged)


def test_a_bomb_is_refused_by_its_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gz, "RATIO_COUNTS_FROM", 1 << 20)
    with pytest.raises(Refusal, match="at most 200 inflated bytes") as caught:
        inflated(gzip.compress(bytes(8 << 20)), block=1 << 16)
    assert caught.value.code == "ARCHIVE_BOMB"


@pytest.mark.parametrize(
    ("produced", "consumed", "refused"),
    [
        (gz.RATIO_COUNTS_FROM, 1, False),
        (gz.RATIO_COUNTS_FROM + 1, 1, True),
        (200 << 30, 1 << 30, False),
        ((200 << 30) + 1, 1 << 30, True),
    ],
)
def test_a_bomb_begins_beyond_two_hundred_to_one_and_one_gibibyte(produced: int, consumed: int, refused: bool) -> None:
    try:
        gz._refuse_bomb(produced, consumed)
    except Refusal as refusal:
        assert (refusal.code, refused) == ("ARCHIVE_BOMB", True)
    else:
        assert not refused


@pytest.mark.parametrize(("zeros", "bomb"), [(8_000_000, False), (16_000_000, True)])
def test_a_successor_counts_the_ratio_of_the_whole_archive(
    monkeypatch: pytest.MonkeyPatch, zeros: int, bomb: bool
) -> None:
    monkeypatch.setattr(gz, "RATIO_COUNTS_FROM", 1 << 20)
    raw = LONG[:120_000] + bytes(zeros)  # some 55 KB, then zeros at a thousand to one
    zipped = gzip.compress(raw, 6)
    inflation, done = Inflation(BLOCK), 0
    inflation.marking = True
    for _ in inflation.blocks(pieces_of(zipped, 5000)):
        done += BLOCK
        if done > 110_000:
            break
    assert inflation.place is not None
    if bomb:
        with pytest.raises(Refusal, match="ARCHIVE_BOMB"):
            resumed(inflation.place, done, zipped)
    else:
        assert resumed(inflation.place, done, zipped) == raw[done:]


def test_a_member_of_more_than_four_gibibytes_is_checked_by_its_length_modulo_that() -> None:
    done, place = next((done, place) for done, place in places() if place.produced == place.member_size)
    for size in (place.member_size + (1 << 32), (1 << 32) - 1):  # begun beyond four gibibytes, and crossing them
        left = 200_000 - place.produced  # of this member
        length = ((size + left) & 0xFFFFFFFF).to_bytes(4, "little")
        end = len(gzip.compress(LONG[:200_000], 6))
        forged = LONG_ZIPPED[: end - 4] + length + LONG_ZIPPED[end:]
        beyond = place.model_copy(update={"member_size": size})
        assert resumed(beyond, done, forged) == LONG[done:]
        with pytest.raises(Refusal, match="ARCHIVE_CORRUPT"):
            resumed(beyond.model_copy(update={"member_size": size + 1}), done, forged)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(ZIPPED) - 1), st.binary(min_size=1, max_size=10), st.integers(500, 5000))
def test_damaged_data_is_refused_or_equal(place: int, patch: bytes, piece: int) -> None:
    damaged = ZIPPED[:place] + patch + ZIPPED[place + len(patch) :]
    try:
        assert inflated(damaged[: len(ZIPPED)], piece) == RAW
    except Refusal as refusal:
        assert refusal.code == "ARCHIVE_CORRUPT"
