"""The copy between a real PostgreSQL and the SQL Server stand-in."""

from decimal import Decimal

import pytest

from activities import copy
from shared.contracts import TableRows
from shared.copying.model import Job
from shared.copying.stage import read_lines
from shared.sqlserver.bulk import BulkSession
from shared.sqlserver.ledger import drop_ledger, forget_run, loaded_chunks
from tests.integration.rows.conftest import opened


def cells(stand, table, columns, order):
    names = ", ".join(f"[{name}]" for name in columns)
    rows = stand.target.execute(f"SELECT {names} FROM [dbo].[{table}] ORDER BY [{order}]").fetchall()
    return [tuple(row) for row in rows]


def test_every_row_arrives_once_and_the_ledger_says_so(stand):
    stand.create_tables()
    copied = stand.copy()
    assert (copied.rows, copied.rejected) == (2000 + 2000 + 100 + 30, 0)
    tables = {table.name: table for table in read_lines(stand.staging, copied.tables_blob, TableRows)}
    for name, rows in (("shop$order", 2000), ("shop$customer", 100), ("mendixsystem$entity", 30), ("shop$nothing", 0)):
        assert (tables[name].rows_source, tables[name].rows_copied, stand.count(name)) == (rows, rows, rows)
    assert tables["system$session"].content == "empty"
    assert stand.count("system$session") == 0
    assert sum(row.rows for row in loaded_chunks(stand.target, stand.run.id)) == copied.rows


def test_values_arrive_as_they_were(stand):
    stand.create_tables()
    stand.copy()
    names = ["id", "number", "code", "remark", "amount", "paid", "quantity", "payload", "rate", "system$owner"]
    quoted = ", ".join(f'"{name}"' for name in names)
    expected = stand.postgres.execute(f'SELECT {quoted} FROM "shop$order" ORDER BY id').fetchall()
    assert cells(stand, "shop$order", names, "id") == [tuple(row) for row in expected]


def test_timestamps_are_rounded_to_milliseconds_and_counted(stand):
    stand.create_tables()
    copied = stand.copy()
    finer = stand.postgres.execute(
        """SELECT count(*) FROM "shop$order" WHERE ordered <> date_trunc('milliseconds', ordered)"""
    ).fetchone()[0]
    assert copied.rounded == finer > 1000
    first = cells(stand, "shop$order", ["number", "ordered"], "number")[0]
    assert str(first[1]) == "2000-01-01 01:00:00.999000"  # …00.999001 was


def test_a_large_table_is_copied_in_many_chunks(stand, monkeypatch):
    monkeypatch.setenv("COPY_CHUNK_BYTES", str(64 * 1024))
    copy.settings.cache_clear()
    stand.create_tables()
    planned, jobs = stand.jobs()
    assert planned["chunks"] > 10
    assert len(jobs) > 8
    stand.copy()
    assert stand.count("shop$order") == 2000


def test_chunks_that_are_loaded_into_keys_hold_few_rows_and_tables_take_turns(stand, monkeypatch):
    monkeypatch.setenv("TARGET__TEST__LOAD", "keys-first")
    monkeypatch.setattr(copy, "MOST_ROWS", 300)
    copy.settings.cache_clear()
    stand.create_tables(with_keys=True)
    planned, _ = stand.jobs()
    blobs = [group["blob"] for group in planned["groups"]]
    chunks = [chunk for blob in blobs for job in read_lines(stand.staging, blob, Job) for chunk in job.chunks]
    assert sum(chunk.table == "shop$order" for chunk in chunks) == 7
    assert [chunk.number for chunk in chunks] == sorted(chunk.number for chunk in chunks)
    stand.copy()
    loaded = loaded_chunks(stand.target, stand.run.id)
    assert sum(one.rows for one in loaded if one.table == "shop$order") == 2000
    assert max(one.rows for one in loaded) < 600


@pytest.mark.parametrize("number", [40549, 40550, 40551, 40553])
def test_a_session_that_azure_ends_for_what_it_held_is_told_apart_from_a_crowd(stand, number):
    stand.create_tables()
    _, jobs = stand.jobs()
    with stand.server.faults("error_bulk", number=number):
        assert "greedy" in [copy.copy_chunks(None, one)["stopped"] for one in jobs]


def test_a_job_delivered_again_finds_its_chunks_in_the_ledger(stand):
    stand.create_tables()
    _, jobs = stand.jobs()
    first = opened(copy.copy_chunks(None, jobs[0]))
    again = opened(copy.copy_chunks(None, jobs[0]))
    assert (again["rows"], again["chunks"]) == (first["rows"], first["chunks"])
    copied = stand.copy()
    assert stand.count("shop$order") == 2000
    assert copied.rounded > 1000, "the ledger counts them also where an earlier delivery had loaded the chunk"


def test_a_predicate_and_an_expression_of_the_plan_decide_what_is_read(stand):
    def change(table):
        if table.name != "shop$customer":
            return table
        columns = [
            column.model_copy(update={"expression": "'N' || length(name) || '%'"}) if column.name == "name" else column
            for column in table.columns
        ]
        return table.model_copy(update={"columns": columns, "where": "id % 256 = 0", "rows": 50})

    stand.replan(change)
    stand.create_tables()
    stand.copy()
    names = {name for (name,) in cells(stand, "shop$customer", ["name"], "name")}
    assert stand.count("shop$customer") == 50
    assert names == {"N10%", "N11%", "N12%"}


