"""Canonical texts value by value: in the real PostgreSQL, and on the SQL Server stand-in."""

import hashlib

import psycopg
import pytest

from shared.databaseplan import PlannedColumn
from shared.verification.canonical import Canonical, canonical, postgres_hash, tsql_hash

ASTRAL = "naïve 日本 😀"
MD5_OF_ABC = "900150983CD24FB0D6963F7D28E17F72"

# source type, target type, PostgreSQL literal, T-SQL literal, canonical text
VALUES = [
    ("bigint", "bigint", "NULL", "NULL", "0"),
    ("bigint", "bigint", "0", "0", "10"),
    ("bigint", "bigint", "-9223372036854775808", "-9223372036854775808", "1-9223372036854775808"),
    ("bigint", "bigint", "9223372036854775807", "9223372036854775807", "19223372036854775807"),
    ("integer", "int", "-2147483648", "-2147483648", "1-2147483648"),
    ("smallint", "smallint", "-32768", "-32768", "1-32768"),
    ("smallint", "tinyint", "0", "0", "10"),
    ("smallint", "tinyint", "255", "255", "1255"),
    ("boolean", "bit", "NULL", "NULL", "0"),
    ("boolean", "bit", "true", "1", "11"),
    ("boolean", "bit", "false", "0", "10"),
    ("numeric(28,8)", "decimal(28,8)", "NULL", "NULL", "0"),
    ("numeric(28,8)", "decimal(28,8)", "0", "0", "10.00000000"),
    ("numeric(28,8)", "decimal(28,8)", "0.5", "0.5", "10.50000000"),
    ("numeric(28,8)", "decimal(28,8)", "-0.00000001", "-0.00000001", "1-0.00000001"),
    ("numeric(28,8)", "decimal(28,8)", "99999999999999999999.99999999", "99999999999999999999.99999999", "199999999999999999999.99999999"),
    ("numeric", "decimal(28,8)", "1234.5", "1234.5", "11234.50000000"),
    ("numeric(10,0)", "decimal(10,0)", "12", "12", "112"),
    ("double precision", "float", "NULL", "NULL", "0"),
    ("double precision", "float", "1", "1", "13FF0000000000000"),
    ("double precision", "float", "0.1", "0.1", "13FB999999999999A"),
    ("double precision", "float", "-1e300", "-1e300", "1FE37E43C8800759C"),
    ("double precision", "float", "'-0'", "0", "10000000000000000"),
    ("real", "real", "NULL", "NULL", "0"),
    ("real", "real", "1", "1", "13F800000"),
    ("real", "real", "0.1", "0.1", "13DCCCCCD"),
    ("real", "real", "-3.4028235e38", "-3.4028235e38", "1FF7FFFFF"),
    ("real", "real", "'-0'", "0", "100000000"),
    ("timestamp without time zone", "datetime2(3)", "NULL", "NULL", "0"),
    ("timestamp without time zone", "datetime2(3)", "'2024-02-29 23:59:59.123'", "'2024-02-29 23:59:59.123'", "12024-02-29 23:59:59.123"),
    ("timestamp without time zone", "datetime2(3)", "'2024-02-29 00:00:00'", "'2024-02-29 00:00:00'", "12024-02-29 00:00:00.000"),
    ("timestamp without time zone", "datetime2(3)", "'2024-02-29 23:59:59.9995'", "'2024-03-01 00:00:00'", "12024-03-01 00:00:00.000"),
    ("timestamp without time zone", "datetime2(3)", "'2024-02-29 23:59:59.999499'", "'2024-02-29 23:59:59.999'", "12024-02-29 23:59:59.999"),
    ("timestamp without time zone", "datetime2(3)", "'1969-12-31 23:59:59.9995'", "'1970-01-01'", "11970-01-01 00:00:00.000"),
    ("timestamp without time zone", "datetime2(3)", "'1969-12-31 23:59:59.000500'", "'1969-12-31 23:59:59.001'", "11969-12-31 23:59:59.001"),
    ("timestamp without time zone", "datetime2(3)", "'1969-12-31 23:59:59.000499'", "'1969-12-31 23:59:59.000'", "11969-12-31 23:59:59.000"),
    ("timestamp without time zone", "datetime2(3)", "'0001-01-01'", "'0001-01-01'", "10001-01-01 00:00:00.000"),
    ("timestamp without time zone", "datetime2(3)", "'9999-12-31 23:59:59.999'", "'9999-12-31 23:59:59.999'", "19999-12-31 23:59:59.999"),
    ("timestamp without time zone", "datetime2(7)", "'2024-02-29 23:59:59.123456'", "'2024-02-29 23:59:59.123456'", "12024-02-29 23:59:59.1234560"),
    ("timestamp with time zone", "datetime2(3)", "'2024-06-01 12:00:00+02'", "'2024-06-01 10:00:00'", "12024-06-01 10:00:00.000"),
    ("date", "date", "'2024-02-29'", "'2024-02-29'", "12024-02-29"),
    ("character varying(200)", "nvarchar(200)", "NULL", "NULL", "0"),
    ("character varying(200)", "nvarchar(200)", "''", "N''", "1"),
    ("character varying(200)", "nvarchar(200)", "'a '", "N'a '", "1a "),
    ("character varying(200)", "nvarchar(200)", f"'{ASTRAL}'", f"N'{ASTRAL}'", f"1{ASTRAL}"),
    ("character varying(200)", "nvarchar(200)", "'it''s'", "N'it''s'", "1it's"),
    ("text", "nvarchar(max)", f"repeat('{ASTRAL}', 1000)", f"REPLICATE(CAST(N'{ASTRAL}' AS nvarchar(max)), 1000)", "1" + ASTRAL * 1000),
    ("uuid", "nvarchar(36)", "'0D3E301F-5551-46f8-ad44-8de2be084c95'", "N'0d3e301f-5551-46f8-ad44-8de2be084c95'", "10d3e301f-5551-46f8-ad44-8de2be084c95"),
    ("uuid", "uniqueidentifier", "NULL", "NULL", "0"),
    ("uuid", "uniqueidentifier", "'0D3E301F-5551-46f8-ad44-8de2be084c95'", "'0D3E301F-5551-46f8-ad44-8de2be084c95'", "10d3e301f-5551-46f8-ad44-8de2be084c95"),
    ("bytea", "varbinary(max)", "NULL", "NULL", "0"),
    ("bytea", "varbinary(max)", "''", "CAST('' AS varbinary(max))", "1D41D8CD98F00B204E9800998ECF8427E"),
    ("bytea", "varbinary(max)", "'abc'", "0x616263", f"1{MD5_OF_ABC}"),
]  # fmt: skip


