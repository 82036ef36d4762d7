"""The catalogue, procedures and prepared statements of the SQL Server stand-in."""

from collections.abc import Iterator

import pyodbc
import pytest

from shared.sqlserver.procedures import NEXT_SEQUENCE_VALUE
from tests.fixtures.sqlserver import SqlServer


@pytest.fixture
def connection(sql_server: SqlServer, sql_database: str) -> Iterator[pyodbc.Connection]:
    with sql_server.connect(sql_database) as opened:
        yield opened


def _rows(connection: pyodbc.Connection, sql: str, *values: object) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(sql, *values).fetchall()]


def test_columns_are_told_as_they_were_declared(connection: pyodbc.Connection) -> None:
    connection.execute(
        "CREATE TABLE [dbo].[T] ([id] bigint NOT NULL, [s] nvarchar(200) COLLATE Latin1_General_100_CS_AS NULL,"
        " [m] nvarchar(max) NULL, [v] varchar(20) NOT NULL, [d] datetime2(3) NULL, [n] decimal(28,8) NULL, [b] varbinary(max) NULL,"
        " [t] tinyint NULL, [x] bit NULL)"
    )
    sql = (
        "SELECT c.[name], y.[name], c.[max_length], c.[precision], c.[scale], c.[is_nullable], c.[collation_name] FROM sys.columns AS c"
        " JOIN sys.types AS y ON y.[user_type_id] = c.[user_type_id] JOIN sys.tables AS t ON t.[object_id] = c.[object_id]"
        " WHERE t.[name] = ? ORDER BY c.[column_id]"
    )
    default = "SQL_Latin1_General_CP1_CI_AS"
    assert _rows(connection, sql, "t") == [
        ("id", "bigint", 8, 19, 0, False, None),
        ("s", "nvarchar", 400, 0, 0, True, "Latin1_General_100_CS_AS"),
        ("m", "nvarchar", -1, 0, 0, True, default),
        ("v", "varchar", 20, 0, 0, False, default),
        ("d", "datetime2", 7, 23, 3, True, None),
        ("n", "decimal", 13, 28, 8, True, None),
        ("b", "varbinary", -1, 0, 0, True, None),
        ("t", "tinyint", 1, 3, 0, True, None),
        ("x", "bit", 1, 1, 0, True, None),
    ]


def test_keys_and_indexes_are_told_with_their_columns(connection: pyodbc.Connection) -> None:
    connection.execute(
        "CREATE TABLE [dbo].[t] ([id] int NOT NULL, [a] nvarchar(20) NULL, [b] int NULL, CONSTRAINT [pk_t] PRIMARY KEY CLUSTERED ([id]))"
    )
    connection.execute("ALTER TABLE [dbo].[t] ADD CONSTRAINT [uq_t] UNIQUE ([a] ASC, [b] DESC)")
    connection.execute("CREATE INDEX [ix_t] ON [dbo].[t] ([b]) INCLUDE ([a]) WHERE [b] IS NOT NULL")
    sql = (
        "SELECT i.[name], i.[type_desc], i.[is_unique], i.[is_primary_key], i.[is_unique_constraint], i.[has_filter], c.[name],"
        " k.[is_descending_key], k.[is_included_column] FROM sys.indexes AS i"
        " JOIN sys.index_columns AS k ON k.[object_id] = i.[object_id] AND k.[index_id] = i.[index_id]"
        " JOIN sys.columns AS c ON c.[object_id] = k.[object_id] AND c.[column_id] = k.[column_id]"
        " WHERE i.[object_id] = OBJECT_ID(N'[dbo].[t]', N'U') ORDER BY i.[name], k.[index_column_id]"
    )
    assert _rows(connection, sql) == [
        ("ix_t", "NONCLUSTERED", False, False, False, True, "b", False, False),
        ("ix_t", "NONCLUSTERED", False, False, False, True, "a", False, True),
        ("pk_t", "CLUSTERED", True, True, False, False, "id", False, False),
        ("uq_t", "NONCLUSTERED", True, False, True, False, "a", False, False),
        ("uq_t", "NONCLUSTERED", True, False, True, False, "b", True, False),
    ]
    constraints = _rows(connection, "SELECT [name], [type] FROM sys.key_constraints ORDER BY [name]")
    assert constraints == [("pk_t", "PK"), ("uq_t", "UQ")]


