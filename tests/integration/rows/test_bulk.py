"""The contract with mssql_py_core, which is no public API: every name and behaviour that `shared.sqlserver.bulk` uses.

When mssql-python or mssql-python-rs is upgraded, this file says what changed.
"""

import contextlib
import gc
import hashlib
import os
import socket
import struct
import sys
import threading
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace

import mssql_py_core
import pyarrow as pa
import pytest

from shared.copying.load import lost
from shared.copying.watchdog import Sockets, _open_sockets
from shared.settings import SqlServer
from shared.sqlserver import bulk
from shared.sqlserver.bulk import CORE_ERRORS, BulkSession, core_context, is_sql_port
from shared.sqlserver.errors import is_transient, number_of


def profile_of(server, database, **more):
    values = {"encrypt": "no", "user": server.user, "password": server.password, **more}
    return SqlServer(server=f"{server.host},{server.port}", database=database, **values)


@pytest.fixture
def database(sql_server, sql_database):
    with sql_server.connect(sql_database) as connection:
        connection.execute(
            "CREATE TABLE [dbo].[a$b] ([id] bigint NOT NULL, [text] nvarchar(5) NULL, [at] datetime2(3) NULL,"
            " [amount] decimal(28,8) NULL)"
        )
        yield connection


@pytest.fixture
def session(sql_server, sql_database, database):
    session = BulkSession(profile_of(sql_server, sql_database))
    yield session
    session.close()


SCHEMA = pa.schema(
    [("id", pa.int64()), ("text", pa.string()), ("at", pa.timestamp("us")), ("amount", pa.decimal128(28, 8))]
)


def reader(*rows):
    columns = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(SCHEMA.types)]
    return pa.RecordBatchReader.from_batches(SCHEMA, iter([pa.RecordBatch.from_arrays(columns, schema=SCHEMA)]))


ROW = (1, "é😀", datetime(2026, 1, 2, 3, 4, 5, 678000), Decimal("1.50000000"))


def load(session, source):
    return session.load("a$b", source, SCHEMA.names, table_lock=True)


def stored(database):
    return [
        tuple(row) for row in database.execute("SELECT [id], [text], [at], [amount] FROM [dbo].[a$b] ORDER BY [id]")
    ]


def test_the_names_we_touch_are_there():
    assert {"cursor", "close"} <= set(dir(mssql_py_core.PyCoreConnection))
    assert {"execute", "fetchall", "bulkcopy_arrow"} <= set(dir(mssql_py_core.PyCoreCursor))
    signature = mssql_py_core.PyCoreCursor.bulkcopy_arrow.__text_signature__
    for name in ("batch_size", "timeout", "column_mappings", "keep_identity", "table_lock", "keep_nulls"):
        assert f"{name}=" in signature


def test_a_load_and_t_sql_share_one_transaction(session, database):
    session.execute("BEGIN TRANSACTION")
    assert load(session, reader(ROW)) == 1
    assert session.query("SELECT @@TRANCOUNT") == [(1,)]
    session.rollback()
    assert stored(database) == []
    session.execute("BEGIN TRANSACTION")
    load(session, reader(ROW))
    session.execute("COMMIT TRANSACTION")
    assert stored(database) == [ROW]


def test_nulls_and_an_empty_source_are_loaded_as_such(session, database):
    assert load(session, reader()) == 0
    assert load(session, reader((2, None, None, None))) == 1
    assert stored(database) == [(2, None, None, None)]


def test_columns_are_matched_by_name_in_the_order_of_the_source(session, database):
    batch = pa.RecordBatch.from_arrays([pa.array(["x"]), pa.array([7])], names=["one", "two"])
    source = pa.RecordBatchReader.from_batches(batch.schema, iter([batch]))
    session.load("a$b", source, ["text", "id"], table_lock=False)
    assert stored(database) == [(7, "x", None, None)]


