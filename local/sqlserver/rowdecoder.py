"""Bulk rows → COPY BINARY, by a function written for the columns at hand.

One loop over the rows with the cells' code in line: a generic decoder with a call a cell is three times slower
(measured), and the load is what a migration spends its time on.
"""

import struct
from codecs import utf_16_le_decode
from collections.abc import Callable
from dataclasses import dataclass

from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.scope import Column
from local.sqlserver.sqltypes import INTEGERS, time_bytes
from local.sqlserver.wiretypes import DAY_1900, DAY_ZERO, WireType, read_plp

COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
COPY_TRAILER = b"\xff\xff"
ROW, DONE = 0xD1, 0xFD

_DAY_2000 = 730120  # date(2000, 1, 1).toordinal()
_MICROS = 86_400_000_000
_NULL = b"\xff\xff\xff\xff"

# decode(buffer, position, end, out) → (position after the last whole row, rows)
Decode = Callable[[bytes, int, int, list[bytes]], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A column of the load: how it comes and where it goes."""

    wire: WireType
    target: Column


def build(cells: list[Cell], *, discard: bool = False) -> Decode:
    """A decoder for rows of these columns.

    Args:
        cells: Columns in the order of the load.
        discard: Only find where rows end; nothing is given out.

    Raises:
        NotUnderstoodError: A column comes as a type that does not fit its target.
    """
    names = {
        "u16": struct.Struct("<H").unpack_from,
        "plp": read_plp,
        "utf16": utf_16_le_decode,
        "p4": struct.Struct(">i").pack,
        "p48": struct.Struct(">iq").pack,
        "p44": struct.Struct(">ii").pack,
        "from_bytes": int.from_bytes,
        "NULL": _NULL,
        "HEAD": struct.pack(">h", len(cells)),
        "bad_token": _bad_token,
        "bad_cell": _bad_cell,
        "incomplete": (struct.error, IndexError),
        "StructError": struct.error,
    }
    body: list[str] = []
    for place, cell in enumerate(cells):
        body += _cell_code(place, cell, names, discard=discard)
    parts = ", ".join(f"v{place}" for place in range(len(cells)))
    emit = [] if discard else [f"out.extend((HEAD, {parts}))"]
    source = _SKELETON.format(
        body="\n".join(f"                {line}" for line in body),
        emit="\n".join(f"                {line}" for line in emit),
    )
    exec(compile(source, "<bulk row decoder>", "exec"), names)
    decode: Decode = names["decode"]  # type: ignore[assignment]
    return decode


_SKELETON = """
def decode(buf, i, end, out):
    rows = 0
    start = i
    try:
        while i < end:
            start = i
            if buf[i] != 0xD1:
                if buf[i] == 0xFD:
                    return start, rows
                bad_token(buf[i])
            i += 1
            if True:
{body}
                if i > end:
                    return start, rows
{emit}
                rows += 1
        return i, rows
    except incomplete:
        return start, rows
    except UnicodeDecodeError as error:
        if j > end:
            return start, rows
        bad_cell(error)
"""


def _bad_token(token: int) -> None:
    raise SqlError(4804, f"Premature end-of-message while reading the bulk load: token 0x{token:02X} is no row.")


def _bad_cell(error: Exception) -> None:
    raise SqlError(7339, f"The stand-in found a string that is not valid UTF-16 in the bulk load ({error}).")


def _cell_code(place: int, cell: Cell, names: dict[str, object], *, discard: bool) -> list[str]:
    """Lines that read one cell into `v<place>`, a COPY BINARY field with its length."""
    layout, out = cell.wire.layout, f"v{place}"
    value = ["pass"] if discard else _value_code(place, cell, names)
    if layout == "fixed":
        size = (
            INTEGERS.get(cell.wire.kind.name) or {"float": 8, "real": 4, "bit": 1, "datetime": 8}[cell.wire.kind.name]
        )
        return [f"j = i + {size}", "raw = buf[i:j]", *value, "i = j"]
    if layout == "byte":
        head = ["n = buf[i]", "i += 1", "if n:", "    j = i + n", "    raw = buf[i:j]"]
    elif layout == "short":
        head = ["n = u16(buf, i)[0]", "i += 2", "if n != 65535:", "    j = i + n", "    raw = buf[i:j]"]
    else:
        head = ["raw, j = plp(buf, i)", "if raw is not None:"]
    tail = [f"else: {out} = NULL"] if not discard else []
    if layout == "plp":
        return [*head, *(f"    {line}" for line in value), *tail, "i = j"]
    # An incomplete cell leaves raw short: do not decode what is not there.
    guard = ["    if j > end: return start, rows"]
    return [*head, *guard, *(f"    {line}" for line in value), "    i = j", *tail]


def _value_code(place: int, cell: Cell, names: dict[str, object]) -> list[str]:
    wire, target, out = cell.wire.kind, cell.target.kind, f"v{place}"
    if wire.is_string and target.is_string:
        if wire.is_unicode:
            return ["s = utf16(raw, 'strict', True)[0].encode()", f"{out} = p4(len(s)) + s"]
        convert = "raw" if wire.is_utf8 else "raw.decode('cp1252', 'replace').encode()"
        return [f"s = {convert}", f"{out} = p4(len(s)) + s"]
    if wire.is_binary and target.is_binary:
        return [f"{out} = p4(len(raw)) + raw"]
    if wire.name == "decimal" and target.name == "decimal":
        names[f"numeric{place}"] = numeric_packer(wire.scale)
        return [f"{out} = numeric{place}(from_bytes(raw[1:], 'little'), raw[0])"]
    if wire.name != target.name:
        raise NotUnderstoodError(f"a bulk load of {wire.declared()} into column {cell.target.name} {target.declared()}")
    if wire.name in ("bigint", "int", "smallint", "float", "real"):
        size = {"bigint": 8, "int": 4, "smallint": 2, "float": 8, "real": 4}[wire.name]
        return [f"{out} = {struct.pack('>i', size)!r} + raw[::-1]"]
    if wire.name in ("bit", "tinyint"):
        return [f"{out} = {struct.pack('>ib', 2, 0)!r} + raw"]
    if wire.name == "uniqueidentifier":
        return [f"{out} = {struct.pack('>i', 16)!r} + raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]"]
    return _moment_code(cell, out)


def _moment_code(cell: Cell, out: str) -> list[str]:
    """Dates and times: PostgreSQL counts days and microseconds from 2000-01-01."""
    wire = cell.wire.kind
    shift = _DAY_2000 - DAY_ZERO
    if wire.name == "date":
        return [f"{out} = p44(4, from_bytes(raw, 'little') - {shift})"]
    if wire.name == "datetime":
        days = _DAY_2000 - DAY_1900
        ticks = "from_bytes(raw[4:], 'little')"
        micros = f"(from_bytes(raw[:4], 'little', signed=True) - {days}) * {_MICROS} + round({ticks} * 10 / 3) * 1000"
        return [f"{out} = p48(8, {micros})"]
    if wire.name not in ("datetime2", "time"):
        raise NotUnderstoodError(f"a bulk load of {wire.declared()}")
    scaled = f"t * {10 ** (6 - wire.scale)}" if wire.scale < 7 else "t // 10"
    bits = 8 * time_bytes(wire.scale)
    if wire.name == "time":
        return ["t = from_bytes(raw, 'little')", f"{out} = p48(8, {scaled})"]
    return [
        "t = from_bytes(raw, 'little')",
        f"d = t >> {bits}",
        f"t &= {(1 << bits) - 1}",
        f"{out} = p48(8, (d - {shift}) * {_MICROS} + {scaled})",
    ]


def numeric_packer(scale: int) -> Callable[[int, int], bytes]:
    """A function from (magnitude, sign byte) to a COPY BINARY field of numeric: base-10000 digits."""
    padding = 10 ** (-scale % 4)
    groups = (scale + 3) // 4
    zero = struct.pack(">ihhHH", 8, 0, 0, 0, scale)
    packers = [struct.Struct(f">ihhHH{count}H").pack for count in range(14)]

    def pack(magnitude: int, sign: int) -> bytes:
        if not magnitude:
            return zero
        left = magnitude * padding
        digits = []
        while left:
            left, digit = divmod(left, 10000)
            digits.append(digit)
        count = len(digits)
        digits.reverse()
        return packers[count](8 + 2 * count, count, count - groups - 1, 0 if sign else 0x4000, scale, *digits)

    return pack
