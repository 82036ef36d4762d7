"""Bulk loads into the SQL Server stand-in, and the faults that can be injected into them."""

import hashlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import mssql_py_core
import pyarrow as pa
import pyodbc
import pytest

from local.postgres import PostgresServer
from tests.fixtures.sqlserver import SqlServer, running

TABLE = (
    "CREATE TABLE [dbo].[t] ([id] bigint NOT NULL, [s] nvarchar(100) NULL, [n] decimal(28,8) NULL, [m] nvarchar(max) NULL,"
    " [b] varbinary(max) NULL, CONSTRAINT [pk_t] PRIMARY KEY ([id]))"
)
SCHEMA = pa.schema({"id": pa.int64(), "s": pa.string(), "n": pa.decimal128(28, 8), "m": pa.string(), "b": pa.binary()})


@pytest.fixture
def table(sql_server: SqlServer, sql_database: str) -> Iterator[pyodbc.Connection]:
    with sql_server.connect(sql_database) as connection:
        connection.execute(TABLE)
        yield connection


def _batch(first: int, rows: int) -> pa.RecordBatch:
    numbers = range(first, first + rows)
    return pa.record_batch(
        [
            pa.array(numbers, pa.int64()),
            pa.array([f"row {n} é😀" if n % 5 else None for n in numbers]),
            pa.array([Decimal(n) / 8 - 10 for n in numbers], pa.decimal128(28, 8)),
            pa.array(["x" * (n % 300) for n in numbers]),
            pa.array([bytes([n % 256]) * (n % 50) for n in numbers]),
        ],
        schema=SCHEMA,
    )


@contextmanager
def _core(server: SqlServer, database: str, **more: Any) -> Iterator[Any]:
    connection = mssql_py_core.PyCoreConnection(server.core(database, **more))
    try:
        yield connection.cursor()
    finally:
        connection.close()


def _load(cursor: Any, *batches: pa.RecordBatch, table: str = "[dbo].[t]", **options: Any) -> int:
    reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
    names = batches[0].schema.names
    answer = cursor.bulkcopy_arrow(table, reader, timeout=0, keep_nulls=True, column_mappings=names, **options)
    return int(answer["rows_copied"])


def _count(connection: pyodbc.Connection) -> int:
    return int(connection.execute("SELECT COUNT_BIG(*) FROM [dbo].[t]").fetchval())


@pytest.mark.parametrize("packet_size", [512, 4096, 32767])
def test_rows_arrive_whatever_the_packet_size(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection, packet_size: int
) -> None:
    with _core(sql_server, sql_database, packet_size=packet_size) as cursor:
        assert _load(cursor, _batch(0, 700), _batch(700, 1300)) == 2000
    wanted = _batch(0, 2000).to_pylist()
    rows = table.execute("SELECT [id], [s], [n], [m], [b] FROM [dbo].[t] ORDER BY [id]").fetchall()
    assert [dict(zip(SCHEMA.names, row, strict=True)) for row in rows] == wanted


def test_cells_of_twenty_megabytes_arrive(sql_server: SqlServer, sql_database: str, table: pyodbc.Connection) -> None:
    text, blob = "é" * 10_000_000, bytes(range(256)) * 80_000
    columns = [
        pa.array([1, 2]),
        pa.nulls(2, pa.string()),
        pa.nulls(2, pa.decimal128(28, 8)),
        pa.array([text, "a"]),
        pa.array([blob, b""]),
    ]
    with _core(sql_server, sql_database, packet_size=32767) as cursor:
        assert _load(cursor, pa.record_batch(columns, schema=SCHEMA)) == 2
    sizes = table.execute(
        "SELECT DATALENGTH([m]), DATALENGTH([b]), HASHBYTES('MD5', [b]) FROM [dbo].[t] WHERE [id] = 1"
    ).fetchone()
    assert tuple(sizes) == (20_000_000, len(blob), hashlib.md5(blob).digest())


def test_the_server_counts_the_rows_itself(sql_server: SqlServer, sql_database: str, table: pyodbc.Connection) -> None:
    before = sql_server.statistics()["bulk_rows"]
    with _core(sql_server, sql_database) as cursor:
        _load(cursor, _batch(0, 123))
    assert sql_server.statistics()["bulk_rows"] - before == 123


