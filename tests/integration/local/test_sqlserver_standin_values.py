"""Values through the SQL Server stand-in: into a table by every way there is, and back cell by cell."""

import hashlib
import struct
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import mssql_py_core
import pyarrow as pa
import pyodbc
import pytest

from tests.fixtures.sqlserver import SqlServer

COLUMNS = {
    "c_bigint": ("bigint", pa.int64()),
    "c_int": ("int", pa.int32()),
    "c_smallint": ("smallint", pa.int16()),
    "c_tinyint": ("tinyint", pa.uint8()),
    "c_bit": ("bit", pa.bool_()),
    "c_decimal": ("decimal(28,8)", pa.decimal128(28, 8)),
    "c_large": ("decimal(38,0)", pa.decimal128(38, 0)),
    "c_float": ("float", pa.float64()),
    "c_real": ("real", pa.float32()),
    "c_datetime2": ("datetime2(7)", pa.timestamp("us")),
    "c_milli": ("datetime2(3)", pa.timestamp("us")),
    "c_second": ("datetime2(0)", pa.timestamp("us")),
    "c_date": ("date", pa.date32()),
    "c_time": ("time(6)", pa.time64("us")),
    "c_nvarchar": ("nvarchar(50)", pa.string()),
    "c_text": ("nvarchar(max)", pa.string()),
    "c_varchar": ("varchar(50)", pa.string()),
    "c_utf8": ("varchar(80) COLLATE Latin1_General_100_CI_AS_SC_UTF8", pa.string()),
    "c_binary": ("varbinary(20)", pa.binary()),
    "c_blob": ("varbinary(max)", pa.binary()),
    "c_uuid": ("uniqueidentifier", pa.string()),
}
MOMENT = datetime(2024, 2, 29, 23, 59, 59, 123000)
ROWS: list[dict[str, Any]] = [
    dict.fromkeys(COLUMNS),
    {
        "c_bigint": 2**63 - 1, "c_int": 2**31 - 1, "c_smallint": 32767, "c_tinyint": 255, "c_bit": True,
        "c_decimal": Decimal("12345678901234567890.12345678"), "c_large": Decimal(10**38 - 1), "c_float": 1.1e300,
        "c_real": 1.5, "c_datetime2": datetime(2024, 2, 29, 23, 59, 59, 123456), "c_milli": MOMENT,
        "c_second": datetime(9999, 12, 31, 23, 59, 59), "c_date": date(9999, 12, 31), "c_time": time(23, 59, 59),
        "c_nvarchar": "Zoë 😀 'quoted' \\ \t\n", "c_text": "é😀x" * 30000, "c_varchar": "naïve €", "c_utf8": "漢字 😀",
        "c_binary": bytes(range(20)), "c_blob": bytes(range(256)) * 400,
        "c_uuid": UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff"),
    },
    {
        "c_bigint": -(2**63), "c_int": -(2**31), "c_smallint": -32768, "c_tinyint": 0, "c_bit": False,
        "c_decimal": Decimal("-0.00000001"), "c_large": Decimal(-(10**38) + 1), "c_float": -0.0, "c_real": -2.25,
        "c_datetime2": datetime(1, 1, 1), "c_milli": datetime(1899, 12, 31, 0, 0, 0, 1000),
        "c_second": datetime(1970, 1, 1), "c_date": date(1, 1, 1), "c_time": time(0), "c_nvarchar": "", "c_text": "",
        "c_varchar": "", "c_utf8": "", "c_binary": b"", "c_blob": b"", "c_uuid": UUID(int=0),
    },
]  # fmt: skip


@pytest.fixture
def table(sql_server: SqlServer, sql_database: str) -> Iterator[pyodbc.Connection]:
    columns = ", ".join(f"[{name}] {declared} NULL" for name, (declared, _) in COLUMNS.items())
    with sql_server.connect(sql_database) as connection:
        connection.execute(f"CREATE TABLE [dbo].[v] ([id] int NOT NULL PRIMARY KEY, {columns})")
        yield connection


def _read(connection: pyodbc.Connection) -> list[dict[str, Any]]:
    names = ", ".join(f"[{name}]" for name in COLUMNS)
    rows = connection.execute(f"SELECT {names} FROM [dbo].[v] ORDER BY [id]").fetchall()
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def _assert_equal(found: list[dict[str, Any]]) -> None:
    assert len(found) == len(ROWS)
    for got, wanted in zip(found, ROWS, strict=True):
        for name, value in wanted.items():
            same = UUID(got[name]) == value if name == "c_uuid" and value is not None else got[name] == value
            assert same, (name, got[name], value)


