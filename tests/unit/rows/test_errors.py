"""What a driver's message says of an error without a number, and what it only quotes."""

import pytest

from shared.copying.load import lost, rows_refused
from shared.sqlserver.errors import is_transient

QUOTED = (
    "String length (300 characters) exceeds schema size (200) in column 'connection'",
    'Cannot convert column "timeout" at row 7',
    "Column [io error] does not take NULL",
    "expected a value of `eof`, found NULL",
)


@pytest.mark.parametrize("text", QUOTED)
def test_a_column_named_like_a_fault_of_the_network_is_none(text: str) -> None:
    error = RuntimeError(text)
    assert not is_transient(error)
    assert not lost(error)
    assert rows_refused(error)


@pytest.mark.parametrize("text", ["IO error: Broken pipe", "connection reset by peer", "Unexpected EOF in column 'a'"])
def test_a_lost_connection_is_told_by_the_words_of_the_driver(text: str) -> None:
    assert lost(RuntimeError(text))


def test_a_time_out_is_told_by_the_words_of_the_driver() -> None:
    assert is_transient(RuntimeError("Timeout while waiting for 'server'"))
    assert is_transient(
        RuntimeError("HYT00", "[HYT00] [Microsoft][ODBC Driver 18 for SQL Server]Login timeout expired")
    )
