"""What there is on the target: tables, keys, indexes, foreign keys, sessions, database options."""

from dataclasses import dataclass

import pyodbc

from shared.sqlserver.connection import table_name
from shared.sqlserver.ledger_table import OUR_TABLES

TABLES = """\
SELECT t.name
FROM sys.tables AS t
JOIN sys.schemas AS s ON s.schema_id = t.schema_id
WHERE s.name = N'dbo'
ORDER BY t.name"""

TABLE_ROWS = """\
SELECT t.name, SUM(p.row_count) AS row_count
FROM sys.tables AS t
JOIN sys.schemas AS s ON s.schema_id = t.schema_id
JOIN sys.dm_db_partition_stats AS p ON p.object_id = t.object_id AND p.index_id IN (0, 1)
WHERE s.name = N'dbo'
GROUP BY t.name
ORDER BY t.name"""

FOREIGN_KEYS = """\
SELECT t.name AS table_name, f.name AS key_name
FROM sys.foreign_keys AS f
JOIN sys.tables AS t ON t.object_id = f.parent_object_id
JOIN sys.schemas AS s ON s.schema_id = t.schema_id
WHERE s.name = N'dbo'
ORDER BY t.name, f.name"""

INDEXES = """\
SELECT i.name, i.is_primary_key
FROM sys.indexes AS i
JOIN sys.tables AS t ON t.object_id = i.object_id
JOIN sys.schemas AS s ON s.schema_id = t.schema_id
WHERE s.name = N'dbo' AND t.name = ? AND i.name IS NOT NULL
ORDER BY i.name"""

SESSIONS = """\
SELECT program_name, host_name, COUNT(*) AS session_count
FROM sys.dm_exec_sessions
WHERE is_user_process = 1 AND database_id = DB_ID() AND session_id <> @@SPID
GROUP BY program_name, host_name
ORDER BY program_name, host_name"""

DATABASE = """\
SELECT collation_name, compatibility_level, is_read_committed_snapshot_on, snapshot_isolation_state
FROM sys.databases
WHERE name = DB_NAME()"""

AZURE_SQL_DATABASE = 5
"""EngineEdition of Azure SQL Database."""
ENGINE = """\
SELECT CAST(SERVERPROPERTY('EngineEdition') AS int) AS edition,
       CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)) AS product_version"""


@dataclass(frozen=True)
class DatabaseState:
    """The options of the target database that a Mendix runtime depends on."""

    collation: str
    compatibility_level: int
    read_committed_snapshot: bool
    snapshot_isolation: bool


@dataclass(frozen=True)
class Engine:
    """The engine: `edition` 8 is Managed Instance; `major` is 15 for SQL Server 2019."""

    edition: int
    version: str

    @property
    def major(self) -> int:
        """First number of the product version; Azure SQL Database says 12 whatever it can do."""
        return int(self.version.partition(".")[0])

    @property
    def in_azure(self) -> bool:
        """Whether this is Azure SQL Database or Managed Instance."""
        return self.edition in (AZURE_SQL_DATABASE, 8)


@dataclass(frozen=True)
class SessionGroup:
    """Sessions on the database by program and host."""

    program: str
    host: str
    count: int


def tables(connection: pyodbc.Connection) -> list[str]:
    """Return the tables of schema dbo, ours left out."""
    return [str(row[0]) for row in connection.execute(TABLES).fetchall() if row[0] not in OUR_TABLES]


def table_rows(connection: pyodbc.Connection) -> dict[str, int]:
    """Return the tables of schema dbo with their rows (by the engine's own count), ours left out."""
    rows = connection.execute(TABLE_ROWS).fetchall()
    return {str(name): int(count) for name, count in rows if name not in OUR_TABLES}


def table_exists(connection: pyodbc.Connection, table: str) -> bool:
    """Say whether a table is there."""
    row = connection.execute("SELECT OBJECT_ID(?, N'U')", table_name(table)).fetchone()
    return row is not None and row[0] is not None


def foreign_keys(connection: pyodbc.Connection) -> list[tuple[str, str]]:
    """Return (table, name) of every foreign key in schema dbo."""
    return [(str(row[0]), str(row[1])) for row in connection.execute(FOREIGN_KEYS).fetchall()]


def indexes(connection: pyodbc.Connection, table: str) -> dict[str, bool]:
    """Return a table's keys and indexes by name, with whether it is the primary key."""
    return {str(name): bool(primary) for name, primary in connection.execute(INDEXES, table).fetchall()}


def sessions(connection: pyodbc.Connection) -> list[SessionGroup]:
    """Return who else is on the database; an empty list where the login may not see that."""
    rows = connection.execute(SESSIONS).fetchall()
    return [SessionGroup(str(program or ""), str(host or ""), int(count)) for program, host, count in rows]


def database_state(connection: pyodbc.Connection) -> DatabaseState:
    """Return the options of the current database."""
    collation, level, rcsi, snapshot = connection.execute(DATABASE).fetchone()
    return DatabaseState(str(collation), int(level), bool(rcsi), int(snapshot) in (1, 3))


def engine(connection: pyodbc.Connection) -> Engine:
    """Return which engine this is."""
    edition, version = connection.execute(ENGINE).fetchone()
    return Engine(int(edition), str(version))
