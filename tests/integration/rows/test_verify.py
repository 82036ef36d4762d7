"""Verification must notice: each test damages the target in one way and expects it to be found and named."""

from datetime import datetime

import pyarrow as pa
import pytest

from activities import verify
from shared.copying.arrow import Conversion
from shared.databaseplan import PlannedColumn, PlannedTable
from shared.verification import naming, sample, slices
from shared.verification.aggregates import rounded_count


@pytest.fixture
def copied(stand):
    stand.create_tables()
    stand.copy()
    return stand


def id_of(stand, number):
    return stand.postgres.execute(f'SELECT id FROM "shop$order" WHERE number = {number}').fetchone()[0]


def outcomes(checks):
    return {check["name"]: check["outcome"] for check in checks}


def errors(findings):
    return {(finding.code, finding.object): finding for finding in findings if finding.severity == "error"}


def test_an_undamaged_copy_is_verified_and_the_checks_say_how(copied):
    copied.option(verify=["counts", "aggregates", "hash", "sample"])
    checks, findings, tables = copied.verify()
    assert errors(findings) == {}
    assert set(outcomes(checks).values()) == {"passed"}
    assert all(check["how"] for check in checks)
    counted = {table.name: (table.rows_source, table.rows_copied, table.rows_target) for table in tables}
    assert counted["shop$order"] == (2000, 2000, 2000)
    assert counted["shop$nothing"] == (0, 0, 0)
    assert counted["system$session"] == (0, 0, 0)
    (rounded,) = [finding for finding in findings if finding.code == "TIMESTAMPS_ROUNDED"]
    assert rounded.count > 1000


@pytest.mark.parametrize("scale", range(6))
def test_timestamps_that_lose_digits_are_counted_for_every_scale_of_datetime2(stand, scale):
    moments = ["2024-02-29 10:00:00", "2024-02-29 10:00:00.9", "1969-12-31 23:59:59.98", "2024-02-29 10:00:00.987",
               "2024-02-29 10:00:00.9876", "2024-02-29 10:00:00.98765", "1969-12-31 23:59:59.987654", "infinity"]  # fmt: skip
    listed = ", ".join(f"('{moment}'::timestamp)" for moment in moments)
    column = PlannedColumn(
        name="at", source_name="at", source_type="timestamp without time zone", type=f"datetime2({scale})"
    )
    counted = rounded_count(PlannedTable(name="t", source_name="t", columns=[column]))
    row = stand.postgres.execute(f"SELECT {counted} FROM (VALUES {listed}) AS t (at)").fetchone()
    assert row == (6 - scale,)
    batch = pa.RecordBatch.from_arrays(
        [pa.array([datetime.fromisoformat(one) for one in moments[:-1]], pa.timestamp("us"))], names=["at"]
    )
    assert Conversion([column])(batch).rounded == row[0], "as the copy counts them"


def test_what_was_not_asked_for_is_listed_as_skipped(copied):
    copied.option(verify=["counts"])
    checks, _, _ = copied.verify()
    assert outcomes(checks) == {
        "row counts": "passed", "column aggregates": "skipped", "row hash": "skipped", "sampled read-back": "skipped",
    }  # fmt: skip
    assert "Not asked for" in checks[1]["detail"]


# What is damaged: column, assignment, the number of the order. Each is a row of its own, so one run finds all of them.
DAMAGES = {
    "one character": ("code", "[code] = N'B-4'", 4),
    "the case of one letter": ("code", "[code] = N'a-5'", 5),
    "a trailing blank": ("code", "[code] = N'A-6 '", 6),
    "one digit": ("amount", "[amount] = [amount] + 0.00000001", 7),
    "a value instead of NULL": ("code", "[code] = N''", 11),
    "NULL instead of an empty text": ("code", "[code] = NULL", 12),
    "NULL instead of a value": ("paid", "[paid] = NULL", 16),
    "one millisecond": ("ordered", "[ordered] = '2000-01-01 18:00:17.000'", 18),
    "one bit": ("paid", "[paid] = 0", 19),
    "one byte": ("payload", "[payload] = 0x00", 20),
}


def damage(copied, what):
    column, assignment, number = DAMAGES[what]
    assert copied.target.execute(f"UPDATE [dbo].[shop$order] SET {assignment} WHERE [number] = {number}").rowcount == 1
    return f"id {id_of(copied, number)}: differs in {column}"


def test_every_changed_value_is_noticed_and_its_row_and_column_are_named(copied):
    expected = [damage(copied, what) for what in DAMAGES]
    copied.option(verify=["hash"])
    checks, findings, _ = copied.verify()
    finding = errors(findings)["ROWS_DIFFER", "shop$order"]
    assert sorted(finding.examples) == sorted(expected)
    assert finding.message == "expected equal rows on both sides, found 10 changed."
    assert outcomes(checks)["row hash"] == "failed"