def test_a_source_that_changed_since_it_was_planned_is_noticed(stand):
    stand.create_tables()
    stand.postgres.execute('DELETE FROM "shop$customer" WHERE id % 256 = 0')
    planned, jobs = stand.jobs()
    for job in jobs:
        opened(copy.copy_chunks(None, job))
    refused = copy.finish_copy(None, {**stand.work, "chunks": planned["chunks"]})["refused"]
    assert (refused["code"], refused["object"]) == ("ROWS_NOT_COPIED", "shop$customer")
    assert refused["message"] == "expected 100 rows, found 50 loaded and 0 refused."


def test_a_chunk_that_is_not_in_the_ledger_is_noticed(stand):
    stand.create_tables()
    planned, jobs = stand.jobs()
    for job in jobs:
        opened(copy.copy_chunks(None, job))
    stand.target.execute("DELETE FROM [dbo].[__mxferry_ledger] WHERE [table_name] = N'shop$customer'")
    refused = copy.finish_copy(None, {**stand.work, "chunks": planned["chunks"]})["refused"]
    assert refused["code"] == "ROWS_NOT_COPIED"
    assert (
        refused["message"]
        == f"expected {planned['chunks']} loaded chunks in the ledger, found {planned['chunks'] - 1}."
    )


def test_a_table_that_is_not_on_the_target_is_a_refusal_that_names_it(stand):
    stand.create_tables()
    stand.target.execute("DROP TABLE [dbo].[shop$customer]")
    _, jobs = stand.jobs()
    answers = [copy.copy_chunks(None, job) for job in jobs]
    refused = next(answer["refused"] for answer in answers if "refused" in answer)
    assert refused["object"].startswith("shop$customer chunk 0")


def test_rows_that_are_on_the_target_already_are_a_refusal_that_names_the_table(stand):
    stand.create_tables(with_keys=True)
    taken = stand.postgres.execute('SELECT id FROM "shop$customer" LIMIT 1').fetchone()[0]
    stand.target.execute("INSERT INTO [dbo].[shop$customer] ([id]) VALUES (?)", taken)
    _, jobs = stand.jobs()
    answers = [copy.copy_chunks(None, job) for job in jobs]
    refused = next(answer["refused"] for answer in answers if "refused" in answer)
    assert (refused["code"], refused["object"]) == ("DUPLICATE_ROW", "shop$customer chunk 0")
    assert "2627" in refused["message"]


def test_the_ledger_can_be_forgotten_and_dropped(stand):
    stand.create_tables()
    stand.copy()
    forget_run(stand.target, stand.run.id)
    assert loaded_chunks(stand.target, stand.run.id) == []
    drop_ledger(stand.target)
    drop_ledger(stand.target)
    assert stand.target.execute("SELECT OBJECT_ID(N'dbo.__mxferry_ledger', N'U')").fetchval() is None


@pytest.mark.parametrize("orders", [3])
def test_large_values_arrive_whole(stand):
    stand.postgres.execute(
        """UPDATE "shop$order" SET remark = repeat('é', 6000000), payload = decode(repeat('00ff', 5000000), 'hex')"""
    )
    stand.replan()
    stand.create_tables()
    stand.copy()
    for remark, payload in cells(stand, "shop$order", ["remark", "payload"], "id"):
        assert remark == "é" * 6000000
        assert payload == b"\x00\xff" * 5000000
    assert isinstance(cells(stand, "shop$order", ["amount"], "id")[0][0], Decimal)


@pytest.mark.parametrize("orders", [200])
def test_large_rows_among_ordinary_ones_go_one_by_one_in_the_transaction_of_their_chunk(stand, monkeypatch):
    stand.postgres.execute("""UPDATE "shop$order" SET remark = repeat('é', 3000000) WHERE number IN (7, 100)""")
    stand.postgres.execute("""UPDATE "shop$order" SET amount = 'NaN' WHERE number IN (9, 100)""")
    stand.option(max_rejects=2)
    stand.replan()
    stand.create_tables()
    loads = []
    load = BulkSession.load

    def counted(session, table, *more, **how):
        loads.append((table, load(session, table, *more, **how)))
        return loads[-1][1]

    monkeypatch.setattr(BulkSession, "load", counted)
    copied = stand.copy()
    assert copied.rejected == 2
    assert {reject.row["number"] for reject in stand.rejects("shop$order")} == {"9", "100"}
    together = [rows for table, rows in loads if table == "shop$order"]
    assert (sum(together), together[-1]) == (198, 1), "every row once, the large one alone"
    numbers = {number for (number,) in cells(stand, "shop$order", ["number"], "number")}
    assert numbers == set(range(1, 201)) - {9, 100}
    assert cells(stand, "shop$order", ["number", "remark"], "number")[6] == (7, "é" * 3000000)
    checks, _, _ = stand.verify()
    assert {check["outcome"] for check in checks} == {"passed", "skipped"}
