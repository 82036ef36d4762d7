"""The tar parser against `tarfile`, at every chunk size, and against archives that are not whole."""

import io
import json
import random
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Refusal
from shared.snapshot.inflating import Checkpoint
from shared.snapshot.tar import Member, TarIndexer

CHUNKS = (1, 7, 511, 512, 513, 4096, 1 << 20)
FORMATS = (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)


def archive(layout: int = tarfile.GNU_FORMAT, names: list[str] | None = None, seed: int = 1) -> bytes:
    """A tar with files of random sizes and a directory."""
    rng = random.Random(seed)
    short = [".metadata", "db/db.backup", "x" * 80 + "/" + "y" * 90, "empty"]
    long = ["d" * 300 + "/file", "é" * 120, "emoji-😀"]
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=layout) as tar:
        for name in names or (short if layout == tarfile.USTAR_FORMAT else short + long):
            data = rng.randbytes(0 if name == "empty" else rng.randint(1, 3000))
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        folder = tarfile.TarInfo("tree")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    return target.getvalue()


def members_of(raw: bytes, chunk: int = 1 << 20) -> list[Member]:
    found: list[Member] = []
    indexer = TarIndexer(found.append)
    for piece in pieces_of(raw, chunk):
        indexer.feed(piece)
    indexer.close()
    return found


def pieces_of(raw: bytes, chunk: int) -> Iterator[bytes]:
    for start in range(0, len(raw), chunk):
        yield raw[start : start + chunk]


def by_tarfile(raw: bytes) -> list[tuple[str, int, int]]:
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        return [(member.name, member.offset_data, member.size) for member in tar]


