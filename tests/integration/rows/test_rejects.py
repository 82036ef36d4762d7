"""Rows that the driver or the server refuses: found one by one, written down, counted, or the end of the run."""

import json
import secrets
from datetime import UTC, datetime
from types import SimpleNamespace

import pyarrow as pa
import pytest
from azure.storage.blob import BlobServiceClient

from activities import cleanup, copy, report
from shared import runs
from shared.contracts import TableRows
from shared.copying import job, source
from shared.copying.load import RowRefused
from shared.copying.rejects import refused_rows
from shared.copying.stage import read_lines
from shared.errors import TransientError
from shared.reporting.model import Report
from shared.sqlserver import bulk
from tests.fixtures.appsettings import set_settings
from tests.integration.rows.conftest import opened


def spoil(stand, *numbers, set_="code = repeat('😀', 101)"):
    """Make rows that nvarchar(200) cannot take: 101 emoji are 202 UTF-16 units."""
    listed = ", ".join(str(number) for number in numbers)
    stand.postgres.execute(f'UPDATE "shop$order" SET {set_} WHERE number IN ({listed})')
    stand.replan()
    stand.create_tables()


def refusal(stand):
    _, jobs = stand.jobs()
    answers = [copy.copy_chunks(None, job) for job in jobs]
    return next(answer["refused"] for answer in answers if "refused" in answer)


def test_a_row_that_is_too_long_ends_the_run_and_is_named(stand):
    spoil(stand, 1234)
    refused = refusal(stand)
    assert (refused["code"], refused["object"]) == ("ROW_REFUSED", "shop$order chunk 0")
    row_id = stand.postgres.execute('SELECT id FROM "shop$order" WHERE number = 1234').fetchone()[0]
    assert f"id {row_id}" in refused["message"]
    assert "max_rejects" in refused["remedy"]
    assert f"runs/{stand.run.id}/rejects.ndjson in the reports container" in refused["remedy"]
    assert stand.count("shop$order") == 0
    (reject,) = stand.rejects("shop$order")
    assert reject.key == {"id": str(row_id)}
    assert reject.row["number"] == "1234"


@pytest.mark.parametrize(
    ("set_", "why"),
    [
        ("code = repeat('😀', 101)", "202"),
        ("ordered = 'infinity'", "column ordered: expected a timestamp from the year 1 to 9999"),
        ("ordered = '0044-03-15 BC'", "column ordered: expected a timestamp"),
        ("amount = 'NaN'", "column amount: "),
        ("rate = 'NaN'", "column rate: expected a finite number"),
    ],
)
def test_rows_within_the_limit_are_left_out_written_down_and_counted(stand, set_, why):
    spoil(stand, 5, 6, 1999, set_=set_)
    stand.option(max_rejects=3)
    copied = stand.copy()
    assert copied.rejected == 3
    rejects = stand.rejects("shop$order")
    assert sorted(int(reject.row["number"]) for reject in rejects) == [5, 6, 1999]
    assert all(why in reject.error for reject in rejects)
    tables = {table.name: table for table in read_lines(stand.staging, copied.tables_blob, TableRows)}
    assert (tables["shop$order"].rows_copied, tables["shop$order"].rejected) == (1997, 3)
    assert stand.count("shop$order") == 1997


def test_verification_expects_the_rejected_rows_to_be_missing(stand):
    spoil(stand, 5, 6)
    stand.option(max_rejects=2)
    stand.copy()
    checks, findings, _ = stand.verify()
    assert not [finding for finding in findings if finding.severity == "error"]
    assert {check["outcome"] for check in checks} == {"passed", "skipped"}


def test_more_rows_than_the_limit_end_the_run(stand):
    spoil(stand, 5, 6, 7)
    stand.option(max_rejects=2)
    assert refusal(stand)["code"] == "ROW_REFUSED"


def test_a_repeated_delivery_still_knows_how_many_were_rejected(stand):
    spoil(stand, 5)
    stand.option(max_rejects=1)
    _, jobs = stand.jobs()
    answers = [[copy.copy_chunks(None, job) for job in jobs] for _ in range(2)]
    assert [sum(answer["rejected"] for answer in one) for one in answers] == [1, 1]


