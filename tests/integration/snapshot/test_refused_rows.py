"""Rows that PostgreSQL does not take: the refusal says where they stand and of which kind, and shows no value of theirs."""

import psycopg
import pytest

from local.postgres import PostgresServer
from shared.errors import Refusal
from shared.postgres import postdata
from shared.postgres.loading import Destination, load_table
from shared.postgres.temporary import OUR_TABLES
from shared.snapshot.restoring import TableData
from tests.fixtures.postgres import settings_of

TABLE = TableData(entry=1, schema_name="public", table="t", columns=["id", "email"], offset=0)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (b"1\ta@b\nSECRET\tc@d\n", "InvalidTextRepresentation (22P02) in line 2, column id"),
        (b"1\t\\N\n", "NotNullViolation (23502) in line 1, column email"),
        (b"1\tSECRET\n2\n", "BadCopyFileFormat (22P04) in line 2"),
        (b"-1\tSECRET\n", "CheckViolation (23514) in line 1, constraint t_id_check"),
        (b"1\tSECRET, column x: y and more than the column takes\n", "StringDataRightTruncation (22001) in line 1, column email"),
    ],
)  # fmt: skip
def test_a_refused_row_is_named_by_its_place_and_never_by_its_values(
    postgres_server: PostgresServer, database: str, rows: bytes, found: str
) -> None:
    with psycopg.connect(postgres_server.dsn(database)) as connection:
        connection.execute(OUR_TABLES.encode())
        connection.execute("CREATE TABLE public.t (id int CHECK (id > 0), email varchar(20) NOT NULL)")
    with pytest.raises(Refusal) as caught:
        load_table(Destination(settings_of(postgres_server, database), database, "UTF8"), TABLE, [rows])
    assert (caught.value.code, caught.value.about) == ("DUMP_ROW_REFUSED", "public.t")
    assert caught.value.message == f"expected PostgreSQL to take every row, found: {found}."


@pytest.mark.parametrize("rows", [b"1\tone\n\\.\n2\ttwo\n", b"1\tone\r2\ttwo\r", b"1\tone\n2\ttwo"])
def test_a_text_of_which_postgresql_takes_not_one_row_a_line_is_refused_and_nothing_of_it_is_kept(
    postgres_server: PostgresServer, database: str, rows: bytes
) -> None:
    with psycopg.connect(postgres_server.dsn(database)) as connection:
        connection.execute(OUR_TABLES.encode())
        connection.execute("CREATE TABLE public.t (id int, email text)")
    with pytest.raises(Refusal, match=r"DUMP_ROW(S_DIFFER|_REFUSED)\] public.t"):
        load_table(Destination(settings_of(postgres_server, database), database, "UTF8"), TABLE, [rows])
    with psycopg.connect(postgres_server.dsn(database)) as connection:
        assert connection.execute("SELECT FROM public.t").rowcount == 0


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("CREATE INDEX i ON public.t ((name::int))", "InvalidTextRepresentation (22P02)"),
        ("CREATE UNIQUE INDEX i ON public.t (name)", "UniqueViolation (23505) in constraint i"),
        ("CREATE INDEX i ON public.t (nothing)", 'column "nothing" does not exist'),
    ],
)
def test_a_value_that_an_index_does_not_take_is_in_no_refusal(
    postgres_server: PostgresServer, database: str, statement: str, found: str
) -> None:
    with psycopg.connect(postgres_server.dsn(database)) as connection:
        connection.execute(OUR_TABLES.encode())
        connection.execute("CREATE TABLE public.t AS SELECT 'SECRET' AS name FROM generate_series(1, 2)")
        connection.execute("INSERT INTO mxferry.post_data VALUES (1, 'INDEX', 'public', 't', 'i', %s)", (statement,))
    server = settings_of(postgres_server, database)
    with pytest.raises(Refusal) as caught:
        postdata.make(server, database, postdata.Group(action="make", ordinals=(1,)))
    assert caught.value.message == f"expected PostgreSQL to make it, found: {found}."
