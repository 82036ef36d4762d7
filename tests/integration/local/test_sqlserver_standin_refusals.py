"""What the SQL Server stand-in does not understand it refuses by name; nothing of it is done or passed over."""

from collections.abc import Iterator

import mssql_py_core
import pyarrow as pa
import pyodbc
import pytest

from tests.fixtures.sqlserver import SqlServer


@pytest.fixture(scope="module")
def table(sql_server: SqlServer) -> Iterator[pyodbc.Connection]:
    with sql_server.connect(sql_server.new_database()) as connection:
        connection.execute(
            "CREATE TABLE [dbo].[t] ([id] int NOT NULL PRIMARY KEY, [a] int NULL, [s] nvarchar(20) NULL, [d] datetime2(3) NULL)"
        )
        connection.execute("INSERT INTO [dbo].[t] ([id], [a], [s]) VALUES (1, 1, N'x')")
        yield connection


REFUSED = [
    "MERGE [dbo].[t] AS t USING [dbo].[t] AS u ON t.[id] = u.[id] WHEN MATCHED THEN DELETE;",
    "SELECT [id] FROM [dbo].[t] WITH (READPAST)",
    "SELECT [id] FROM [dbo].[t] WITH (INDEX(1))",
    "SELECT [id] FROM [dbo].[t] WITH (TABLOCKX)",
    "SELECT [id] FROM [dbo].[t] WITH (NOLOCK, FANCY)",
    "SELECT [id] FROM [dbo].[t] OPTION (HASH JOIN)",
    "SELECT [id] FROM [dbo].[t] OPTION (MAXDOP 1, FORCE ORDER)",
    "SELECT [id] FROM [dbo].[t] FOR XML AUTO",
    "SELECT [id] FROM [dbo].[t] FOR JSON PATH",
    "SELECT [id] INTO [dbo].[copy] FROM [dbo].[t]",
    "SELECT TOP (1) WITH TIES [id] FROM [dbo].[t] ORDER BY [a]",
    "SELECT TOP (10) PERCENT [id] FROM [dbo].[t]",
    "SELECT [id] FROM [dbo].[t] TABLESAMPLE (10 PERCENT)",
    "SELECT * FROM [dbo].[t] PIVOT (SUM([a]) FOR [id] IN ([1])) AS p",
    "SELECT t.[id] FROM [dbo].[t] AS t CROSS APPLY (SELECT 1 AS one) AS x",
    "SELECT [a], COUNT(*) FROM [dbo].[t] GROUP BY ROLLUP ([a])",
    "SELECT [a], COUNT(*) FROM [dbo].[t] GROUP BY GROUPING SETS (([a]), ())",
    "SELECT SOUNDEX([s]) FROM [dbo].[t]",
    "SELECT dbo.own([a]) FROM [dbo].[t]",
    "SELECT [s].value('x', 'int') FROM [dbo].[t]",
    "SELECT OBJECTPROPERTY(1, 'IsTable')",
    "SELECT SERVERPROPERTY('IsHadrEnabled')",
    "SELECT LAG([a]) OVER (ORDER BY [id]) FROM [dbo].[t]",
    "SELECT SUM([a]) OVER (ORDER BY [id] ROWS UNBOUNDED PRECEDING) FROM [dbo].[t]",
    "SELECT CONVERT(varchar(30), [d], 113) FROM [dbo].[t]",
    "SELECT CONVERT(varchar(30), CAST([d] AS datetime)) FROM [dbo].[t]",
    "SELECT CAST([s] AS xml) FROM [dbo].[t]",
    "SELECT CAST([s] AS datetimeoffset) FROM [dbo].[t]",
    "SELECT TRY_CAST([s] AS int) FROM [dbo].[t]",
    "SELECT TRY_CONVERT(int, [s]) FROM [dbo].[t]",
    "SELECT HASHBYTES('MD4', [s]) FROM [dbo].[t]",
    "SELECT [s] FROM [dbo].[t] WHERE [s] LIKE N'[a-z]%'",
    "SELECT [s] FROM [dbo].[t] WHERE [a] = ANY (SELECT 1)",
    "SELECT [s] FROM [dbo].[t] WHERE CONTAINS([s], 'x')",
    "SELECT [a] AT TIME ZONE 'UTC' FROM [dbo].[t]",
    "SELECT @@CPU_BUSY",
    "SELECT $IDENTITY FROM [dbo].[t]",
    "SELECT * FROM [other].[dbo].[t]",
    "SELECT * FROM OPENROWSET('x', 'y', 'z')",
    "SELECT * FROM [dbo].[t] AS t, #temporary AS x",
    "SELECT NEXT VALUE FOR [dbo].[s]",
    "INSERT INTO [dbo].[t] ([id]) OUTPUT inserted.[id] INTO [dbo].[t] ([id]) VALUES (5)",
    "INSERT INTO [dbo].[t] ([id]) EXEC [dbo].[p]",
    "INSERT TOP (1) INTO [dbo].[t] ([id]) SELECT 9",
    "UPDATE TOP (1) [dbo].[t] SET [a] = 2",
    "UPDATE [dbo].[t] SET [a] = 2 OPTION (LOOP JOIN)",
    "UPDATE [dbo].[t] SET [a] = 2 WHERE CURRENT OF c",
    "UPDATE [dbo].[t] SET [s].WRITE(N'x', 0, 1)",
    "UPDATE [dbo].[t] WITH (FANCY) SET [a] = 2",
    "DELETE FROM [dbo].[t] OPTION (LOOP JOIN)",
    "CREATE TABLE [dbo].[u] ([id] int IDENTITY(1,1) NOT NULL)",
    "CREATE TABLE [dbo].[u] ([id] int NULL SPARSE)",
    "CREATE TABLE [dbo].[u] ([a] int NULL, [b] AS [a] + 1)",
    "CREATE TABLE [dbo].[u] ([a] xml NULL)",
    "CREATE TABLE [dbo].[u] ([a] sql_variant NULL)",
    "CREATE TABLE [dbo].[u] ([a] int NULL) WITH (MEMORY_OPTIMIZED = ON)",
    "CREATE TABLE [dbo].[u] ([a] int NULL) WITH (SYSTEM_VERSIONING = ON)",
    "CREATE TABLE [dbo].[u] ([a] int NULL) ON [SECONDARY]",
    "CREATE TABLE [dbo].[u] ([a] int NULL INDEX [i])",
    "CREATE TABLE #temporary ([a] int NULL)",
    "CREATE INDEX [i] ON [dbo].[t] ([a]) WITH (DROP_EXISTING = ON)",
    "CREATE UNIQUE INDEX [i] ON [dbo].[t] ([a]) WITH (IGNORE_DUP_KEY = ON)",
    "CREATE COLUMNSTORE INDEX [i] ON [dbo].[t] ([a])",
    "CREATE VIEW [dbo].[v] AS SELECT 1 AS one",
    "CREATE FUNCTION [dbo].[f] () RETURNS int AS BEGIN RETURN 1 END",
    "CREATE TRIGGER [tr] ON [dbo].[t] AFTER INSERT AS SELECT 1",
    "CREATE SCHEMA [other]",
    "CREATE SEQUENCE [dbo].[s] AS bigint START WITH 1",
    "CREATE USER [u] WITHOUT LOGIN",
    "ALTER TABLE [dbo].[t] REBUILD",
    "ALTER TABLE [dbo].[t] NOCHECK TRIGGER ALL",
    "ALTER TABLE [dbo].[t] ALTER COLUMN [a] bigint NULL",
    "ALTER TABLE [dbo].[t] SWITCH TO [dbo].[u]",
    "ALTER INDEX ALL ON [dbo].[t] REBUILD",
    "ALTER DATABASE CURRENT SET RECOVERY SIMPLE",
    "ALTER DATABASE CURRENT SET READ_COMMITTED_SNAPSHOT ON WITH FANCY",
    "SET IDENTITY_INSERT [dbo].[t] ON",
    "SET ANSI_NULLS OFF",
    "SET QUOTED_IDENTIFIER OFF",
    "SET ROWCOUNT 5",
    "SET STATISTICS IO ON",
    "SET IMPLICIT_TRANSACTIONS ON",
    "SET NOEXEC ON",
    "SET DATEFIRST 1",
    "DECLARE @t TABLE ([id] int)",
    "DECLARE c CURSOR FOR SELECT 1",
    "WHILE 1 = 1 SELECT 1",
    "WAITFOR DELAY '00:00:01'",
    "GRANT SELECT ON [dbo].[t] TO [public]",
    "BACKUP DATABASE [x] TO DISK = 'x'",
    "BULK INSERT [dbo].[t] FROM 'file'",
    "DBCC CHECKDB",
    "KILL 55",
    "USE [other]",
    "RAISERROR('x', 16, 1)",
    "EXEC sp_getapplock @Resource = N'x', @LockMode = N'Update', @LockOwner = N'Session'",
    "INSERT BULK [dbo].[t] ([id] int) WITH (ORDER ([id] ASC))",
    "INSERT BULK [dbo].[t] ([id] int) WITH (KEEP_NULLS, ROWS_PER_BATCH = 5)",
    "SELECT 1 SELECT 2 FROM nowhere AND",
    "utter nonsense",
]  # fmt: skip


