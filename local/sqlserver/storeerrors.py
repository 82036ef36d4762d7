"""PostgreSQL's errors as SQL Server tells them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from psycopg import pq

from local.sqlserver.errors import SqlError, invalid_column, invalid_object

if TYPE_CHECKING:
    from local.sqlserver.store import Store

_Field = pq.DiagnosticField


def translate(store: Store, result: pq.abc.PGresult) -> SqlError:
    """The SQL Server error for a failed statement."""

    def field(which: pq.DiagnosticField) -> str:
        return (result.error_field(which) or b"").decode(errors="replace")

    state, message = field(_Field.SQLSTATE), field(_Field.MESSAGE_PRIMARY)
    if state == "MS001":
        return SqlError(int(field(_Field.MESSAGE_DETAIL)), message)
    if state in _PLAIN:
        return _PLAIN[state](message)
    return StoreError(state, message, field(_Field.MESSAGE_DETAIL), field(_Field.TABLE_NAME), field(_Field.CONSTRAINT_NAME),
               field(_Field.COLUMN_NAME))  # fmt: skip


class StoreError(SqlError):
    """An error whose text needs the catalogue: it is completed once the failed statement is rolled back."""

    def __init__(self, state: str, message: str, detail: str, table: str, constraint: str, column: str) -> None:
        super().__init__(50001, f"the stand-in's store answered {state}: {message} {detail}".rstrip())
        self.sqlstate, self.raw, self.detail = state, message, detail
        self.table, self.constraint, self.column = table, constraint, column

    def complete(self, store: Store, database: str, verb: str, names: dict[str, dict[str, object]]) -> SqlError:
        """The error with SQL Server's number and text.

        Args:
            store: Where the names of constraints are looked up.
            database: SQL Server's name of it.
            verb: What was attempted, as the text of the error has it.
            names: Constraints and indexes that the failed statement itself was about to make.
        """
        if self.sqlstate == "23505":
            return self._duplicate(store, names)
        if self.sqlstate == "23503":
            return self._foreign_key(store, database, verb, names)
        if self.sqlstate == "23502":
            return SqlError(
                515,
                f"Cannot insert the value NULL into column '{self.column}', table '{database}.dbo.{self.table}'; "
                f"column does not allow nulls. {verb} fails.",
            )
        if self.sqlstate == "23514":
            return self._check(store, database, verb)
        return self._of_ddl(names)

    def _of_ddl(self, names: dict[str, dict[str, object]]) -> SqlError:
        """What goes wrong with keys and tables that others refer to."""
        told = next(iter(names.values()), {})
        if self.sqlstate == "42830":
            return SqlError(
                1776,
                f"There are no primary or candidate keys in the referenced table 'dbo.{told.get('referenced')}' that "
                f"match the referencing column list in the foreign key '{told.get('name')}'.",
            )
        if self.sqlstate == "42804" and told.get("kind") == "FK":
            return SqlError(
                1778, f"A column of foreign key '{told['name']}' is not the same data type as the column it references."
            )
        if self.sqlstate == "2BP01":
            return SqlError(3726, "Could not drop object because it is referenced by a FOREIGN KEY constraint.")
        if self.sqlstate == "0A000" and "truncate" in self.raw:
            return SqlError(4712, "Cannot truncate table because it is being referenced by a FOREIGN KEY constraint.")
        return self

    def _duplicate(self, store: Store, names: dict[str, dict[str, object]]) -> SqlError:
        told = names.get(self.constraint) or index_told(store, self.constraint)
        name, kind = told.get("name", self.constraint), told.get("kind")
        value = _duplicate_value(self.detail)
        where = f"The duplicate key value is ({value})."
        if self.raw.startswith("could not create unique index"):
            return SqlError(
                1505,
                "The CREATE UNIQUE INDEX statement terminated because a duplicate key was found for the object name "
                f"'dbo.{self.table}' and the index name '{name}'. {where}",
            )
        if kind in ("PK", "UQ"):
            constraint = "PRIMARY KEY" if kind == "PK" else "UNIQUE KEY"
            return SqlError(
                2627,
                f"Violation of {constraint} constraint '{name}'. Cannot insert duplicate key in object "
                f"'dbo.{self.table}'. {where}",
                14,
            )
        return SqlError(
            2601,
            f"Cannot insert duplicate key row in object 'dbo.{self.table}' with unique index '{name}'. {where}",
            14,
        )

    def _foreign_key(self, store: Store, database: str, verb: str, names: dict[str, dict[str, object]]) -> SqlError:
        found = store.rows(
            "SELECT f.name, t.name, c.attname, f.conname FROM mssql.foreign_keys AS f"
            " JOIN mssql.tables AS t ON t.object_id = f.referenced_object_id"
            " JOIN pg_attribute AS c ON c.attrelid = f.referenced_object_id::oid AND c.attnum = f.confkey[1]"
            f" WHERE f.conname = '{self.constraint}'"
        )
        name, referenced, column = (
            [(value or b"").decode() for value in found[0][:3]] if found else [self.constraint, self.table, ""]
        )
        if told := names.get(self.constraint):
            name, referenced, column = (str(told[key]) for key in ("name", "referenced", "column"))
        deleting = "still referenced" in self.detail
        kind = "REFERENCE" if deleting else "FOREIGN KEY"
        table = self.table if deleting else referenced
        return SqlError(
            547,
            f'The {verb} statement conflicted with the {kind} constraint "{name}". The conflict occurred in database '
            f'"{database}", table "dbo.{table}", column \'{column}\'.',
        )

    def _check(self, store: Store, database: str, verb: str) -> SqlError:
        if self.constraint.startswith("range_"):
            return SqlError(
                8115, f"Arithmetic overflow error converting expression to data type {self.constraint.split('_')[1]}."
            )
        return SqlError(
            547,
            f'The {verb} statement conflicted with the CHECK constraint "{self.constraint}". The conflict occurred in '
            f'database "{database}", table "dbo.{self.table}".',
        )


def index_told(store: Store, index: str) -> dict[str, object]:
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


def _conversion(message: str) -> SqlError:
    match = re.match(r'invalid input syntax for type ([\w ]+): "(.*)"', message, re.DOTALL)
    if not match:
        return SqlError(8114, f"Error converting data type ({message}).")
    kind, value = match[1], match[2]
    if kind in ("integer", "bigint", "smallint"):
        name = {"integer": "int"}.get(kind, kind)
        return SqlError(245, f"Conversion failed when converting the nvarchar value '{value}' to data type {name}.")
    if kind.startswith(("timestamp", "date", "time")):
        return SqlError(241, "Conversion failed when converting date and/or time from character string.")
    if kind == "uuid":
        return SqlError(8169, "Conversion failed when converting from a character string to uniqueidentifier.")
    name = {"double precision": "float", "numeric": "numeric"}.get(kind, kind)
    return SqlError(8114, f"Error converting data type nvarchar to {name}.")


def _overflow(message: str) -> SqlError:
    kind = next(
        (
            told
            for found, told in (("bigint", "bigint"), ("integer", "int"), ("smallint", "smallint"))
            if found in message
        ),
        "numeric",
    )
    return SqlError(8115, f"Arithmetic overflow error converting expression to data type {kind}.")


def nul_refused() -> SqlError:
    """PostgreSQL's text cannot hold U+0000, SQL Server's can."""
    return SqlError(
        50002, "the stand-in cannot store the character U+0000 in a string: PostgreSQL's text cannot hold it"
    )


def _encoding(message: str) -> SqlError:
    return nul_refused() if "0x00" in message else SqlError(50001, f"the stand-in's store answered: {message}")


_PLAIN = {
    "22P02": _conversion,
    "22007": lambda _: SqlError(241, "Conversion failed when converting date and/or time from character string."),
    "22008": lambda message: (
        SqlError(241, "Conversion failed when converting date and/or time from character string.")
        if message.startswith("date/time field")
        else SqlError(517, f"Adding a value to a date or time caused an overflow ({message}).")
    ),
    "22003": _overflow,
    "22012": lambda _: SqlError(8134, "Divide by zero error encountered."),
    "22021": _encoding,
    "55P03": lambda _: SqlError(1222, "Lock request time out period exceeded.", 16, 51),
    "40P01": lambda _: SqlError(
        1205,
        "Transaction was deadlocked on lock resources with another process and has been chosen as the deadlock victim. "
        "Rerun the transaction.",
        13,
        51,
    ),
    "40001": lambda _: SqlError(
        3960,
        "Snapshot isolation transaction aborted due to update conflict. Retry the transaction or change the statement.",
    ),
    "42P01": lambda message: invalid_object((re.findall(r'"([^"]*)"', message) or [message])[0]),
    "42703": lambda message: invalid_column((re.findall(r'"([^"]*)"', message) or [message])[0]),
    "54000": lambda message: SqlError(
        1946, f"Operation failed. The index entry is longer than the maximum ({message})."
    ),
}