def test_values_come_back_as_they_went_in_by_parameters(table: pyodbc.Connection) -> None:
    names = ", ".join(f"[{name}]" for name in COLUMNS)
    marks = ", ".join("?" for _ in COLUMNS)
    for number, row in enumerate(ROWS):
        table.execute(f"INSERT INTO [dbo].[v] ([id], {names}) VALUES (?, {marks})", number, *row.values())
    _assert_equal(_read(table))


def test_values_come_back_as_they_went_in_by_bulk_copy(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    # The Rust core takes no uuid from a string, and writes every varchar in code page 1252 (measured).
    others = ("c_uuid", "c_utf8")
    columns = [name for name in COLUMNS if name not in others]
    arrays = [pa.array([row[name] for row in ROWS], COLUMNS[name][1]) for name in columns]
    batch = pa.record_batch([pa.array(range(len(ROWS)), pa.int32()), *arrays], names=["id", *columns])
    core = mssql_py_core.PyCoreConnection(sql_server.core(sql_database, packet_size=32767))
    try:
        reader = pa.RecordBatchReader.from_batches(batch.schema, [batch])
        result = core.cursor().bulkcopy_arrow(
            "[dbo].[v]", reader, timeout=0, keep_nulls=True, column_mappings=batch.schema.names
        )
    finally:
        core.close()
    assert result["rows_copied"] == len(ROWS)
    for number, row in enumerate(ROWS):
        table.execute(
            "UPDATE [dbo].[v] SET [c_uuid] = ?, [c_utf8] = ? WHERE [id] = ?", *(row[name] for name in others), number
        )
    _assert_equal(_read(table))


def test_values_come_back_through_the_rust_core(
    sql_server: SqlServer, sql_database: str, table: pyodbc.Connection
) -> None:
    table.execute(
        "INSERT INTO [dbo].[v] ([id], [c_bigint], [c_nvarchar], [c_decimal], [c_milli], [c_bit], [c_binary])"
        " VALUES (1, -5, N'é😀', -1.5, '2024-02-29 23:59:59.123', 1, 0x00FF)"
    )
    core = mssql_py_core.PyCoreConnection(sql_server.core(sql_database))
    try:
        cursor = core.cursor()
        cursor.execute(
            "SELECT [c_bigint], [c_nvarchar], [c_decimal], [c_milli], [c_bit], [c_binary], [c_text] FROM [dbo].[v]"
        )
        (row,) = cursor.fetchall()
    finally:
        core.close()
    assert tuple(row) == (-5, "é😀", Decimal("-1.50000000"), MOMENT, True, b"\x00\xff", None)


def test_fast_executemany_stores_every_row_with_its_nulls(table: pyodbc.Connection) -> None:
    cursor = table.cursor()
    cursor.fast_executemany = True
    rows = [(n, None if n % 3 == 0 else f"row {n}", Decimal(n) / 4, None if n % 2 else b"\x01") for n in range(300)]
    cursor.executemany("INSERT INTO [dbo].[v] ([id], [c_nvarchar], [c_decimal], [c_binary]) VALUES (?, ?, ?, ?)", rows)
    sql = "SELECT [id], [c_nvarchar], [c_decimal], [c_binary] FROM [dbo].[v] ORDER BY [id]"
    assert [tuple(row) for row in table.execute(sql).fetchall()] == rows


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("CONVERT(varchar(30), CAST('2024-02-29 23:59:59.1239' AS datetime2(3)), 121)", "2024-02-29 23:59:59.124"),
        ("CONVERT(varchar(30), CAST('2024-02-29' AS datetime2(7)), 121)", "2024-02-29 00:00:00.0000000"),
        ("CONVERT(varchar(30), CAST('2024-02-29 01:02:03' AS datetime2(0)), 121)", "2024-02-29 01:02:03"),
        ("CONVERT(varchar(30), CAST('2024-02-29 01:02:03' AS datetime2(3)), 126)", "2024-02-29T01:02:03.000"),
        ("CONVERT(varchar(10), CAST('2024-02-29' AS date), 121)", "2024-02-29"),
        ("CONVERT(varchar(50), CAST(-0.5 AS decimal(28,8)))", "-0.50000000"),
        ("CONVERT(nvarchar(20), CAST(1 AS bit))", "1"),
        ("CONVERT(varchar(max), 0xAB01, 2)", "AB01"),
        ("CONVERT(varchar(max), 0xAB01, 1)", "0xAB01"),
        ("CONVERT(varbinary(10), 'AB01', 2)", b"\xab\x01"),
        ("CONVERT(varchar(36), CAST('6f9619ff-8b86-d011-b42d-00c04fc964ff' AS uniqueidentifier))", "6F9619FF-8B86-D011-B42D-00C04FC964FF"),
        ("CONVERT(bigint, 0x0000000000000101)", 257),
        ("CONVERT(bigint, 0xFFFFFFFFFFFFFF)", 2**56 - 1),
        ("CONVERT(varchar(16), CAST(CAST(-1.5 AS float) + CAST(0 AS float) AS binary(8)), 2)", struct.pack(">d", -1.5).hex().upper()),
        ("CONVERT(varchar(8), CAST(CAST(1.5 AS real) AS binary(4)), 2)", struct.pack(">f", 1.5).hex().upper()),
        ("CAST(5 AS varbinary(8))", b"\0\0\0\5"),
        ("CAST(CAST(5 AS bigint) AS binary(10))", b"\0\0" + (5).to_bytes(8, "big")),
        ("CAST('12345' AS varchar(3))", "123"),
        ("CAST(N'a😀b' AS nvarchar(3))", "a😀"),
        ("DATALENGTH(N'a😀')", 6),
        ("DATALENGTH(CAST(N'é😀' COLLATE Latin1_General_100_BIN2_UTF8 AS varchar(max)))", 6),
        ("DATALENGTH('é')", 1),
        ("DATALENGTH(CAST(1 AS decimal(28,8)))", 13),
        ("LEN(N'a😀  ')", 3),
        ("CONCAT_WS('|', 'a', NULL, N'b', 1, CAST(1 AS bit))", "a|b|1|1"),
        ("CONCAT('a', NULL, 1)", "a1"),
        ("COALESCE('1' + CONVERT(varchar(20), NULL), '0')", "0"),
        ("CASE CAST(1 AS bit) WHEN 1 THEN '11' WHEN 0 THEN '10' ELSE '0' END", "11"),
        ("5 / 2", 2),
        ("CAST(9007199254740993 AS bigint) - 9007199254740992", Decimal(1)),
        ("9223372036854775807 + 1", Decimal(2**63)),
        ("CASE WHEN CAST(5 AS bigint) < 9223372036854775808 THEN 1 ELSE 2 END", 1),
        ("9999999999 / 3", Decimal("3333333333.000000000000")),
        ("-5 / 2", -2),
        ("-5 % 3", -2),
        ("5 / 2.0", Decimal("2.500000")),
        ("CAST(2.5 AS int)", 2),
        ("CAST(-2.7 AS bigint)", -2),
        ("CAST(1.005 AS decimal(5,2))", Decimal("1.01")),
        ("SUBSTRING(N'abcdef', 2, 3)", "bcd"),
        ("SUBSTRING(0x010203, 2, 2)", b"\2\3"),
        ("ISNULL(NULL, 'x')", "x"),
        ("NULLIF(1, 1)", None),
        ("IIF(1 = 2, 'a', 'b')", "b"),
        ("REPLACE(N'aXb', N'X', N'--')", "a--b"),
        ("LOWER(N'ÉCOLE') + UPPER(N'é')", "écoleÉ"),
        ("QUOTENAME('a]b')", "[a]]b]"),
        ("DATEDIFF_BIG(millisecond, CAST('1970-01-01' AS datetime2(3)), CAST('2024-01-01 00:00:00.005' AS datetime2(3)))", 1704067200005),
        ("DATEDIFF_BIG(millisecond, CAST('1970-01-01' AS datetime2(3)), CAST('1969-12-31 23:59:59.999' AS datetime2(3)))", -1),
        ("DATEDIFF(day, CAST('2024-01-01 23:59:59' AS datetime2(0)), CAST('2024-01-02' AS date))", 1),
        ("DATEADD(day, 1, CAST('2024-02-28' AS date))", date(2024, 2, 29)),
        ("UNICODE(N'😀')", 128512),
        ("0x", b""),
        ("CONVERT(varchar(20), CAST('23:59:59.999999' AS time(6)), 121)", "23:59:59.999999"),
        ("CASE WHEN N'ABC ' = N'abc' THEN 1 ELSE 0 END", 1),
        ("CASE WHEN N'ABC' = N'abc' COLLATE Latin1_General_100_BIN2 THEN 1 ELSE 0 END", 0),
        ("CASE WHEN N'É' = N'E' THEN 1 ELSE 0 END", 0),
        ("CASE WHEN N'abc' LIKE N'A%' THEN 1 ELSE 0 END", 1),
        ("CAST(CAST(12.5 AS float) AS varchar(20))", "12.5"),
        ("CAST(CAST(1234567.5 AS float) AS varchar(20))", "1.23457e+006"),
    ],
)  # fmt: skip
def test_an_expression_gives_what_sql_server_documents(sql_server: SqlServer, expression: str, wanted: object) -> None:
    with sql_server.connect() as connection:
        assert connection.execute(f"SELECT {expression}").fetchval() == wanted


