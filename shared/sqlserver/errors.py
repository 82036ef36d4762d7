"""What SQL Server's error numbers mean for us: try again, or stop and say why.

Drivers hand on the native number in different ways (pyodbc in the text of its exceptions, the Rust core as
`Sql Error: 2627:`), so the number is parsed from the text; the text itself is cleaned of the values that SQL Server
quotes in it before it goes anywhere.
"""

import re

from shared.errors import MxferryError, Refusal, TransientError

DUPLICATE_KEY = (2627, 2601)
LOCK_TIMEOUT = 1222
DEADLOCK = 1205
ALREADY_EXISTS = 2714
NO_SUCH_TABLE = 208
LOGIN_FAILED = (18456, 18452, 18470, 18486, 18487, 18488)
NO_RIGHT = (229, 230, 262, 297, 300, 916, 1088, 2104, 2760, 5011, 15247)

# Azure SQL's documented transient errors plus what Microsoft.Data.SqlClient repeats (its BaselineTransientErrors), and
# the numbers of a lock time-out, a deadlock and a lost connection.
# https://learn.microsoft.com/azure/azure-sql/database/troubleshoot-common-errors-issues
TRANSIENT = frozenset(
    {
        *(LOCK_TIMEOUT, DEADLOCK, 4060, 4221, 615, 926, 3960, 3966, 8645, 8651, 9515, 10053, 10054, 10060, 10061),
        *(10922, 10928, 10929, 10936, 40143, 40197, 40501, 40540, 40613, 42108, 42109, 49918, 49919, 49920),
        *(4, 20, 60, 64, 121, 233, 258, 701, 802, 983, 1204, 1221, 3935, 14355, 17197, 20041),
    }
)
_TRANSIENT_STATES = ("08001", "08003", "08007", "08S01", "08S02", "HYT00", "HYT01", "40001")

_NUMBER = re.compile(r"(?:\((-?\d{1,7})\) \(SQL\w+\)|Sql Error: (\d{1,7}):|\bMsg (\d{1,7}),)")
_QUOTED_VALUES = (
    (re.compile(r"(duplicate key value is )\(.*\)", re.DOTALL), r"\1(not shown)"),
    (re.compile(r"(Truncated value: )'.*?'(?=\.|$)", re.DOTALL), r"\1(not shown)"),
    (re.compile(r"((?:converting|convert) the \w+ value )'.*?'(?= to)", re.DOTALL), r"\1(not shown)"),
    (re.compile(r"(?i)\b(pwd|password|accesstoken)\s*=\s*(?:\{[^}]*\}|[^;\s]*)"), r"\1=(not shown)"),
)
_DRIVER_PREFIX = re.compile(r"\[(?:Microsoft|ODBC Driver [^\]]*|SQL Server|unixODBC|[0-9A-Z]{5})\]\s*")


def number_of(error: BaseException) -> int | None:
    """Return the native SQL Server error number in a driver's exception, or None when it has none."""
    found = _NUMBER.search(str(error))
    if found is None:
        return None
    return int(next(group for group in found.groups() if group is not None))


def text_of(error: BaseException) -> str:
    """Return a driver's message in one line: no driver prefixes, no values of rows, no passwords."""
    args: tuple[object, ...] = error.args
    text = str(args[1]) if len(args) > 1 else str(error)
    text = _DRIVER_PREFIX.sub("", text)
    for pattern, replacement in _QUOTED_VALUES:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def is_transient(error: BaseException) -> bool:
    """Say whether trying again may mend a driver's exception."""
    number = number_of(error)
    if number is not None and number > 0:
        return number in TRANSIENT
    state = str(error.args[0]) if error.args else ""
    return state in _TRANSIENT_STATES or "IO error" in str(error) or "timeout" in str(error).lower()


def classified(error: BaseException, about: str) -> MxferryError:
    """Return a driver's exception as `TransientError` or as `Refusal`, about the given object.

    Codes: SQL_TRANSIENT, SQL_LOGIN_FAILED, SQL_NO_RIGHT, SQL_DUPLICATE_KEY, SQL_REFUSED.
    """
    number = number_of(error)
    text = text_of(error)
    said = f"SQL Server error {number}: {text}" if number else text
    if is_transient(error):
        return TransientError("SQL_TRANSIENT", about, said)
    if number in LOGIN_FAILED:
        remedy = "Check user and password (or the identity's user) of the target profile."
        return Refusal("SQL_LOGIN_FAILED", about, said, remedy)
    if number in NO_RIGHT:
        return Refusal("SQL_NO_RIGHT", about, said, "Give the login the right named in the message.")
    if number in DUPLICATE_KEY:
        return Refusal("SQL_DUPLICATE_KEY", about, said, "Look at the unique constraint named in the message.")
    return Refusal("SQL_REFUSED", about, said)
