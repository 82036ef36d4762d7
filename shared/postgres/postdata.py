"""Keys, indexes, checks and foreign keys of a dump: for a database that is used as a whole, made after its rows.

`make_tables` has kept their statements in `mxferry.post_data`. `waves` says in which order they are made, `make` makes
some of them. A statement is made in one transaction with its mark in `mxferry.made`, under an advisory lock: a second
delivery waits for the first and finds the mark, a dead one leaves neither. Foreign keys are made in two steps, `NOT VALID`
in the catalogue first and validated after that, because `VALIDATE CONSTRAINT` locks neither of the two tables against
another one's validation (https://www.postgresql.org/docs/current/sql-altertable.html, Notes), as `ADD FOREIGN KEY` does.
"""

import re
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg import sql
from pydantic import BaseModel, ConfigDict

from shared.errors import Refusal, TransientError
from shared.postgres import fence, locks, runrole
from shared.postgres.connection import connect
from shared.postgres.diagnosis import without_values
from shared.postgres.holders import Wanted, holders
from shared.postgres.storage import FULL, when_full
from shared.settings import Postgres

LARGE = 256 * 1024 * 1024  # bytes of a table whose indexes are worth a session each
GROUP_BYTES = 64 * 1024 * 1024  # bytes of tables whose keys and indexes are made by one activity
INDEX_GROUPS = 4  # of one large table: more would read it at the same time than there are cores
STATEMENTS_OF_GROUP = 200
MOST_GROUPS = 60  # of a wave

INDEX_SECONDS = 110 * 60
"""Seconds of one statement at most: an index of the largest table cannot be made in parts. `functionTimeout` of host.json
is two hours; Azure itself leaves a function an hour when it scales in, and ten minutes when it updates its platform."""

RELATIONS = ("FK CONSTRAINT", "CHECK CONSTRAINT")
Action = Literal["make", "relate", "validate"]
UNPROVEN = re.compile(r"NOT (VALID|ENFORCED)\s*\Z")
REFERENCED = re.compile(r'\) REFERENCES ((?:"(?:[^"]|"")+"|[^\s"(])+)')

STATEMENTS = """
    SELECT p.ordinal, p.kind, p.schema_name, p.table_name, p.name, p.statement,
           ARRAY (SELECT m.action FROM mxferry.made m WHERE m.ordinal = p.ordinal) AS made
    FROM mxferry.post_data p
"""
SIZES = """
    SELECT n.nspname, c.relname, pg_relation_size(c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'mxferry')
"""


class Group(BaseModel):
    """Some statements of `mxferry.post_data`, by their ordinals, and what is done with them; made one after another."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Action
    ordinals: tuple[int, ...]
    parallel: bool = False
    """Whether the server may put several processes to one index."""


class _Statement(NamedTuple):
    ordinal: int
    kind: str
    schema_name: str
    table_name: str
    name: str
    statement: str
    made: list[str]

    @property
    def table(self) -> tuple[str, str]:
        """Schema and name of its table."""
        return self.schema_name, self.table_name

    @property
    def constraint(self) -> str:
        """The constraint's own name: the dump calls it `table constraint`."""
        return self.name.removeprefix(f"{self.table_name} ")

    @property
    def to_validate(self) -> bool:
        """Whether it is a foreign key that is still to be validated."""
        return self.kind == "FK CONSTRAINT" and not self.unproven and "validate" not in self.made

    @property
    def unproven(self) -> bool:
        """Whether the source itself has not validated it, or does not enforce it."""
        return bool(UNPROVEN.search(self.statement.rstrip().rstrip(";").rstrip()))


def waves(server: Postgres, database: str) -> list[list[Group]]:
    """Return what is still to be made. Groups of a wave may run side by side, wave after wave.

    First keys and unique constraints, with the indexes of all but large tables; then the indexes of large tables, some
    sessions each; then foreign keys and checks in the catalogue; then a group a table whose foreign keys are validated.
    Call it when the rows are in: sizes decide.
    """
    with connect(server, database, read_only=True, application_name="mxferry post-data") as connection:
        kept = [_Statement(*row) for row in connection.execute(STATEMENTS + "ORDER BY p.ordinal")]
        sizes = {(str(schema), str(name)): int(size) for schema, name, size in connection.execute(SIZES)}
    relations = [one for one in kept if one.kind in RELATIONS]
    keys = [one for one in kept if one.kind not in RELATIONS and "make" not in one.made]
    later = [one for one in keys if one.kind == "INDEX" and sizes.get(one.table, 0) > LARGE]
    first = [one for one in keys if one not in later]
    unrelated = [one.ordinal for one in relations if "relate" not in one.made]
    found = [
        _groups("make", first, sizes),
        _parts(later, sizes),
        [Group(action="relate", ordinals=tuple(unrelated))] if unrelated else [],
        _groups("validate", [one for one in relations if one.to_validate], sizes),
    ]
    return [wave for wave in found if wave]