def test_a_row_that_was_refused_once_and_taken_by_the_next_delivery_is_not_counted_as_left_out(stand):
    stand.create_tables()
    stand.target.execute("ALTER TABLE [dbo].[shop$order] ADD CONSTRAINT [small] CHECK ([number] <> 1234)")
    stand.option(max_rejects=1)
    planned, jobs = stand.jobs()
    with stand.server.faults("reset_before_commit"), pytest.raises(TransientError):
        copy.copy_chunks(None, jobs[0])
    assert len(stand.rejects("shop$order")) == 1
    stand.target.execute("ALTER TABLE [dbo].[shop$order] DROP CONSTRAINT [small]")
    for one in jobs:
        opened(copy.copy_chunks(None, one))
    assert stand.finish(planned).rejected == 0
    checks, _, _ = stand.verify()
    assert {check["outcome"] for check in checks} == {"passed", "skipped"}
    assert stand.count("shop$order") == 2000


@pytest.fixture
def reports(monkeypatch, azurite, stand):
    """The container of reports, apart from staging."""
    with BlobServiceClient.from_connection_string(azurite) as service:
        container = service.create_container(f"reports-{secrets.token_hex(4)}")
        set_settings(monkeypatch, {"STAGING__REPORTS_CONTAINER": container.container_name})
        yield container
        container.delete_container()


def closed(stand, verdict, **changes):
    """Report, clean up and report again, as a run ends; return the report and its page."""
    now = datetime.now(UTC).isoformat()
    ended = {**stand.work, "verdict": verdict, "target_written": True, "findings": []}
    told = ended | {"stages": [], "reported_at": now, "target_written_at": now, **changes}
    opened(report.write_report(None, told))
    assert opened(cleanup.clean_up(None, ended))["findings"] == []
    opened(report.write_report(None, told))
    read = lambda name: runs.read(f"runs/{stand.run.id}/{name}").decode()  # noqa: E731
    return Report.model_validate_json(read("report.json")), read("report.html"), read("rejects.ndjson")


@pytest.mark.parametrize("show", [False, True])
def test_rows_that_were_left_out_outlive_the_clean_up_in_report_and_blob(reports, stand, show):
    spoil(stand, 5, 6, 1999, set_="amount = 'NaN'")
    stand.option(max_rejects=3, show_values=show)
    copied = stand.copy()
    written, page, blob = closed(stand, "verified", answers={"copy": copied.model_dump(mode="json")})
    assert not list(stand.staging.list_blob_names(name_starts_with=f"runs/{stand.run.id}/"))
    ids = [str(row[0]) for row in stand.postgres.execute(
        'SELECT id FROM "shop$order" WHERE number IN (5, 6, 1999) ORDER BY id')]  # fmt: skip
    assert written.rejects is not None
    assert written.rejects.rows == 3
    assert [(row.table, row.key["id"]) for row in written.rejects.first] == [("shop$order", one) for one in ids]
    assert all("column amount: The string (not shown)" in row.error for row in written.rejects.first)
    assert all(one in page for one in ids)
    assert written.rejects.blob in page
    assert sorted(json.loads(line)["key"]["id"] for line in blob.splitlines()) == ids
    assert ('"quantity"' in blob) is show
    assert {table.name: table.rejected for table in written.tables}["shop$order"] == 3


def test_the_row_that_ended_the_run_outlives_the_clean_up_too(reports, stand):
    spoil(stand, 1234)
    refusal(stand)
    written, page, _ = closed(stand, "failed")
    assert written.rejects is not None
    assert written.rejects.rows == 1
    assert written.rejects.first[0].key["id"] in page


def taking(refuses):
    """A double of the target: keeps the batches that it takes; `refuses` says of all rows that it would then hold, why not."""
    held = []

    def take(batch):
        why = refuses([*held, *batch.column(0).to_pylist()])
        if why is None:
            held.extend(batch.column(0).to_pylist())
        return why

    return take, held