def refused(raw: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        members_of(raw)
    assert caught.value.code == "ARCHIVE_CORRUPT"
    return caught.value.message


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_members_and_places_are_those_of_tarfile_at_every_chunk_size(layout: int, chunk: int) -> None:
    raw = archive(layout)
    found = [(member.name.rstrip("/"), member.offset, member.size) for member in members_of(raw, chunk)]
    assert found == by_tarfile(raw)


@pytest.mark.parametrize("chunk", [7, 513, 4096])
def test_a_parser_resumed_from_its_state_finds_the_same_members(chunk: int) -> None:
    raw = archive()
    found: list[Member] = []
    indexer = TarIndexer(found.append)
    for piece in pieces_of(raw, chunk):
        indexer.feed(piece)
        indexer = TarIndexer.resume(json.loads(json.dumps(indexer.state())), found.append)
    indexer.close()
    assert found == list(members_of(raw))


@pytest.mark.parametrize("layout", FORMATS)
def test_a_name_that_is_not_utf8_is_kept_in_every_checkpoint_as_it_is(layout: int) -> None:
    raw = archive(layout, names=["a\udcff\udcfeb", "\udce9" * 90, "ü/one"])
    raw = header_data(tarfile.XGLTYPE, b"13 path=x\xffy\xfe\n") + header_data(tarfile.XGLTYPE, b"8 path=\n") + raw
    found: list[Member] = []
    indexer = TarIndexer(found.append)
    for piece in pieces_of(raw, 100):
        indexer.feed(piece)
        state = Checkpoint(tar=indexer.state()).model_dump_json()
        indexer = TarIndexer.resume(Checkpoint.model_validate_json(state).tar or {}, found.append)
    indexer.close()
    assert found == members_of(raw)
    assert "\udcff" in found[0].name


def test_a_state_with_names_as_texts_which_an_older_version_kept_is_taken_up() -> None:
    found: list[Member] = []
    indexer = TarIndexer(found.append)
    indexer.feed(archive(names=["one"])[:600])
    state = {**indexer.state(), "current": ["old", "file", 512, 100], "pax": {"path": "p"}, "long_name": "l"}
    indexer = TarIndexer.resume(state, found.append)
    indexer.feed(bytes(state["left"]))
    assert found[0].name == "old"
    assert indexer.state() == {**indexer.state(), "pax": {"path": ["cA=="]}, "long_name": ["bA=="]}


def test_the_md5_of_every_file_is_taken_in_passing() -> None:
    import hashlib

    raw = archive()
    for member in members_of(raw, 100):
        if member.kind == "file":
            data = raw[member.offset : member.offset + member.size]
            assert member.md5 == hashlib.md5(data).digest()


def test_sizes_beyond_eight_gibibytes_are_read_in_both_notations() -> None:
    for layout in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        huge = tarfile.TarInfo("huge")
        huge.size = 20 << 30
        found: list[Member] = []
        indexer = TarIndexer(found.append)
        indexer.feed(huge.tobuf(layout))
        assert indexer.state()["left"] == 20 << 30


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_told_by_their_kind(kind: bytes) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        strange = tarfile.TarInfo("strange")
        strange.type, strange.linkname = kind, "/etc/passwd"
        tar.addfile(strange)
    names = {
        tarfile.SYMTYPE: "symbolic link",
        tarfile.LNKTYPE: "hard link",
        tarfile.CHRTYPE: "device",
        tarfile.BLKTYPE: "device",
        tarfile.FIFOTYPE: "fifo",
    }
    assert [member.kind for member in members_of(target.getvalue())] == [names[kind]]


def test_a_pax_sparse_member_is_told_as_sparse() -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("holes")
        member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
        member.size = 4
        tar.addfile(member, io.BytesIO(b"data"))
    assert [member.kind for member in members_of(target.getvalue())] == ["sparse"]


def header_data(kind: bytes, data: bytes) -> bytes:
    """A header that is about the next member, or with kind `g` about all that follow."""
    header = tarfile.TarInfo("pax")
    header.type, header.size = kind, len(data)
    return header.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


@pytest.mark.timeout(30)  # it once did not end
@pytest.mark.parametrize(
    "rest", [b"x" * 40, b" x=y\n", b"0 x=y\n", b"-6 x=y\n", b"5 x=y\n", b"99 x=y\n", b"9" * 30 + b" x=y\n"]
)
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_pax_record_without_a_true_length_is_refused(kind: bytes, rest: bytes) -> None:
    assert "a PAX header that cannot be read" in refused(header_data(kind, b"11 path=ab\n" + rest) + archive())


def test_global_pax_headers_however_many_leave_nothing_in_the_state_but_what_a_member_needs() -> None:
    indexer = TarIndexer(lambda _: None)
    for number in range(200):
        records = b"".join(b"%d KEY.%08d=%s\n" % (1019, number * 100 + key, b"v" * 1000) for key in range(100))
        indexer.feed(header_data(tarfile.XGLTYPE, records))
    assert len(json.dumps(indexer.state())) < 1000


def test_a_global_pax_header_gives_its_values_to_the_members_that_follow() -> None:
    first = header_data(tarfile.XGLTYPE, b"16 path=for/all\n22 GNU.sparse.major=1\n")
    one = members_of(first + archive(names=["one"]))[0]
    assert (one.name, one.kind) == ("for/all", "sparse")


def test_an_archive_cut_anywhere_is_refused() -> None:
    raw = archive()
    end = len(raw.rstrip(b"\0")) + 512
    for cut in (0, 1, 100, 512, 1500, end // 2, end - 600, len(raw.rstrip(b"\0"))):
        refused(raw[:cut])


def test_an_archive_without_its_end_mark_is_refused() -> None:
    raw = archive(names=["one"])
    header_and_data = 512 + 512 * -(-by_tarfile(raw)[0][2] // 512) + 512  # "one" and the directory
    assert "no end-of-archive marker" in refused(raw[:header_and_data])


def test_a_header_with_a_wrong_checksum_is_refused_and_named_by_its_place() -> None:
    raw = bytearray(archive())
    raw[3] ^= 1
    assert "checksum does not fit at byte 0" in refused(bytes(raw))


def test_data_after_the_end_mark_is_refused() -> None:
    whole = archive(names=["one"])
    assert "data after an end-of-archive marker" in refused(whole + whole)


def test_a_refusal_quotes_the_beginning_of_a_long_name_only() -> None:
    name = header_data(tarfile.GNUTYPE_LONGNAME, b"a." * 300_000)
    member = tarfile.TarInfo("m")
    member.size = 1 << 55
    for raw in (
        name + member.tobuf(tarfile.GNU_FORMAT),
        name + header_data(tarfile.XHDTYPE, b"10 size=x\n") + archive(names=["one"]),
        name + archive(names=["one"])[:600],
    ):
        said = refused(raw)
        assert "a.a.a." in said
        assert len(said) < 500


def test_a_huge_long_name_is_refused_before_it_is_read() -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    found: list[Member] = []
    with pytest.raises(Refusal, match="header of 1,073,741,824 bytes"):
        TarIndexer(found.append).feed(header.tobuf(tarfile.GNU_FORMAT))


RAW = archive()


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(RAW) - 1), st.binary(min_size=1, max_size=40), st.integers(1, 2000))
def test_a_damaged_archive_is_read_or_refused_and_nothing_else(place: int, patch: bytes, chunk: int) -> None:
    damaged = RAW[:place] + patch + RAW[place + len(patch) :]
    try:
        members_of(damaged, chunk)
    except Refusal as refusal:
        assert refusal.code == "ARCHIVE_CORRUPT"
