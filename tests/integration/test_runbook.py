"""The runbook: who, when, how long last time, how to check, how to undo; and during a run what is done."""

import re
from datetime import UTC, datetime, timedelta

import httpx

from orchestrators.gates import LATE_GATES
from shared import rehearsals, runs
from shared.contracts import Gate, Progress, Run, StageState
from shared.errors import Finding
from shared.progress import View, stage_view
from shared.reporting import runbook
from shared.request import MigrationRequest
from tests.fixtures import reports
from tests.fixtures.apiserver import ApiServer

ID = "20261122t203000-3f9a1c"
START = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
HOSTILE = "a | b </td><script>alert(1)</script> [x](javascript:1) `c`"
BLOB = {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}


def request(**more: object) -> MigrationRequest:
    window = {"start": START.isoformat(), "end": (START + timedelta(hours=3)).isoformat()}
    return MigrationRequest.model_validate({"source": BLOB, "target": "production", "window": window} | more)


def book(findings: list[Finding] | None = None, measured: dict[str, float] | None = None, **more: object):
    run = Run(id=ID, request=request(**more), created_at=START)
    return runbook.runbook(run, View(), measured or {}, findings or [], START, None)


def steps(made: runbook.Runbook) -> dict[str, runbook.Step]:
    return {step.title: step for part in made.parts for step in part.steps}


def test_steps_have_clock_times_from_the_window_and_the_last_rehearsal() -> None:
    measured = {stage.name: stage.seconds for stage in reports.verified().stages}
    found = steps(book(measured=measured))
    assert found["Preflight"].planned_at == START
    assert found["Restore to the temporary database"].measured == 37.0
    moved = found["Move the rows"]
    assert moved.planned_at is not None
    assert moved.planned_at > START
    assert found["Move the files"].planned_at == moved.planned_at, "files move beside the rows"
    assert book(measured=measured).expected == 3.2 + 17.8 + 37 + 2.1 + 10.9 + (2 + 24 + 18 + 19) + 2, (
        "no smoke check is asked for"
    )


def test_without_a_window_there_are_no_clock_times() -> None:
    assert {step.planned_at for step in steps(book(window=None)).values()} == {None}


def test_every_step_says_who_how_to_check_and_how_to_undo() -> None:
    made = book(approval=True, target_not_empty="drop", confirm="production")
    for step in steps(made).values():
        assert step.who, step.title
        assert step.check, step.title
        assert step.undo, step.title
    assert [step.number for part in made.parts for step in part.steps] == list(range(1, len(steps(made)) + 1))
    assert "Go or no-go" in steps(made)
    assert "Go or no-go" not in steps(book())


def test_it_names_ttl_roll_back_and_messages_for_each_audience() -> None:
    text = runbook.markdown(book())
    assert "TTL" in text
    assert "After the DNS switch" in text
    for audience in ("users", "team", "management"):
        assert f"To {audience}" in text


def test_the_way_back_says_who_starts_the_source_app_again() -> None:
    cloud = {"kind": "mendix-cloud", "profile": "live", "stop_app": True}
    assert "starts the source app again by itself" in runbook.markdown(book(source=cloud))
    for source in (BLOB, cloud | {"start_app_again": "never"}):
        text = runbook.markdown(book(source=source))
        assert "by itself" not in text
        assert "Start the source app; take the maintenance page away." in text


def test_the_way_back_from_a_hand_over_stops_the_app_that_was_started_for_it() -> None:
    assert (
        "stop the app, which was started for the hand-over only"
        in book(options={"target_mode": "runtime"}).roll_back[1].detail
    )
    assert "do not start the app on it, and stop it if it was started" in book().roll_back[1].detail


def test_what_comes_after_the_agreed_snapshot_time_is_planned_after_it() -> None:
    agreed = START + timedelta(minutes=30)
    found = steps(book(snapshot_at=agreed.isoformat()))
    assert found["Wait for the agreed snapshot time"].planned_at == START
    assert found["Stop the source app"].planned_at == agreed
    assert "Agreed snapshot time: 2026-11-28 20:30:00 UTC" in runbook.markdown(book(snapshot_at=agreed.isoformat()))


