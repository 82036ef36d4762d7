"""Who keeps a statement on a table waiting: the sessions whose locks conflict with the one that it takes.

Which conflict is said by https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES. The server itself
knows it (`pg_blocking_pids`) only while a session waits, not after its time is over.
"""

from typing import Any, Literal, NamedTuple

import psycopg

Mode = Literal["ROW SHARE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE"]

_STRONG = ("ExclusiveLock", "AccessExclusiveLock")
_CONFLICTS: dict[Mode, tuple[str, ...]] = {
    "ROW SHARE": _STRONG,
    "SHARE UPDATE EXCLUSIVE": ("ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", *_STRONG),
    "SHARE": ("RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareRowExclusiveLock", *_STRONG),
    "SHARE ROW EXCLUSIVE": (
        "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", *_STRONG
    ),
    "ACCESS EXCLUSIVE": (
        "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
        "ShareRowExclusiveLock", *_STRONG,
    ),
}  # fmt: skip

# Who waits with a conflicting lock is asked for, too: the server lets nobody pass it. Who holds comes before who waits.
HOLDERS = """
    WITH wanted AS (
        SELECT to_regclass(w.name) AS relation, w.mode
        FROM unnest(%(tables)s::text[], %(modes)s::text[]) AS w (name, mode)
    )
    SELECT a.pid, a.usename, a.application_name
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.pid <> pg_backend_pid() AND a.backend_type IS DISTINCT FROM 'parallel worker'
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND (l.locktype = 'advisory' AND l.granted AND l.classid = %(number)s AND l.objid = %(key)s
           OR l.locktype = 'relation' AND (l.relation, l.mode) IN (SELECT w.relation, w.mode FROM wanted w))
    GROUP BY a.pid, a.usename, a.application_name, a.xact_start
    ORDER BY bool_or(l.locktype = 'advisory') DESC, bool_or(l.granted) DESC, a.xact_start, a.pid
    LIMIT 3
"""


class Wanted(NamedTuple):
    """A lock that a statement takes; `table` is quoted and has its schema."""

    table: str
    mode: Mode


def holders(connection: psycopg.Connection[Any], number: int, key: int, wanted: list[Wanted]) -> str:
    """Name at most three sessions, as far as this login may see them; "" where nobody is in the way any more.

    First who holds the advisory lock (`number`, `key`), then who has the oldest transaction.
    """
    pairs = [(table, conflict) for table, mode in wanted for conflict in _CONFLICTS[mode]]
    given = {
        "number": number,
        "key": key,
        "tables": [table for table, _ in pairs],
        "modes": [conflict for _, conflict in pairs],
    }
    found = connection.execute(HOLDERS, given).fetchall()
    named = ", ".join(f"process {pid} ({program or 'no name'}, as {user})" for pid, user, program in found)
    return f"sessions with a lock on {' or '.join(one.table for one in wanted)}: {named}" if found else ""
