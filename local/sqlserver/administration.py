"""Statements about the server and the database: SET options, databases, statistics, stored procedures."""

from local.sqlserver import store
from local.sqlserver.clauses import Clauses
from local.sqlserver.collations import check_collation
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.procedures import parse_procedure
from local.sqlserver.session import Session
from local.sqlserver.store import quoted, text

# Options that change nothing here, with the only values that mean what the stand-in does.
_FIXED = {
    "ANSI_NULLS": ("ON",),
    "ANSI_PADDING": ("ON",),
    "ANSI_WARNINGS": ("ON",),
    "ANSI_NULL_DFLT_ON": ("ON", "OFF"),
    "ANSI_DEFAULTS": ("ON",),
    "ARITHABORT": ("ON", "OFF"),
    "CONCAT_NULL_YIELDS_NULL": ("ON",),
    "CURSOR_CLOSE_ON_COMMIT": ("OFF",),
    "NUMERIC_ROUNDABORT": ("OFF",),
    "QUOTED_IDENTIFIER": ("ON",),
    "STATISTICS": (),
    "TEXTSIZE": ("2147483647", "-1"),
    "LANGUAGE": ("US_ENGLISH",),
    "DATEFORMAT": ("MDY", "YMD"),
    "DATEFIRST": ("7",),
    "ROWCOUNT": ("0",),
    "DEADLOCK_PRIORITY": ("LOW", "NORMAL", "HIGH"),
}
_LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SNAPSHOT", "SERIALIZABLE")


def set_option(session: Session, clauses: Clauses) -> None:
    """SET option value; the word SET has been read.

    Raises:
        NotUnderstoodError: The option, or its value, means something the stand-in does not do.
    """
    settings = session.settings
    if clauses.takes("TRANSACTION", "ISOLATION", "LEVEL"):
        level = " ".join(clauses.rest().upper().split())
        if level not in _LEVELS:
            raise NotUnderstoodError(clauses.statement)
        if session.state.trancount and level != settings.isolation:
            raise NotUnderstoodError("SET TRANSACTION ISOLATION LEVEL inside a transaction", clauses.statement)
        settings.isolation = level
        return
    if clauses.takes("LOCK_TIMEOUT"):
        settings.lock_timeout = clauses.integer()
        clauses.end()
        milliseconds = max(settings.lock_timeout, 0) or (1 if settings.lock_timeout == 0 else 0)
        session.store.script(f"SET lock_timeout = {milliseconds}")
        return
    names = [clauses.name().upper()]
    while clauses.takes(","):
        names.append(clauses.name().upper())
    value = clauses.rest().upper()
    for name in names:
        _set_one(session, name, value, clauses.statement)


def _set_one(session: Session, name: str, value: str, statement: str) -> None:
    settings = session.settings
    if name in _FIXED:
        if value not in _FIXED[name]:
            raise NotUnderstoodError(statement)
        return
    if value not in ("ON", "OFF"):
        raise NotUnderstoodError(statement)
    on = value == "ON"
    if name == "XACT_ABORT":
        settings.xact_abort = on
    elif name == "NOCOUNT":
        session.told["nocount"] = value
    elif name == "FMTONLY":
        settings.fmtonly = on
    elif name != "IMPLICIT_TRANSACTIONS" or on:
        raise NotUnderstoodError(statement)


# --- databases -------------------------------------------------------------------------------------------------------


def _refuse_in_transaction(session: Session, what: str) -> None:
    if session.state.trancount:
        raise SqlError(226, f"{what} statement not allowed within multi-statement transaction.")


def create_database(session: Session, clauses: Clauses) -> None:
    """CREATE DATABASE name [COLLATE name]."""
    clauses.expect("DATABASE")
    name = clauses.name()
    collation = clauses.name() if clauses.takes("COLLATE") else None
    clauses.end()
    if collation:
        check_collation(collation)
    _refuse_in_transaction(session, "CREATE DATABASE")
    store.create_database(session.address, name, collation)


def drop_database(session: Session, clauses: Clauses) -> None:
    """DROP DATABASE [IF EXISTS] name."""
    clauses.expect("DATABASE")
    optional = clauses.takes("IF", "EXISTS")
    name = clauses.name()
    clauses.end()
    _refuse_in_transaction(session, "DROP DATABASE")
    if name.lower() == session.database.lower():
        raise SqlError(3702, f'Cannot drop database "{name}" because it is currently in use.')
    try:
        store.drop_database(session.address, name)
    except SqlError as problem:
        if problem.number != 3701 or not optional:
            raise