def test_foreign_keys_are_told_with_both_ends(connection: pyodbc.Connection) -> None:
    connection.execute(
        "CREATE TABLE [dbo].[p] ([id] int NOT NULL PRIMARY KEY); CREATE TABLE [dbo].[c] ([pid] int NULL)"
    )
    connection.execute(
        "ALTER TABLE [dbo].[c] ADD CONSTRAINT [fk] FOREIGN KEY ([pid]) REFERENCES [dbo].[p] ([id]) ON DELETE SET NULL"
    )
    sql = (
        "SELECT f.[name], a.[name], b.[name], f.[delete_referential_action_desc] FROM sys.foreign_keys AS f"
        " JOIN sys.foreign_key_columns AS k ON k.[constraint_object_id] = f.[object_id]"
        " JOIN sys.columns AS a ON a.[object_id] = k.[parent_object_id] AND a.[column_id] = k.[parent_column_id]"
        " JOIN sys.columns AS b ON b.[object_id] = k.[referenced_object_id] AND b.[column_id] = k.[referenced_column_id]"
    )
    assert _rows(connection, sql) == [("fk", "pid", "id", "SET_NULL")]
    connection.execute("ALTER TABLE [dbo].[c] DROP CONSTRAINT [fk]")
    assert _rows(connection, sql) == []


def test_names_longer_than_postgresqls_are_kept(connection: pyodbc.Connection) -> None:
    name = "uniq_" + "very_long_" * 11
    connection.execute("CREATE TABLE [dbo].[t] ([id] int NOT NULL, [a] int NULL)")
    connection.execute(f"ALTER TABLE [dbo].[t] ADD CONSTRAINT [{name}] UNIQUE ([a])")
    connection.execute(
        "CREATE TABLE [dbo].[u] ([a] int NULL); CREATE INDEX [same] ON [dbo].[u] ([a]); CREATE INDEX [same] ON [dbo].[t] ([a])"
    )
    connection.execute("INSERT INTO [dbo].[t] ([id], [a]) VALUES (1, 1)")
    with pytest.raises(pyodbc.Error, match=name):
        connection.execute("INSERT INTO [dbo].[t] ([id], [a]) VALUES (2, 1)")
    connection.execute(f"ALTER TABLE [dbo].[t] DROP CONSTRAINT [{name}]; DROP INDEX [same] ON [dbo].[t]")
    assert _rows(connection, "SELECT [name] FROM sys.indexes WHERE [name] IS NOT NULL") == [("same",)]


def test_the_options_of_the_database_are_set_and_told(connection: pyodbc.Connection) -> None:
    for statement in (
        "ALTER DATABASE CURRENT SET READ_COMMITTED_SNAPSHOT ON WITH ROLLBACK IMMEDIATE",
        "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON",
        "ALTER DATABASE CURRENT SET COMPATIBILITY_LEVEL = 140",
    ):
        connection.execute(statement)
    sql = "SELECT [is_read_committed_snapshot_on], [snapshot_isolation_state], [compatibility_level], [collation_name] FROM sys.databases WHERE [name] = DB_NAME()"
    assert _rows(connection, sql) == [(True, 1, 140, "SQL_Latin1_General_CP1_CI_AS")]


def test_rights_and_roles_are_told(connection: pyodbc.Connection) -> None:
    sql = "SELECT HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', ?), IS_ROLEMEMBER('db_owner'), HAS_PERMS_BY_NAME(N'dbo', 'SCHEMA', 'ALTER')"
    assert _rows(connection, sql, "CREATE TABLE") == [(1, 1, 1)]
    assert _rows(connection, sql, "FLY") == [(None, 1, 1)]


def test_row_counts_of_the_catalogue_are_those_of_the_tables(connection: pyodbc.Connection) -> None:
    connection.execute(
        "CREATE TABLE [dbo].[t] ([id] int NOT NULL PRIMARY KEY); CREATE TABLE [dbo].[empty] ([id] int NULL)"
    )
    connection.execute("INSERT INTO [dbo].[t] ([id]) VALUES (1), (2), (3)")
    sql = (
        "SELECT t.[name], SUM(s.[row_count]) AS n FROM sys.tables AS t JOIN sys.dm_db_partition_stats AS s"
        " ON s.[object_id] = t.[object_id] AND s.[index_id] IN (0, 1) GROUP BY t.[name] ORDER BY t.[name]"
    )
    assert _rows(connection, sql) == [("empty", 0), ("t", 3)]