def test_one_changed_character_alone_is_noticed(copied):
    expected = damage(copied, "one character")
    _, findings, _ = copied.verify()
    finding = errors(findings)["ROWS_DIFFER", "shop$order"]
    assert (finding.examples, finding.count) == ([expected], 1)


def test_aggregates_alone_notice_the_columns(copied):
    for what in DAMAGES:
        damage(copied, what)
    copied.option(verify=["aggregates"])
    checks, findings, _ = copied.verify()
    examples = errors(findings)["AGGREGATES_DIFFER", "shop$order"].examples
    assert {example.split(":")[0] for example in examples} == {"code", "amount", "paid", "ordered", "payload"}
    assert outcomes(checks)["column aggregates"] == "failed"


def test_aggregates_of_more_columns_than_one_statement_takes_are_compared(copied, monkeypatch):
    monkeypatch.setattr(slices, "EXPRESSIONS_PER_SELECT", 7)
    expected = {damage(copied, what).rsplit(" ", 1)[1] for what in ("one digit", "one byte")}
    copied.option(verify=["aggregates"])
    checks, findings, _ = copied.verify()
    examples = errors(findings)["AGGREGATES_DIFFER", "shop$order"].examples
    assert {example.split(":")[0] for example in examples} == expected
    assert set(errors(findings)) == {("AGGREGATES_DIFFER", "shop$order")}
    assert outcomes(checks)["column aggregates"] == "failed"


def test_a_timestamp_rounded_down_instead_of_up_and_one_bit_of_a_float_are_noticed(copied):
    number, kept = copied.postgres.execute(
        """SELECT number, to_char(date_trunc('milliseconds', ordered), 'YYYY-MM-DD HH24:MI:SS.MS') FROM "shop$order"
            WHERE ordered - date_trunc('milliseconds', ordered) >= interval '500 microseconds' ORDER BY number LIMIT 1"""
    ).fetchone()
    copied.target.execute("UPDATE [dbo].[shop$order] SET [ordered] = ? WHERE [number] = ?", kept, number)
    copied.target.execute("UPDATE [dbo].[shop$order] SET [rate] = 0.57142857142857129 WHERE [number] = 4")
    _, findings, _ = copied.verify()
    assert sorted(errors(findings)["ROWS_DIFFER", "shop$order"].examples) == [
        f"id {id_of(copied, 4)}: differs in rate",
        f"id {id_of(copied, number)}: differs in ordered",
    ]


def test_a_dropped_a_doubled_and_an_additional_row_are_noticed_and_named(copied):
    copied.target.execute("DELETE FROM [dbo].[shop$order] WHERE [number] = 77")
    copied.target.execute("INSERT INTO [dbo].[shop$order] SELECT * FROM [dbo].[shop$order] WHERE [number] = 78")
    copied.target.execute("INSERT INTO [dbo].[shop$order] ([id]) VALUES (42)")
    checks, findings, _ = copied.verify()
    found = errors(findings)
    assert sorted(found["ROWS_DIFFER", "shop$order"].examples) == [
        f"id {id_of(copied, 77)}: missing on the target",
        f"id {id_of(copied, 78)}: expected 1 time, found 2 times on the target",
        "id 42: not expected on the target",
    ]
    assert found["COUNTS_DIFFER", "shop$order"].message == "expected 2,000 rows, found 2,001 on the target."
    assert outcomes(checks)["row counts"] == "failed"


def test_a_dropped_row_hidden_by_a_doubled_one_is_noticed(copied):
    copied.target.execute("DELETE FROM [dbo].[shop$order_customer] WHERE [shop$orderid] = ?", id_of(copied, 5))
    other = id_of(copied, 6)
    copied.target.execute(
        "INSERT INTO [dbo].[shop$order_customer] SELECT * FROM [dbo].[shop$order_customer] WHERE [shop$orderid] = ?",
        other,
    )
    copied.option(verify=["hash"])
    _, findings, _ = copied.verify()
    finding = errors(findings)["ROWS_DIFFER", "shop$order_customer"]
    assert finding.message == "expected equal rows on both sides, found 1 missing, 1 not expected or doubled."


def test_a_row_with_a_text_key_is_named_by_it_and_a_table_that_is_not_empty_is_noticed(copied):
    copied.target.execute("UPDATE [dbo].[mendixsystem$entity] SET [short] = 99 WHERE [entity_name] = N'Shop.Entity3'")
    copied.target.execute("INSERT INTO [dbo].[system$session] ([id]) VALUES (1)")
    key = copied.postgres.execute("SELECT md5('3')").fetchone()[0]
    _, findings, _ = copied.verify()
    found = errors(findings)
    assert found["ROWS_DIFFER", "mendixsystem$entity"].examples == [f"id {key}: differs in short"]
    assert found["COUNTS_DIFFER", "system$session"].message == "expected 0 rows, found 1 on the target."


