"""What a snapshot archive is, told by its first bytes; its name and the documentation disagree too often.

Mendix speaks of "a zip file", of `.tar.gz`, of `.backup` and of `.gz` for the same download.
"""

from typing import Literal

from shared.errors import Refusal
from shared.snapshot.gz import inflate
from shared.snapshot.tar import BLOCK, is_header

Layout = Literal["tar.gz", "tar", "dump.gz", "dump"]

SNIFF = 64 * 1024  # bytes from the start that `sniff` wants, or the whole archive if it is shorter
GZIP = b"\x1f\x8b"
PG_DUMP = b"PGDMP"
KNOWN_STRANGERS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"--", "an SQL script (a plain-text dump)"),
    (b"<", "a web page or an XML error message"),
    (b"{", "a JSON document"),
)


def sniff(first: bytes) -> Layout:
    """Return what the archive is, from its first `SNIFF` bytes. Raises `Refusal` ARCHIVE_UNKNOWN."""
    if first.startswith(GZIP):
        inner = _inner(first)
        if inner.startswith(PG_DUMP):
            return "dump.gz"
        if is_header(inner[:BLOCK]):
            return "tar.gz"
        raise _unknown(f"a gzip file that holds {_stranger(inner)}")
    if first.startswith(PG_DUMP):
        return "dump"
    if is_header(first[:BLOCK]):
        return "tar"
    raise _unknown(_stranger(first))


def _inner(first: bytes) -> bytes:
    """Return the first inflated bytes, of as many gzip members as it takes to have a tar header."""
    try:
        return next(inflate([first], BLOCK), b"")
    except Refusal:
        raise _unknown("a damaged gzip file") from None


def _stranger(first: bytes) -> str:
    if not first:
        return "nothing (0 bytes)"
    for magic, what in KNOWN_STRANGERS:
        if first.lstrip().startswith(magic):
            return what
    return f"data that starts with the bytes {first[:8].hex(' ')}"


def _unknown(found: str) -> Refusal:
    remedy = "Give the file as Mendix Cloud hands it out, neither unpacked nor packed again."
    if found.endswith("a zip archive"):
        remedy = 'Unpack it, put the .tar.gz or .backup that it holds into a storage container, and give that as a "blob" source.'
    return Refusal(
        "ARCHIVE_UNKNOWN",
        "snapshot archive",
        f"expected a Mendix backup (tar.gz or tar with db/db.backup, or a pg_dump custom-format dump), found {found}.",
        remedy,
    )