def test_a_source_that_fails_raises_and_the_rollback_leaves_nothing(session, database):
    def failing():
        yield pa.RecordBatch.from_arrays(
            [pa.array([value], kind) for value, kind in zip(ROW, SCHEMA.types, strict=True)], schema=SCHEMA
        )
        raise ConnectionError("the source is gone")

    session.execute("BEGIN TRANSACTION")
    with pytest.raises(CORE_ERRORS):
        load(session, pa.RecordBatchReader.from_batches(SCHEMA, failing()))
    session.rollback()
    assert stored(database) == []
    assert load(session, reader(ROW)) == 1, "the session can be used again"


def test_a_closed_session_leaves_nothing_for_the_garbage_collector_to_take_apart_within_another_ones_load(
    session, sql_server, sql_database, monkeypatch
):
    """The core's runtime cannot be dropped in a thread of such a runtime, where a load's source is called."""
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    cycle = [BulkSession(profile_of(sql_server, sql_database))]  # as an exception's traceback holds it
    cycle.append(cycle)
    cycle[0].close()
    gc.disable()
    try:
        del cycle

        def source():
            gc.collect()
            yield from reader(ROW)

        assert load(session, pa.RecordBatchReader.from_batches(SCHEMA, source())) == 1
    finally:
        gc.enable()
    assert seen == []


def test_the_servers_error_number_is_in_the_text(session, database):
    database.execute("ALTER TABLE [dbo].[a$b] ADD CONSTRAINT [pk] PRIMARY KEY CLUSTERED ([id])")
    with pytest.raises(CORE_ERRORS) as raised:
        load(session, reader(ROW, ROW))
    assert number_of(raised.value) == 2627
    with pytest.raises(CORE_ERRORS) as raised:
        session.execute("SELECT [nothing] FROM [dbo].[a$b]")
    assert number_of(raised.value) == 207


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ((1, "😀😀😀", None, None), "6"),  # three characters, six UTF-16 units
        ((None, "x", None, None), "(?i)null"),
    ],
)
def test_the_core_refuses_what_the_column_cannot_hold(session, database, row, word):
    session.execute("BEGIN TRANSACTION")
    with pytest.raises(CORE_ERRORS, match=word):
        load(session, reader(row))
    session.rollback()
    assert stored(database) == []


def test_the_core_truncates_timestamps_which_is_why_we_round_them(session, database):
    load(session, reader((1, None, datetime(2026, 1, 1, 0, 0, 0, 999999), None)))
    assert stored(database)[0][2] == datetime(2026, 1, 1, 0, 0, 0, 999000)


LOGIN, BULK = 0x10, 0x07
LARGE_PACKET = 32767


class Relay:
    """A relay before the server, which keeps type and payload of every packet that the client sends ([MS-TDS] 2.2.3)."""

    def __init__(self, server):
        self.packets = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._server = (server.host, server.port)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        with client, socket.create_connection(self._server) as server, client.makefile("rb") as requests:
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()
            while header := requests.read(8):
                kind, _, length = struct.unpack_from(">BBH", header)
                payload = requests.read(length - 8)
                self.packets.append((kind, payload))
                server.sendall(header + payload)

    def _answer(self, server, client):
        with contextlib.suppress(OSError):
            while some := server.recv(65536):
                client.sendall(some)

    def close(self):
        self._listener.close()


@pytest.fixture
def relay(sql_server):
    relay = Relay(sql_server)
    yield relay
    relay.close()


def test_the_login_and_the_load_have_packets_of_the_size_we_ask_for(relay, sql_server, sql_database, database):
    profile = profile_of(sql_server, sql_database).model_copy(update={"server": f"127.0.0.1,{relay.port}"})
    session = BulkSession(profile)
    rows = [(number, "x", None, None) for number in range(20_000)]
    assert load(session, reader(*rows)) == len(rows)
    session.close()
    (login,) = [payload for kind, payload in relay.packets if kind == LOGIN]
    assert struct.unpack_from("<I", login, 8) == (LARGE_PACKET,)
    assert max(len(payload) + 8 for kind, payload in relay.packets if kind == BULK) == LARGE_PACKET


