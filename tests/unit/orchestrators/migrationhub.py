"""The orchestrations of a migration on a real engine, their activities doubles that answer what a test says."""

from datetime import UTC, datetime

import pytest

from orchestrators.calling import answering
from shared.contracts import Run
from shared.request import MigrationRequest
from tests.fixtures.driving import ORCHESTRATORS
from tests.fixtures.hub import task_hub

RUN_ID = "20261128t200000-abc123"
SNAPSHOT = {"kind": "full", "archive_blob": "a", "archive_bytes": 1, "files": 2, "file_bytes": 20,
            "dump": {"blob": "t", "offset": 0, "size": 1, "format": "1.14", "compression": "gzip",
                     "server_version": "15.1", "dump_version": "15.1"}}  # fmt: skip
PASSED = {"checks": [{"name": "rows", "outcome": "passed", "how": "counted"}], "findings": []}


def finding(code="BAD", severity="error", **more):
    return {"code": code, "severity": severity, "object": "x", "message": "expected a, found b.", **more}


class Doubles:
    """Answers of activities and stage orchestrators by name, and what was called in which order."""

    def __init__(self):
        self.calls = []
        self.reports = []
        self.answers = {
            "open_environment": {}, "scale_for_load": {}, "close_environment": {},
            "preflight": {"findings": []}, "record_findings": {"blob": "b"},
            "take_snapshot": SNAPSHOT,
            "restore_database": {"database": "run_x", "tables": 1, "rows": 5, "bytes": 50, "server_version": 150000},
            "plan_database": {"findings": [], "tables": 1, "rows": 5, "bytes": 50, "ddl_blob": "d"},
            "inspect_data": {"findings": []}, "forecast_end": {}, "command_app": {"state": "unknown", "manual": True, "patience_seconds": 0},
            "look_for_sessions": {"findings": []}, "create_schema": {"findings": []},
            "copy_rows": {"tables": 1, "chunks": 1, "rows": 5, "bytes": 50, "tables_blob": "t"},
            "finish_schema": {"findings": []}, "verify_rows": PASSED,
            "empty_container": {"files": 3, "more": False},
            "copy_files": {"files": 2, "bytes": 20}, "verify_files": PASSED, "end_other_side": {"blob": "b"},
            "reconcile_files": {"findings": []}, "smoke_tests": {"findings": [], "checks": []}, "heed_abort": {},
            "start_source": {"state": "done", "seconds": 0, "note": "the source app runs again", "outcome": "started"},
            "look_at_app": {"state": "stopped", "manual": False, "patience_seconds": 900},
            "leave_app": {"state": "running", "manual": False, "patience_seconds": 900},
            "take_stock": {"tables": 1, "rows": 3, "holding": {"a$b": 3}, "files": 1, "bytes": 9}, "write_report": {"blob": "r"}, "clean_up": {"done": ["staging deleted"], "findings": []},
        }  # fmt: skip

    def answer(self, name, payload):
        self.calls.append(name)
        if name == "write_report":
            self.reports.append(payload)
        found = self.answers[name]
        if isinstance(found, list):  # one answer after the other; the last one stays
            found = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(found, Exception):
            raise found
        return found(payload) if callable(found) else found


STAGES = ("open_environment", "scale_for_load", "close_environment",
          "take_snapshot", "restore_database", "inspect_data", "copy_rows", "finish_schema", "verify_rows",
          "copy_files", "verify_files", "start_source")  # fmt: skip


def named(name, function):
    function.__name__ = name
    return function


@pytest.fixture
def doubles():
    return Doubles()


@pytest.fixture
def hub(doubles):
    orchestrators = [ORCHESTRATORS[name] for name in ("migrate", "migrate_database", "migrate_files")]
    activities = []
    for name in doubles.answers:
        activity = f"do_{name}" if name in STAGES else name
        activities.append(named(activity, lambda _c, p, name=name: doubles.answer(name, p)))
        if name in STAGES:
            orchestrators.append(answering(named(name, _stage(activity))))
    with task_hub(orchestrators, activities) as client:
        yield client


def _stage(activity):
    def orchestrate(ctx, payload):
        return (yield ctx.call_activity(activity, input=payload))

    return orchestrate


def started(hub, *, late_midway=True, **more):
    request = MigrationRequest.model_validate(
        {"source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}, "target": "demo", **more}
    )
    run = Run(id=RUN_ID, request=request, created_at=datetime(2026, 11, 28, 20, 0, tzinfo=UTC), late_midway=late_midway)
    hub.schedule_new_orchestration("migrate", input=run.model_dump(mode="json"), instance_id=RUN_ID)


def ended(hub):
    state = hub.wait_for_orchestration_completion(RUN_ID, timeout=60)
    assert state.runtime_status.name == "COMPLETED", state.failure_details
    return state.get_output()


def app_of(*states):
    return [{"state": one, "manual": False, "patience_seconds": 900} for one in states]


def names_of(summary):
    return [(one["name"], one["state"]) for one in summary["stages"]]


def wait_until_waiting(hub, stage=""):
    import time

    for _ in range(300):
        state = hub.get_orchestration_state(RUN_ID)
        if (
            state
            and state.serialized_custom_status
            and '"waiting"' in state.serialized_custom_status
            and stage in state.serialized_custom_status
        ):
            return
        time.sleep(0.05)
    raise AssertionError("the run never waited")


LATE = {"ends_at": "2026-11-28T23:40:00Z", "late_seconds": 2400.0, "basis": "the last rehearsal"}


def window(policy):
    return {"end": "2099-11-28T23:00:00Z", "when_late": policy}


def in_the_cloud(**more):
    return {"kind": "mendix-cloud", "profile": "live", "stop_app": True, **more}
