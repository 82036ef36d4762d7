"""Whose a temporary database is: the installation that made it writes its id into the database's comment.

Several installations of the app may use one server, and none of them knows the others' runs. What bears another's id is
never dropped by us, whatever its name.
"""

import psycopg
from psycopg import sql

from shared.errors import Refusal

PROGRAM = "mxferry "
RUNS = r"""
    SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname LIKE 'run\_%' ORDER BY datname
"""


def claim(maintenance: psycopg.Connection, database: str, owner: str) -> None:
    """Write the installation's id into the database that it has just made."""
    statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
    maintenance.execute(statement.format(sql.Identifier(database), sql.Literal(PROGRAM + owner)))


def owners(connection: psycopg.Connection) -> dict[str, str | None]:
    """Return every run's database on the server, and the id of the installation that made it; None where none is written."""
    return {str(name): _owner(comment) for name, comment in connection.execute(RUNS)}


def refuse_others(maintenance: psycopg.Connection, database: str, owner: str) -> None:
    """Raise `Refusal` NOT_OURS where the database is there and another installation made it."""
    found = owners(maintenance).get(database)
    if found not in (None, owner):
        raise Refusal(
            "NOT_OURS", database,
            f"expected a database of this installation ({owner}), found one that installation {found} made.",
            "Nothing was done to it; the installation that made it deletes it.",
        )  # fmt: skip


def _owner(comment: str | None) -> str | None:
    return comment.removeprefix(PROGRAM) if comment and comment.startswith(PROGRAM) else None
