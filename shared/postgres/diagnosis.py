"""What a PostgreSQL server said about rows, without their values: its own sentence and context quote them."""

import re

import psycopg

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
