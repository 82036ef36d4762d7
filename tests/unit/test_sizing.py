"""The estimate: documented limits by service objective, and a formula that moves the way a migration does."""

import re
from pathlib import Path

import pytest

from shared.sizing import Capacity, Load, estimate, log_rate, row_rate, stages

GB = 1_000_000_000
LOAD = Load(rows=40_000_000, row_bytes=33 * GB, files=300_000, file_bytes=60 * GB, archive_bytes=70 * GB)


def capacity(objective: str, **more: object) -> Capacity:
    return Capacity.model_validate({"objective": objective, **more})


@pytest.mark.parametrize(
    ("objective", "megabytes_a_second"),
    [
        ("GP_Gen5_1", 4.5), ("GP_Gen5_2", 9.0), ("GP_Gen5_4", 18.0), ("GP_Gen5_8", 36.0), ("GP_Gen5_12", 50.0),
        ("GP_Gen5_80", 50.0), ("GP_S_Gen5_4", 18.0), ("BC_Gen5_2", 24.0), ("BC_Gen5_8", 96.0), ("BC_Gen5_40", 96.0),
        ("HS_Gen5_2", 100.0), ("HS_PRMS_8", 150.0), ("S3", 2.0), ("Basic", 0.5),
    ],
)  # fmt: skip
def test_the_log_rate_of_a_service_objective_is_the_documented_one(objective: str, megabytes_a_second: float) -> None:
    assert log_rate(objective) == pytest.approx(megabytes_a_second)


@pytest.mark.parametrize("objective", ["", "System", "ElasticPool", "GP_Gen5"])
def test_an_objective_without_a_known_limit_has_none(objective: str) -> None:
    assert log_rate(objective) is None


def test_a_small_target_is_bound_by_its_log_and_a_server_without_limit_by_the_sessions() -> None:
    assert row_rate(capacity("GP_Gen5_2"))[1] == "log rate of the target"
    assert row_rate(capacity(""))[1] == "sessions"
    assert row_rate(capacity("", parallel_chunks=8))[0] == 2 * row_rate(capacity("", parallel_chunks=4))[0]


def test_more_sessions_do_not_help_where_the_log_is_the_limit() -> None:
    assert row_rate(capacity("GP_Gen5_2", parallel_chunks=2)) == row_rate(capacity("GP_Gen5_2", parallel_chunks=16))


def test_loading_into_keys_writes_less_log_than_heaps_that_get_their_keys_after() -> None:
    assert estimate(LOAD, capacity("GP_Gen5_8", load="keys-first")).rows < estimate(LOAD, capacity("GP_Gen5_8")).rows


def test_scaling_up_shortens_the_load_in_proportion_to_the_log_rate() -> None:
    small, large = estimate(LOAD, capacity("GP_Gen5_2")), estimate(LOAD, capacity("GP_Gen5_8"))
    assert small.rows == pytest.approx(4 * large.rows)


def test_database_and_files_run_side_by_side() -> None:
    whole = estimate(LOAD, capacity("GP_Gen5_8"))
    without_files = estimate(LOAD.model_copy(update={"files": 0, "file_bytes": 0}), capacity("GP_Gen5_8"))
    assert whole.files > 0
    assert whole.total - whole.snapshot == pytest.approx(without_files.total - without_files.snapshot)


def test_many_small_files_are_bound_by_their_number_and_few_large_ones_by_their_bytes() -> None:
    many = LOAD.model_copy(update={"files": 10_000_000, "file_bytes": 1 * GB})
    few = LOAD.model_copy(update={"files": 10, "file_bytes": 500 * GB})
    assert estimate(many, capacity("")).files > estimate(many, capacity("", parallel_files=8)).files
    assert estimate(few, capacity("")).files == estimate(few, capacity("", parallel_files=8)).files


def test_a_burstable_server_restores_slower() -> None:
    assert estimate(LOAD, capacity("", burstable=True)).restore > estimate(LOAD, capacity("")).restore


@pytest.mark.parametrize("load", ["heap-first", "keys-first"])
@pytest.mark.parametrize("objective", ["GP_Gen5_2", "BC_Gen5_8", ""])
def test_the_stages_of_an_estimate_sum_up_to_its_total(objective: str, load: str) -> None:
    found = stages(LOAD, capacity(objective, load=load))
    side_by_side = max(found["copy"] + found["finish"] + found["verify"], found["files"])
    before = found["environment"] + found["snapshot"] + found["restore"]
    assert before + side_by_side == pytest.approx(estimate(LOAD, capacity(objective, load=load)).total)


def test_an_empty_load_takes_the_start_only() -> None:
    nothing = Load(rows=0, row_bytes=0, files=0, file_bytes=0, archive_bytes=0)
    assert estimate(nothing, capacity("GP_Gen5_2")).total == pytest.approx(300)


def test_the_worked_example_of_the_page_is_what_the_formula_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sizing.md").read_text()
    rows = re.findall(r"^\| (\w+), (heap-first|keys-first) \| (.+) \|$", page, re.MULTILINE)
    assert len(rows) >= 5
    for objective, load, cells in rows:
        found = estimate(LOAD, capacity(objective, load=load))
        expected = (found.snapshot, found.restore, found.rows + found.verify, found.files, found.total)
        assert cells.split(" | ") == [said(seconds) for seconds in expected], objective


def said(seconds: float) -> str:
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
