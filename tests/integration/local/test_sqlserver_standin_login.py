"""Logging in to the SQL Server stand-in with the drivers the project uses."""

import hashlib
import struct
import time

import mssql_py_core
import mssql_python
import pyodbc
import pytest

from tests.fixtures.sqlserver import SqlServer


def _core_value(settings: dict[str, object], sql: str) -> object:
    connection = mssql_py_core.PyCoreConnection(settings)
    try:
        cursor = connection.cursor()
        cursor.execute(sql)
        return cursor.fetchall()[0][0]
    finally:
        connection.close()


def test_odbc_logs_in_without_encryption(sql_server: SqlServer) -> None:
    with sql_server.connect(encrypt="no") as connection:
        assert connection.execute("SELECT DB_NAME()").fetchval() == "master"


def test_odbc_logs_in_with_encryption(sql_server_tls: SqlServer) -> None:
    with sql_server_tls.connect(encrypt="yes") as connection:
        assert connection.execute("SELECT 1").fetchval() == 1


def test_odbc_refuses_the_self_signed_certificate_unless_told_to_trust_it(sql_server_tls: SqlServer) -> None:
    with (
        pytest.raises(pyodbc.Error, match="certificate"),
        sql_server_tls.connect(encrypt="yes", TrustServerCertificate="no"),
    ):
        pass


def test_the_rust_core_logs_in_without_encryption(sql_server: SqlServer) -> None:
    assert _core_value(sql_server.core(), "SELECT DB_NAME()") == "master"


def test_the_rust_core_logs_in_with_encryption(sql_server_tls: SqlServer) -> None:
    settings = sql_server_tls.core(encryption="Mandatory", trust_server_certificate=True)
    assert _core_value(settings, "SELECT 1") == 1


def test_a_server_without_tls_cannot_be_reached_with_encryption(sql_server: SqlServer) -> None:
    with pytest.raises(pyodbc.Error), sql_server.connect(encrypt="yes"):
        pass


@pytest.mark.parametrize("packet_size", [512, 4096, 16384, 32767])
def test_every_packet_size_carries_a_long_result(sql_server: SqlServer, packet_size: int) -> None:
    with sql_server.connect(PacketSize=str(packet_size)) as connection:
        text = connection.execute("SELECT REPLICATE(CAST(N'é' AS nvarchar(max)), 50000)").fetchval()
    assert text == "é" * 50000


def test_a_wrong_password_is_18456(sql_server: SqlServer) -> None:
    with pytest.raises(pyodbc.Error, match=r"18456"), sql_server.connect(PWD="wrong"):
        pass
    with pytest.raises(RuntimeError, match="18456"):
        mssql_py_core.PyCoreConnection(sql_server.core(password="wrong"))


def test_an_unknown_database_is_4060(sql_server: SqlServer) -> None:
    with pytest.raises(pyodbc.Error, match="4060"), sql_server.connect("nowhere"):
        pass


def test_an_access_token_is_accepted_and_only_its_digest_is_told(sql_server_tls: SqlServer) -> None:
    token = "eyJ0eXAiOiJKV1QifQ.example.token"
    data = token.encode("utf-16-le")
    text = f"DRIVER={{{sql_server_tls.odbc().split('{', 1)[1].split('}', 1)[0]}}};SERVER={sql_server_tls.host},{sql_server_tls.port};"
    connection = pyodbc.connect(
        text + "Encrypt=yes;TrustServerCertificate=yes", attrs_before={1256: struct.pack("<I", len(data)) + data}
    )
    connection.close()
    told = sql_server_tls.statistics()
    assert hashlib.sha256(token.encode()).hexdigest() in told["tokens_sha256"]
    assert token not in str(told)


def test_the_rust_core_logs_in_with_an_access_token(sql_server_tls: SqlServer) -> None:
    settings = sql_server_tls.core(encryption="Mandatory", trust_server_certificate=True, access_token="another.token")
    del settings["user_name"], settings["password"]
    assert _core_value(settings, "SELECT 1") == 1
    assert hashlib.sha256(b"another.token").hexdigest() in sql_server_tls.statistics()["tokens_sha256"]


def test_a_server_that_was_not_told_to_accept_tokens_refuses_them(sql_server: SqlServer) -> None:
    settings = sql_server.core(access_token="some.token")
    del settings["user_name"], settings["password"]
    with pytest.raises(RuntimeError, match="18456"):
        mssql_py_core.PyCoreConnection(settings)


def test_a_session_is_seen_in_dm_exec_sessions_and_gone_after_it(sql_server: SqlServer) -> None:
    with sql_server.connect() as watcher:
        with sql_server.connect(APP="mxferry-test") as connection:
            number = connection.execute("SELECT @@SPID").fetchval()
            sql = "SELECT login_name FROM sys.dm_exec_sessions WHERE session_id = ? AND program_name = ?"
            assert watcher.execute(sql, number, "mxferry-test").fetchval() == "sa"
        for _ in range(200):
            if watcher.execute(sql, number, "mxferry-test").fetchone() is None:
                break
            time.sleep(0.05)
        else:
            pytest.fail("the session is still there")


def test_the_python_driver_logs_in_and_binds_parameters(sql_server: SqlServer) -> None:
    text = (
        f"Server={sql_server.host},{sql_server.port};Database=master;UID={sql_server.user};PWD={sql_server.password};"
        "Encrypt=no;TrustServerCertificate=yes"
    )
    connection = mssql_python.connect(text)
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT ?, ?, ?", 5, "é😀", None)
        assert tuple(cursor.fetchone()) == (5, "é😀", None)
        connection.rollback()
    finally:
        connection.close()
