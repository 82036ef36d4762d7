"""Yes, no and abort, from whom and when, and what an abort or an end stops; a double of the durable client, a real Azurite."""

import pytest

from activities.boundary import activity, closing_activity
from activities.sides import end_other_side
from shared import runs
from shared.contracts import Findings, RunWork
from tests.fixtures.asking import BODY, ask


def test_only_a_waiting_migration_can_be_approved(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    status, refused, _ = ask(engine, "POST", f"migrations/{body['id']}/approve", {"by": "kim"})
    assert (status, refused["code"]) == (409, "NOTHING_TO_APPROVE")
    gate = {"name": "write", "asked_at": "2026-11-28T20:00:00Z", "answers_by": "2026-11-29T20:00:00Z"}
    engine.set(body["id"], "RUNNING", custom={"stages": [], "gates": [gate]})
    assert ask(engine, "GET", f"migrations/{body['id']}")[1]["status"] == "waiting"
    assert ask(engine, "POST", f"migrations/{body['id']}/approve", {"by": "kim"})[0] == 202
    assert engine.events == [(body["id"], "approve-write", {"by": "kim", "signed_in": False, "comment": ""})]


GATE = {"name": "write", "asked_at": "2026-11-28T20:00:00Z", "answers_by": "2026-11-29T20:00:00Z"}


SIGNED_IN = {"x-ms-client-principal-name": "ada@example.org"}


def test_an_answer_that_is_for_another_gate_is_refused(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    engine.set(body["id"], "RUNNING", custom={"stages": [], "gates": [GATE]})
    path = f"migrations/{body['id']}/approve"
    status, refused, _ = ask(engine, "POST", path, {"by": "kim", "gate": "late"})
    assert (status, refused["code"]) == (409, "OTHER_GATE")
    assert engine.events == []
    assert ask(engine, "POST", path, {"by": "kim", "gate": "write"})[0] == 202


def test_the_gate_of_a_side_is_answered_where_it_is_held(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    side = f"{body['id']}:database"
    stage = {"name": "database", "started_at": "2026-11-28T20:00:00Z", "instance": side}
    engine.set(body["id"], "RUNNING", custom={"stages": [stage]})
    engine.set(side, "RUNNING", custom={"stages": [], "gates": [GATE | {"name": "started"}]})
    assert ask(engine, "POST", f"migrations/{body['id']}/approve", {"by": "kim"})[0] == 202
    assert engine.events == [(side, "approve-started", {"by": "kim", "signed_in": False, "comment": ""})]
    assert ask(engine, "POST", f"migrations/{body['id']}/abort", {"by": "kim"})[0] == 202
    assert {one[:2] for one in engine.events[1:]} == {(body["id"], "abort"), (side, "abort")}


def test_a_yes_to_a_gate_that_asks_once_more_is_another_one_than_the_first(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    path = f"migrations/{body['id']}/approve"
    for asked in (GATE | {"name": "started"}, GATE | {"name": "started", "comment": "Approved before everything was…"}):
        engine.set(body["id"], "RUNNING", custom={"stages": [], "gates": [asked]})
        assert ask(engine, "POST", path, {"by": "kim", "gate": "started"})[0] == 202
    assert [event for _, event, _ in engine.events] == ["approve-started", "approve-started-again"]


@pytest.mark.parametrize(("enabled", "who"), [("true", "ada@example.org"), ("", "somebody else")])
def test_a_signed_in_name_stands_in_the_place_of_the_given_one(engine, monkeypatch, enabled, who):
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", enabled)
    _, body, _ = ask(engine, "POST", "migrations", BODY, SIGNED_IN)
    assert runs.load(body["id"]).asked_by == ("ada@example.org" if enabled else None)
    engine.set(body["id"], "RUNNING", custom={"stages": [], "gates": [GATE]})
    ask(engine, "POST", f"migrations/{body['id']}/approve", {"by": "somebody else"}, SIGNED_IN)
    assert (engine.events[0][2]["by"], engine.events[0][2]["signed_in"]) == (who, bool(enabled))
    assert ask(engine, "GET", "profiles", headers=SIGNED_IN)[1]["signed_in_as"] == (
        "ada@example.org" if enabled else None
    )


def test_an_abort_stops_activities_and_wakes_gates(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    assert ask(engine, "POST", f"migrations/{body['id']}/abort", {"by": "kim", "comment": "no"})[0] == 202
    assert engine.events[0][1] == "abort"
    with pytest.raises(Exception, match=r"ABORTED.*aborted by kim \(as stated\)\. no"):
        runs.stop_if_aborted(body["id"])


def test_when_one_side_has_failed_the_activities_of_the_run_stop_and_its_closing_ones_go_on(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)

    @activity
    def copies_files(work: RunWork) -> Findings:
        return Findings()

    @closing_activity
    def reports(work: RunWork) -> Findings:
        return Findings()

    payload = {"run": runs.load(body["id"]).model_dump(mode="json")}
    assert copies_files(None, payload) == {"findings": []}
    end_other_side(None, payload | {"stage": "copy", "code": "ROW_REFUSED"})
    refused = copies_files(None, payload)["refused"]
    assert (refused["code"], "copy: ROW_REFUSED" in refused["message"]) == ("OTHER_SIDE_FAILED", True)
    assert reports(None, payload) == {"findings": []}


def test_an_activity_delivered_after_its_run_was_cleaned_up_does_nothing(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    done = []

    @activity
    def drops_tables(work: RunWork) -> Findings:
        done.append(work.run.id)
        return Findings()

    @closing_activity
    def reports(work: RunWork) -> Findings:
        done.append("report")
        return Findings()

    payload = {"run": runs.load(body["id"]).model_dump(mode="json")}
    assert drops_tables(None, payload) == {"findings": []}
    runs.close(body["id"])
    assert drops_tables(None, payload)["refused"]["code"] == "RUN_OVER"
    assert reports(None, payload) == {"findings": []}
    assert done == [body["id"], "report"]


def test_a_finished_migration_can_not_be_aborted(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    engine.set(body["id"], "COMPLETED", output={"verdict": "verified"})
    status, refused, _ = ask(engine, "POST", f"migrations/{body['id']}/abort", {})
    assert (status, refused["code"]) == (409, "ALREADY_OVER")


@pytest.mark.parametrize("stage", ["report", "clean-up"])
def test_an_abort_that_comes_too_late_to_stop_anything_says_so(engine, stage):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    engine.set(body["id"], "RUNNING", custom={"stages": [{"name": stage, "started_at": "2026-11-28T20:00:00Z"}]})
    status, refused, _ = ask(engine, "POST", f"migrations/{body['id']}/abort", {"by": "kim"})
    assert (status, refused["code"]) == (409, "ENDING_ALREADY")
    assert f"`{stage}`" in refused["detail"]
    assert engine.events == []
    runs.stop_if_aborted(body["id"])


def _at_source_start(before, state):
    at = "2026-11-28T20:00:00Z"
    return {"stages": [{"name": before, "state": state, "started_at": at}, {"name": "source-start", "started_at": at}]}


@pytest.mark.parametrize(("before", "state"), [("app-start", "done"), ("preflight", "failed"), ("snapshot", "failed")])
def test_an_abort_while_the_source_app_is_started_at_the_end_says_that_it_is_too_late(engine, before, state):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    engine.set(body["id"], "RUNNING", custom=_at_source_start(before, state))
    status, refused, _ = ask(engine, "POST", f"migrations/{body['id']}/abort", {"by": "kim"})
    assert (status, refused["code"]) == (409, "ENDING_ALREADY")
    assert "`source-start`" in refused["detail"]
    runs.stop_if_aborted(body["id"])


def test_an_abort_while_the_source_app_is_started_behind_its_snapshot_stops_the_run(engine):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    engine.set(body["id"], "RUNNING", custom=_at_source_start("snapshot", "done"))
    assert ask(engine, "POST", f"migrations/{body['id']}/abort", {"by": "kim"})[0] == 202
    with pytest.raises(Exception, match="ABORTED"):
        runs.stop_if_aborted(body["id"])


@pytest.mark.parametrize("what", ["approve", "abort"])
@pytest.mark.parametrize("said", [{}, {"by": " "}, {"by": None}])
def test_nobody_decides_without_a_name(engine, monkeypatch, what, said):
    _, body, _ = ask(engine, "POST", "migrations", BODY)
    engine.set(body["id"], "RUNNING", custom={"stages": [], "gates": [GATE]})
    path = f"migrations/{body['id']}/{what}"
    status, refused, _ = ask(engine, "POST", path, said)
    assert (status, refused["errors"][0]["field"]) == (400, "by")
    assert engine.events == []
    if said != {"by": " "}:
        monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "true")
        assert ask(engine, "POST", path, said, SIGNED_IN)[0] == 202
        assert engine.events[0][2]["by"] == "ada@example.org"