def test_the_login_names_the_program(session, database):
    names = [
        row[0] for row in database.execute("SELECT program_name FROM sys.dm_exec_sessions WHERE is_user_process = 1")
    ]
    assert "mxferry" in names


@pytest.mark.skipif(sys.platform != "linux", reason="the driver does not give out its socket, /proc does")
def test_a_silent_connection_is_kept_alive(sql_server, sql_database):
    sockets = Sockets(lambda port: port == sql_server.port)
    session = BulkSession(profile_of(sql_server, sql_database), opening=sockets.opened_by)
    (descriptor,) = [number for inode, number in _open_sockets().items() if inode in sockets._opened]
    with socket.socket(fileno=os.dup(descriptor)) as own:
        assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 1
    session.close()


def test_a_server_that_accepts_and_says_nothing_is_given_up_within_the_connect_timeout(monkeypatch, sql_server):
    monkeypatch.setattr(bulk, "LOGIN_TIMEOUT", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        profile = profile_of(sql_server, "db").model_copy(update={"server": f"127.0.0.1,{silent.getsockname()[1]}"})
        with pytest.raises(CORE_ERRORS) as raised:
            BulkSession(profile)
    assert is_transient(raised.value) or lost(raised.value)


@pytest.mark.parametrize("encrypt", ["yes", "no"])
def test_the_session_is_encrypted_as_the_profile_says(sql_server_tls, encrypt):
    database = sql_server_tls.new_database()
    session = BulkSession(profile_of(sql_server_tls, database, encrypt=encrypt, trust_server_certificate=True))
    assert session.query("SELECT DB_NAME()") == [(database,)]
    session.close()


def test_a_self_signed_certificate_is_refused_unless_the_profile_trusts_it(sql_server_tls):
    database = sql_server_tls.new_database()
    with pytest.raises(CORE_ERRORS):
        BulkSession(profile_of(sql_server_tls, database, encrypt="yes"))


def test_without_a_password_the_login_is_an_access_token(sql_server_tls):
    seen = []

    def get_token(scope):
        seen.append(scope)
        return SimpleNamespace(token=f"token for {scope}")

    credential = SimpleNamespace(get_token=get_token)
    database = sql_server_tls.new_database()
    profile = profile_of(
        sql_server_tls, database, user=None, password=None, encrypt="yes", trust_server_certificate=True
    )
    tokens = []

    def opening(connect):
        tokens.extend(seen)  # fetched by now: the watchdog connects one session at a time
        return connect()

    BulkSession(profile, credential=credential, opening=opening).close()
    assert tokens == ["https://database.windows.net/.default"]
    token = "token for https://database.windows.net/.default"
    taken = sql_server_tls.statistics()["tokens_sha256"]
    assert {hashlib.sha256(token.encode(code)).hexdigest() for code in ("utf-8", "utf-16-le")} & set(taken)


def test_a_wrong_password_is_a_login_error_without_the_password(sql_server, sql_database):
    with pytest.raises(CORE_ERRORS) as raised:
        BulkSession(profile_of(sql_server, sql_database, password="not-the-password"))
    assert number_of(raised.value) == 18456
    assert "not-the-password" not in str(raised.value)


def test_a_context_has_either_a_login_or_a_token(sql_server):
    context = core_context(profile_of(sql_server, "db"))
    assert context["user_name"] == sql_server.user
    assert "access_token" not in context
    assert (context["connect_retry_count"], context["packet_size"]) == (0, 32767)


def test_the_ports_of_a_session_are_its_own_and_those_azure_redirects_to():
    profile = SqlServer(server="x.database.windows.net", database="d", user="u", password="p")
    assert [is_sql_port(profile, port) for port in (1433, 11007, 5432)] == [True, True, False]
    assert is_sql_port(profile.model_copy(update={"server": "127.0.0.1,4711"}), 4711)