@pytest.mark.parametrize("sql", REFUSED)
def test_what_is_not_understood_is_refused_and_changes_nothing(table: pyodbc.Connection, sql: str) -> None:
    before = _fingerprint(table)
    with pytest.raises(pyodbc.Error) as caught:
        cursor = table.execute(sql)
        while cursor.nextset():
            pass
    number = int(str(caught.value).rsplit("(", 2)[1].split(")")[0])
    assert number == 50000 or number in (102, 105, 156, 207, 208, 1018, 2812, 4121, 4145, 15048), caught.value
    if number == 50000:
        assert "the stand-in does not understand" in str(caught.value)
    assert _fingerprint(table) == before


def _fingerprint(connection: pyodbc.Connection) -> list[object]:
    rows = [tuple(row) for row in connection.execute("SELECT [id], [a], [s], [d] FROM [dbo].[t]").fetchall()]
    objects = [row[0] for row in connection.execute("SELECT [name] FROM sys.objects ORDER BY [name]").fetchall()]
    return [rows, objects, connection.execute("SELECT @@TRANCOUNT").fetchval()]


def test_the_refusal_names_the_statement(table: pyodbc.Connection) -> None:
    with pytest.raises(pyodbc.Error, match=r"table hint FANCY in: SELECT \[id\] FROM \[dbo\]\.\[t\] WITH \(FANCY\)"):
        table.execute("SELECT 1; SELECT [id] FROM [dbo].[t] WITH (FANCY)").nextset()


