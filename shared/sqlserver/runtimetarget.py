"""Target mode `runtime`: an empty database for the runtime, and how far it has filled it."""

from dataclasses import dataclass

from shared.databaseplan import PREFIX
from shared.errors import Finding
from shared.settings import SqlServer
from shared.sqlserver import catalogue, marker
from shared.sqlserver.completion import set_options
from shared.sqlserver.connection import session
from shared.sqlserver.creation import LOCK_SECONDS, dropped_finding, make_room
from shared.sqlserver.locks import SCHEMA_LOCK, locked_transaction
from shared.sqlserver.procedures import NEXT_SEQUENCE_VALUE_NAME


@dataclass(frozen=True)
class Filled:
    """What is on the target: tables of the app and their rows, `mendixsystem$*` left out."""

    tables: int
    rows: int


def empty_for_runtime(target: SqlServer, run: str, *, drop: bool, closed: marker.Closed) -> list[Finding]:
    """See to it that the database has no table at all, which is the runtime's condition, and set its options.

    What is there is dropped if `drop`, else a Refusal TARGET_NOT_EMPTY. Nothing of ours is left in it. Raises what
    `marker.may_begin` raises.
    """
    with session(target) as connection:
        with locked_transaction(connection, SCHEMA_LOCK, LOCK_SECONDS):
            marker.may_begin(connection, run, closed)
            dropped = make_room(connection, drop=drop)
            if drop:
                connection.execute(f"DROP PROCEDURE IF EXISTS [dbo].[{NEXT_SEQUENCE_VALUE_NAME}]")
        findings = set_options(connection)
    return [dropped_finding(dropped), *findings] if dropped else findings


def filled(target: SqlServer) -> Filled:
    """Count what the runtime has made and copied so far, by the engine's own count."""
    with session(target) as connection:
        rows = {name: count for name, count in catalogue.table_rows(connection).items() if not name.startswith(PREFIX)}
    return Filled(len(rows), sum(rows.values()))
