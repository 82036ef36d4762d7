"""Transactions, locks and errors on the SQL Server stand-in."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import mssql_py_core
import pyarrow as pa
import pyodbc
import pytest

from tests.fixtures.sqlserver import SqlServer


@pytest.fixture
def table(sql_server: SqlServer, sql_database: str) -> Iterator[pyodbc.Connection]:
    with sql_server.connect(sql_database) as connection:
        connection.execute(
            "CREATE TABLE [dbo].[t] ([id] int NOT NULL, [s] nvarchar(20) NULL, CONSTRAINT [pk_t] PRIMARY KEY ([id]))"
        )
        yield connection


@pytest.fixture(scope="module")
def unchanged(sql_server: SqlServer) -> Iterator[pyodbc.Connection]:
    """A database for statements that fail and leave it as it was."""
    with sql_server.connect(sql_server.new_database()) as connection:
        connection.execute(
            "CREATE TABLE [dbo].[t] ([id] int NOT NULL, [s] nvarchar(20) NULL, CONSTRAINT [pk_t] PRIMARY KEY ([id]))"
        )
        yield connection
        assert _ids(connection) == []


def _ids(connection: pyodbc.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT [id] FROM [dbo].[t] ORDER BY [id]").fetchall()]


def _number(error: BaseException) -> int:
    text = str(error)
    return int(text.rsplit("(", 2)[1].split(")")[0])


def _failing(connection: pyodbc.Connection, sql: str, *values: object) -> int:
    with pytest.raises(pyodbc.Error) as caught:
        connection.execute(sql, *values)
    return _number(caught.value)


def test_a_rolled_back_transaction_leaves_nothing(table: pyodbc.Connection) -> None:
    table.execute("BEGIN TRANSACTION")
    table.execute("INSERT INTO [dbo].[t] ([id]) VALUES (1)")
    table.execute("ROLLBACK TRANSACTION")
    assert _ids(table) == []


def test_a_committed_transaction_is_seen_by_others_only_then(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    with sql_server.connect(sql_database) as other:
        table.execute("BEGIN TRANSACTION; INSERT INTO [dbo].[t] ([id]) VALUES (1)")
        assert _ids(other) == []
        table.execute("COMMIT TRANSACTION")
        assert _ids(other) == [1]


def test_the_drivers_own_transactions_commit_and_roll_back(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    with sql_server.connect(sql_database, autocommit=False) as connection:
        connection.execute("INSERT INTO [dbo].[t] ([id]) VALUES (1)")
        connection.commit()
        connection.execute("INSERT INTO [dbo].[t] ([id]) VALUES (2)")
        connection.rollback()
        connection.execute("INSERT INTO [dbo].[t] ([id]) VALUES (3)")
    assert _ids(table) == [1]


def test_ddl_is_undone_with_its_transaction(table: pyodbc.Connection) -> None:
    table.execute("BEGIN TRANSACTION; CREATE TABLE [dbo].[u] ([id] int NULL); DROP TABLE [dbo].[t]")
    table.execute("ROLLBACK TRANSACTION")
    assert table.execute("SELECT OBJECT_ID(N'dbo.u', N'U'), OBJECT_ID(N'dbo.t', N'U')").fetchone()[0] is None
    assert _ids(table) == []


def test_trancount_counts_nested_transactions(table: pyodbc.Connection) -> None:
    table.execute("BEGIN TRANSACTION; BEGIN TRANSACTION")
    assert table.execute("SELECT @@TRANCOUNT").fetchval() == 2
    table.execute("COMMIT TRANSACTION")
    assert table.execute("SELECT @@TRANCOUNT").fetchval() == 1
    table.execute("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
    assert table.execute("SELECT @@TRANCOUNT").fetchval() == 0
    table.execute("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")


def test_without_xact_abort_a_failed_statement_undoes_itself_alone(table: pyodbc.Connection) -> None:
    table.execute("BEGIN TRANSACTION; INSERT INTO [dbo].[t] ([id]) VALUES (1)")
    assert _failing(table, "INSERT INTO [dbo].[t] ([id]) VALUES (2), (1)") == 2627
    table.execute("INSERT INTO [dbo].[t] ([id]) VALUES (3); COMMIT TRANSACTION")
    assert _ids(table) == [1, 3]


def test_with_xact_abort_a_failed_statement_undoes_the_transaction(table: pyodbc.Connection) -> None:
    table.execute("SET XACT_ABORT ON; BEGIN TRANSACTION; INSERT INTO [dbo].[t] ([id]) VALUES (1)")
    assert _failing(table, "INSERT INTO [dbo].[t] ([id]) VALUES (1)") == 2627
    assert table.execute("SELECT @@TRANCOUNT").fetchval() == 0
    assert _ids(table) == []


def test_a_batch_goes_on_after_a_constraint_error_and_not_after_a_missing_table(table: pyodbc.Connection) -> None:
    table.execute("INSERT INTO [dbo].[t] ([id]) VALUES (1)")
    assert _failing(table, "INSERT INTO [dbo].[t] ([id]) VALUES (1); INSERT INTO [dbo].[t] ([id]) VALUES (2)") == 2627
    assert _failing(table, "INSERT INTO [dbo].[no] ([id]) VALUES (1); INSERT INTO [dbo].[t] ([id]) VALUES (3)") == 208
    assert _ids(table) == [1, 2]


def test_a_savepoint_can_be_gone_back_to(table: pyodbc.Connection) -> None:
    table.execute("BEGIN TRANSACTION; INSERT INTO [dbo].[t] ([id]) VALUES (1); SAVE TRANSACTION here")
    table.execute("INSERT INTO [dbo].[t] ([id]) VALUES (2); ROLLBACK TRANSACTION here; COMMIT")
    assert _ids(table) == [1]


def test_a_statement_in_try_is_caught_with_its_number(table: pyodbc.Connection) -> None:
    table.execute("INSERT INTO [dbo].[t] ([id]) VALUES (1)")
    number = table.execute(
        "SET NOCOUNT ON; BEGIN TRY INSERT INTO [dbo].[t] ([id]) VALUES (1) END TRY BEGIN CATCH SELECT ERROR_NUMBER() END CATCH"
    ).fetchval()
    assert number == 2627


def test_a_second_insert_of_a_key_waits_and_then_is_2627(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    table.execute("BEGIN TRANSACTION; INSERT INTO [dbo].[t] ([id]) VALUES (1)")
    with sql_server.connect(sql_database) as other, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_failing, other, "INSERT INTO [dbo].[t] ([id]) VALUES (1)")
        assert not waiting.done()
        table.execute("COMMIT TRANSACTION")
        assert waiting.result() == 2627


def test_a_lock_that_is_not_given_in_time_is_1222(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    table.execute("BEGIN TRANSACTION; INSERT INTO [dbo].[t] ([id]) VALUES (1)")
    with sql_server.connect(sql_database) as other:
        other.execute("SET LOCK_TIMEOUT 100")
        assert _failing(other, "INSERT INTO [dbo].[t] ([id]) VALUES (1)") == 1222
        assert other.execute("SELECT @@LOCK_TIMEOUT").fetchval() == 100
    table.execute("COMMIT TRANSACTION")


def test_a_deadlock_is_1205_for_one_of_the_two(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    table.execute("INSERT INTO [dbo].[t] ([id]) VALUES (1), (2)")
    both_hold_one = threading.Barrier(2)

    def update(first: int, second: int) -> int:
        with sql_server.connect(sql_database) as connection:
            connection.execute("BEGIN TRANSACTION; UPDATE [dbo].[t] SET [s] = N'x' WHERE [id] = ?", first)
            both_hold_one.wait(30)
            try:
                connection.execute("UPDATE [dbo].[t] SET [s] = N'y' WHERE [id] = ?", second)
            except pyodbc.Error as error:
                assert connection.execute("SELECT @@TRANCOUNT").fetchval() == 0
                return _number(error)
            connection.execute("COMMIT TRANSACTION")
            return 0

    with ThreadPoolExecutor(2) as pool:
        outcomes = [pool.submit(update, 1, 2), pool.submit(update, 2, 1)]
        assert sorted(outcome.result() for outcome in outcomes) == [0, 1205]


def test_application_locks_exclude_each_other(sql_server: SqlServer, sql_database: str) -> None:
    sql = (
        "SET NOCOUNT ON; DECLARE @r int; EXEC @r = sp_getapplock @Resource = N'mxferry:x', @LockMode = N'Exclusive', "
        "@LockOwner = N'{owner}', @LockTimeout = 50; SELECT @r"
    )
    with sql_server.connect(sql_database) as one, sql_server.connect(sql_database) as other:
        assert one.execute(sql.format(owner="Session")).fetchval() == 0
        assert other.execute(sql.format(owner="Session")).fetchval() == -1
        one.execute("EXEC sp_releaseapplock @Resource = N'mxferry:x', @LockOwner = N'Session'")
        other.execute("BEGIN TRANSACTION")
        assert other.execute(sql.format(owner="Transaction")).fetchval() == 0
        assert one.execute(sql.format(owner="Session")).fetchval() == -1
        other.execute("COMMIT TRANSACTION")
        assert one.execute(sql.format(owner="Session")).fetchval() == 0


def test_a_lost_connection_gives_back_locks_and_rows(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    with sql_server.connect(sql_database) as connection:
        connection.execute("BEGIN TRANSACTION; INSERT INTO [dbo].[t] ([id]) VALUES (1)")
    table.execute("SET LOCK_TIMEOUT 20000; INSERT INTO [dbo].[t] ([id]) VALUES (1)")
    assert _ids(table) == [1]


def test_a_query_timeout_of_the_driver_cancels_a_waiting_statement(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    table.execute("BEGIN TRANSACTION; INSERT INTO [dbo].[t] ([id]) VALUES (1)")
    with sql_server.connect(sql_database) as other:
        other.timeout = 1
        with pytest.raises(pyodbc.Error, match=r"[Tt]imeout"):
            other.execute("INSERT INTO [dbo].[t] ([id]) VALUES (1)")
        other.timeout = 0
        assert other.execute("SELECT 1").fetchval() == 1
    table.execute("ROLLBACK TRANSACTION")


@pytest.mark.parametrize("commits", [True, False])
def test_a_bulk_load_belongs_to_the_transaction_around_it(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection, *, commits: bool
) -> None:
    batch = pa.record_batch({"id": pa.array(range(1000), pa.int32())})
    core = mssql_py_core.PyCoreConnection(sql_server.core(sql_database))
    try:
        cursor = core.cursor()
        cursor.execute("SET XACT_ABORT ON")
        cursor.execute("BEGIN TRANSACTION")
        cursor.execute("INSERT INTO [dbo].[t] ([id]) VALUES (-1)")
        reader = pa.RecordBatchReader.from_batches(batch.schema, [batch])
        cursor.bulkcopy_arrow("[dbo].[t]", reader, timeout=0, keep_nulls=True, table_lock=True, column_mappings=["id"])
        assert _ids(table) == []
        cursor.execute("COMMIT TRANSACTION" if commits else "ROLLBACK TRANSACTION")
    finally:
        core.close()
    assert _ids(table) == ([-1, *range(1000)] if commits else [])


@pytest.mark.parametrize(
    ("sql", "number"),
    [
        ("SELECT * FROM [dbo].[missing]", 208),
        ("SELECT [missing] FROM [dbo].[t]", 207),
        ("SELECT x.[id] FROM [dbo].[t] AS y", 4104),
        ("SELECT [id] FROM [dbo].[t] AS a JOIN [dbo].[t] AS b ON a.[id] = b.[id]", 209),
        ("INSERT INTO [dbo].[t] ([id]) VALUES (NULL)", 515),
        ("INSERT INTO [dbo].[t] ([id]) VALUES (1, 2)", 110),
        ("INSERT INTO [dbo].[t] ([id], [s]) VALUES (1, N'123456789012345678901')", 2628),
        ("INSERT INTO [dbo].[t] ([id], [s]) VALUES (1, N'😀😀😀😀😀😀😀😀😀😀😀')", 2628),
        ("CREATE TABLE [dbo].[t] ([id] int NULL)", 2714),
        ("DROP TABLE [dbo].[missing]", 3701),
        ("DROP INDEX [missing] ON [dbo].[t]", 3701),
        ("ALTER TABLE [dbo].[t] ADD CONSTRAINT [again] PRIMARY KEY ([id])", 1779),
        ("ALTER TABLE [dbo].[missing] ADD CONSTRAINT [c] UNIQUE ([id])", 4902),
        ("SELECT CAST(3000000000 AS int)", 8115),
        ("SELECT CAST(12345 AS decimal(4,0))", 8115),
        ("SELECT CAST(256 AS tinyint)", 8115),
        ("SELECT 1 / 0", 8134),
        ("SELECT CAST(N'abc' AS int)", 245),
        ("SELECT CAST('2024-13-01' AS datetime2(3))", 241),
        ("SELECT @missing", 137),
        ("SELECT FROM", 102),
        ("SELECT 'open", 105),
        ("COMMIT TRANSACTION", 3902),
        ("ROLLBACK TRANSACTION", 3903),
        ("EXEC [dbo].[missing]", 2812),
        ("CREATE INDEX [i] ON [dbo].[t] ([missing])", 1911),
        ("CREATE TABLE [dbo].[k] ([s] nvarchar(max) NOT NULL PRIMARY KEY)", 1919),
        ("CREATE TABLE [dbo].[k] ([a] int NULL, [A] int NULL)", 2705),
        ("SELECT N'a' COLLATE Nonsense_CI_AS", 448),
    ],
)  # fmt: skip
def test_an_error_has_sql_servers_number(unchanged: pyodbc.Connection, sql: str, number: int) -> None:
    assert _failing(unchanged, sql) == number


def test_a_unique_key_of_a_case_insensitive_database_ignores_case_and_trailing_spaces(table: pyodbc.Connection) -> None:
    table.execute("CREATE UNIQUE INDEX [ux_s] ON [dbo].[t] ([s])")
    table.execute("INSERT INTO [dbo].[t] ([id], [s]) VALUES (1, N'École')")
    for value in ("École", "éCOLE", "École  "):
        assert _failing(table, "INSERT INTO [dbo].[t] ([id], [s]) VALUES (2, ?)", value) == 2601
    table.execute("INSERT INTO [dbo].[t] ([id], [s]) VALUES (3, N'Ecole'), (4, NULL)")
    with pytest.raises(pyodbc.Error, match=r"dbo\.t.*unique index 'ux_s'.*\(<NULL>\)"):
        table.execute("INSERT INTO [dbo].[t] ([id], [s]) VALUES (5, NULL)")


def test_a_filtered_unique_index_lets_many_nulls_in(table: pyodbc.Connection) -> None:
    table.execute("CREATE UNIQUE INDEX [ux_s] ON [dbo].[t] ([s]) WHERE [s] IS NOT NULL")
    table.execute("INSERT INTO [dbo].[t] ([id], [s]) VALUES (1, NULL), (2, NULL), (3, N'a')")
    assert _failing(table, "INSERT INTO [dbo].[t] ([id], [s]) VALUES (4, N'A')") == 2601


def test_a_case_sensitive_database_keeps_case(sql_server: SqlServer) -> None:
    with sql_server.connect(sql_server.new_database("Latin1_General_100_CS_AS")) as connection:
        connection.execute("CREATE TABLE [dbo].[t] ([s] nvarchar(20) NOT NULL PRIMARY KEY)")
        connection.execute("INSERT INTO [dbo].[t] VALUES (N'a'), (N'A')")
        assert connection.execute("SELECT COUNT(*) FROM [dbo].[t] WHERE [s] = N'a'").fetchval() == 1


def test_columns_of_two_collations_cannot_be_compared(table: pyodbc.Connection) -> None:
    table.execute("CREATE TABLE [dbo].[u] ([s] nvarchar(20) COLLATE Latin1_General_100_CS_AS NULL)")
    assert _failing(table, "SELECT 1 FROM [dbo].[t] AS t JOIN [dbo].[u] AS u ON t.[s] = u.[s]") == 468


def test_duplicates_when_a_key_is_made_are_1505(table: pyodbc.Connection) -> None:
    table.execute("INSERT INTO [dbo].[t] ([id], [s]) VALUES (1, N'a'), (2, N'A')")
    assert _failing(table, "CREATE UNIQUE INDEX [ux] ON [dbo].[t] ([s])") == 1505
    with pytest.raises(pyodbc.Error, match=r"object name 'dbo\.t' and the index name 'uq_s'"):
        table.execute("ALTER TABLE [dbo].[t] ADD CONSTRAINT [uq_s] UNIQUE ([s])")


def test_foreign_keys_are_checked_and_cascade(table: pyodbc.Connection) -> None:
    table.execute("CREATE TABLE [dbo].[child] ([id] int NOT NULL PRIMARY KEY, [parent] int NULL)")
    table.execute("INSERT INTO [dbo].[t] ([id]) VALUES (1); INSERT INTO [dbo].[child] VALUES (1, 9)")
    sql = "ALTER TABLE [dbo].[child] WITH CHECK ADD CONSTRAINT [fk] FOREIGN KEY ([parent]) REFERENCES [dbo].[t] ([id]) ON DELETE CASCADE"
    with pytest.raises(pyodbc.Error, match=r'FOREIGN KEY constraint "fk".*table "dbo\.t", column .*id'):
        table.execute(sql)
    table.execute("UPDATE [dbo].[child] SET [parent] = 1")
    table.execute(sql)
    assert _failing(table, "INSERT INTO [dbo].[child] VALUES (2, 9)") == 547
    assert _failing(table, "DROP TABLE [dbo].[t]") == 3726
    table.execute("DELETE FROM [dbo].[t]")
    assert table.execute("SELECT COUNT(*) FROM [dbo].[child]").fetchval() == 0


def test_a_foreign_key_that_is_not_checked_lets_orphans_in_until_it_is_checked_again(table: pyodbc.Connection) -> None:
    table.execute("CREATE TABLE [dbo].[child] ([id] int NOT NULL PRIMARY KEY, [parent] int NULL)")
    table.execute("ALTER TABLE [dbo].[child] ADD CONSTRAINT [fk] FOREIGN KEY ([parent]) REFERENCES [dbo].[t] ([id])")
    told = "SELECT [is_disabled], [is_not_trusted] FROM sys.foreign_keys"
    table.execute("INSERT INTO [dbo].[t] ([id]) VALUES (1); ALTER TABLE [dbo].[child] NOCHECK CONSTRAINT ALL")
    assert tuple(table.execute(told).fetchone()) == (True, True)
    table.execute("INSERT INTO [dbo].[child] VALUES (1, 9), (2, 1); DELETE FROM [dbo].[t]")
    with pytest.raises(pyodbc.Error, match=r'547|FOREIGN KEY constraint "fk"'):
        table.execute("ALTER TABLE [dbo].[child] WITH CHECK CHECK CONSTRAINT ALL")
    table.execute("UPDATE [dbo].[child] SET [parent] = NULL; ALTER TABLE [dbo].[child] WITH CHECK CHECK CONSTRAINT ALL")
    assert tuple(table.execute(told).fetchone()) == (False, False)
    assert _failing(table, "INSERT INTO [dbo].[child] VALUES (3, 9)") == 547