def test_hostile_names_stay_text_in_both_forms() -> None:
    finding = Finding(code="X", severity="error", object=HOSTILE, message=HOSTILE)
    made = book([finding], contacts=[{"role": HOSTILE, "name": HOSTILE}])
    page = runbook.html(made)
    assert "<script>" not in page
    text = runbook.markdown(made)
    assert "<script>" not in text
    assert re.search(r"(?<!\\)\]\(", text) is None, "no link"
    [row] = [line for line in text.splitlines() if "alert" in line and line.startswith("|")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 4, "a pipe in a name does not make a column"


def test_during_the_run_the_runbook_shows_what_is_done(api: ApiServer) -> None:
    runs.save(Run(id=ID, request=request(), created_at=START))
    before = {"purpose": "rehearsal", "target": "rehearsal", "id": "20261115t203000-3f9a1c"}
    rehearsals.remember(reports.verified().model_copy(update=before))
    written = reports.START + timedelta(seconds=95)
    progress = Progress(stages=reports.stages("copy", "running"), target_written_at=written)
    api.engine.set(ID, "RUNNING", custom=progress.model_dump(mode="json"))
    keyed = {"x-functions-key": api.key}
    text = httpx.get(f"{api.url}/api/migrations/{ID}/runbook", headers=keyed)
    assert text.headers["content-type"].startswith("text/markdown")
    assert "Point of no return: passed at 2026-11-22 20:31:35 UTC" in text.text
    [restored] = [line for line in text.text.splitlines() if "**Restore to" in line]
    assert "37.0 s | done 20:30:21 UTC, 37.0 s" in restored
    page = httpx.get(f"{api.url}/api/migrations/{ID}/runbook", headers=keyed | {"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "Past the point of no return" in page.text


def test_a_run_nobody_knows_has_no_runbook(api: ApiServer) -> None:
    answered = httpx.get(f"{api.url}/api/migrations/{ID}/runbook", headers={"x-functions-key": api.key})
    assert (answered.status_code, answered.json()["code"]) == (404, "UNKNOWN_RUN")


def test_the_target_app_is_started_and_stopped_by_people_unless_the_request_lets_the_run_do_it() -> None:
    titles = ("Stop the target app", "Start the target app")
    assert [steps(book())[one].by_people for one in titles] == [True, True]
    done_by_us = book(stop_target_app=True, start_target_app="yes")
    assert [steps(done_by_us)[one].by_people for one in titles] == [False, False]


def test_a_rehearsal_moves_no_users_no_dns_and_sends_no_messages() -> None:
    made = book(options={"purpose": "rehearsal"})
    text = runbook.markdown(made)
    for words in ("DNS", "TTL", "Keep the source stopped", "Stop the source app", "The app is back", "## Messages"):
        assert words not in text, words
    assert [one.title for one in made.roll_back] == ["At any time"]
    assert {"Take the snapshot to staging", "Move the rows", "Start the target app"} <= set(steps(made))


CLOUD = {"kind": "mendix-cloud", "profile": "acme", "stop_app": True}


def test_a_source_app_that_is_started_right_behind_its_snapshot_is_a_step_of_a_cut_over_too() -> None:
    def has(**more: object) -> bool:
        return "Start the source app again" in steps(book(**more))

    always = CLOUD | {"start_app_again": "always"}
    assert has(source=always)
    assert has(source=CLOUD, options={"purpose": "rehearsal"})
    assert not has(source=CLOUD)
    assert not has(source=CLOUD | {"start_app_again": "never"}, options={"purpose": "rehearsal"})
    assert book(source=always, measured={"source-start": 90, "restore": 10}).expected == 100
    assert book(source=CLOUD, measured={"source-start": 90, "restore": 10}).expected == 10


def test_a_yes_to_a_late_end_is_shown_where_it_was_said_and_is_no_go() -> None:
    late = StageState(name="late", state="done", started_at=START, ended_at=START + timedelta(minutes=2))
    said = {"decision": "approved", "decided_by": "Kim | Lee", "decided_at": START + timedelta(minutes=2)}
    gates = [
        Gate.model_validate({"name": "late-after-restore", "asked_at": START, "answers_by": START, **said}),
        Gate(name="late-write", asked_at=START, answers_by=START + timedelta(minutes=9)),
    ]
    seen = View(stages=[stage_view(late, START)], gates=gates)
    made = runbook.runbook(Run(id=ID, request=request(approval=True), created_at=START), seen, {}, [], START, None)
    found = {title: runbook.words_of_state(step) for title, step in steps(made).items()}
    assert found["Go or no-go"] == "open"
    restored = found["Restore to the temporary database"]
    assert restored.startswith("open; The database is restored, and it will be late. Go on? Approved by Kim | Lee")
    assert restored.endswith(", 20:02:00 UTC")
    assert found["Move the rows"] == "open; It will be late. Write the target all the same? Waits until 20:09:00 UTC"
    assert sum("will be late" in one for one in found.values()) == 2
    assert "Approved by Kim \\| Lee" in runbook.markdown(made)
    assert "Approved by Kim | Lee" in runbook.html(made)


def test_every_question_of_lateness_has_its_step_in_every_target_mode() -> None:
    gates = [
        Gate.model_validate({"name": name, "asked_at": START, "answers_by": START}) for name in LATE_GATES.values()
    ]
    for mode in ("create", "existing", "postgres", "runtime"):
        asked = [one for one in gates if mode != "postgres" or one.name != "late-after-restore"]
        run = Run(id=ID, request=request(options={"target_mode": mode}), created_at=START)
        made = runbook.runbook(run, View(gates=asked), {}, [], START, None)
        shown = [gate.name for step in steps(made).values() for gate in step.late]
        assert shown == [gate.name for gate in asked], mode


def test_a_source_that_runs_again_by_then_is_not_said_to_be_stopped() -> None:
    always, stays = book(source=CLOUD | {"start_app_again": "always"}), book(source=CLOUD)
    keep, close = "Keep the source stopped", "Close the source to its users"
    assert [(keep in steps(one), close in steps(one)) for one in (always, stays)] == [(False, True), (True, False)]
    assert "has started the source app again right behind the snapshot" in always.roll_back[0].detail
    assert "starts the source app again by itself" in stays.roll_back[0].detail