def make(server: Postgres, database: str, group: Group, run: str | None = None) -> int:
    """Make the group's statements; return how many. What an earlier delivery made is left alone.

    `run` is the run whose marker the database must hold, None where the database is the run's own. Raises `Refusal`
    RUN_OVER when it holds another one's, DUMP_ENTRY_FAILED with the entry's name (for rows that break a key, say) and
    SERVER_FULL, and `TransientError` POST_DATA_BUSY when another delivery or a session of somebody else holds the table.
    """
    with runrole.session(server, database, "mxferry post-data") as connection:
        connection.execute(sql.SQL("SET lock_timeout = {}").format(locks.POST_DATA.wait))
        connection.execute("SET maintenance_work_mem = '128MB'")
        connection.execute(sql.SQL("SET statement_timeout = {}").format(f"{INDEX_SECONDS}s"))
        connection.execute("SET search_path = ''; SET standard_conforming_strings = on")  # as they were checked
        _notice_our_death(connection)
        if not group.parallel:
            connection.execute("SET max_parallel_maintenance_workers = 0")
        if run is not None:
            fence.hold(connection, run)
        query = STATEMENTS + "WHERE p.ordinal = ANY (%s) ORDER BY p.ordinal"
        wanted = [_Statement(*row) for row in connection.execute(query, (list(group.ordinals),))]
        connection.commit()
        for one in wanted:
            try:
                _make(connection, group.action, one, run)
            except TransientError as error:
                if error.code != locks.POST_DATA.code:
                    raise
                raise locks.POST_DATA.busy(one.name, _holders(server, database, group.action, one)) from None
    return len(wanted)


def forget(connection: psycopg.Connection[Any]) -> None:
    """Drop our schema from a database that is kept; the caller commits."""
    connection.execute("DROP SCHEMA IF EXISTS mxferry CASCADE")


def _notice_our_death(connection: psycopg.Connection[Any]) -> None:
    """Let the server check that we are still there, or it goes on building an index that a dead activity never commits."""
    if connection.info.server_version >= 140000:
        with suppress(psycopg.errors.InvalidParameterValue), connection.transaction():  # on a server's Windows
            connection.execute("SET client_connection_check_interval = '10s'")


def _make(connection: psycopg.Connection[Any], action: Action, one: _Statement, run: str | None) -> None:
    began = time.monotonic()
    with connection.transaction():
        try:
            locks.hold(connection, locks.POST_DATA, one.ordinal, one.name)
            if run is not None:
                fence.hold(connection, run)
            mark = (one.ordinal, action)
            if connection.execute("SELECT FROM mxferry.made WHERE ordinal = %s AND action = %s", mark).rowcount:
                return
            connection.execute(_statement(action, one))
            connection.execute("INSERT INTO mxferry.made VALUES (%s, %s)", mark)
        except psycopg.errors.LockNotAvailable:
            raise locks.POST_DATA.busy(one.name) from None
        except FULL as error:
            raise when_full(one.name, error) from None
        except psycopg.errors.QueryCanceled as error:
            raise _canceled(one.name, time.monotonic() - began, error) from None
        except (
            psycopg.IntegrityError,
            psycopg.ProgrammingError,
            psycopg.DataError,
            psycopg.NotSupportedError,
        ) as error:
            raise Refusal(
                "DUMP_ENTRY_FAILED",
                one.name,
                f"expected PostgreSQL to make it, found: {_safe_text(error)}.",
                "Look at this object in the source database.",
            ) from None


def _holders(server: Postgres, database: str, action: Action, one: _Statement) -> str:
    """Name who is in the way, as the server's login sees it: a run's own role is not told how old a transaction is."""
    with connect(server, database, read_only=True, application_name="mxferry post-data") as connection:
        connection.execute("SET search_path = ''")  # no function or operator of the dump for our own login
        return holders(connection, locks.POST_DATA.number, one.ordinal, _wanted(connection, action, one))


