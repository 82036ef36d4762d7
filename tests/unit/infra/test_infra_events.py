"""Alerts and workbook read what the app logs: the same mark, the same event names, the same facts."""

import json
import logging
import re
import typing

import pytest

from activities import registry as activities
from orchestrators import registry as orchestrations
from shared import events
from shared.contracts import Run, RunWork
from shared.request import MigrationRequest
from tests.unit.infra.bicepfiles import INFRA

QUERIES = {path.name: path.read_text() for path in (INFRA / "queries").glob("*.kql")}
WORKBOOK = [
    item["content"]["query"] for item in json.loads((INFRA / "workbook.json").read_text())["items"] if item["type"] == 3
]
ALL = [*QUERIES.values(), *WORKBOOK]


def work() -> RunWork:
    request = MigrationRequest.model_validate(
        {
            "source": {"kind": "blob", "container": "backups", "blob": "s.tar.gz"},
            "target": "rehearsal",
            "window": {"end": "2026-11-29T04:00:00+01:00"},
        }
    )
    return RunWork(run=Run(id="20261128t200000-aaaaaa", request=request, created_at="2026-11-28T20:00:00Z"))  # type: ignore[arg-type]


def logged(caplog: pytest.LogCaptureFixture) -> dict[str, object]:
    message = caplog.records[-1].getMessage()
    assert message.startswith("mxferry-event {")
    return dict(json.loads(message[message.index("{") :]))


def test_every_query_looks_for_the_mark_that_the_app_writes() -> None:
    assert [query for query in ALL if f'"{events.MARK}"' not in query] == []


def test_every_event_a_query_names_is_one_the_app_emits() -> None:
    named = {name for query in ALL for part in re.findall(r'Kind (?:==|in) (\([^)]*\)|"[^"]*")', query)
             for name in re.findall(r'"([^"]+)"', part)}  # fmt: skip
    assert named
    assert named - set(typing.get_args(events.Kind)) == set()


def test_every_fact_a_query_reads_is_one_the_app_writes() -> None:
    read = {name for query in ALL for name in re.findall(r"Event\.(\w+)", query)}
    written = {"event", "run", "activity", "seconds", "code", "outcome", "reason", "window_end", *events.FACTS}
    assert read - written == set()


def test_every_activity_a_query_names_is_registered() -> None:
    named = {name for query in ALL for name in re.findall(r'Activity == "(\w+)"', query)}
    registered = {one.__name__ for one in [*activities.ACTIVITIES, *orchestrations.ORCHESTRATORS]}
    assert named
    assert named - registered == set()


def test_every_query_is_one_that_an_alert_loads() -> None:
    alerts = (INFRA / "modules" / "alerts.bicep").read_text()
    assert {name for name in QUERIES if f"'../queries/{name}'" not in alerts} == set()


def test_a_run_that_starts_says_when_its_window_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mxferry.event")
    events.run_started(work().run)
    assert logged(caplog) == {
        "event": "run-started", "run": "20261128t200000-aaaaaa", "purpose": "cutover", "target": "rehearsal",
        "window_end": "2026-11-29T04:00:00+01:00",
    }  # fmt: skip


def test_an_activity_says_how_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mxferry.event")
    events.activity_ended("copy_chunks", work(), 1.23456, {"rows": 5, "bytes": 50, "stopped": None, "chunks": 2})
    assert logged(caplog) == {
        "event": "activity-done", "run": "20261128t200000-aaaaaa", "activity": "copy_chunks", "seconds": 1.235,
        "rows": 5, "bytes": 50,
    }  # fmt: skip
    events.activity_ended("copy_chunks", work(), 1, {"refused": {"code": "ROW_REFUSED"}})
    assert logged(caplog)["event"] == "activity-refused"
    events.activity_ended("copy_chunks", work(), 1, None, "SQL_TRANSIENT")
    assert logged(caplog)["code"] == "SQL_TRANSIENT"
