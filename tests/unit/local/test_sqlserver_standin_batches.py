"""How the SQL Server stand-in cuts a batch into statements."""

import pytest

from local.sqlserver.errors import SqlError
from local.sqlserver.parsing import Block, If, Simple, Try, parse_batch


def _texts(block: Block) -> list[str]:
    return [statement.text for statement in block.statements if isinstance(statement, Simple)]


@pytest.mark.parametrize(
    ("batch", "statements"),
    [
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SET NOCOUNT ON\nSET XACT_ABORT ON", ["SET NOCOUNT ON", "SET XACT_ABORT ON"]),
        ("DECLARE @x int\nSET @x = 1\nUPDATE t SET a = @x\nRETURN @x", ["DECLARE @x int", "SET @x = 1", "UPDATE t SET a = @x", "RETURN @x"]),
        ("INSERT INTO t (a) SELECT b FROM u", ["INSERT INTO t (a) SELECT b FROM u"]),
        ("WITH q AS (SELECT 1 AS a) SELECT a FROM q", ["WITH q AS (SELECT 1 AS a) SELECT a FROM q"]),
        ("SELECT 1 AS [select]; SELECT 'a;b''c' -- d; e\n", ["SELECT 1 AS [select]", "SELECT 'a;b''c'"]),
        ("SELECT CASE WHEN 1 = 1 THEN 2 END; SELECT 3", ["SELECT CASE WHEN 1 = 1 THEN 2 END", "SELECT 3"]),
        ("DROP TABLE IF EXISTS t; BEGIN TRANSACTION; COMMIT", ["DROP TABLE IF EXISTS t", "BEGIN TRANSACTION", "COMMIT"]),
        ("ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u (b) ON DELETE SET NULL", ["ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u (b) ON DELETE SET NULL"]),
        ("CREATE PROCEDURE p AS SELECT 1; SELECT 2", ["CREATE PROCEDURE p AS SELECT 1; SELECT 2"]),
        ("", []),
        (";;", []),
    ],
)  # fmt: skip
def test_a_batch_is_cut_where_statements_begin(batch: str, statements: list[str]) -> None:
    assert _texts(parse_batch(batch)) == statements


def test_if_takes_one_statement_or_a_block() -> None:
    (found,) = parse_batch("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION").statements
    assert isinstance(found, If)
    assert (found.condition, _texts(found.then), found.otherwise) == ("@@TRANCOUNT > 0", ["ROLLBACK TRANSACTION"], None)
    first, second = parse_batch("IF EXISTS (SELECT 1) BEGIN SELECT 1; SELECT 2 END ELSE SELECT 3; SELECT 4").statements
    assert isinstance(first, If)
    (inner,) = first.then.statements
    assert isinstance(inner, Block)
    assert _texts(inner) == ["SELECT 1", "SELECT 2"]
    assert isinstance(second, Simple)


def test_try_and_catch_are_two_blocks() -> None:
    (found,) = parse_batch("BEGIN TRY SELECT 1 END TRY BEGIN CATCH THROW END CATCH").statements
    assert isinstance(found, Try)
    assert (_texts(found.body), _texts(found.catch)) == (["SELECT 1"], ["THROW"])


@pytest.mark.parametrize("batch", ["BEGIN SELECT 1", "IF 1 = 1", "SELECT 'open", "BEGIN TRY SELECT 1 END TRY"])
def test_a_batch_that_does_not_end_well_is_a_syntax_error(batch: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse_batch(batch)
    assert caught.value.number in (102, 105)
