"""Masks of a rehearsal: PostgreSQL expressions that replace values on the way; the source keeps what it has.

A mask is deterministic within a run (equal values stay equal, so joins and unique constraints hold) and keeps NULL. It
is an HMAC, whose key the session has (`shared.masking`): the expressions go to staging and into the script, and hold no key.
"""

from psycopg import sql

from shared.databaseplan import PlannedColumn
from shared.masking import INNER, OUTER
from shared.request import Mask
from shared.sqlserver.types import is_string, string_length

HASH_LENGTH = 32
SHORTEST = {"hash": 8, "email": 28, "name": 12}
"""Shortest column that takes the mask and still tells enough values apart."""


def why_not(mask: Mask, column: PlannedColumn) -> str | None:
    """Say why a mask cannot be put on a column, or None when it can."""
    if mask.how == "blank":
        return None if column.nullable else "the column may not be NULL"
    if not is_string(column.type):
        return f"`{mask.how}` masks strings, the column is {column.type}"
    length = string_length(column.type)
    if length is not None and length < SHORTEST[mask.how]:
        return f"`{mask.how}` needs {SHORTEST[mask.how]} characters, the column has {length}"
    return None


def expression(mask: Mask, column: PlannedColumn) -> str:
    """Return the expression read instead of the column; an error in a session without the key."""
    name = sql.Identifier(column.source_name).as_string(None)
    if mask.how == "blank":
        return f"NULL::{column.source_type}"
    inner = f"sha256({_half(INNER)} || convert_to({name}, 'UTF8'))"
    digest = f"encode(sha256({_half(OUTER)} || {inner}), 'hex')"
    length = string_length(column.type) or HASH_LENGTH
    if mask.how == "email":
        return f"left({digest}, 12) || '@example.invalid'"
    if mask.how == "name":
        return f"'Name ' || left({digest}, {min(length - 5, 12)})"
    return f"left({digest}, {min(length, HASH_LENGTH)})"


def _half(setting: str) -> str:
    return f"decode(current_setting('{setting}'), 'hex')"