def test_rows_without_a_whole_number_in_their_key_are_fetched_only_of_the_buckets_that_differ(copied, monkeypatch):
    fetched = []
    counted = naming._counted
    monkeypatch.setattr(naming, "_counted", lambda rows: fetched.append(len(rows)) or counted(rows))
    copied.target.execute("UPDATE [dbo].[mendixsystem$entity] SET [short] = 99 WHERE [entity_name] = N'Shop.Entity3'")
    copied.option(verify=["hash"])
    _, findings, _ = copied.verify()
    assert errors(findings)["ROWS_DIFFER", "mendixsystem$entity"].count == 1
    assert fetched
    assert all(rows < 10 for rows in fetched), "of 30 rows those in the two buckets that the row left and went to"


def test_rows_without_a_whole_number_in_their_key_that_are_too_many_are_not_held_and_not_named(copied, monkeypatch):
    monkeypatch.setattr(naming, "ROWS_LOOKED_INTO", 20)
    monkeypatch.setattr(naming, "_source_rows", lambda *_: pytest.fail("rows were fetched"))
    copied.target.execute("UPDATE [dbo].[mendixsystem$entity] SET [short] = [short] + 1")
    copied.option(verify=["hash"])
    checks, findings, _ = copied.verify()
    finding = errors(findings)["ROWS_DIFFER", "mendixsystem$entity"]
    assert (finding.examples, finding.count) == ([], None)
    assert "more than 20 rows, which are not named without a whole number in the primary key" in finding.message
    assert outcomes(checks)["row hash"] == "failed"


def test_the_sample_notices_a_change_without_the_hash(copied):
    copied.target.execute("UPDATE [dbo].[shop$customer] SET [name] = N'secret'")
    copied.option(verify=["sample"])
    _, findings, _ = copied.verify()
    finding = errors(findings)["SAMPLE_DIFFERS", "shop$customer"]
    assert finding.count == 20
    assert all(example.endswith(": name") for example in finding.examples)
    assert "secret" not in finding.model_dump_json(), "findings hold no values of rows"


def test_the_sample_reads_large_values_in_parts_and_notices_one_character_and_one_byte(copied, monkeypatch):
    monkeypatch.setattr(sample, "WIDE_ROW_BYTES", 100)
    monkeypatch.setattr(sample, "PART_BYTES", 64)
    copied.option(verify=["sample"])
    _, findings, _ = copied.verify()
    assert errors(findings) == {}
    copied.target.execute(
        "UPDATE [dbo].[shop$order] SET [remark] = LEFT([remark], 289) + N'é' + SUBSTRING([remark], 291, 4000) "
        "WHERE LEN([remark]) > 300"
    )
    copied.target.execute("UPDATE [dbo].[shop$order] SET [payload] = SUBSTRING([payload], 1, 90)")
    _, findings, _ = copied.verify()
    examples = errors(findings)["SAMPLE_DIFFERS", "shop$order"].examples
    assert {column for example in examples for column in example.split(": ")[1].split(", ")} == {"remark", "payload"}


def test_of_a_table_that_differs_everywhere_some_rows_are_named_and_the_rest_is_said(copied, monkeypatch):
    monkeypatch.setattr(naming, "ROWS_LOOKED_INTO", 100)
    copied.target.execute("UPDATE [dbo].[shop$order] SET [remark] = N'all the same'")
    copied.option(verify=["hash"])
    _, findings, _ = copied.verify()
    finding = errors(findings)["ROWS_DIFFER", "shop$order"]
    assert finding.message.endswith("further buckets of 64.")
    assert 0 < finding.count <= 100
    assert len(finding.examples) == 10
    assert all(example.endswith(": differs in remark") for example in finding.examples)


def test_large_tables_are_verified_in_slices_of_their_key(copied, monkeypatch):
    monkeypatch.setenv("VERIFY_SLICE_BYTES", str(64 * 1024))
    verify.settings.cache_clear()
    copied.option(verify=["counts", "aggregates", "hash", "sample"])
    _, findings, tables = copied.verify()
    assert errors(findings) == {}
    assert {table.rows_target for table in tables if table.name == "shop$order"} == {2000}
    copied.target.execute("DELETE FROM [dbo].[shop$order] WHERE [number] = 1999")
    _, findings, _ = copied.verify()
    assert errors(findings)["ROWS_DIFFER", "shop$order"].examples == [
        f"id {id_of(copied, 1999)}: missing on the target"
    ]
