"""Checks on the target database: how many rows a table has, or how many of them have a value in a column."""

from typing import Any

import psycopg
from psycopg import sql

from shared.contracts import Check
from shared.errors import MxferryError
from shared.postgres.connection import connect
from shared.request import SqlCheck
from shared.settings import Postgres, SqlServer, TargetProfile
from shared.sqlserver import connection as sqlserver

TABLE_OF_ENTITY = "SELECT table_name FROM {entities} WHERE entity_name = {name}"
"""An entity's table by the target's own metadata: names are shortened differently from database to database."""


def check_rows(check: SqlCheck, profile: TargetProfile) -> Check:
    """Count and compare. A table or column that is not there is a failed check, not an error."""
    name = f"smoke: {check.name}"
    which = f" whose {check.column} is {check.equals!r}" if check.column else ""
    most = f" and at most {check.at_most}" if check.at_most is not None else ""
    how = f"rows of {check.table}{which} on the target counted, expecting at least {check.at_least}{most}"
    try:
        rows = _in_postgres(check, profile.postgres) if profile.postgres else _in_sqlserver(check, profile.sql)
    except LookupError:
        detail = f"expected the entity {check.table} in mendixsystem$entity, found none of that name."
        return Check(name=name, outcome="failed", how=how, detail=detail)
    except (MxferryError, psycopg.Error) as error:
        return Check(name=name, outcome="failed", how=how, detail=str(error).strip())
    within = rows >= check.at_least and (check.at_most is None or rows <= check.at_most)
    return Check(name=name, outcome="passed" if within else "failed", how=how, detail=f"found {rows:,} rows.")


def _in_sqlserver(check: SqlCheck, profile: SqlServer | None) -> int:
    if profile is None:
        raise LookupError
    with sqlserver.session(profile) as target:
        table = check.table
        if "." in table:
            asked = TABLE_OF_ENTITY.format(entities=sqlserver.table_name("mendixsystem$entity"), name="?")
            table = _only(target.execute(asked, table).fetchone())
        statement = f"SELECT COUNT_BIG(*) FROM {sqlserver.table_name(table)}"  # noqa: S608 - quoted
        if check.column is None:
            return int(target.execute(statement).fetchval())
        statement += f" WHERE CAST({sqlserver.quote(check.column)} AS nvarchar(4000)) = ?"
        return int(target.execute(statement, check.equals).fetchval())


def _in_postgres(check: SqlCheck, profile: Postgres) -> int:
    with connect(profile, read_only=True, application_name="mxferry smoke test") as target:
        table = check.table
        if "." in table:
            asked = sql.SQL(TABLE_OF_ENTITY).format(
                entities=sql.Identifier("public", "mendixsystem$entity"), name=sql.Placeholder()
            )
            table = _only(target.execute(asked, [table]).fetchone())
        counted = sql.SQL("SELECT count(*) FROM {table}").format(table=sql.Identifier("public", table))
        if check.column is None:
            return int(_only(target.execute(counted).fetchone()))
        having = sql.SQL(" WHERE {column}::text = {value}").format(
            column=sql.Identifier(check.column), value=sql.Placeholder()
        )
        return int(_only(target.execute(counted + having, [check.equals]).fetchone()))


def _only(row: Any) -> Any:
    """Return the only value of a row; LookupError where there is no row."""
    if row is None:
        raise LookupError
    return row[0]
