"""COPY text: rows told apart wherever pieces are cut, rewritten, masked as PostgreSQL would mask them."""

import hmac

import pytest

from shared.errors import Refusal
from shared.snapshot.rowtext import (
    MaskedColumn,
    RowChanges,
    masked,
    rewrites_of,
    rewritten,
    rows_of,
    unescaped,
    whole_rows,
)

TEXT = b"1\tann@x\t\\N\n2\tbob\\t\\nx\tred\n3\t\tblue\n"
COLUMNS = ["id", "name", "key"]


def pieces(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 11, 100])
def test_rows_are_the_same_wherever_the_pieces_are_cut(size: int) -> None:
    assert list(rows_of(pieces(TEXT, size))) == TEXT[:-1].split(b"\n")
    assert b"".join(whole_rows(pieces(TEXT, size))) == TEXT
    assert all(block.endswith(b"\n") for block in whole_rows(pieces(TEXT, size)))


def test_no_text_has_no_rows_and_an_empty_line_is_a_row() -> None:
    assert list(rows_of([])) == []
    assert list(rows_of([b"\n\n"])) == [b"", b""]


def test_text_that_ends_in_the_middle_of_a_row_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        list(whole_rows([b"1\ta\n2\t"]))
    assert caught.value.code == "DUMP_UNREADABLE"


def test_without_changes_the_text_passes_as_it_is() -> None:
    assert list(rewritten([b"a", b"b\n"], rewrites_of(RowChanges(), COLUMNS, b"key"))) == [b"a", b"b\n"]


@pytest.mark.parametrize("size", [1, 5, 100])
def test_rows_are_left_out_and_columns_emptied(size: int) -> None:
    changes = RowChanges(left_out={"key": ["red"]}, emptied={"name": "refers to nothing"})
    assert (
        b"".join(rewritten(pieces(TEXT, size), rewrites_of(changes, COLUMNS, b"key"))) == b"1\t\\N\t\\N\n3\t\\N\tblue\n"
    )


def test_a_value_that_is_left_out_is_compared_as_copy_writes_it() -> None:
    changes = RowChanges(left_out={"name": ["bob\t\nx"]})
    assert b"".join(rewritten([TEXT], rewrites_of(changes, COLUMNS, b"key"))).count(b"\n") == 2


def test_masks_are_the_same_under_one_key_and_others_under_another() -> None:
    mask = MaskedColumn(column="name", how="hash", length=20)
    assert masked(mask, b"a")(b"x") == masked(mask, b"a")(b"x") != masked(mask, b"b")(b"x")
    assert len(masked(mask, b"a")(b"x")) == 20


def test_a_mask_keeps_null_and_hashes_the_value_not_its_escapes() -> None:
    mask = MaskedColumn(column="name", how="hash")
    assert masked(mask, b"run")(b"\\N") == b"\\N"
    assert masked(mask, b"run")(b"a\\tb").decode() == hmac.digest(b"run", b"a\tb", "sha256").hex()[:32]
    assert masked(MaskedColumn(column="name", how="blank"), b"run")(b"x") == b"\\N"


def test_escapes_are_undone() -> None:
    assert unescaped(b"a\\tb\\\\n\\b\\f\\n\\r\\v") == b"a\tb\\n\b\f\n\r\v"
