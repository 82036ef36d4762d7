"""Reads a SQL Server whose schema the Mendix runtime has made, and what the runtime's own metadata say of it."""

from typing import Any

import pyodbc

from shared.databaseplan import PREFIX
from shared.errors import Refusal
from shared.mendix.existing import Existing
from shared.mendix.metadata import metadata_from
from shared.settings import SqlServer
from shared.sqlserver.connection import session, table_name
from shared.sqlserver.schema import read_schema


def read_existing(target: SqlServer) -> Existing:
    """Read the target's schema and metadata; Refusal TARGET_HAS_NO_SCHEMA when no runtime has made one."""
    with session(target) as connection:
        schema = read_schema(connection)
        if f"{PREFIX}entity" not in schema:
            raise Refusal(
                "TARGET_HAS_NO_SCHEMA",
                f"{target.server}/{target.database}",
                "expected the schema that a Mendix runtime makes at its first start, found no mendixsystem$entity.",
                'Start the app once on this database and stop it, or use `"target_mode": "create"`.',
            )
        return Existing(metadata_from(lambda name: _rows(connection, schema, PREFIX + name)), schema)


def _rows(connection: pyodbc.Connection, schema: dict[str, Any], table: str) -> list[dict[str, Any]]:
    if table not in schema:
        return []
    cursor = connection.execute(f"SELECT * FROM {table_name(table)}")  # noqa: S608
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