def test_the_sequence_procedure_counts_up(connection: pyodbc.Connection) -> None:
    connection.execute(
        "CREATE TABLE [dbo].[mendixsystem$sequence] ([name] nvarchar(200) NOT NULL PRIMARY KEY, [current_value] bigint NULL)"
    )
    connection.execute("INSERT INTO [dbo].[mendixsystem$sequence] VALUES (N'a', 41), (N'new', NULL)")
    for _ in range(2):
        connection.execute(NEXT_SEQUENCE_VALUE)
    sql = "SET NOCOUNT ON; DECLARE @v bigint; EXEC @v = [dbo].[usp_nextsequencevalue] @SeqName = ?; SELECT @v"
    assert [connection.execute(sql, name).fetchval() for name in ("a", "a", "new")] == [42, 43, 1]
    connection.execute("EXEC [dbo].[usp_nextsequencevalue] @SeqName = N'a'")
    connection.execute("{CALL usp_nextsequencevalue(?)}", "a")
    assert (
        connection.execute("SELECT [current_value] FROM [dbo].[mendixsystem$sequence] WHERE [name] = N'a'").fetchval()
        == 45
    )
    connection.execute("DROP PROCEDURE [dbo].[usp_nextsequencevalue]")
    with pytest.raises(pyodbc.Error, match="2812"):
        connection.execute(sql, "a")


def test_a_procedure_with_a_statement_that_is_not_understood_fails_when_it_runs(connection: pyodbc.Connection) -> None:
    connection.execute(
        "CREATE PROCEDURE [dbo].[p] @x int, @y int = 5 AS BEGIN IF @x = 1 SELECT @x + @y ELSE SELECT SOUNDEX('a') END"
    )
    assert connection.execute("EXEC [dbo].[p] @x = 1").fetchval() == 6
    assert connection.execute("EXEC [dbo].[p] 1, 10").fetchval() == 11
    with pytest.raises(pyodbc.Error, match="SOUNDEX"):
        connection.execute("EXEC [dbo].[p] @x = 2").fetchall()


def test_one_prepared_statement_runs_many_times_with_values_of_many_types(connection: pyodbc.Connection) -> None:
    connection.execute("CREATE TABLE [dbo].[t] ([id] int NOT NULL, [v] nvarchar(50) NULL)")
    cursor = connection.cursor()
    for number, value in enumerate(["a", None, "é😀", "x" * 50]):
        cursor.execute("INSERT INTO [dbo].[t] ([id], [v]) VALUES (?, ?)", number, value)
    found = [cursor.execute("SELECT [v] FROM [dbo].[t] WHERE [id] = ?", number).fetchval() for number in (0, 1, 2, "3")]
    assert found == ["a", None, "é😀", "x" * 50]


def test_several_results_of_one_batch_come_one_after_the_other(connection: pyodbc.Connection) -> None:
    cursor = connection.execute(
        "SELECT 1; SELECT N'b' AS [two]; CREATE TABLE [dbo].[t] ([id] int NULL); INSERT INTO [dbo].[t] VALUES (1), (2); SELECT 3"
    )
    seen = []
    while True:
        seen.append(cursor.fetchval() if cursor.description else cursor.rowcount)
        if not cursor.nextset():
            break
    assert seen[:2] == [1, "b"]
    assert seen[-1] == 3
    assert 2 in seen


