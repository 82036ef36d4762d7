"""The bulk row decoder of the SQL Server stand-in: the same rows wherever the bytes are cut."""

import struct
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.sqlserver.errors import SqlError
from local.sqlserver.rowdecoder import Cell, build, numeric_packer
from local.sqlserver.scope import Column
from local.sqlserver.sqltypes import BIGINT, MAX, SqlType, datetime2, decimal, nvarchar, varbinary
from local.sqlserver.wiretypes import WireType

COLUMNS: list[tuple[SqlType, str]] = [
    (BIGINT, "fixed"),
    (BIGINT, "byte"),
    (nvarchar(50), "short"),
    (nvarchar(MAX), "plp"),
    (varbinary(MAX), "plp"),
    (decimal(28, 8), "byte"),
    (datetime2(3), "byte"),
]
CELLS = [Cell(WireType(kind, layout), Column(f"c{n}", kind, True, f"c{n}")) for n, (kind, layout) in enumerate(COLUMNS)]
NULL = b"\xff\xff\xff\xff"


def _plp(data: bytes | None) -> bytes:
    if data is None:
        return b"\xff" * 8
    middle = len(data) // 2
    chunks = [chunk for chunk in (data[:middle], data[middle:]) if chunk]
    return struct.pack("<Q", len(data)) + b"".join(struct.pack("<I", len(c)) + c for c in chunks) + b"\0\0\0\0"


def _row(number: int, text: str | None, blob: bytes | None) -> bytes:
    utf16 = None if text is None else text.encode("utf-16-le")
    short = b"\xff\xff" if utf16 is None else struct.pack("<H", len(utf16)) + utf16
    row = b"\xd1" + struct.pack("<q", number) + (b"\0" if text is None else b"\x08" + struct.pack("<q", number))
    row += short + _plp(utf16) + _plp(blob)
    row += b"\x0d\x01" + abs(number).to_bytes(12, "little")
    return row + b"\x07" + (12345678).to_bytes(4, "little") + (738000).to_bytes(3, "little")


def _field(data: bytes | None) -> bytes:
    return NULL if data is None else struct.pack(">i", len(data)) + data


def _wanted(number: int, text: str | None, blob: bytes | None) -> bytes:
    utf8 = None if text is None else text.encode()
    whole = struct.pack(">q", number)
    moment = (738000 + 1 - 730120) * 86_400_000_000 + 12_345_678_000
    parts = [whole, None if text is None else whole, utf8, utf8, blob]
    out = struct.pack(">h", len(CELLS)) + b"".join(_field(part) for part in parts)
    return out + numeric_packer(8)(abs(number), 1) + _field(struct.pack(">q", moment))


ROWS = st.lists(
    st.tuples(
        st.integers(-(2**62), 2**62),
        st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=25),
        st.none() | st.binary(max_size=60),
    ),
    max_size=6,
)


@given(rows=ROWS, step=st.integers(1, 400))
@settings(max_examples=150, deadline=None)
def test_rows_are_the_same_wherever_the_stream_is_cut(
    rows: list[tuple[int, str | None, bytes | None]], step: int
) -> None:
    stream = b"".join(_row(*row) for row in rows) + b"\xfd" + b"\0" * 12
    decode = build(CELLS)
    out: list[bytes] = []
    buffer, start, total = b"", 0, 0
    for at in range(0, len(stream), step):
        buffer, start = buffer[start:] + stream[at : at + step], 0
        start, found = decode(buffer, start, len(buffer), out)
        total += found
    assert total == len(rows)
    assert b"".join(out) == b"".join(_wanted(*row) for row in rows)
    assert buffer[start] == 0xFD


def test_the_discarding_decoder_counts_the_same_rows() -> None:
    stream = b"".join(_row(n, "é😀" * n, b"\0" * n) for n in range(5)) + b"\xfd"
    out: list[bytes] = []
    assert build(CELLS, discard=True)(stream, 0, len(stream), out) == (len(stream) - 1, 5)
    assert out == []


def test_half_a_surrogate_pair_is_an_error_not_the_end_of_the_buffer() -> None:
    stream = _row(1, "ab", None).replace("ab".encode("utf-16-le"), b"\x3d\xd8b\0", 1)
    with pytest.raises(SqlError, match="not valid UTF-16"):
        build(CELLS)(stream + b"\xfd", 0, len(stream) + 1, [])


def test_a_token_that_is_no_row_is_an_error() -> None:
    with pytest.raises(SqlError, match="0xD2"):
        build(CELLS)(b"\xd2" + b"\0" * 40, 0, 41, [])


@given(value=st.decimals(min_value=-(10**20), max_value=10**20, places=8, allow_nan=False))
def test_decimals_are_packed_as_postgresql_reads_them(value: Decimal) -> None:
    units = int(value.scaleb(8))
    field = numeric_packer(8)(abs(units), 0 if units < 0 else 1)
    length, count, weight, sign, scale = struct.unpack_from(">ihhHH", field)
    digits = struct.unpack_from(f">{count}H", field, 12)
    assert length == len(field) - 4
    assert scale == 8
    found = sum(Decimal(digit) * Decimal(10000) ** (weight - place) for place, digit in enumerate(digits))
    assert (-found if sign == 0x4000 else found) == value