@pytest.mark.parametrize("bad", [[], [0], [9], [3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]])
def test_halving_finds_every_refused_row_and_keeps_the_others(bad):
    batch = pa.RecordBatch.from_arrays([pa.array(range(10))], names=["n"])
    take, held = taking(lambda rows: next((f"row {number}" for number in rows if number in bad), None))
    assert list(refused_rows(batch, take)) == [(number, f"row {number}") for number in bad]
    assert held == [number for number in range(10) if number not in bad]


def test_a_row_that_the_server_refuses_by_number_is_found_among_those_it_takes(stand):
    stand.create_tables()
    stand.target.execute("ALTER TABLE [dbo].[shop$order] ADD CONSTRAINT [small] CHECK ([number] <> 1234)")
    stand.option(max_rejects=1)
    copied = stand.copy()
    assert copied.rejected == 1
    (reject,) = stand.rejects("shop$order")
    assert reject.row["number"] == "1234"
    assert "conflicted with the CHECK constraint" in reject.error
    assert stand.count("shop$order") == 1999


@pytest.fixture
def keys_first(monkeypatch):
    """The profile's tables have their keys before the rows, before the stand reads its settings."""
    monkeypatch.setenv("TARGET__TEST__LOAD", "keys-first")


def test_two_rows_whose_keys_are_equal_only_to_the_target_are_told_apart_and_one_is_left_out(keys_first, stand):
    names = [f"K{number}" for number in range(30)]
    for name in names:
        stand.postgres.execute('INSERT INTO "mendixsystem$entity" VALUES (%s, %s, 1)', (name, name))
    stand.postgres.execute("INSERT INTO \"mendixsystem$entity\" VALUES ('k7', 'the same to the target', 1)")
    stand.replan()
    stand.create_tables(with_keys=True)
    stand.option(max_rejects=1)
    assert stand.copy().rejected == 1
    (reject,) = stand.rejects("mendixsystem$entity")
    assert reject.key == {"id": "k7"}
    assert stand.count("mendixsystem$entity") == 60


def test_without_rejects_the_equal_key_ends_the_run_and_the_remedy_names_the_collation(keys_first, stand):
    stand.postgres.execute("INSERT INTO \"mendixsystem$entity\" VALUES ('Key', 'a', 1), ('KEY', 'b', 1)")
    stand.replan()
    stand.create_tables(with_keys=True)
    refused = refusal(stand)
    assert (refused["code"], refused["object"]) == ("ROW_REFUSED", "mendixsystem$entity chunk 0")
    assert "id KEY" in refused["message"]
    assert "options.collation" in refused["remedy"]


@pytest.mark.parametrize("number", [40544, 9002, 1105])
def test_a_full_target_is_no_refused_row(stand, number):
    stand.create_tables()
    stand.option(max_rejects=100)
    with stand.server.faults("error_bulk", number=number):
        refused = refusal(stand)
    assert refused["code"] == "TARGET_FULL"
    assert "start the migration again" in refused["remedy"]
    assert not stand.rejects("shop$order")


def test_a_target_that_is_full_while_refused_rows_are_looked_for_rejects_none_of_them(stand):
    spoil(stand, 5)
    stand.option(max_rejects=100)
    with stand.server.faults("error_bulk", number=40544, skip=2) as control:
        assert refusal(stand)["code"] == "TARGET_FULL"
        assert control.fired() == {"error_bulk": 1}
    assert not stand.rejects("shop$order")