def test_a_refused_statement_with_parameters_changes_nothing(table: pyodbc.Connection) -> None:
    before = _fingerprint(table)
    with pytest.raises(pyodbc.Error, match="SOUNDEX"):
        table.execute("UPDATE [dbo].[t] SET [a] = ? WHERE SOUNDEX([s]) = N'x'", 5)
    assert _fingerprint(table) == before


def test_bulk_rows_of_another_type_than_the_column_are_refused(sql_server: SqlServer, table: pyodbc.Connection) -> None:
    database = table.execute("SELECT DB_NAME()").fetchval()
    connection = mssql_py_core.PyCoreConnection(sql_server.core(database))
    batch = pa.record_batch({"id": pa.array(["not a number"])})
    reader = pa.RecordBatchReader.from_batches(batch.schema, [batch])
    with pytest.raises((RuntimeError, ValueError)):
        connection.cursor().bulkcopy_arrow("[dbo].[t]", reader, timeout=0, column_mappings=["id"])
    connection.close()
    assert table.execute("SELECT COUNT(*) FROM [dbo].[t]").fetchval() == 1


def test_a_remote_procedure_that_does_not_exist_is_2812(table: pyodbc.Connection) -> None:
    with pytest.raises(pyodbc.Error, match="2812"):
        table.execute("{CALL no_such_procedure(?)}", 1)
