"""What goes into a translated statement and comes out of it: parameters, cells, rows and errors as tokens."""

from local.sqlserver import tokens
from local.sqlserver.cells import Encoder
from local.sqlserver.context import Variable
from local.sqlserver.errors import SqlError
from local.sqlserver.sqltypes import SqlType
from local.sqlserver.store import Row, Value
from local.sqlserver.translated import Statement


def values_of(statement: Statement, variables: dict[str, Variable]) -> list[Value]:
    """Parameters of a translated statement, in order."""
    return [
        Value(variables[name].value, variables[name].kind.oid, variables[name].kind.is_binary)
        for name in statement.used
    ]


def raw_value(kind: SqlType, cell: bytes | None) -> bytes | None:
    """A cell of a result as the value of a variable."""
    if cell is not None and kind.is_binary:
        return bytes.fromhex(cell[2:].decode("ascii"))
    return cell


def metadata(statement: Statement) -> bytes:
    """COLMETADATA of a statement's result."""
    return tokens.column_metadata([(column.name, column.kind, column.nullable) for column in statement.columns or []])


def row_tokens(batch: list[Row], codecs: list[tuple[Encoder, bytes | None]]) -> list[bytes]:
    """ROW for each row; a codec is a column's encoder and its NULL, if it may be NULL.

    Raises:
        SqlError: 50003, NULL in a column that was told as NOT NULL.
    """
    parts = []
    for row in batch:
        parts.append(b"\xd1")
        for cell, (encode, null) in zip(row, codecs, strict=True):
            found = null if cell is None else encode(cell)
            if found is None:
                raise SqlError(50003, "the stand-in told a column that cannot be NULL, and found a NULL in it")
            parts.append(found)
    return parts


def error_tokens(problem: SqlError) -> bytes:
    """ERROR, and the one that follows it."""
    following = problem.followed_by
    return tokens.error(problem) + (tokens.error(following) if following else b"")
