"""Functions in the expressions of a dump: defaults, checks and indexes may compute, and do nothing else.

PostgreSQL's own word for it is volatility: what is immutable or stable changes nothing, neither rows nor a file nor a
setting (https://www.postgresql.org/docs/current/xfunc-volatility.html).
"""

from collections.abc import Iterable
from typing import Any

import psycopg

from shared.errors import Refusal
from shared.snapshot.dump import Entry
from shared.snapshot.dumpsql import called

VOLATILE = "SELECT DISTINCT proname FROM pg_proc WHERE proname = ANY (%s) AND provolatile = 'v'"
HARMLESS = {
    "clock_timestamp", "currval", "gen_random_bytes", "gen_random_uuid", "nextval", "random", "timeofday",
    "uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "uuidv4", "uuidv7",
}  # fmt: skip


def refuse_volatile(connection: psycopg.Connection[Any], entries: Iterable[Entry]) -> None:
    """Raise `Refusal` DUMP_FUNCTION for an entry that calls a function which may do more than compute."""
    names = {entry: called(entry) for entry in entries}
    asked = sorted(set().union(*names.values()) - HARMLESS)
    volatile = {str(name) for (name,) in connection.execute(VOLATILE, (asked,))}
    for entry, found in names.items():
        if found & volatile:
            raise Refusal(
                "DUMP_FUNCTION",
                entry.label,
                f"expected expressions that only compute, found a call of {', '.join(sorted(found & volatile))}.",
                "Drop that default or check in a copy of the source database and make the backup from that copy.",
            )