def test_hashes_are_of_the_bytes_sql_server_has(sql_server: SqlServer) -> None:
    text = "Zoë 😀 漢"
    with sql_server.connect() as connection:
        utf16, utf8, sha, cp1252 = connection.execute(
            f"SELECT HASHBYTES('MD5', N'{text}'),"
            f" HASHBYTES('MD5', CAST(N'{text}' COLLATE Latin1_General_100_BIN2_UTF8 AS varchar(max))),"
            f" HASHBYTES('SHA2_256', N'{text}'), HASHBYTES('MD5', CAST(N'naïve €' AS varchar(20)))"
        ).fetchone()
    assert utf16 == hashlib.md5(text.encode("utf-16-le")).digest()
    assert utf8 == hashlib.md5(text.encode()).digest()
    assert sha == hashlib.sha256(text.encode("utf-16-le")).digest()
    assert cp1252 == hashlib.md5("naïve €".encode("cp1252")).digest()


def test_the_row_hash_of_verification_equals_one_computed_outside(table: pyodbc.Connection) -> None:
    rows = [(1, "Zoë 😀", Decimal("1.50000000"), MOMENT, True, b"\x00\xff"), (2, None, None, None, None, None)]
    table.cursor().executemany(
        "INSERT INTO [dbo].[v] ([id], [c_nvarchar], [c_decimal], [c_milli], [c_bit], [c_blob]) VALUES (?, ?, ?, ?, ?, ?)",
        rows,
    )
    total = table.execute(
        "SELECT SUM(CONVERT(decimal(38, 0), CONVERT(bigint, SUBSTRING(HASHBYTES('MD5', CAST(CONCAT_WS(NCHAR(31),"
        " CONVERT(nvarchar(max), [id]), [c_nvarchar], [c_decimal], CONVERT(nvarchar(40), [c_milli], 121), [c_bit],"
        " CONVERT(varchar(max), [c_blob], 2)) COLLATE Latin1_General_100_BIN2_UTF8 AS varchar(max))), 1, 7)))) FROM [dbo].[v]"
    ).fetchval()
    lines = ["1\x1fZoë 😀\x1f1.50000000\x1f2024-02-29 23:59:59.123\x1f1\x1f00FF", "2"]
    assert total == sum(int.from_bytes(hashlib.md5(line.encode()).digest()[:7], "big") for line in lines)