def test_joins_subqueries_and_paging_give_the_right_rows(connection: pyodbc.Connection) -> None:
    connection.execute("CREATE TABLE [dbo].[t] ([id] int NOT NULL PRIMARY KEY, [p] int NULL, [s] nvarchar(10) NULL)")
    connection.execute("INSERT INTO [dbo].[t] VALUES (1, NULL, N'b'), (2, 1, N'A'), (3, 1, N'a'), (4, 2, NULL)")
    checks = {
        "SELECT TOP (2) [id] FROM [dbo].[t] ORDER BY [s]": [(4,), (2,)],
        "SELECT [id] FROM [dbo].[t] ORDER BY [id] DESC OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY": [(3,), (2,)],
        "SELECT a.[id], b.[id] FROM [dbo].[t] AS a LEFT JOIN [dbo].[t] AS b ON b.[id] = a.[p] WHERE a.[id] IN (1, 4) ORDER BY a.[id]": [(1, None), (4, 2)],
        "SELECT [s], COUNT_BIG(*) AS n FROM [dbo].[t] WHERE [s] IS NOT NULL GROUP BY [s] HAVING COUNT(*) > 1": [("A", 2)],
        "SELECT COUNT(DISTINCT [s]) FROM [dbo].[t]": [(2,)],
        "SELECT [id] FROM [dbo].[t] AS o WHERE EXISTS (SELECT 1 FROM [dbo].[t] AS i WHERE i.[p] = o.[id]) ORDER BY [id]": [(1,), (2,)],
        "SELECT [id] FROM [dbo].[t] WHERE [id] NOT IN (SELECT [p] FROM [dbo].[t] WHERE [p] IS NOT NULL) ORDER BY 1": [(3,), (4,)],
        "WITH q AS (SELECT [p], COUNT(*) AS n FROM [dbo].[t] GROUP BY [p]) SELECT [p], n FROM q WHERE n > 1": [(1, 2)],
        "SELECT 1 AS a UNION ALL SELECT 2 ORDER BY a DESC": [(2,), (1,)],
        "SELECT x.[b], SUM(x.[n]) FROM (SELECT [id] % 2 AS [b], 1 AS [n] FROM [dbo].[t]) AS x GROUP BY x.[b] ORDER BY x.[b]": [(0, 2), (1, 2)],
        "SELECT [id], ROW_NUMBER() OVER (PARTITION BY [p] ORDER BY [id] DESC) FROM [dbo].[t] WHERE [p] = 1 ORDER BY [id]": [(2, 2), (3, 1)],
        "SELECT v.[a] FROM (VALUES (1), (2)) AS v ([a]) WHERE v.[a] > 1": [(2,)],
    }  # fmt: skip
    for sql, wanted in checks.items():
        assert _rows(connection, sql) == wanted, sql


def test_changes_with_output_joins_and_top(connection: pyodbc.Connection) -> None:
    connection.execute("CREATE TABLE [dbo].[t] ([id] int NOT NULL PRIMARY KEY, [a] int NULL DEFAULT 7)")
    assert _rows(connection, "INSERT INTO [dbo].[t] ([id]) OUTPUT inserted.[id], inserted.[a] VALUES (1), (2)") == [
        (1, 7),
        (2, 7),
    ]
    connection.execute("INSERT INTO [dbo].[t] ([id], [a]) SELECT [id] + 10, [a] + 1 FROM [dbo].[t]")
    assert _rows(connection, "UPDATE [dbo].[t] SET [a] += 1 OUTPUT inserted.[a] WHERE [id] = 11") == [(9,)]
    connection.execute("UPDATE x SET x.[a] = y.[a] FROM [dbo].[t] AS x JOIN [dbo].[t] AS y ON y.[id] = x.[id] + 10")
    assert _rows(connection, "SELECT [id], [a] FROM [dbo].[t] ORDER BY [id]") == [(1, 9), (2, 8), (11, 9), (12, 8)]
    assert _rows(connection, "DELETE FROM [dbo].[t] OUTPUT deleted.[id] WHERE [id] > 11") == [(12,)]
    assert connection.execute("DELETE TOP (1) FROM [dbo].[t]").rowcount == 1
    connection.execute("TRUNCATE TABLE [dbo].[t]")
    assert _rows(connection, "SELECT * FROM [dbo].[t]") == []


def test_two_databases_do_not_see_each_other(sql_server: SqlServer, connection: pyodbc.Connection) -> None:
    connection.execute("CREATE TABLE [dbo].[t] ([id] int NULL)")
    other = sql_server.new_database()
    with sql_server.connect(other) as second:
        assert second.execute("SELECT OBJECT_ID(N'dbo.t')").fetchval() is None
        assert second.execute("SELECT COUNT(*) FROM sys.databases WHERE [name] = ?", other).fetchval() == 1
    with sql_server.connect() as master:
        master.execute(f"DROP DATABASE [{other}]")
        with pytest.raises(pyodbc.Error, match="3701"):
            master.execute(f"DROP DATABASE [{other}]")