def column(source_type, target_type, number=0):
    return PlannedColumn(name=f"c{number}", source_name=f"c{number}", source_type=source_type, type=target_type)


COLUMNS = [column(source, target, number) for number, (source, target, *_) in enumerate(VALUES)]
FIELDS = [canonical(one) for one in COLUMNS]


def row_hash(text):
    return int.from_bytes(hashlib.md5(text.encode()).digest()[:7], "big")


@pytest.fixture
def postgres(postgres_server, database):
    with psycopg.connect(postgres_server.dsn(database), autocommit=True) as connection:
        declared = ", ".join(f"c{number} {source}" for number, (source, *_) in enumerate(VALUES))
        connection.execute(f"CREATE TABLE v ({declared})")
        connection.execute(f"INSERT INTO v VALUES ({', '.join(postgres for _, _, postgres, _, _ in VALUES)})")
        yield connection


@pytest.fixture
def target(sql_server, sql_database):
    with sql_server.connect(sql_database) as connection:
        declared = ", ".join(f"[c{number}] {kind} NULL" for number, (_, kind, *_) in enumerate(VALUES))
        connection.execute(f"CREATE TABLE [dbo].[v] ({declared})")
        connection.execute(f"INSERT INTO [dbo].[v] VALUES ({', '.join(tsql for _, _, _, tsql, _ in VALUES)})")
        yield connection


def test_postgresql_gives_the_canonical_text_of_every_value(postgres):
    row = postgres.execute(f"SELECT {', '.join(field.postgres for field in FIELDS)} FROM v").fetchone()
    assert list(row) == [text for *_, text in VALUES]


def test_the_sql_server_stand_in_gives_the_canonical_text_of_every_value(target):
    row = target.execute(f"SELECT {', '.join(field.tsql for field in FIELDS)} FROM [dbo].[v]").fetchone()
    assert list(row) == [text for *_, text in VALUES]


def test_both_engines_give_the_same_row_hash(postgres, target):
    expected = row_hash("\x1f".join(text for *_, text in VALUES))
    assert postgres.execute(f"SELECT {postgres_hash(FIELDS)} FROM v").fetchone()[0] == expected
    assert target.execute(f"SELECT {tsql_hash(FIELDS)} FROM [dbo].[v]").fetchone()[0] == expected


def test_a_table_with_more_columns_than_one_call_takes_has_a_hash(postgres):
    many = [Canonical(f"c{number}", f"'1{number}'", "") for number in range(300)]
    expected = row_hash("\x1f".join(f"1{number}" for number in range(300)))
    assert postgres.execute(f"SELECT {postgres_hash(many)}").fetchone()[0] == expected


def test_infinity_is_neither_null_nor_a_moment(postgres):
    field = canonical(column("timestamp without time zone", "datetime2(3)"))
    text = field.postgres.replace('"c0"', "'infinity'::timestamp")
    assert postgres.execute(f"SELECT {text}").fetchone()[0] == "2"


def test_a_single_column_is_hashed_like_any_other(postgres):
    fields = FIELDS[:1]
    assert postgres.execute(f"SELECT {postgres_hash(fields)} FROM v").fetchone()[0] == row_hash("0")
    assert "CONCAT_WS" not in tsql_hash(fields)