def test_a_concatenation_without_max_is_cut_at_4000_characters(sql_server: SqlServer) -> None:
    with sql_server.connect() as connection:
        sql = "SELECT LEN(CONCAT_WS(N'|', REPLICATE(N'a', 3000), REPLICATE(N'b', 3000)))"
        assert connection.execute(sql).fetchval() == 4000


def test_a_code_page_loses_what_it_does_not_hold(sql_server: SqlServer) -> None:
    with sql_server.connect() as connection:
        assert connection.execute("SELECT CAST(N'aΩ😀' AS varchar(10))").fetchval() == "a???"


def test_a_nul_character_is_refused_not_lost(table: pyodbc.Connection) -> None:
    with pytest.raises(pyodbc.Error, match=r"U\+0000"):
        table.execute("INSERT INTO [dbo].[v] ([id], [c_nvarchar]) VALUES (1, ?)", "a\0b")
    assert _read(table) == []


def test_result_types_are_told_exactly(table: pyodbc.Connection) -> None:
    cursor = table.execute("SELECT [id], [c_nvarchar], [c_decimal], [c_milli] FROM [dbo].[v]")
    described = {
        name: (kind, size, digits, nullable) for name, kind, _, size, _, digits, nullable in cursor.description
    }
    assert described["id"] == (int, 10, 0, False)
    assert described["c_nvarchar"][:2] == (str, 50)
    assert described["c_decimal"] == (Decimal, 28, 8, True)
    assert described["c_milli"][2] == 3
