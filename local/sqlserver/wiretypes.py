"""TYPE_INFO as clients send it: in RPC parameters and in the column metadata of a bulk load."""

import datetime
import struct
from dataclasses import dataclass
from uuid import UUID

from local.sqlserver.errors import NotUnderstoodError
from local.sqlserver.sqltypes import (
    BIGINT,
    BIT,
    DATE,
    DATETIME,
    FLOAT,
    INT,
    MAX,
    MONEY,
    REAL,
    SMALLDATETIME,
    SMALLINT,
    TINYINT,
    UNIQUEIDENTIFIER,
    SqlType,
    datetime2,
    decimal,
    nvarchar,
    varbinary,
    varchar,
)

_FIXED = {0x7F: BIGINT, 0x38: INT, 0x34: SMALLINT, 0x30: TINYINT, 0x32: BIT, 0x3E: FLOAT, 0x3B: REAL, 0x3D: DATETIME}
_SIZED = {
    0x26: {1: TINYINT, 2: SMALLINT, 4: INT, 8: BIGINT},
    0x68: {1: BIT},
    0x6D: {4: REAL, 8: FLOAT},
    0x6F: {4: SMALLDATETIME, 8: DATETIME},
    0x24: {16: UNIQUEIDENTIFIER},
    0x6E: {8: MONEY},
}
_UTF8_FLAG = 1 << 26
DAY_ZERO = datetime.date(1, 1, 1).toordinal()
DAY_1900 = datetime.date(1900, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class WireType:
    """A type on the wire.

    `layout` is `fixed` (no length), `byte` (one byte of length), `short` (two bytes), `long` (four bytes), or
    `plp` (chunks).
    """

    kind: SqlType
    layout: str


def read_type(data: bytes, at: int) -> tuple[WireType, int]:
    """TYPE_INFO at a position, and the position after it.

    Raises:
        NotUnderstoodError: A type the stand-in does not hold.
    """
    code = data[at]
    at += 1
    if code in _FIXED:
        return WireType(_FIXED[code], "fixed"), at
    if code in _SIZED and data[at] in _SIZED[code]:
        return WireType(_SIZED[code][data[at]], "byte"), at + 1
    if code in (0x6A, 0x6C):
        return WireType(decimal(data[at + 1], data[at + 2]), "byte"), at + 3
    if code in (0x2A, 0x29):
        scale = data[at]
        kind = datetime2(scale) if code == 0x2A else SqlType("time", precision=9 + scale, scale=scale)
        return WireType(kind, "byte"), at + 1
    if code == 0x28:
        return WireType(DATE, "byte"), at
    if code in (0xE7, 0xEF, 0xA7, 0xAF, 0xA5, 0xAD):
        return _read_variable(code, data, at)
    if code in (0x63, 0x23):  # ntext and text: drivers send long strings so
        return WireType(nvarchar(MAX) if code == 0x63 else varchar(MAX), "long"), at + 9
    if code == 0x22:
        return WireType(varbinary(MAX), "long"), at + 4
    raise NotUnderstoodError(f"TDS type 0x{code:02X}")


def _read_variable(code: int, data: bytes, at: int) -> tuple[WireType, int]:
    (size,) = struct.unpack_from("<H", data, at)
    at += 2
    length = MAX if size == 0xFFFF else size
    layout = "plp" if length == MAX else "short"
    if code in (0xA5, 0xAD):
        return WireType(varbinary(length), layout), at
    (flags,) = struct.unpack_from("<I", data, at)
    collation = "Latin1_General_100_BIN2_UTF8" if flags & _UTF8_FLAG else None
    if code in (0xE7, 0xEF):
        return WireType(nvarchar(MAX if length == MAX else length // 2), layout), at + 5
    return WireType(varchar(length, collation), layout), at + 5


def read_raw(wire: WireType, data: bytes, at: int) -> tuple[bytes | None, int]:
    """The bytes of a value, and the position after it."""
    if wire.layout == "fixed":
        size = {"datetime": 8, "float": 8, "real": 4, "bit": 1}.get(wire.kind.name) or {
            "bigint": 8,
            "int": 4,
            "smallint": 2,
            "tinyint": 1,
        }[wire.kind.name]
        return data[at : at + size], at + size
    if wire.layout == "byte":
        size = data[at]
        return (data[at + 1 : at + 1 + size] if size else None), at + 1 + size
    if wire.layout == "short":
        (size,) = struct.unpack_from("<H", data, at)
        if size == 0xFFFF:
            return None, at + 2
        return data[at + 2 : at + 2 + size], at + 2 + size
    if wire.layout == "long":
        (size,) = struct.unpack_from("<i", data, at)
        return (None, at + 4) if size < 0 else (data[at + 4 : at + 4 + size], at + 4 + size)
    return read_plp(data, at)


def read_plp(data: bytes, at: int) -> tuple[bytes | None, int]:
    """A partially length-prefixed value.

    Raises:
        struct.error: The value is not all there yet.
    """
    (total,) = struct.unpack_from("<Q", data, at)
    at += 8
    if total == 0xFFFFFFFFFFFFFFFF:
        return None, at
    parts: list[bytes] = []
    while True:
        (size,) = struct.unpack_from("<I", data, at)
        at += 4
        if size == 0:
            return (parts[0] if len(parts) == 1 else b"".join(parts)), at
        if at + size > len(data):
            raise struct.error("incomplete")
        parts.append(data[at : at + size])
        at += size


def to_text(kind: SqlType, raw: bytes) -> bytes:
    """A value's wire bytes in PostgreSQL's text format; binaries stay as they are."""
    name = kind.name
    if name in ("bigint", "int", "smallint"):
        return str(int.from_bytes(raw, "little", signed=True)).encode()
    if name in ("tinyint", "bit"):
        return str(raw[0]).encode()
    if kind.is_unicode:
        return raw.decode("utf-16-le").encode()
    if kind.is_string:
        return raw if kind.is_utf8 else raw.decode("cp1252", "replace").encode()
    if kind.is_binary:
        return raw
    if name in ("float", "real"):
        return repr(struct.unpack("<d" if name == "float" else "<f", raw)[0]).encode()
    if name == "decimal":
        return _decimal_text(raw, kind.scale)
    if name == "uniqueidentifier":
        return str(UUID(bytes_le=raw)).encode()
    if name == "money":
        high, low = struct.unpack("<iI", raw)
        return _scaled((high << 32) + low, 4)
    return _moment_text(kind, raw)


def _decimal_text(raw: bytes, scale: int) -> bytes:
    magnitude = int.from_bytes(raw[1:], "little")
    return _scaled(magnitude if raw[0] else -magnitude, scale)


def _scaled(units: int, scale: int) -> bytes:
    sign = "-" if units < 0 else ""
    digits = str(abs(units)).rjust(scale + 1, "0")
    text = f"{sign}{digits[: len(digits) - scale]}.{digits[len(digits) - scale :]}" if scale else f"{sign}{digits}"
    return text.encode()


def _moment_text(kind: SqlType, raw: bytes) -> bytes:
    if kind.name == "datetime":
        days, ticks = struct.unpack("<iI", raw)
        return _day(DAY_1900 + days) + b" " + _clock(round(ticks * 10000 / 3), 6)
    if kind.name == "smalldatetime":
        days, minutes = struct.unpack("<HH", raw)
        return _day(DAY_1900 + days) + b" " + _clock(minutes * 60, 0)
    if kind.name == "date":
        return _day(DAY_ZERO + int.from_bytes(raw, "little"))
    if kind.name == "time":
        return _clock(int.from_bytes(raw, "little"), kind.scale)
    day = _day(DAY_ZERO + int.from_bytes(raw[-3:], "little"))
    return day + b" " + _clock(int.from_bytes(raw[:-3], "little"), kind.scale)


def _day(ordinal: int) -> bytes:
    return datetime.date.fromordinal(ordinal).isoformat().encode()


def _clock(units: int, scale: int) -> bytes:
    """hh:mm:ss.ffffff; a seventh digit is cut, since PostgreSQL keeps six."""
    seconds, fraction = divmod(units, 10**scale)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:0{scale}d}"[: len(text) + 7].encode() if scale else text.encode()
