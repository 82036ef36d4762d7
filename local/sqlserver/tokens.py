"""Tokens of a TDS response ([MS-TDS] 2.2.7), built as bytes."""

import struct

from local.sqlserver.cells import encoder, null_cell
from local.sqlserver.errors import SqlError
from local.sqlserver.sqltypes import SqlType, type_info

DONE, DONE_PROC, DONE_IN_PROC = 0xFD, 0xFE, 0xFF
MORE, ERROR, IN_TRANSACTION, COUNT, ATTENTION = 0x01, 0x02, 0x04, 0x10, 0x20

COMMAND = {"SELECT": 0xC1, "INSERT": 0xC3, "DELETE": 0xC4, "UPDATE": 0xC5, "BULK": 0xF0, "PROCEDURE": 0xE0}

SERVER_NAME = "mxferry-sqlserver-stand-in"


def short_text(text: str) -> bytes:
    """B_VARCHAR: one byte of length in UTF-16 units, then UTF-16."""
    data = text.encode("utf-16-le")
    return bytes([len(data) // 2]) + data


def long_text(text: str) -> bytes:
    """US_VARCHAR: two bytes of length in UTF-16 units, then UTF-16."""
    data = text.encode("utf-16-le")[:60000]
    return struct.pack("<H", len(data) // 2) + data


def env_change(kind: int, new: bytes, old: bytes) -> bytes:
    """ENVCHANGE; `new` and `old` already carry their length byte."""
    body = bytes([kind]) + new + old
    return b"\xe3" + struct.pack("<H", len(body)) + body


def transaction_begun(descriptor: int) -> bytes:
    """ENVCHANGE 8: the descriptor the client sends with every request of the transaction."""
    return env_change(8, b"\x08" + struct.pack("<Q", descriptor), b"\0")


def transaction_ended(descriptor: int, *, committed: bool) -> bytes:
    """ENVCHANGE 9 (commit) or 10 (rollback)."""
    return env_change(9 if committed else 10, b"\0", b"\x08" + struct.pack("<Q", descriptor))


def done(status: int = 0, command: int = 0, rows: int = 0, token: int = DONE) -> bytes:
    """DONE, DONEPROC or DONEINPROC."""
    return bytes([token]) + struct.pack("<HHQ", status, command, rows)


def error(problem: SqlError) -> bytes:
    """ERROR."""
    body = struct.pack("<iBB", problem.number, problem.state, problem.severity) + long_text(problem.message)
    body += short_text(SERVER_NAME) + short_text("") + struct.pack("<i", 1)
    return b"\xaa" + struct.pack("<H", len(body)) + body


def information(number: int, message: str) -> bytes:
    """INFO."""
    body = struct.pack("<iBB", number, 1, 0) + long_text(message)
    body += short_text(SERVER_NAME) + short_text("") + struct.pack("<i", 1)
    return b"\xab" + struct.pack("<H", len(body)) + body


def column_metadata(columns: list[tuple[str, SqlType, bool]]) -> bytes:
    """COLMETADATA of (name, type, may be NULL)."""
    parts = [b"\x81" + struct.pack("<H", len(columns))]
    for name, kind, nullable in columns:
        flags = 0x0008 | (1 if nullable else 0)
        parts.append(struct.pack("<IH", 0, flags) + type_info(kind, nullable=nullable) + short_text(name))
    return b"".join(parts)


def return_status(value: int) -> bytes:
    """RETURNSTATUS of a procedure."""
    return b"\x79" + struct.pack("<i", value)


def return_value(ordinal: int, name: str, kind: SqlType, value: bytes | None) -> bytes:
    """RETURNVALUE: an output parameter; `value` in PostgreSQL's text format."""
    cell = null_cell(kind) if value is None else encoder(kind)(value)
    head = b"\xac" + struct.pack("<H", ordinal) + short_text(name) + b"\x01" + struct.pack("<IH", 0, 0)
    return head + type_info(kind) + cell
