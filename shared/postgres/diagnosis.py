"""What a PostgreSQL server's error means, and what it said about rows, without their values, which it quotes."""

import re

import psycopg
from psycopg import errors

from shared.errors import MxferryError, Refusal, TransientError
from shared.postgres.storage import FULL, when_full

MADE_TWICE = (
    errors.DuplicateDatabase, errors.DuplicateSchema, errors.DuplicateTable, errors.DuplicateObject, errors.DuplicateColumn,
)  # fmt: skip
"""Two deliveries that make the same thing at the same moment: the next one finds it made."""

# `COPY t, line 3, column amount: "…"`: what follows the colon is the row's.
PLACE = re.compile(r"COPY [^\n]+?, line (?P<line>[0-9]+)(?:, column (?P<column>[^\n:]+))?(?::|\Z)")


def without_values(error: psycopg.Error) -> str:
    """Return kind, SQLSTATE and place of an error: `InvalidTextRepresentation (22P02) in line 3, column amount`."""
    said = error.diag
    place = PLACE.match(said.context or "")
    column = said.column_name or (place and place["column"])
    parts = [
        f"line {place['line']}" if place else "",
        f"column {column}" if column else "",
        f"constraint {said.constraint_name}" if said.constraint_name else "",
    ]
    where = ", ".join(part for part in parts if part)
    return f"{type(error).__name__} ({error.sqlstate or 'no SQLSTATE'})" + (f" in {where}" if where else "")


def safe_text(error: psycopg.Error) -> str:
    """Return what the server says of a statement in one line; of values that it met, only kind and place."""
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return without_values(error)
    if error.sqlstate is None:  # libpq's own words: of a connection that was lost, or never came to be
        return " ".join(str(error).split()) or type(error).__name__
    return f"{without_values(error)}: {error.diag.message_primary}"


def classified(error: psycopg.Error, about: str) -> MxferryError:
    """Return a driver's exception that nobody expected as `TransientError` or as `Refusal`, about the given object.

    Codes: POSTGRES_FAILED (worth another try), POSTGRES_TIMEOUT (worth one), SERVER_FULL, POSTGRES_NO_RIGHT, POSTGRES_REFUSED.
    """
    if isinstance(error, FULL):
        return when_full(about, error)
    if isinstance(error, errors.InsufficientPrivilege):
        return Refusal(
            "POSTGRES_NO_RIGHT", about, safe_text(error), "Give the login of the app the right that is missing."
        )
    refused = (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError)
    if isinstance(error, refused) and not isinstance(error, MADE_TWICE):
        remedy = (
            "Look at the object that the message names. If nothing is wrong there, report it as an error of mxferry."
        )
        return Refusal("POSTGRES_REFUSED", about, safe_text(error), remedy)
    if isinstance(error, errors.QueryCanceled):
        remedy = (
            "The same statement would take as long again: give the server more cores and faster storage for the migration "
            "window, then start the migration again."
        )
        return TransientError("POSTGRES_TIMEOUT", about, safe_text(error), remedy)
    remedy = "Check that the server is up, reachable from the app and large enough, then start the migration again."
    return TransientError("POSTGRES_FAILED", about, safe_text(error), remedy)
