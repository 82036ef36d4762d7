"""The stages `plan` and `inspect` as activities and orchestrator: what they write to staging and reports."""

import pytest

from activities import inspect, schema
from orchestrators.inspect import inspect_data
from shared import runpaths
from shared.errors import Finding, TransientError
from tests.integration.schema.conftest import Stand


def test_the_plan_goes_to_staging_and_its_ddl_to_the_reports(stand: Stand) -> None:
    answer = stand.planned()
    plan = stand.plan()
    assert answer["tables"] == len(plan.tables) > 40
    assert answer["rows"] == sum(table.rows for table in plan.tables if table.content == "copy")
    script = stand.reports.download_blob(answer["ddl_blob"]).readall().decode()
    assert script.count("CREATE TABLE") == len(plan.tables)
    assert "PRIMARY KEY CLUSTERED" in script


def test_planning_twice_writes_the_same(stand: Stand) -> None:
    first = stand.planned()
    plan = stand.plan()
    assert stand.planned() == first
    assert stand.plan() == plan


def test_late_deliveries_of_planning_and_settling_leave_plan_and_script_as_they_are(
    stand: Stand, restored_with_problems: str
) -> None:
    stand.database = restored_with_problems
    stand.request(options={"remedies": {"UNIQUE_NULLS": "filtered-index", "UNLIMITED_UNIQUE": "drop-constraint"}})
    ddl = stand.call(schema.plan_database)["ddl_blob"]
    stand.drive(inspect_data)
    plan, script = stand.plan(), stand.reports.download_blob(ddl).readall()
    stand.call(schema.plan_database)
    assert (stand.plan(), stand.reports.download_blob(ddl).readall()) == (plan, script)
    fitted = plan.model_copy(update={"notes": ["fitted to the schema that the runtime made"]})
    stand.staging.upload_blob(runpaths.of_run(stand.run.id, runpaths.PLAN), fitted.model_dump_json(), overwrite=True)
    stand.call(inspect.settle_inspection, findings=[])
    assert stand.plan() == fitted


def test_a_run_that_0_1_has_planned_gets_its_remedies_though_a_plan_is_there_already(
    stand: Stand, restored_with_problems: str
) -> None:
    stand.database = restored_with_problems
    stand.request(options={"remedies": {"UNIQUE_NULLS": "filtered-index", "UNLIMITED_UNIQUE": "drop-constraint"}})
    stand.call(schema.plan_database)
    made = stand.staging.download_blob(runpaths.of_run(stand.run.id, runpaths.BASE_PLAN)).readall()
    stand.staging.upload_blob(runpaths.of_run(stand.run.id, runpaths.PLAN), made)
    stand.drive(inspect_data)
    (key,) = [one for one in stand.plan().table("customers$party").indexes if one.unique]
    assert key.where


def test_a_sound_database_passes_the_inspection_without_a_target_to_ask(stand: Stand) -> None:
    stand.call(schema.plan_database)
    assert stand.drive(inspect_data) == []
    assert stand.statuses[-1]["done"]["tables"] == stand.statuses[-1]["total"]["tables"] > 30
    assert stand.statuses[-1]["done"]["rows"] == stand.statuses[-1]["total"]["rows"]


def test_a_dry_run_without_a_target_to_ask_says_which_collation_it_assumes(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect, "LOGIN_SECONDS", 2)
    stand.request(options={"collation": None, "dry_run": True})
    stand.call(schema.plan_database)
    (finding,) = stand.drive(inspect_data)
    assert (finding.code, finding.severity, finding.object) == ("COLLATION_ASSUMED", "warning", "test")
    assert "SQL_Latin1_General_CP1_CI_AS" in finding.message


def test_a_migration_is_not_judged_by_a_collation_that_nobody_asked_for(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect, "LOGIN_SECONDS", 2)
    stand.request(options={"collation": None})
    stand.call(schema.plan_database)
    with pytest.raises(TransientError, match="SQL_"):
        inspect.plan_inspection(None, stand.work)


def test_chosen_remedies_are_in_the_findings_the_plan_and_the_script(stand: Stand, restored_with_problems: str) -> None:
    stand.database = restored_with_problems
    remedies = {"UNIQUE_NULLS": "filtered-index", "UNLIMITED_UNIQUE": "drop-constraint"}
    stand.request(options={"remedies": remedies})
    ddl = stand.call(schema.plan_database)["ddl_blob"]
    findings = stand.drive(inspect_data)
    chosen = {one.code: one.chosen for one in findings if one.chosen}
    assert chosen == {"UNIQUE_NULLS": "filtered-index", "UNLIMITED_UNIQUE": "drop-constraint"}
    script = stand.reports.download_blob(ddl).readall().decode()
    assert "WHERE [customernumber] IS NOT NULL" in script
    assert "-- Left out (UNLIMITED_UNIQUE: drop-constraint, as the request chose)" in script
    (key,) = [one for one in stand.plan().table("customers$party").indexes if one.unique]
    assert key.where


def test_the_inspection_done_twice_makes_the_same_plan(stand: Stand, restored_with_problems: str) -> None:
    stand.database = restored_with_problems
    remedies = {"DANGLING_REFERENCE": "null", "TOO_LONG_UTF16": "truncate", "NUMERIC_NOT_FINITE": "null"}
    stand.request(options={"remedies": remedies})
    stand.call(schema.plan_database)
    first = stand.drive(inspect_data)
    plan = stand.plan()
    assert stand.drive(inspect_data) == first
    assert stand.plan() == plan


def test_a_remedy_that_fits_nothing_is_said_to_be_unused(stand: Stand) -> None:
    stand.request(options={"remedies": {"UNIQUE_NULLS:crm$customer.name": "filtered-index"}})
    stand.call(schema.plan_database)
    (finding,) = stand.drive(inspect_data)
    assert (finding.code, finding.severity) == ("REMEDY_UNUSED", "warning")
    assert finding.object == "UNIQUE_NULLS:crm$customer.name"


def test_a_remedy_whose_code_is_misspelt_is_said_to_be_unused(stand: Stand) -> None:
    misspelt = {"UNIQUE_NUL": "filtered-index", "CASCADE_PATHS:no$such": "leave-out"}
    stand.request(options={"remedies": misspelt | {"TARGET_IN_USE": "accept"}})
    findings = [Finding.model_validate(one) for one in stand.call(schema.plan_database)["findings"]]
    unused = {one.object for one in findings if one.code == "REMEDY_UNUSED"}
    assert unused == set(misspelt)
    assert stand.drive(inspect_data) == []


@pytest.mark.parametrize("purpose", ["cutover", "rehearsal"])
def test_rows_of_tables_that_start_empty_are_not_inspected(stand: Stand, purpose: str) -> None:
    stand.request(options={"purpose": purpose})
    stand.call(schema.plan_database)
    stand.source("UPDATE \"system$queuedtask\" SET queuename = repeat('🚚', 200)")
    found = {one.code for one in stand.drive(inspect_data)}
    assert found == ({"TOO_LONG_UTF16"} if purpose == "cutover" else set())


def test_keys_that_a_remedy_leaves_out_by_the_way_are_warnings_of_the_inspection(
    stand: Stand, restored_with_problems: str
) -> None:
    stand.database = restored_with_problems
    stand.request(options={"remedies": {"TOO_LONG_UTF16": "widen"}})
    stand.call(schema.plan_database)
    found = {one.object for one in stand.drive(inspect_data) if one.code == "KEY_LEFT_OUT"}
    party = stand.plan().table("customers$party")
    assert found == {f"customers$party.{key.name}" for key in party.indexes if key.omitted} != set()
