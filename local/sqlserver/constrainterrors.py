"""Errors about keys and constraints, whose names and texts are in the catalogue."""

import json
import re

from local.sqlserver.errors import SqlError
from local.sqlserver.store import Store
from local.sqlserver.storeerrors import StoreError


def complete(
    problem: StoreError, store: Store, database: str, verb: str, names: dict[str, dict[str, object]]
) -> SqlError:
    """The error with SQL Server's number and text.

    Args:
        problem: What PostgreSQL said.
        store: Where the names of constraints are looked up.
        database: SQL Server's name of it.
        verb: What was attempted, as the text of the error has it.
        names: Constraints and indexes that the failed statement itself was about to make.
    """
    if problem.sqlstate == "23505":
        return _duplicate(problem, store, names)
    if problem.sqlstate == "23503":
        return _foreign_key(problem, store, database, verb, names)
    if problem.sqlstate == "23502":
        return SqlError(
            515,
            f"Cannot insert the value NULL into column '{problem.column}', table '{database}.dbo.{problem.table}'; "
            f"column does not allow nulls. {verb} fails.",
        )
    if problem.sqlstate == "23514":
        return _check(problem, database, verb)
    return _of_ddl(problem, names)


def _of_ddl(problem: StoreError, names: dict[str, dict[str, object]]) -> SqlError:
    """What goes wrong with keys and tables that others refer to."""
    told = next(iter(names.values()), {})
    if problem.sqlstate == "42830":
        return SqlError(
            1776,
            f"There are no primary or candidate keys in the referenced table 'dbo.{told.get('referenced')}' that "
            f"match the referencing column list in the foreign key '{told.get('name')}'.",
        )
    if problem.sqlstate == "42804" and told.get("kind") == "FK":
        return SqlError(
            1778, f"A column of foreign key '{told['name']}' is not the same data type as the column it references."
        )
    if problem.sqlstate == "2BP01":
        return SqlError(3726, "Could not drop object because it is referenced by a FOREIGN KEY constraint.")
    if problem.sqlstate == "0A000" and "truncate" in problem.raw:
        return SqlError(4712, "Cannot truncate table because it is being referenced by a FOREIGN KEY constraint.")
    return problem


def _duplicate(problem: StoreError, store: Store, names: dict[str, dict[str, object]]) -> SqlError:
    told = names.get(problem.constraint) or _index_told(store, problem.constraint)
    name, kind = told.get("name", problem.constraint), told.get("kind")
    value = _duplicate_value(problem.detail)
    where = f"The duplicate key value is ({value})."
    if problem.raw.startswith("could not create unique index"):
        return SqlError(
            1505,
            "The CREATE UNIQUE INDEX statement terminated because a duplicate key was found for the object name "
            f"'dbo.{problem.table}' and the index name '{name}'. {where}",
        )
    if kind in ("PK", "UQ"):
        constraint = "PRIMARY KEY" if kind == "PK" else "UNIQUE KEY"
        return SqlError(
            2627,
            f"Violation of {constraint} constraint '{name}'. Cannot insert duplicate key in object "
            f"'dbo.{problem.table}'. {where}",
            14,
        )
    return SqlError(
        2601,
        f"Cannot insert duplicate key row in object 'dbo.{problem.table}' with unique index '{name}'. {where}",
        14,
    )


def _foreign_key(
    problem: StoreError, store: Store, database: str, verb: str, names: dict[str, dict[str, object]]
) -> SqlError:
    found = store.rows(
        "SELECT f.name, t.name, c.attname, f.conname FROM mssql.foreign_keys AS f"
        " JOIN mssql.tables AS t ON t.object_id = f.referenced_object_id"
        " JOIN pg_attribute AS c ON c.attrelid = f.referenced_object_id::oid AND c.attnum = f.confkey[1]"
        f" WHERE f.conname = '{problem.constraint}'"
    )
    name, referenced, column = (
        [(value or b"").decode() for value in found[0][:3]] if found else [problem.constraint, problem.table, ""]
    )
    if told := names.get(problem.constraint):
        name, referenced, column = (str(told[key]) for key in ("name", "referenced", "column"))
    deleting = "still referenced" in problem.detail
    kind = "REFERENCE" if deleting else "FOREIGN KEY"
    table = problem.table if deleting else referenced
    return SqlError(
        547,
        f'The {verb} statement conflicted with the {kind} constraint "{name}". The conflict occurred in database '
        f'"{database}", table "dbo.{table}", column \'{column}\'.',
    )


def _check(problem: StoreError, database: str, verb: str) -> SqlError:
    if problem.constraint.startswith("range_"):
        return SqlError(
            8115, f"Arithmetic overflow error converting expression to data type {problem.constraint.split('_')[1]}."
        )
    return SqlError(
        547,
        f'The {verb} statement conflicted with the CHECK constraint "{problem.constraint}". The conflict occurred in '
        f'database "{database}", table "dbo.{problem.table}".',
    )


def _index_told(store: Store, index: str) -> dict[str, object]:
    """What the comment of an index says: name, kind, columns."""
    found = store.rows(
        "SELECT obj_description(c.oid, 'pg_class') FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        f" WHERE n.nspname = 'dbo' AND c.relname = '{index}'"
    )
    told: dict[str, object] = json.loads(found[0][0]) if found and found[0][0] else {}
    return told


def _duplicate_value(detail: str) -> str:
    """The values of `Key (id)=(1) already exists.` or `… is duplicated.`"""
    match = re.search(r"\)=\((.*)\) (?:already exists|is duplicated)", detail, re.DOTALL)
    return ", ".join("<NULL>" if part == "null" else part for part in match[1].split(", ")) if match else ""
