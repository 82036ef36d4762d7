"""Connections that break and errors that pass, injected into the SQL Server stand-in while a run goes on."""

from typing import Any

import pytest

from tests.e2e.stand import Stand

RESETS: tuple[dict[str, Any], ...] = (
    {"kind": "reset_bulk", "rows": 5},
    {"kind": "reset_before_commit", "skip": 2},
    {"kind": "reset_after_commit", "skip": 4, "times": 2},
)
ERRORS: tuple[dict[str, Any], ...] = (
    {"kind": "error_bulk", "number": 40501},
    {"kind": "error_bulk", "number": 1205, "skip": 3},
    {"kind": "error_commit", "number": 1205, "skip": 2},
    {"kind": "refuse_login", "number": 40613, "times": 2},  # preflight finds a paused database
    {"kind": "refuse_login", "number": 40613, "skip": 6},
)


@pytest.mark.parametrize("faults", [RESETS, ERRORS], ids=["resets", "errors"])
def test_a_run_survives_faults_of_its_target_and_every_row_is_there_once(
    running: Stand, faults: tuple[dict[str, Any], ...]
) -> None:
    with running.faults() as control:
        for fault in faults:
            control.fault(**fault)
        report = running.migrate(drop=bool(running.runs))
        fired = control.fired()
        control.clear()
    assert report.verdict == "verified", report.reason
    assert running.differences() == []
    for kind in {fault["kind"] for fault in faults}:
        wanted = sum(fault.get("times", 1) for fault in faults if fault["kind"] == kind)
        assert fired.get(kind, 0) == wanted, kind
