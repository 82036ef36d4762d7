"""What a Mendix backup holds, what is left aside, and what is refused by its name."""

import gzip
import io
import tarfile

import pytest

from shared.errors import Refusal
from shared.snapshot.layout import sniff
from shared.snapshot.members import role, uuid_text
from shared.snapshot.names import shown
from shared.snapshot.tar import Kind, Member

UUID = "0d3e301f-5551-46f8-ad44-8de2be084c95"


def member(name: str, kind: Kind = "file") -> Member:
    return Member(name, kind, 512, 10)


@pytest.mark.parametrize("name", [f"tree/0d/3e/{UUID}", f"./tree/0d/3e/{UUID}", f"tree/{UUID}"])
def test_a_file_of_the_app_is_known_by_its_uuid(name: str) -> None:
    what, uuid = role(member(name))
    assert what == "file"
    assert uuid is not None
    assert uuid_text(uuid) == UUID


def test_dump_and_metadata_are_known() -> None:
    assert [role(member(name))[0] for name in ("db/db.backup", "./db/db.backup", ".metadata")] == [
        "dump",
        "dump",
        "metadata",
    ]


@pytest.mark.parametrize(
    "name", ["readme.txt", f"tree/0d/3e/{UUID.upper()}", "db/other", f"tree/0d/3e/{UUID}.pdf", "\udcff"]
)
def test_other_names_are_left_aside(name: str) -> None:
    assert role(member(name)) == ("ignored", None)


@pytest.mark.parametrize(
    ("strange", "found"),
    [
        (member("../../etc/passwd"), "a path that climbs out of the archive"),
        (member(f"tree/../../{UUID}"), "a path that climbs out of the archive"),
        (member("tree\\..\\x"), "a path that climbs out of the archive"),
        (member("/etc/passwd"), "an absolute path"),
        (member("C:\\Windows"), "an absolute path"),
        (member("db/db.backup", "symbolic link"), "a symbolic link"),
        (member("db/db.backup", "hard link"), "a hard link"),
        (member("x", "device"), "a device"),
        (member("x", "fifo"), "a fifo"),
        (member("x", "sparse"), "a sparse file"),
        (member("x", "unknown"), "a member of unknown type"),
        (member(""), "an empty name"),
    ],
)
def test_hostile_members_are_refused_by_name(strange: Member, found: str) -> None:
    with pytest.raises(Refusal) as caught:
        role(strange)
    assert (caught.value.code, caught.value.about) == ("ARCHIVE_HOSTILE", shown(strange.name))
    assert caught.value.message == f"expected the files of a Mendix backup, found {found}."


def test_a_name_in_a_report_is_short_and_printable() -> None:
    assert shown("a\x1b[31m\udcff\n") == "a\\x1b[31m\\udcff\\x0a"
    assert len(shown("x" * 1000)) == 200


def small_tar() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(".metadata"))
    return target.getvalue()


def test_the_first_bytes_tell_the_layout() -> None:
    assert sniff(small_tar()) == "tar"
    assert sniff(gzip.compress(small_tar(), mtime=0)) == "tar.gz"
    assert sniff(b"PGDMP\1\x0e\0") == "dump"
    assert sniff(gzip.compress(b"PGDMP\1\x0e\0", mtime=0)) == "dump.gz"


def test_a_backup_whose_gzip_members_are_short_is_known_all_the_same() -> None:
    tar = small_tar()
    short = b"".join(gzip.compress(tar[at : at + 100], mtime=0) for at in range(0, 600, 100))
    assert sniff(short + gzip.compress(tar[600:], mtime=0)) == "tar.gz"


@pytest.mark.parametrize(
    ("first", "found"),
    [
        (b"", "nothing (0 bytes)"),
        (b"PK\3\4rest", "a zip archive"),
        (b"<?xml version='1.0'?><Error/>", "a web page or an XML error message"),
        (b"  <!DOCTYPE html>", "a web page or an XML error message"),
        (b'{"error": 1}', "a JSON document"),
        (b"-- PostgreSQL database dump", "an SQL script (a plain-text dump)"),
        (b"\x28\xb5\x2f\xfd..", "a zstd file"),
        (b"MZ\x90\0\3\0\0\0", "data that starts with the bytes 4d 5a 90 00 03 00 00 00"),
        (gzip.compress(b"PK\3\4", mtime=0), "a gzip file that holds a zip archive"),
        (gzip.compress(b"", mtime=0), "a gzip file that holds nothing (0 bytes)"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\3\xff\xff\xff", "a damaged gzip file"),
    ],
)
def test_anything_else_is_refused_by_what_it_is(first: bytes, found: str) -> None:
    with pytest.raises(Refusal) as caught:
        sniff(first)
    assert caught.value.code == "ARCHIVE_UNKNOWN"
    assert caught.value.message == (
        f"expected a Mendix backup (tar.gz or tar with db/db.backup, or a pg_dump custom-format dump), found {found}."
    )
    assert ('as a "blob" source' in caught.value.remedy) == found.endswith("a zip archive")