@pytest.mark.parametrize(
    ("clashes", "bad"),
    [
        ([(0, 1)], [1]),
        ([(0, 9)], [9]),
        ([(2, 3), (2, 8), (5, 6)], [3, 6, 8]),
        ([(0, 5), (1, 6), (2, 7), (3, 8), (4, 9)], [5, 6, 7, 8, 9]),
    ],
)
@pytest.mark.parametrize("parts", [1, 3])
def test_rows_that_are_refused_only_together_are_found_one_of_each_also_in_different_batches(clashes, bad, parts):
    batch = pa.RecordBatch.from_arrays([pa.array(range(10))], names=["n"])
    take, held = taking(lambda rows: "equal keys" if any(set(rows) >= set(clash) for clash in clashes) else None)
    found = []
    for part in range(parts):
        start, end = part * 10 // parts, (part + 1) * 10 // parts
        found += [start + index for index, _ in refused_rows(batch.slice(start, end - start), take)]
    assert found == bad
    assert held == [number for number in range(10) if number not in bad]


@pytest.fixture
def equal_keys(keys_first, stand, monkeypatch):
    """A chunk of several batches whose first key comes again in the last one, in other letters."""
    monkeypatch.setattr(source, "BATCH_BYTES", 4096)
    rows = "SELECT 'k' || i, repeat('x', 100), 1 FROM generate_series(1, 500) AS i"
    stand.postgres.execute(f'INSERT INTO "mendixsystem$entity" {rows}'.encode())
    stand.postgres.execute("INSERT INTO \"mendixsystem$entity\" VALUES ('K1', 'the same to the target', 1)")
    stand.replan()
    stand.create_tables(with_keys=True)
    return stand


def test_equal_keys_in_two_batches_of_a_chunk_are_told_apart_and_one_is_left_out(equal_keys):
    equal_keys.option(max_rejects=1)
    assert equal_keys.copy().rejected == 1
    (reject,) = equal_keys.rejects("mendixsystem$entity")
    assert reject.key == {"id": "K1"}
    assert equal_keys.count("mendixsystem$entity") == 530


def test_without_rejects_the_second_of_two_keys_in_different_batches_is_named(equal_keys):
    refused = refusal(equal_keys)
    assert (refused["code"], refused["object"]) == ("ROW_REFUSED", "mendixsystem$entity chunk 0")
    assert "id K1" in refused["message"]
    assert "options.collation" in refused["remedy"]
    assert equal_keys.count("mendixsystem$entity") == 0


def test_a_delivery_that_would_look_for_refused_rows_of_a_chunk_that_another_has_loaded_goes_by_the_ledger(
    equal_keys, monkeypatch
):
    equal_keys.option(max_rejects=1)
    _, jobs = equal_keys.jobs()
    before = [opened(copy.copy_chunks(None, one)) for one in jobs]
    written = [(blob.name, blob.etag) for blob in equal_keys.staging.list_blobs("runs/")]

    def refused_before_the_other_was_done(*_):
        raise RowRefused("equal keys")

    monkeypatch.setattr(job, "load_chunk", refused_before_the_other_was_done)
    again = [opened(copy.copy_chunks(None, one)) for one in jobs]
    assert again == before
    assert [(blob.name, blob.etag) for blob in equal_keys.staging.list_blobs("runs/")] == written


def test_a_delivery_waits_while_another_looks_for_refused_rows_and_writes_nothing(equal_keys, monkeypatch):
    monkeypatch.setattr(bulk, "LOCK_WAIT_MS", 300)
    equal_keys.option(max_rejects=1)
    _, jobs = equal_keys.jobs()
    answers = []
    written = job.write_lines

    def delivered_again_before_the_rejects_are_written(*arguments):
        monkeypatch.setattr(job, "write_lines", written)
        answers.extend(copy.copy_chunks(None, one) for one in jobs)
        assert equal_keys.rejects("mendixsystem$entity") == []
        written(*arguments)

    monkeypatch.setattr(job, "write_lines", delivered_again_before_the_rejects_are_written)
    assert equal_keys.copy().rejected == 1
    assert "busy" in [answer["stopped"] for answer in answers]
    assert equal_keys.count("mendixsystem$entity") == 530


@pytest.fixture
def ends_transactions(sql_server):
    """The server rolls the transaction back for a load that fails, though XACT_ABORT is OFF."""
    with sql_server.faults("doom_bulk", times=None) as control:
        yield
        assert control.fired()["doom_bulk"] > 0