def _wanted(connection: psycopg.Connection[Any], action: Action, one: _Statement) -> list[Wanted]:
    """Return the locks that the statement takes (https://www.postgresql.org/docs/current/sql-altertable.html, Notes)."""
    table = sql.Identifier(one.schema_name, one.table_name).as_string(connection)
    referenced = REFERENCED.search(one.statement) if one.kind == "FK CONSTRAINT" else None
    if referenced is not None and action == "validate":
        return [Wanted(table, "SHARE UPDATE EXCLUSIVE"), Wanted(referenced[1], "ROW SHARE")]
    if referenced is not None:
        return [Wanted(table, "SHARE ROW EXCLUSIVE"), Wanted(referenced[1], "SHARE ROW EXCLUSIVE")]
    return [Wanted(table, "SHARE" if one.kind == "INDEX" else "ACCESS EXCLUSIVE")]


def _canceled(name: str, seconds: float, error: psycopg.Error) -> Refusal | TransientError:
    if seconds < INDEX_SECONDS:
        return TransientError("POST_DATA_CANCELED", name, f"expected to make it, found: {error.diag.message_primary}.")
    return Refusal(
        "POST_DATA_SLOW", name, f"expected it to be made within {INDEX_SECONDS // 60} minutes, found it not done.",
        "Give the server more cores and faster storage for the migration window, and start the migration again.",
    )  # fmt: skip


def _safe_text(error: psycopg.Error) -> str:
    """Return what the server says of a statement of the schema; of values that an expression met, only which kind."""
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return without_values(error)
    return error.diag.message_primary or without_values(error)


def _statement(action: Action, one: _Statement) -> bytes | sql.Composed:
    if action == "validate":
        table, constraint = sql.Identifier(one.schema_name, one.table_name), sql.Identifier(one.constraint)
        return sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(table, constraint)
    if action == "relate" and one.kind == "FK CONSTRAINT" and not one.unproven:
        return f"{one.statement.rstrip().rstrip(';')} NOT VALID".encode()
    return one.statement.encode()


def _groups(action: Action, statements: Iterable[_Statement], sizes: dict[tuple[str, str], int]) -> list[Group]:
    """Put small tables together, largest first; one table is never in two groups, for its locks would meet."""
    tables: dict[tuple[str, str], list[int]] = {}
    for one in statements:
        tables.setdefault(one.table, []).append(one.ordinal)
    full = max(GROUP_BYTES, sum(sizes.get(table, 0) for table in tables) // MOST_GROUPS)
    most = max(STATEMENTS_OF_GROUP, sum(map(len, tables.values())) // MOST_GROUPS)
    groups: list[list[int]] = []
    parallel: list[bool] = []
    room = 0
    for table in sorted(tables, key=lambda table: sizes.get(table, 0), reverse=True):
        size = sizes.get(table, 0)
        if not groups or size > room or len(groups[-1]) + len(tables[table]) > most:
            groups.append([])
            parallel.append(_most_of_it(size, sizes))
            room = full
        groups[-1] += tables[table]
        room -= size
    return [
        Group(action=action, ordinals=tuple(sorted(group)), parallel=many)
        for group, many in zip(groups, parallel, strict=True)
    ]


def _parts(statements: Iterable[_Statement], sizes: dict[tuple[str, str], int]) -> list[Group]:
    """Deal the indexes of each large table out to a few sessions: CREATE INDEX does not keep another one out."""
    tables: dict[tuple[str, str], list[int]] = {}
    for one in statements:
        tables.setdefault(one.table, []).append(one.ordinal)
    found = []
    for table, ordinals in sorted(tables.items(), key=lambda item: sizes.get(item[0], 0), reverse=True):
        parallel = len(ordinals) == 1 and _most_of_it(sizes[table], sizes)
        parts = [tuple(ordinals[start::INDEX_GROUPS]) for start in range(min(INDEX_GROUPS, len(ordinals)))]
        found += [Group(action="make", ordinals=part, parallel=parallel) for part in parts]
    return found


def _most_of_it(size: int, sizes: dict[tuple[str, str], int]) -> bool:
    """Whether a table is most of the database, so that its keys are made when nothing else is left to do.

    Parallel workers make an index sooner where cores would stand idle, and take half as much CPU again (measured: 15
    indexes of 500,000 rows each, 2.6 CPU seconds without, 3.9 with).
    """
    return 2 * size > sum(sizes.values())
