"""Keys, indexes and foreign keys of a dump: for a PostgreSQL that is the target, made after the rows, in parallel."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import psycopg

from shared.errors import Refusal
from shared.postgres.connection import connect
from shared.settings import Postgres

KEPT = "SELECT ordinal, kind, name, statement FROM mxferry.post_data ORDER BY ordinal"
MEMORY = "SET maintenance_work_mem = '256MB'"


def make_keys_and_indexes(server: Postgres, database: str, at_once: int = 2) -> int:
    """Execute the post-data that `prepare` kept in the database: keys and indexes first, foreign keys last.

    Returns how many statements. Raises `Refusal` DUMP_ENTRY_FAILED with the entry's name, for example for rows that
    break a unique key.
    """
    with connect(server, database, application_name="mxferry post-data") as connection:
        kept = connection.execute(KEPT).fetchall()
    foreign = [(str(name), str(text)) for _, kind, name, text in kept if kind == "FK CONSTRAINT"]
    others = [(str(name), str(text)) for _, kind, name, text in kept if kind != "FK CONSTRAINT"]
    for statements in (others, foreign):
        _execute(server, database, statements, at_once)
    return len(kept)


def _execute(server: Postgres, database: str, statements: Iterable[tuple[str, str]], at_once: int) -> None:
    def one(entry: tuple[str, str]) -> None:
        name, text = entry
        with connect(server, database, autocommit=True, application_name="mxferry post-data") as connection:
            connection.execute(MEMORY)
            try:
                connection.execute(text.encode())
            except (
                psycopg.errors.DuplicateTable,
                psycopg.errors.DuplicateObject,
                psycopg.errors.InvalidTableDefinition,
            ):
                return  # an earlier delivery has made it
            except (psycopg.IntegrityError, psycopg.ProgrammingError, psycopg.DataError) as error:
                raise Refusal(
                    "DUMP_ENTRY_FAILED",
                    name,
                    f"expected PostgreSQL to make it, found: {error.diag.message_primary}",
                    "Look at this object in the source database.",
                ) from None

    with ThreadPoolExecutor(at_once, thread_name_prefix="post-data") as pool:
        list(pool.map(one, statements))
