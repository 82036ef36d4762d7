"""Cells of a result: values in PostgreSQL's text format as TDS writes them ([MS-TDS] 2.2.5.5)."""

import struct
from collections.abc import Callable
from datetime import date
from uuid import UUID

from local.sqlserver.sqltypes import MAX, NEVER_NULL, SqlType, decimal_bytes, time_bytes

Encoder = Callable[[bytes], bytes]

_DAY_ZERO = date(1, 1, 1).toordinal()
_DAY_1900 = date(1900, 1, 1).toordinal()


def _plp(data: bytes) -> bytes:
    if not data:
        return struct.pack("<QI", 0, 0)
    return struct.pack("<QI", len(data), len(data)) + data + b"\0\0\0\0"


def _ticks(clock: bytes, scale: int) -> int:
    """Units of 10**-scale seconds in `hh:mm:ss[.ffffff]`."""
    seconds = int(clock[0:2]) * 3600 + int(clock[3:5]) * 60 + int(clock[6:8])
    a_second: int = 10**scale
    return seconds * a_second + int((clock[9:] + b"0000000")[:scale] or b"0")


def _ordinal(day: bytes) -> int:
    year, month, number = day.split(b"-")
    return date(int(year), int(month), int(number)).toordinal()


def _decimal_encoder(kind: SqlType) -> Encoder:
    size = decimal_bytes(kind.precision)
    head = bytes([size + 1])

    def encode(text: bytes) -> bytes:
        negative = text[:1] == b"-"
        whole, _, fraction = text.lstrip(b"-").partition(b".")
        magnitude = int(whole + fraction.ljust(kind.scale, b"0")[: kind.scale])
        return head + (b"\0" if negative else b"\1") + magnitude.to_bytes(size, "little")

    return encode


def _moment_encoder(kind: SqlType) -> Encoder:
    size, scale = time_bytes(kind.scale), kind.scale

    def encode_datetime2(text: bytes) -> bytes:
        day, _, clock = text.partition(b" ")
        days = _ordinal(day) - _DAY_ZERO
        return bytes([size + 3]) + _ticks(clock, scale).to_bytes(size, "little") + days.to_bytes(3, "little")

    def encode_time(text: bytes) -> bytes:
        return bytes([size]) + _ticks(text, scale).to_bytes(size, "little")

    def encode_date(text: bytes) -> bytes:
        return b"\3" + (_ordinal(text) - _DAY_ZERO).to_bytes(3, "little")

    def encode_datetime(text: bytes) -> bytes:
        day, _, clock = text.partition(b" ")
        return b"\x08" + struct.pack("<iI", _ordinal(day) - _DAY_1900, round(_ticks(clock, 6) * 3 / 10000))

    def encode_smalldatetime(text: bytes) -> bytes:
        day, _, clock = text.partition(b" ")
        return b"\x04" + struct.pack("<HH", _ordinal(day) - _DAY_1900, _ticks(clock, 0) // 60)

    return {
        "datetime2": encode_datetime2,
        "time": encode_time,
        "date": encode_date,
        "datetime": encode_datetime,
        "smalldatetime": encode_smalldatetime,
    }[kind.name]


def _bytes_encoder(kind: SqlType) -> Encoder:
    """Strings and binaries: two bytes of length, or partially length-prefixed (PLP) for max."""
    if kind.is_binary:

        def convert(text: bytes) -> bytes:
            return bytes.fromhex(text[2:].decode("ascii"))
    elif kind.is_unicode:

        def convert(text: bytes) -> bytes:
            return text.decode().encode("utf-16-le")
    elif kind.is_utf8:

        def convert(text: bytes) -> bytes:
            return text
    else:

        def convert(text: bytes) -> bytes:
            return text.decode().encode("cp1252", "replace")

    if kind.length == MAX:
        return lambda text: _plp(convert(text))

    def encode(text: bytes) -> bytes:
        data = convert(text)
        return len(data).to_bytes(2, "little") + data

    return encode


def _money(text: bytes) -> bytes:
    units = int(_decimal_units(text, 4))
    return b"\x08" + struct.pack("<iI", units >> 32, units & 0xFFFFFFFF)


def _decimal_units(text: bytes, scale: int) -> int:
    whole, _, fraction = text.lstrip(b"-").partition(b".")
    units = int(whole + fraction.ljust(scale, b"0")[:scale])
    return -units if text[:1] == b"-" else units


def _packed(layout: str, convert: Callable[[bytes], int | float]) -> Encoder:
    pack = struct.Struct("<B" + layout).pack
    size = struct.calcsize(layout)
    return lambda text: pack(size, convert(text))


def encoder(kind: SqlType) -> Encoder:
    """A function from a value in PostgreSQL's text format to the bytes of its TDS cell."""
    if kind.name in ("decimal",):
        return _decimal_encoder(kind)
    if kind.is_moment:
        return _moment_encoder(kind)
    if kind.is_string or kind.is_binary:
        return _bytes_encoder(kind)
    simple: dict[str, Encoder] = {
        "bigint": _packed("q", int),
        "int": _packed("i", int),
        "smallint": _packed("h", int),
        "tinyint": _packed("B", int),
        "bit": _packed("B", int),
        "float": _packed("d", float),
        "real": _packed("f", float),
        "money": _money,
        "null": _packed("i", int),
        "uniqueidentifier": lambda text: b"\x10" + UUID(text.decode()).bytes_le,
    }
    return simple[kind.name]


def column_codec(kind: SqlType, *, nullable: bool) -> tuple[Encoder, bytes | None]:
    """How a column's cells are written, and its NULL; None where the type cannot say NULL."""
    encode = encoder(kind)
    if not nullable and kind.name in NEVER_NULL:
        return lambda text: encode(text)[1:], None
    return encode, null_cell(kind)


def null_cell(kind: SqlType) -> bytes:
    """The cell that says NULL."""
    if kind.is_string or kind.is_binary:
        return b"\xff" * 8 if kind.length == MAX else b"\xff\xff"
    return b"\0"
