"""PostgreSQL's errors as SQL Server tells them."""

import re
from collections.abc import Callable

from psycopg import pq

from local.sqlserver.errors import SqlError, invalid_column, invalid_object

_Field = pq.DiagnosticField


def translate(result: pq.abc.PGresult) -> SqlError:
    """The SQL Server error for a failed statement."""

    def field(which: pq.DiagnosticField) -> str:
        return (result.error_field(which) or b"").decode(errors="replace")

    state, message = field(_Field.SQLSTATE), field(_Field.MESSAGE_PRIMARY)
    if state == "MS001":
        return SqlError(int(field(_Field.MESSAGE_DETAIL)), message)
    if state in _PLAIN:
        return _PLAIN[state](message)
    return StoreError(state, message, field(_Field.MESSAGE_DETAIL), field(_Field.TABLE_NAME), field(_Field.CONSTRAINT_NAME),
               field(_Field.COLUMN_NAME))  # fmt: skip


class StoreError(SqlError):
    """An error whose text needs the catalogue: `constrainterrors` completes it once the failed statement is rolled back."""

    def __init__(self, state: str, message: str, detail: str, table: str, constraint: str, column: str) -> None:
        super().__init__(50001, f"the stand-in's store answered {state}: {message} {detail}".rstrip())
        self.sqlstate, self.raw, self.detail = state, message, detail
        self.table, self.constraint, self.column = table, constraint, column


def _conversion(message: str) -> SqlError:
    match = re.match(r'invalid input syntax for type ([\w ]+): "(.*)"', message, re.DOTALL)
    if not match:
        return SqlError(8114, f"Error converting data type ({message}).")
    kind, value = match[1], match[2]
    if kind in ("integer", "bigint", "smallint"):
        name = {"integer": "int"}.get(kind, kind)
        return SqlError(245, f"Conversion failed when converting the nvarchar value '{value}' to data type {name}.")
    if kind.startswith(("timestamp", "date", "time")):
        return SqlError(241, "Conversion failed when converting date and/or time from character string.")
    if kind == "uuid":
        return SqlError(8169, "Conversion failed when converting from a character string to uniqueidentifier.")
    name = {"double precision": "float", "numeric": "numeric"}.get(kind, kind)
    return SqlError(8114, f"Error converting data type nvarchar to {name}.")


def _overflow(message: str) -> SqlError:
    kind = next(
        (
            told
            for found, told in (("bigint", "bigint"), ("integer", "int"), ("smallint", "smallint"))
            if found in message
        ),
        "numeric",
    )
    return SqlError(8115, f"Arithmetic overflow error converting expression to data type {kind}.")


def nul_refused() -> SqlError:
    """PostgreSQL's text cannot hold U+0000, SQL Server's can."""
    return SqlError(
        50002, "the stand-in cannot store the character U+0000 in a string: PostgreSQL's text cannot hold it"
    )


def _encoding(message: str) -> SqlError:
    return nul_refused() if "0x00" in message else SqlError(50001, f"the stand-in's store answered: {message}")


_PLAIN: dict[str, Callable[[str], SqlError]] = {
    "22P02": _conversion,
    "22007": lambda _: SqlError(241, "Conversion failed when converting date and/or time from character string."),
    "22008": lambda message: (
        SqlError(241, "Conversion failed when converting date and/or time from character string.")
        if message.startswith("date/time field")
        else SqlError(517, f"Adding a value to a date or time caused an overflow ({message}).")
    ),
    "22003": _overflow,
    "22012": lambda _: SqlError(8134, "Divide by zero error encountered."),
    "22021": _encoding,
    "55P03": lambda _: SqlError(1222, "Lock request time out period exceeded.", 16, 51),
    "40P01": lambda _: SqlError(
        1205,
        "Transaction was deadlocked on lock resources with another process and has been chosen as the deadlock victim. "
        "Rerun the transaction.",
        13,
        51,
    ),
    "40001": lambda _: SqlError(
        3960,
        "Snapshot isolation transaction aborted due to update conflict. Retry the transaction or change the statement.",
    ),
    "42P01": lambda message: invalid_object((re.findall(r'"([^"]*)"', message) or [message])[0]),
    "42703": lambda message: invalid_column((re.findall(r'"([^"]*)"', message) or [message])[0]),
    "54000": lambda message: SqlError(
        1946, f"Operation failed. The index entry is longer than the maximum ({message})."
    ),
}