def test_a_load_of_part_of_the_columns_leaves_the_others_null(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    with _core(sql_server, sql_database) as cursor:
        _load(cursor, _batch(0, 10).select(["s", "id"]))
    assert tuple(table.execute("SELECT COUNT([n]), COUNT([s]) FROM [dbo].[t]").fetchone()) == (0, 8)


def test_a_duplicate_key_in_a_load_is_2627_and_nothing_stays(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    with _core(sql_server, sql_database) as cursor:
        with pytest.raises(RuntimeError, match=r"2627.*pk_t"):
            _load(cursor, _batch(0, 100), _batch(50, 100))
        assert _count(table) == 0
        assert _load(cursor, _batch(0, 10)) == 10
    assert _count(table) == 10


def test_without_xact_abort_a_failed_load_leaves_the_transaction_open(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    with _core(sql_server, sql_database) as cursor:
        cursor.execute("BEGIN TRANSACTION")
        _load(cursor, _batch(0, 10))
        with pytest.raises(RuntimeError, match="2627"):
            _load(cursor, _batch(5, 10))
        cursor.execute("COMMIT TRANSACTION")
    assert _count(table) == 10


def test_a_client_that_gives_up_a_load_leaves_nothing_and_can_go_on(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    too_long = pa.record_batch({"id": pa.array([5000]), "s": pa.array(["x" * 101])})
    with _core(sql_server, sql_database) as cursor:
        cursor.execute("BEGIN TRANSACTION")
        with pytest.raises((RuntimeError, ValueError), match="100"):
            _load(cursor, _batch(0, 2000).select(["id", "s"]), too_long)
        cursor.execute("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
        assert _load(cursor, _batch(0, 3)) == 3
    assert _count(table) == 3


def test_a_source_that_dies_is_undone_by_the_rollback(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    def dying() -> Iterator[pa.RecordBatch]:
        yield _batch(0, 500)
        raise ConnectionError("the source is gone")

    with _core(sql_server, sql_database) as cursor:
        cursor.execute("BEGIN TRANSACTION")
        reader = pa.RecordBatchReader.from_batches(SCHEMA, dying())
        with pytest.raises(RuntimeError, match="the source is gone"):
            cursor.bulkcopy_arrow("[dbo].[t]", reader, timeout=0, keep_nulls=True, column_mappings=SCHEMA.names)
        cursor.execute("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
    assert _count(table) == 0


def test_a_load_does_not_check_foreign_keys_unless_told_and_they_lose_trust(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    table.execute("CREATE TABLE [dbo].[child] ([id] bigint NOT NULL PRIMARY KEY, [parent] bigint NULL)")
    table.execute("ALTER TABLE [dbo].[child] ADD CONSTRAINT [fk] FOREIGN KEY ([parent]) REFERENCES [dbo].[t] ([id])")
    orphan = pa.record_batch({"id": pa.array([1]), "parent": pa.array([99])})
    with _core(sql_server, sql_database) as cursor:
        with pytest.raises(RuntimeError, match="547"):
            _load(cursor, orphan, table="[dbo].[child]", check_constraints=True)
        assert _load(cursor, orphan, table="[dbo].[child]") == 1
    assert table.execute("SELECT [is_not_trusted] FROM sys.foreign_keys").fetchval() == 1
    with pytest.raises(pyodbc.Error, match="547"):
        table.execute("ALTER TABLE [dbo].[child] WITH CHECK CHECK CONSTRAINT [fk]")
    table.execute("UPDATE [dbo].[child] SET [parent] = NULL")
    table.execute("ALTER TABLE [dbo].[child] WITH CHECK CHECK CONSTRAINT ALL")
    assert table.execute("SELECT [is_not_trusted] FROM sys.foreign_keys").fetchval() == 0


def test_many_sessions_load_at_once_while_others_log_in(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    def load(number: int) -> int:
        with _core(sql_server, sql_database) as cursor:
            cursor.execute("BEGIN TRANSACTION")
            rows = _load(cursor, _batch(number * 1000, 1000), table_lock=True)
            cursor.execute("COMMIT TRANSACTION")
            return rows

    def log_in(_: int) -> int:
        with sql_server.connect(sql_database) as connection:
            return int(connection.execute("SELECT 1").fetchval())

    with ThreadPoolExecutor(8) as pool:
        loads, logins = [pool.submit(load, n) for n in range(8)], list(pool.map(log_in, range(8)))
        assert sum(load.result() for load in loads) == 8000
    assert logins == [1] * 8
    assert _count(table) == 8000


# --- faults ----------------------------------------------------------------------------------------------------------


def test_a_reset_in_the_middle_of_a_load_leaves_nothing(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    with sql_server.faults("reset_bulk", bytes=50_000) as control:
        with _core(sql_server, sql_database) as cursor, pytest.raises(RuntimeError):
            _load(cursor, _batch(0, 5000))
        assert control.fired() == {"reset_bulk": 1}
        with _core(sql_server, sql_database) as cursor:
            assert _load(cursor, _batch(0, 10)) == 10
    assert _count(table) == 10


def test_a_reset_before_the_commit_loses_the_transaction(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    with sql_server.faults("reset_before_commit"), _core(sql_server, sql_database) as cursor:
        cursor.execute("BEGIN TRANSACTION")
        _load(cursor, _batch(0, 10))
        with pytest.raises(RuntimeError):
            cursor.execute("COMMIT TRANSACTION")
    assert _count(table) == 0


def test_a_reset_after_the_commit_keeps_the_transaction(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    with sql_server.faults("reset_after_commit"), _core(sql_server, sql_database) as cursor:
        cursor.execute("BEGIN TRANSACTION")
        _load(cursor, _batch(0, 10))
        with pytest.raises(RuntimeError):
            cursor.execute("COMMIT TRANSACTION")
    assert _count(table) == 10


def test_40501_on_a_load_stores_nothing_and_a_retry_works(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    with sql_server.faults("error_bulk", number=40501):
        with _core(sql_server, sql_database) as cursor, pytest.raises(RuntimeError, match="40501"):
            _load(cursor, _batch(0, 10))
        with _core(sql_server, sql_database) as cursor:
            assert _load(cursor, _batch(0, 10)) == 10
    assert _count(table) == 10


def test_1205_can_be_injected_into_a_certain_statement(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    with sql_server.faults("error", number=1205, text="UPDATE [dbo].[t]"):
        table.execute("BEGIN TRANSACTION; INSERT INTO [dbo].[t] ([id]) VALUES (1)")
        with pytest.raises(pyodbc.Error, match="1205"):
            table.execute("UPDATE [dbo].[t] SET [s] = N'x'")
    assert table.execute("SELECT @@TRANCOUNT").fetchval() == 0
    assert _count(table) == 0


def test_a_stalled_load_and_a_slow_statement_go_on_after_their_time(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    with sql_server.faults("stall_bulk", bytes=1000, seconds=0.2) as control:
        control.fault("latency", seconds=0.1, text="COUNT_BIG")
        with _core(sql_server, sql_database) as cursor:
            assert _load(cursor, _batch(0, 500)) == 500
        assert _count(table) == 500
        assert control.fired() == {"stall_bulk": 1, "latency": 1}


def test_a_fault_with_a_seed_fires_at_the_same_chances(sql_server: SqlServer, table: pyodbc.Connection) -> None:
    def fired() -> list[bool]:
        with sql_server.faults("error", number=50500, probability=0.5, seed=7, times=None, text="SELECT 77"):
            return [_fails(table) for _ in range(20)]

    first = fired()
    assert first == fired()
    assert 0 < sum(first) < 20


def _fails(connection: pyodbc.Connection) -> bool:
    try:
        connection.execute("SELECT 77")
    except pyodbc.Error:
        return True
    return False


def test_an_unknown_fault_is_refused(sql_server: SqlServer) -> None:
    with pytest.raises(ValueError, match="no such fault: 'earthquake'"), sql_server.faults("earthquake"):
        pass


def test_a_discarding_server_counts_rows_and_says_that_it_stores_none(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(postgres_server, tmp_path_factory.mktemp("discard"), "--discard-bulk") as server:
        database = server.new_database()
        with server.connect(database) as connection:
            connection.execute(TABLE)
            with _core(server, database) as cursor:
                assert _load(cursor, _batch(0, 1000)) == 1000
            assert _count(connection) == 0
            assert "DISCARDS" in connection.execute("SELECT @@VERSION").fetchval()
        assert server.statistics()["bulk_rows"] == 1000


def test_a_client_that_disappears_mid_load_leaves_nothing(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    """Through a proxy that closes after so many bytes: a plain end of the connection, not a reset."""
    listener = socket.create_server(("127.0.0.1", 0))

    def relay() -> None:
        client, _ = listener.accept()
        server = socket.create_connection((sql_server.host, sql_server.port))
        with ThreadPoolExecutor(1) as back:
            back.submit(_pump, server, client, 1 << 40)
            _pump(client, server, 200_000)
            server.shutdown(socket.SHUT_RDWR)
            client.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(relay)
        settings = sql_server.core(sql_database) | {"server": f"tcp:127.0.0.1,{listener.getsockname()[1]}"}
        connection = mssql_py_core.PyCoreConnection(settings)
        with pytest.raises(RuntimeError):
            _load(connection.cursor(), _batch(0, 20000))
    listener.close()
    assert _count(table) == 0


def _pump(source: socket.socket, target: socket.socket, limit: int) -> None:
    try:
        while limit > 0 and (data := source.recv(min(65536, limit))):
            target.sendall(data)
            limit -= len(data)
    except OSError:
        return
