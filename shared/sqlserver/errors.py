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

# No room for rows (a filegroup, the database's size limit), and no room for the log that a load writes.
# https://learn.microsoft.com/sql/relational-databases/errors-events/mssqlserver-1105-database-engine-error
# https://learn.microsoft.com/azure/azure-sql/database/troubleshoot-transaction-log-errors-issues
NO_SPACE = (1101, 1105, 40544)
LOG_FULL = (9002, 40552)
# Azure SQL ended the session for what it held: locks, tempdb, memory, a long transaction. Fewer at a time helps.
# https://learn.microsoft.com/azure/azure-sql/database/troubleshoot-common-errors-issues#resource-governance-errors
TOO_GREEDY = (40549, 40550, 40551, 40553)

# Azure SQL's documented transient errors plus what Microsoft.Data.SqlClient repeats (its BaselineTransientErrors), and
# the numbers of a lock time-out, a deadlock and a lost connection.
# https://learn.microsoft.com/azure/azure-sql/database/troubleshoot-common-errors-issues
TRANSIENT = frozenset(
    {
        *(LOCK_TIMEOUT, DEADLOCK, 4060, 4221, 615, 926, 3960, 3966, 8645, 8651, 9515, 10053, 10054, 10060, 10061),
        *(10922, 10928, 10929, 10936, 40143, 40197, 40501, 40540, 40613, 42108, 42109, 49918, 49919, 49920),
        *(4, 20, 60, 64, 121, 233, 258, 701, 802, 983, 1204, 1221, 3935, 14355, 17197, 20041, *TOO_GREEDY),
    }
)
# From class 17 on an error is about the server's resources or health, never about a statement or a row.
# https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-error-severities
RESOURCES = 17
_TRANSIENT_STATES = ("08001", "08003", "08007", "08S01", "08S02", "HYT00", "HYT01", "40001")

AWAY = (
    "Check that the target is up, reachable from the app and large enough for the load, then start the migration again."
)

_CLASS = re.compile(r"Sql Error: \d{1,7}: Class (\d{1,2}):")  # the core says it, pyodbc does not
_NUMBER = re.compile(r"(?:\((-?\d{1,7})\) \(SQL\w+\)|Sql Error: (\d{1,7}):|\bMsg (\d{1,7}),)")
_QUOTED_VALUES = (
    (re.compile(r"(duplicate key value is )\(.*\)", re.DOTALL), r"\1(not shown)"),
    (re.compile(r"(Truncated value: )'.*?'(?=\.|$)", re.DOTALL), r"\1(not shown)"),
    (re.compile(r"((?:converting|convert) the \w+ value )'.*?'(?= to)", re.DOTALL), r"\1(not shown)"),
    (re.compile(r"(?i)\b(pwd|password|accesstoken)\s*=\s*(?:\{[^}]*\}|[^;\s]*)"), r"\1=(not shown)"),
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\[[^\]]*\]")
_DRIVER_PREFIX = re.compile(r"\[(?:Microsoft|ODBC Driver [^\]]*|SQL Server|unixODBC|[0-9A-Z]{5})\]\s*")


def number_of(error: BaseException) -> int | None:
    """Return the native SQL Server error number in a driver's exception, or None when it has none."""
    found = _NUMBER.search(str(error))
    if found is None:
        return None
    return int(next(group for group in found.groups() if group is not None))


def class_of(error: BaseException) -> int:
    """Return the class (severity) of a server's error, 0 where the driver does not say it."""
    found = _CLASS.search(str(error))
    return int(found.group(1)) if found else 0


def text_of(error: BaseException) -> str:
    """Return a driver's message in one line: no driver prefixes, no values of rows, no passwords."""
    args: tuple[object, ...] = error.args
    text = str(args[1]) if len(args) > 1 else str(error)
    text = _DRIVER_PREFIX.sub("", text)
    for pattern, replacement in _QUOTED_VALUES:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def words_of(error: BaseException) -> str:
    """Return a driver's own words in lower case, without what it quotes: names and values, such as a column `timeout`."""
    return _QUOTED.sub("", str(error)).lower()


def is_transient(error: BaseException) -> bool:
    """Say whether trying again may mend a driver's exception."""
    number = number_of(error)
    if number is not None and number > 0:
        return number in TRANSIENT or (class_of(error) >= RESOURCES and not is_full(error))
    state = str(error.args[0]) if error.args else ""
    said = words_of(error)
    return state in _TRANSIENT_STATES or "io error" in said or "timeout" in said


def is_full(error: BaseException) -> bool:
    """Say whether the target has no room left, for rows or for its log."""
    return number_of(error) in (*NO_SPACE, *LOG_FULL)


def classified(error: BaseException, about: str) -> MxferryError:
    """Return a driver's exception as `TransientError` or as `Refusal`, about the given object.

    Codes: SQL_TIMEOUT, SQL_TRANSIENT, TARGET_FULL, SQL_LOGIN_FAILED, SQL_NO_RIGHT, SQL_DUPLICATE_KEY, SQL_REFUSED.
    """
    number = number_of(error)
    text = text_of(error)
    said = f"SQL Server error {number}: {text}" if number else text
    if _statement_timed_out(error):
        return TransientError("SQL_TIMEOUT", about, said, _TOO_SLOW)
    if is_transient(error):
        return TransientError("SQL_TRANSIENT", about, said, AWAY)
    if is_full(error):
        return Refusal("TARGET_FULL", about, said, _LOG_REMEDY if number in LOG_FULL else _SPACE_REMEDY)
    if number in LOGIN_FAILED:
        remedy = "Check user and password (or the identity's user) of the target profile."
        return Refusal("SQL_LOGIN_FAILED", about, said, remedy)
    if number in NO_RIGHT:
        return Refusal("SQL_NO_RIGHT", about, said, "Give the login the right named in the message.")
    if number in DUPLICATE_KEY:
        return Refusal("SQL_DUPLICATE_KEY", about, said, "Look at the unique constraint named in the message.")
    return Refusal("SQL_REFUSED", about, said, _REFUSED)


_TOO_SLOW = (
    "The same statement would take as long again: scale the target up for the migration window, or, if it makes a key of "
    "a large table, set the profile's LOAD to keys-first, so that the key is there before the rows."
)
_SPACE_REMEDY = (
    "Raise the target's maximum size (or make room on it), then start the migration again: the rows need about what the "
    "tables take in PostgreSQL, twice that with text that is not ASCII, and their indexes on top."
)
_LOG_REMEDY = (
    "Let the target's log grow or be backed up and truncated, scale the target up, or lower the profile's "
    "MAX_PARALLEL_CHUNKS, then start the migration again."
)
_REFUSED = "Correct on the target what the message names. If nothing is wrong there, report it as an error of mxferry."


def _statement_timed_out(error: BaseException) -> bool:
    """Tell a statement's time-out from a login's: both have the state HYT00, and only the words differ."""
    return "query timeout expired" in str(error).lower()