def refused_by_the_driver(stand):
    spoil(stand, 5, 6, 1999)


def refused_by_the_server(stand):
    stand.create_tables()
    stand.target.execute(
        "ALTER TABLE [dbo].[shop$order] ADD CONSTRAINT [few] CHECK ([number] <> 5 AND [number] <> 6 AND [number] <> 1999)"
    )


@pytest.mark.parametrize("refused", [refused_by_the_driver, refused_by_the_server])
def test_refused_rows_are_found_on_a_server_that_ends_the_transaction_for_each(ends_transactions, stand, refused):
    refused(stand)
    stand.option(max_rejects=3)
    assert stand.copy().rejected == 3
    assert sorted(int(reject.row["number"]) for reject in stand.rejects("shop$order")) == [5, 6, 1999]
    assert stand.count("shop$order") == 1997
    assert {check["outcome"] for check in stand.verify()[0]} == {"passed", "skipped"}


def test_equal_keys_of_one_batch_are_told_apart_on_a_server_that_ends_the_transaction_for_them(
    ends_transactions, keys_first, stand
):
    stand.postgres.execute("INSERT INTO \"mendixsystem$entity\" VALUES ('Key', 'a', 1), ('KEY', 'b', 1)")
    stand.replan()
    stand.create_tables(with_keys=True)
    stand.option(max_rejects=1)
    assert stand.copy().rejected == 1
    (reject,) = stand.rejects("mendixsystem$entity")
    assert reject.key == {"id": "KEY"}
    assert stand.count("mendixsystem$entity") == 31


def test_equal_keys_are_a_refusal_where_the_server_ends_the_transaction_for_them(ends_transactions, equal_keys):
    equal_keys.option(max_rejects=1)
    refused = refusal(equal_keys)
    assert (refused["code"], refused["object"]) == ("DUPLICATE_ROW", "mendixsystem$entity chunk 0")
    assert equal_keys.count("mendixsystem$entity") == 0


def test_a_search_that_has_no_time_left_ends_the_run_with_what_it_has_found(stand, monkeypatch):
    monkeypatch.setattr(job, "SEARCH_SECONDS", 0)
    spoil(stand, 5, 6, 7)
    stand.option(max_rejects=1000)
    refused = refusal(stand)
    assert refused["code"] == "ROW_REFUSED"
    assert "too many to name. The first is the row with id" in refused["message"]
    assert [reject.row["number"] for reject in stand.rejects("shop$order")] == ["5"]
    assert stand.count("shop$order") == 0


@pytest.fixture
def time_for_one(monkeypatch):
    """Double of the clock: the time for the search is over as soon as rejects are written, which the first search does."""
    clock = SimpleNamespace(budgets=[])

    def begin(_):
        clock.budgets.append(SimpleNamespace(spent=False))
        return clock.budgets[-1]

    written = job.write_lines

    def write(*arguments):
        written(*arguments)
        clock.budgets[-1].spent = True

    monkeypatch.setattr(job, "Budget", begin)
    monkeypatch.setattr(job, "write_lines", write)
    return clock


def test_the_chunks_of_a_job_share_the_time_for_the_search_and_the_next_call_searches_those_for_which_there_was_none(
    stand, time_for_one
):
    spoil(stand, 5, 1999)
    stand.target.execute("ALTER TABLE [dbo].[shop$customer] ADD CONSTRAINT [c] CHECK ([name] <> N'Customer 7')")
    stand.option(max_rejects=3)
    planned, (one,) = stand.jobs()
    assert opened(copy.copy_chunks(None, one))["stopped"] == "searching"
    first, second = ("shop$order", "shop$customer") if stand.count("shop$order") else ("shop$customer", "shop$order")
    assert stand.count(first) > 0
    assert stand.count(second) == 0
    assert opened(copy.copy_chunks(None, one))["stopped"] is None
    assert len(time_for_one.budgets) == 2
    assert stand.finish(planned).rejected == 3
    assert (stand.count("shop$order"), stand.count("shop$customer")) == (1998, 99)
