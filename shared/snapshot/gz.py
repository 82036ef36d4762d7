"""Inflating a gzip stream piece by piece: checked to its last byte, and never more output than asked for."""

from collections.abc import Iterable, Iterator
from typing import cast

from isal import igzip_lib

from shared.errors import Refusal

# Deflate cannot do better than 1032:1; what a backup holds (a compressed dump, documents) stays far below 20:1.
MAX_RATIO = 200
RATIO_COUNTS_FROM = 1 << 30  # bytes of output
INFLATE_ERRORS = (cast("type[Exception]", igzip_lib.error), EOFError, ValueError)  # its stub calls it an instance


def inflate(pieces: Iterable[bytes], block: int) -> Iterator[bytes]:
    """Yield the inflated bytes of a gzip file in blocks of exactly `block` bytes (the last may be shorter).

    Several gzip members one after the other are one file, zeros after the last are padding. Raises `Refusal`
    ARCHIVE_CORRUPT for bad data, a wrong CRC or length, a missing end, and ARCHIVE_BOMB.
    """
    parts: list[bytes] = []
    filled = 0
    for part in _inflated(pieces, block):
        parts.append(part)
        filled += len(part)
        while filled >= block:
            whole = parts[0] if len(parts) == 1 else b"".join(parts)
            yield whole if len(whole) == block else whole[:block]
            parts = [whole[block:]] if len(whole) > block else []
            filled -= block
    if filled:
        yield b"".join(parts)


def _inflated(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Yield inflated pieces of at most `most` bytes."""
    inflater = _inflater()
    consumed = produced = members = 0
    between = False  # after a member's end: padding, or the next member
    for piece in pieces:
        consumed += len(piece)
        data = piece
        while data or not (inflater.needs_input or between):
            if between:
                data = data.lstrip(b"\0")
                if not data:
                    break
                if not b"\x1f\x8b".startswith(data[:2]):
                    raise _corrupt(f"{data[:4].hex(' ')} after the end of the compressed data", consumed - len(data))
                inflater, between = _inflater(), False
            part = _decompress(inflater, data, most, consumed)
            data = b""
            if inflater.eof:
                data, between, members = inflater.unused_data, True, members + 1
            if part:
                produced += len(part)
                _refuse_bomb(produced, consumed)
                yield part
    if not between:
        found = "its end in the middle of the compressed data" if consumed else "no bytes at all"
        raise _corrupt(found, consumed)


def _inflater() -> igzip_lib.IgzipDecompressor:
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)  # checks header, CRC-32 and length


def _decompress(inflater: igzip_lib.IgzipDecompressor, data: bytes, most: int, at: int) -> bytes:
    try:
        return bytes(inflater.decompress(data, most))
    except INFLATE_ERRORS as error:
        raise _corrupt(f"data that cannot be inflated ({error})", at) from None


def _refuse_bomb(produced: int, consumed: int) -> None:
    if produced > RATIO_COUNTS_FROM and produced > MAX_RATIO * consumed:
        raise Refusal(
            "ARCHIVE_BOMB",
            "snapshot archive",
            f"expected at most {MAX_RATIO} inflated bytes for each byte of the archive, "
            f"found {produced:,} from {consumed:,}.",
            "This is not what a Mendix backup looks like; check where the archive comes from.",
        )


def _corrupt(found: str, offset: int) -> Refusal:
    return Refusal(
        "ARCHIVE_CORRUPT",
        "snapshot archive",
        f"expected a whole gzip file, found {found} near byte {offset:,} of the archive.",
        "Download the backup again and compare its size with the one the portal shows.",
    )
