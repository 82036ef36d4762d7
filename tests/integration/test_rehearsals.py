"""Rehearsals: throw-away targets only, their history, comparison and readiness; records lie in a real Azurite."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from api.rehearsals import start_rehearsal
from api.telling import tell
from shared import readiness, rehearsals, runs, settings
from shared.communication import delivery
from shared.communication.occurrences import Occurrence
from shared.contracts import Gate, Run
from shared.errors import Finding
from shared.reporting.html import page
from shared.request import MigrationRequest
from tests.fixtures import reports
from tests.fixtures.apiserver import ApiServer, EngineDouble
from tests.fixtures.rehearsing import SOURCE, post, rehearsal

MASK = {"table": "customers$customer", "column": "email", "how": "email"}


def test_a_rehearsal_drops_its_target_without_asking_and_always_cleans_up(api: ApiServer) -> None:
    body = {"source": SOURCE, "target": "rehearsal", "options": {"cleanup": "keep", "keep_days": 3}}
    answered = post(api, body)
    assert answered.status_code == 202, answered.text
    request = api.engine.scheduled[0][2]["request"]
    assert (request["target_not_empty"], request["confirm"], request["approval"]) == ("drop", "rehearsal", False)
    assert (request["options"]["purpose"], request["options"]["cleanup"]) == ("rehearsal", "always")


def test_a_rehearsal_waits_for_an_approval_where_it_is_asked_to(api: ApiServer) -> None:
    assert post(api, {"source": SOURCE, "target": "rehearsal", "approval": True}).status_code == 202
    assert api.engine.scheduled[0][2]["request"]["approval"] is True


def test_a_target_that_is_not_throw_away_is_never_rehearsed_on(api: ApiServer) -> None:
    answered = post(api, {"source": SOURCE, "target": "demo", "target_not_empty": "drop", "confirm": "demo"})
    assert (answered.status_code, answered.json()["code"]) == (400, "NOT_THROW_AWAY")
    assert "TARGET__DEMO__THROW_AWAY" in answered.json()["remedy"]
    assert api.engine.scheduled == []


@pytest.mark.parametrize(
    ("options", "codes"),
    [({"purpose": "rehearsal"}, ["NOTHING_MASKED"]), ({"purpose": "rehearsal", "masks": [MASK]}, []), ({}, [])],
)
def test_a_rehearsal_that_masks_nothing_is_warned_of(options: dict[str, object], codes: list[str]) -> None:
    request = MigrationRequest.model_validate({"source": SOURCE, "target": "rehearsal", "options": options})
    assert [(one.code, one.severity) for one in rehearsals.unmasked(request)] == [(code, "warning") for code in codes]


def test_a_doubled_click_starts_one_rehearsal(api: ApiServer) -> None:
    body = {"source": SOURCE, "target": "rehearsal"}
    first, second = (post(api, body, **{"Idempotency-Key": "click"}) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert len(api.engine.scheduled) == 1


def test_a_rehearsal_without_masks_takes_those_of_the_settings(api: ApiServer, monkeypatch) -> None:
    stored = {"source": SOURCE, "target": "rehearsal", "options": {"masks": [MASK]}}
    monkeypatch.setenv("REHEARSAL__REQUEST", json.dumps(stored))
    settings.settings.cache_clear()
    post(api, {"source": SOURCE, "target": "rehearsal"})
    assert api.engine.scheduled[0][2]["request"]["options"]["masks"] == [MASK]


@pytest.mark.parametrize(("target", "started"), [("rehearsal", 1), ("demo", 0)])
def test_the_timer_starts_what_the_settings_say_by_the_same_rules(
    api_settings: None, monkeypatch, target: str, started: int
) -> None:
    monkeypatch.setenv("REHEARSAL__ENABLED", "true")
    monkeypatch.setenv("REHEARSAL__REQUEST", json.dumps({"source": SOURCE, "target": target}))
    settings.settings.cache_clear()
    engine = EngineDouble()
    asyncio.run(start_rehearsal(engine, past_due=False))
    asyncio.run(start_rehearsal(engine, past_due=True))
    assert len(engine.scheduled) == started


def test_the_timer_does_nothing_unless_it_is_enabled(api_settings: None) -> None:
    engine = EngineDouble()
    asyncio.run(start_rehearsal(engine, past_due=False))
    assert engine.scheduled == []


def test_only_rehearsals_are_remembered_and_twice_is_once(api_settings: None) -> None:
    rehearsals.remember(reports.verified())
    assert rehearsals.targets() == []
    rehearsals.remember(rehearsal())
    rehearsals.remember(rehearsal())
    assert [one.verdict for one in rehearsals.history("rehearsal")] == ["verified"]


def test_a_record_that_this_version_cannot_read_is_left_out_of_the_history(api_settings: None) -> None:
    kept = rehearsal(days=1)
    rehearsals.remember(kept)
    for name, body in (("20240101t000000-0000aa", b'{"id": "of another version"}'), ("20990101t000000-0000aa", b"{")):
        runs.write(f"rehearsals/rehearsal/{name}.json", body, "application/json")
    assert [one.id for one in rehearsals.history("rehearsal")] == [kept.id]
    assert [one.id for one in rehearsals.everywhere()] == [kept.id]


def test_ready_means_verified_smoke_tested_and_nothing_worse(api: ApiServer) -> None:
    rehearsals.remember(rehearsal(3))
    rehearsals.remember(rehearsal(1))
    [found] = httpx.get(f"{api.url}/api/rehearsals", headers={"x-functions-key": api.key}).json()["targets"]
    assert (found["ready"], found["open"], len(found["rehearsals"])) == (True, [], 2)
    assert found["rehearsals"][0]["stages"]["copy"] == 24.0


def test_a_report_is_compared_with_the_rehearsal_before_it_never_with_itself(api_settings: None) -> None:
    first, second = rehearsal(3), rehearsal(1, stages=slower("copy", 240.0))
    assert readiness.compared(first).compared_with is None
    for one in (first, second):
        rehearsals.remember(one)
    found = readiness.compared(second)
    assert found.compared_with == first.id
    assert found.before["copy"] == 24.0
    assert found.regressions == ["Copy rows took 4 min 00 s, before 24.0 s, at equal size."]
    assert readiness.readiness("rehearsal", datetime.now(UTC)).slower == ["copy"]
    assert "Copy rows took 4 min 00 s" in page(found)
    assert readiness.compared(rehearsal(0, purpose="cutover", target="demo")).compared_with == second.id


def finding(severity: str = "error", chosen: str | None = None) -> Finding:
    return Finding(code="UNIQUE_NULLS", severity=severity, object="a$b.c", message="found 14.", chosen=chosen)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"verdict": "failed", "reason": "It broke."}, "The last rehearsal ended failed: It broke."),
        ({"findings": [finding()]}, "1 finding without a remedy, first UNIQUE_NULLS on a$b.c."),
        ({"smoke": []}, "No smoke test was done"),
    ],
)
def test_what_stands_before_the_cut_over_is_said(api_settings: None, changes: dict[str, object], words: str) -> None:
    rehearsals.remember(rehearsal(1, **changes))
    found = readiness.readiness("rehearsal", datetime.now(UTC))
    assert not found.ready
    assert [one for one in found.open if words in one], found.open


def test_an_old_rehearsal_says_nothing_about_today(api_settings: None) -> None:
    rehearsals.remember(rehearsal(20))
    found = readiness.readiness("rehearsal", datetime.now(UTC))
    assert found.open == ["The last rehearsal was 20 days ago; model and data have changed since."]


def slower(name: str, seconds: float):
    """The stages, one of them of another duration."""
    return [
        one.model_copy(update={"seconds": seconds}) if one.name == name else one for one in reports.verified().stages
    ]


def test_after_a_rehearsal_that_failed_the_next_one_is_compared_with_the_last_verified_one(api_settings: None) -> None:
    known = [finding("warning")]
    rehearsals.remember(rehearsal(3, findings=known))
    rehearsals.remember(rehearsal(2, findings=[], verdict="refused", reason="No login.", proved_at=None, rows=0))
    rehearsals.remember(rehearsal(1, findings=known))
    found = readiness.readiness("rehearsal", datetime.now(UTC))
    assert (found.ready, found.regressions) == (True, [])
    rehearsals.remember(rehearsal(0.5, findings=known, stages=slower("copy", 240.0)))
    assert readiness.readiness("rehearsal", datetime.now(UTC)).regressions == [
        "Copy rows took 4 min 00 s, before 24.0 s, at equal size."
    ]


def test_time_that_people_took_is_not_the_machines(api_settings: None) -> None:
    """An app stopped by hand is one stage with a gate: what it waited is taken off."""
    asked = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
    gate = {"name": "stop-app", "asked_at": asked, "answers_by": asked, "decision": "approved"}
    gates = [Gate.model_validate(gate | {"decided_at": asked + timedelta(seconds=600)})]
    stop = reports.verified().stages[0].model_copy(update={"name": "app-stop", "seconds": 601.0})
    stages = [*reports.verified().stages, stop]
    rehearsals.remember(rehearsal(1, stages=stages, gates=gates))
    assert rehearsals.history("rehearsal")[0].stages["app-stop"] == 1.0


def test_a_dry_run_is_no_rehearsal(api_settings: None) -> None:
    rehearsals.remember(rehearsal(1))
    rehearsals.remember(rehearsal(0, verdict="planned"))
    assert [one.verdict for one in rehearsals.history("rehearsal")] == ["verified"]


CLOUD, OTHER = ({"kind": "mendix-cloud", "profile": name} for name in ("crm", "erp"))


def run_from(source: dict[str, object], mode: str | None = None) -> Run:
    options = {"target_mode": mode} if mode else {}
    request = MigrationRequest.model_validate({"source": source, "target": "demo", "options": options})
    return Run(id=runs.new_id(datetime.now(UTC)), request=request, created_at=datetime.now(UTC))


@pytest.mark.parametrize(
    ("kept", "source", "mode", "expected"),
    [
        (["mendix-cloud:crm create", "mendix-cloud:erp create"], CLOUD, None, 0),
        (["mendix-cloud:erp create"], CLOUD, None, 0),
        (["mendix-cloud:erp create", "mendix-cloud:hr create"], CLOUD, None, None),
        (["blob:/uploads create"], CLOUD, None, 0),
        (["mendix-cloud:crm runtime", "mendix-cloud:crm create"], CLOUD, None, 1),
        (["mendix-cloud:crm postgres"], CLOUD, None, None),
        ([" "], CLOUD, None, 0),
        (["mendix-cloud:crm create"], OTHER, "create", 0),
        ([], CLOUD, None, None),
    ],
)
def test_a_forecast_goes_by_a_rehearsal_of_the_same_app_in_the_same_way(
    api_settings: None, kept: list[str], source: dict[str, object], mode: str | None, expected: int | None
) -> None:
    """`kept`: origin and mode, the newest first; where only one app was ever rehearsed, its rehearsals are taken."""
    rehearsals._verified.cache_clear()  # each case has a container of its own, and maybe the same names in it
    made = [
        rehearsal(days + 1, origin=one.partition(" ")[0], target_mode=one.partition(" ")[2])
        for days, one in enumerate(kept)
    ]
    for one in made:
        rehearsals.remember(one)
    found = rehearsals.last_verified(run_from(source, mode))
    assert (found and found.id) == (None if expected is None else made[expected].id)


def test_a_migration_that_says_it_is_a_rehearsal_needs_a_throw_away_target_too(api: ApiServer) -> None:
    body = {"source": SOURCE, "target": "demo", "options": {"purpose": "rehearsal"}}
    answered = httpx.post(f"{api.url}/api/migrations", json=body, headers={"x-functions-key": api.key})
    assert (answered.status_code, answered.json()["code"]) == (400, "NOT_THROW_AWAY")
    assert api.engine.scheduled == []


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"stages": slower("copy", 24.0 * 1.29)}, 0),
        ({"stages": slower("copy", 24.0 * 1.35)}, 1),
        ({"stages": slower("plan", 6.0)}, 0),
        ({"stages": slower("copy", 240.0), "rows": 900_000}, 0),
        ({"findings": [finding("warning")]}, 1),
        ({"findings": [finding("info")]}, 0),
        ({"findings": [finding("warning", "drop")]}, 0),
        ({"findings": [finding("error", "filtered-index")]}, 1),
        ({"verdict": "failed", "reason": "It broke."}, 1),
    ],
)  # fmt: skip
def test_a_regression_is_a_new_finding_or_a_stage_slower_at_equal_size(
    api_settings: None, changes: dict[str, object], count: int
) -> None:
    rehearsals.remember(rehearsal(3))
    rehearsals.remember(rehearsal(1, **changes))
    found = readiness.readiness("rehearsal", datetime.now(UTC))
    assert len(found.regressions) == count, found.regressions


@pytest.mark.parametrize(("minutes", "at_risk"), [(None, False), (4, False), (2.5, True)])
def test_a_window_that_a_rehearsal_nearly_fills_is_at_risk(
    api_settings: None, minutes: float | None, at_risk: bool
) -> None:
    report = readiness.compared(rehearsal(1, window_seconds=minutes and minutes * 60))
    assert any("The window is at risk" in one for one in report.regressions) == at_risk
    rehearsals.remember(report)
    [last] = rehearsals.history("rehearsal")
    assert last.proved_after == 166.0 - 24.0, "report and clean-up come after the proof; the approval is people's time"
    assert readiness.readiness("rehearsal", datetime.now(UTC)).ready != at_risk


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"findings": [finding()]}, "New finding UNIQUE_NULLS on a$b.c"),
        ({"stages": slower("copy", 240.0)}, "Copy rows took 4 min 00 s"),
        ({"window_seconds": 100.0}, "The window is at risk"),
    ],
)
def test_every_kind_of_regression_is_told(
    api_settings: None, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], words: str
) -> None:
    sent: list[Occurrence] = []
    monkeypatch.setenv("NOTIFY__TEAM__KIND", "slack")
    monkeypatch.setenv("NOTIFY__TEAM__URL", "https://hooks.example.org/x")
    monkeypatch.setattr(delivery, "send", lambda occurrence, *_: sent.append(occurrence))
    settings.settings.cache_clear()
    rehearsals.remember(rehearsal(3))
    report = rehearsal(0, **changes)
    rehearsals.remember(report)
    options = {"purpose": "rehearsal"}
    wanted = MigrationRequest.model_validate({"source": SOURCE, "target": "rehearsal", "options": options})
    runs.save(Run(id=report.id, request=wanted, created_at=report.created_at))
    engine = EngineDouble()
    engine.set(report.id, "COMPLETED", custom={"stages": []}, output={"verdict": "verified"})
    asyncio.run(tell(engine))
    [regressed] = [one for one in sent if one.kind == "regressed"]
    assert words in regressed.words
