"""Sequence values of the dump. Mendix draws its AutoNumbers from them, so the target starts where they ended."""

import re

import psycopg
from psycopg import sql

from shared.errors import Refusal
from shared.snapshot.dump import Dump

SETVAL = re.compile(
    r"SELECT pg_catalog\.setval\('(?:[^']++|'')++', (?P<value>-?[0-9]{1,19}), (?P<called>true|false)\);\s*\Z"
)


MARK = "INSERT INTO mxferry.made VALUES (-1, 'sequences') ON CONFLICT DO NOTHING"
"""Beside the marks of keys and indexes, whose ordinals begin at 0; a second transaction waits for the first one's end."""


def set_sequences_once(connection: psycopg.Connection, dump: Dump) -> None:
    """Set the sequences unless that has been done: an app may have drawn from them since. The caller commits."""
    if connection.execute(MARK).rowcount:
        set_sequences(connection, dump)


def set_sequences(connection: psycopg.Connection, dump: Dump) -> int:
    """Set every sequence of the dump to its value; return how many. Raises `Refusal` DUMP_ENTRY_FAILED."""
    count = 0
    for entry in dump.entries:
        if entry.desc != "SEQUENCE SET":
            continue
        found = SETVAL.match(entry.definition.strip())
        if found is None:
            raise Refusal(
                "DUMP_ENTRY_FAILED",
                entry.label,
                f"expected a call of setval, found {entry.definition[:80]!r}.",
                "The backup was written by a PostgreSQL that this version of mxferry does not know.",
            )
        name = sql.Identifier(entry.namespace, entry.tag).as_string(connection)
        connection.execute(
            "SELECT pg_catalog.setval(%s, %s, %s)", (name, int(found["value"]), found["called"] == "true")
        )
        count += 1
    return count
