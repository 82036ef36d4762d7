"""The contract with ADBC's reader, and what errors in the middle of the rows become."""

import adbc_driver_manager
import pytest

from activities import copy
from shared.copying.source import Source, source_error
from shared.errors import TransientError
from shared.postgres.connection import adbc_uri
from shared.settings import settings

ROWS = "generate_series(1, 100000) AS g"


@pytest.fixture
def source(stand):
    source = Source(adbc_uri(settings().postgres, stand.database))
    yield source
    source.close()


def test_the_reader_under_the_drivers_public_one_keeps_the_sqlstate_of_an_error_in_the_middle_of_the_rows(source):
    seen = 0
    with source.snapshot() as snapshot, pytest.raises(adbc_driver_manager.Error) as raised:
        for batch in snapshot.batches(f"SELECT repeat('x', 1000) || (1 / (90000 - g)) FROM {ROWS}"):
            seen += batch.num_rows
    assert raised.value.sqlstate == "22012"
    assert seen > 0, "the error came after rows had been read"


def test_a_session_that_is_ended_in_the_middle_of_the_rows_is_worth_another_try(stand, source):
    with source.snapshot() as snapshot, pytest.raises(adbc_driver_manager.Error) as raised:
        for _ in snapshot.batches(f"SELECT repeat('x', 1000) FROM {ROWS}"):
            stand.postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'mxferry'"
            )
    # PostgreSQL's farewell (57P01) is read if it comes before the connection is seen to be closed.
    assert raised.value.sqlstate in ("57P01", None)
    assert isinstance(source_error(raised.value, "t chunk 0"), TransientError)


def expression(stand, column, text):
    def change(table):
        columns = [
            one.model_copy(update={"expression": text}) if (table.name, one.name) == ("shop$order", column) else one
            for one in table.columns
        ]
        return table.model_copy(update={"columns": columns})

    stand.replan(change)
    stand.create_tables()


def first_answer(stand):
    _, jobs = stand.jobs()
    return copy.copy_chunks(None, jobs[0])


def test_an_expression_that_fails_on_a_row_is_refused_at_once_with_table_chunk_and_sqlstate(stand):
    expression(stand, "number", "1 / (number - 1500)")
    refused = first_answer(stand)["refused"]
    assert (refused["code"], refused["object"]) == ("SOURCE_REFUSED", "shop$order chunk 0")
    assert "SQLSTATE: 22012" in refused["message"]
    assert refused["remedy"]


def test_the_value_that_does_not_go_through_an_expression_is_not_told(stand):
    expression(stand, "number", "CASE WHEN number = 1500 THEN code::bigint ELSE number END")
    refused = first_answer(stand)["refused"]
    assert "SQLSTATE: 22P02" in refused["message"]
    assert "A-1500" not in refused["message"]
    assert "(not shown)" in refused["message"]


def test_an_error_that_comes_while_refused_rows_are_looked_for_is_about_the_source_too(stand):
    stand.postgres.execute("""UPDATE "shop$order" SET code = repeat('😀', 101) WHERE number = 3""")
    expression(stand, "quantity", "(CASE WHEN number = 1999 THEN 1 / (number - 1999) ELSE 1 END)::int")
    stand.option(max_rejects=5)
    refused = first_answer(stand)["refused"]
    assert (refused["code"], refused["object"]) == ("SOURCE_REFUSED", "shop$order chunk 0")