def alter_database(session: Session, clauses: Clauses) -> None:
    """ALTER DATABASE CURRENT | name SET option, or COLLATE."""
    clauses.expect("DATABASE")
    if not clauses.takes("CURRENT"):
        name = clauses.name()
        if name.lower() != session.database.lower():
            raise NotUnderstoodError("ALTER DATABASE of another database", clauses.statement)
    _refuse_in_transaction(session, "ALTER DATABASE")
    if clauses.takes("COLLATE"):
        collation = clauses.name()
        check_collation(collation)
        clauses.end()
        _describe(session, "collation", collation)
        session.told["collation"] = collation
        return
    clauses.expect("SET")
    option = clauses.name().upper()
    if option == "COMPATIBILITY_LEVEL":
        clauses.expect("=")
        level = clauses.integer()
        clauses.end()
        if level not in (100, 110, 120, 130, 140, 150, 160, 170):
            raise SqlError(
                15048, "Valid values of the database compatibility level are 100, 110, 120, 130, 140, 150, 160, or 170."
            )
        _describe(session, "compatibility_level", level)
        return
    known = {"READ_COMMITTED_SNAPSHOT": "read_committed_snapshot", "ALLOW_SNAPSHOT_ISOLATION": "snapshot_isolation"}
    value = clauses.name().upper()
    if option not in known or value not in ("ON", "OFF"):
        raise NotUnderstoodError(clauses.statement)
    if clauses.takes("WITH") and not (clauses.takes("ROLLBACK", "IMMEDIATE") or clauses.takes("NO_WAIT")):
        raise NotUnderstoodError(clauses.statement)
    clauses.end()
    _describe(session, known[option], value == "ON")


def _describe(session: Session, key: str, value: object) -> None:
    stored = store.stored_name(session.database)
    told = store.described(session.store, stored)
    store.describe_database(session.store, stored, told | {key: value})


def update_statistics(session: Session, statement: str) -> None:
    """UPDATE STATISTICS table [WITH FULLSCAN]: ANALYZE."""
    clauses = Clauses(statement)
    clauses.expect("UPDATE", "STATISTICS")
    _, schema, name = clauses.qualified()
    table = session.context({}).catalogue.table(schema, name)
    if clauses.takes("WITH") and not clauses.takes("FULLSCAN"):
        raise NotUnderstoodError(clauses.statement)
    clauses.end()
    session.guarded(lambda: session.store.script(f"ANALYZE dbo.{quoted(table.name)}"))


# --- stored procedures -----------------------------------------------------------------------------------------------


def create_procedure(session: Session, statement: str) -> None:
    """CREATE [OR ALTER] PROCEDURE: the text is kept, and run statement by statement by EXEC."""
    procedure = parse_procedure(statement)
    known = session.context({}).catalogue.find("dbo", procedure.name) is not None
    found = session.store.rows("SELECT 1 FROM mssql.procedures WHERE lower(name) = lower($1)", [text(procedure.name)])
    if known or (found and not procedure.replaces):
        raise SqlError(2714, f"There is already an object named '{procedure.name}' in the database.")
    values = [text(procedure.name), text(statement)]
    sql = (
        "UPDATE mssql.procedures SET definition = $2 WHERE lower(name) = lower($1)"
        if found
        else "INSERT INTO mssql.procedures (name, definition) VALUES ($1, $2)"
    )
    session.guarded(lambda: session.store.execute(sql, values))


def drop_procedure(session: Session, clauses: Clauses) -> None:
    """DROP PROCEDURE [IF EXISTS] name."""
    clauses.at += 1
    optional = clauses.takes("IF", "EXISTS")
    _, _, name = clauses.qualified()
    clauses.end()
    touched = session.guarded(
        lambda: session.store.execute("DELETE FROM mssql.procedures WHERE lower(name) = lower($1)", [text(name)])
    )
    if not touched and not optional:
        raise SqlError(
            3701, f"Cannot drop the procedure '{name}', because it does not exist or you do not have permission.", 11
        )
