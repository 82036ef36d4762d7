"""The sweep of what runs left: only what is known to be ours and over, and quiet about databases while the server sleeps."""

import json
from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError

from activities.environment import start_postgres, stop_postgres
from api import sweep
from shared import idling, leftovers, remains, runs, settings
from shared.azure import marks
from shared.azure.arm import ResourceManager
from shared.azure.marks import ServerMarks
from shared.installation import installation
from shared.postgres.connection import database_name
from tests.integration.cleanup.conftest import Stand, new_id


def test_what_a_run_left_that_is_over_goes_and_its_record_says_so(stand: Stand, caplog: Any) -> None:
    caplog.set_level("INFO")
    run_id = stand.restore(stand.stage(stand.run()), installation())
    stand.states[run_id] = "TERMINATED"
    assert len(stand.sweep()) == 2
    assert (stand.staged(), stand.restored()) == (set(), set())
    found = remains.load(run_id)
    assert found is not None
    assert [one.split(": ", 1)[1] for one in found.done] == [
        "Deleted 1 staging blobs of 15 bytes.",
        f"Dropped the temporary database {database_name(run_id)}.",
    ]
    assert (found.left, found.kept_until) == ({}, None)
    assert runs.closed(run_id), "what is late of it must not go on"
    assert f'{{"event": "staging-cleaned", "run": "{run_id}"}}' in caplog.text
    assert stand.sweep() == []


def test_blocks_that_came_late_and_were_never_committed_go_too(stand: Stand) -> None:
    run_id = stand.run()
    stand.staging.get_blob_client(f"runs/{run_id}/snapshot.archive").stage_block("AAAA", b"production data")
    stand.states[run_id] = "TERMINATED"
    stand.sweep()
    assert not list(stand.staging.list_blobs(include=["uncommittedblobs"]))


def test_a_run_that_goes_on_is_left_alone(stand: Stand) -> None:
    run_id = stand.restore(stand.stage(stand.run()), installation())
    for state in ("RUNNING", "PENDING", "SUSPENDED"):
        stand.states[run_id] = state
        assert stand.sweep() == []
    assert (stand.staged(), stand.restored()) == ({run_id}, {database_name(run_id)})
    assert not runs.closed(run_id)


def test_a_database_that_another_installation_made_is_said_and_left_alone(stand: Stand, caplog: Any) -> None:
    """The other app's runs are unknown to our engine and have no record here."""
    theirs = stand.restore(new_id(), "0ther1d")
    ours_by_name = stand.restore(stand.run(), "0ther1d")
    assert stand.sweep() == []
    assert stand.restored() == {database_name(theirs), database_name(ours_by_name)}
    assert f"left alone on the temporary server: {database_name(theirs)} of installation 0ther1d" in caplog.text


def test_what_has_no_record_here_is_said_and_left_alone(stand: Stand, caplog: Any) -> None:
    """A staging container that two apps share, a server that two apps share, records that somebody deleted."""
    staged, unmarked, ours = (
        stand.stage(new_id()),
        stand.restore(new_id(), None),
        stand.restore(new_id(), installation()),
    )
    assert stand.sweep() == []
    assert stand.staged() == {staged}
    assert stand.restored() == {database_name(unmarked), database_name(ours)}
    assert f"runs/{staged}/ in staging is left alone" in caplog.text
    assert f"{database_name(unmarked)} of an unknown installation" in caplog.text
    assert f"{database_name(ours)} on the temporary server is left alone: there is no record" in caplog.text


def test_a_run_that_the_engine_does_not_know_is_over_after_an_hour_and_not_before(stand: Stand) -> None:
    young = stand.stage(stand.run(age=timedelta(minutes=50)), "source-url")
    old = stand.stage(stand.run(age=timedelta(minutes=70)))
    assert [one.split(": ")[0] for one in stand.sweep()] == [old]
    assert stand.staged() == {young}


def test_a_run_of_another_task_hub_stays_until_it_says_itself_that_it_is_over(stand: Stand) -> None:
    stand.patch.setenv("TASKHUB_NAME", "green")
    settings.settings.cache_clear()
    run_id = stand.restore(stand.stage(stand.run(hub="blue")), installation())
    assert stand.sweep() == []
    assert (stand.staged(), stand.restored()) == ({run_id}, {database_name(run_id)})
    stand.close(run_id)
    assert len(stand.sweep()) == 2


def test_days_are_counted_from_the_clean_up_and_the_request_may_name_them(stand: Stand) -> None:
    run_id = stand.stage(stand.run(age=timedelta(days=30), cleanup="keep", keep_days=2))
    stand.close(run_id)
    assert stand.sweep() == []
    assert stand.staged() == {run_id}
    stand.close(run_id, days_ago=3)
    assert len(stand.sweep()) == 1
    assert stand.staged() == set()


def test_a_kept_run_that_names_no_days_is_kept_as_the_setting_says(stand: Stand) -> None:
    run_id = stand.stage(stand.run(cleanup="on-success"))
    stand.close(run_id, days_ago=6)
    assert stand.sweep() == []
    stand.close(run_id, days_ago=8)
    assert len(stand.sweep()) == 1


def test_a_verified_run_whose_clean_up_failed_is_swept_though_failures_would_be_kept(stand: Stand) -> None:
    run_id = stand.stage(stand.run(cleanup="on-success"))
    remains.close(run_id, runs.load(run_id).request, "verified")
    assert len(stand.sweep()) == 1


def test_a_run_that_can_not_be_deleted_does_not_keep_the_others_and_is_tried_again(stand: Stand) -> None:
    stand.patch.setattr(sweep, "RUNS_PER_TICK", 1)
    stuck, other, last = (stand.stage(stand.run()) for _ in range(3))
    first = min(stuck, other, last)
    lease = stand.staging.get_blob_client(f"runs/{first}/snapshot.tar").acquire_lease()
    said = stand.sweep()
    assert "STAGING_NOT_DELETED" in said[0]
    found = remains.load(first)
    assert found is not None
    assert "snapshot.tar" in found.left["staging"]
    stand.sweep()
    stand.sweep()
    assert stand.staged() == {first}, "it comes last from now on"
    lease.release()
    stand.sweep()
    found = remains.load(first)
    assert found is not None
    assert (stand.staged(), found.left) == (set(), {})


def test_a_run_whose_sweep_breaks_in_an_unforeseen_way_does_not_keep_the_others(stand: Stand) -> None:
    broken, unreadable, other = (stand.stage(stand.run()) for _ in range(3))
    stand.reports.upload_blob(f"runs/{broken}/closed.json", b"not JSON", overwrite=True)
    stand.reports.upload_blob(f"runs/{unreadable}/run.json", json.dumps({"id": "later version"}), overwrite=True)
    stand.sweep()
    assert stand.staged() == {broken, unreadable}
    assert other not in stand.staged()


def test_while_the_server_sleeps_only_staging_is_swept_and_nothing_is_said_of_databases(stand: Stand) -> None:
    stand.arm.state = "Stopped"
    stand.restore(stand.run(), installation())
    staged = stand.stage(stand.run())
    said = stand.sweep()
    assert [one.split(": ")[0] for one in said] == [staged]
    assert stand.staged() == set()
    assert len(stand.restored()) == 1


def test_a_manager_that_does_not_answer_does_not_keep_the_sweep_from_looking(stand: Stand) -> None:
    run_id = stand.restore(stand.run(), installation())
    stand.arm.forbidden = True
    assert run_id in {one.run.id for one in leftovers.find_leftovers()}


def stopped_by(run_id: str) -> str:
    power = stop_postgres(None, {"run": runs.load(run_id).model_dump(mode="json")})
    return str(power["state"])


def test_what_waits_on_the_server_is_swept_before_the_server_is_stopped(stand: Stand) -> None:
    failed, kept, last = (stand.restore(stand.run(cleanup=how), installation()) for how in ("always", "keep", "always"))
    for run_id in (failed, kept, last):
        stand.close(run_id)
    assert stopped_by(last) == "Stopping"
    assert stand.restored() == {database_name(kept)}


def test_the_server_is_not_stopped_under_a_run_that_has_waited_longer_than_its_mark_is_remembered(stand: Stand) -> None:
    waiting = stand.restore(stand.run(age=timedelta(days=5)), installation())
    last = stand.run()
    assert stopped_by(last) == "kept running"
    stand.close(waiting)
    assert stopped_by(last) == "Stopping"


@pytest.fixture
def long_up(stand: Stand) -> Stand:
    """The server has been up for longer than the hour that people have."""
    stand.patch.setattr(idling, "UP_FOR", timedelta(0))
    return stand


def test_a_server_that_nobody_uses_is_stopped_and_a_run_that_comes_then_starts_it(long_up: Stand) -> None:
    assert long_up.sweep() == ["Stopped the temporary server 127.0.0.1, which nobody used."]
    assert long_up.arm.state == "Stopping"
    assert long_up.sweep() == []
    for _ in range(4):
        start(long_up)
    assert (long_up.arm.state, long_up.arm.calls) == ("Ready", ["postgres/stop", "postgres/start"])
    assert start(long_up) == ("Ready", True)


def test_a_server_is_left_running_for_an_hour_for_a_mark_for_an_open_run_and_where_the_settings_say_so(
    stand: Stand,
) -> None:
    assert stand.sweep() == [], "it has just started"
    stand.patch.setattr(idling, "UP_FOR", timedelta(0))
    marks = ServerMarks(stand.reports)
    marks.put("20261128t200000-abc123")
    assert stand.sweep() == []
    marks.take_away("20261128t200000-abc123")
    waiting = stand.restore(stand.run(), installation())
    stand.states[waiting] = "RUNNING"
    assert stand.sweep() == []
    stand.close(waiting)
    stand.patch.setenv("POSTGRES__STOP_WHEN_IDLE", "false")
    settings.settings.cache_clear()
    stand.sweep()
    assert (stand.arm.state, stand.arm.calls) == ("Ready", [])


def test_a_run_that_comes_while_the_server_is_about_to_be_stopped_waits_and_one_that_came_before_keeps_it(
    long_up: Stand,
) -> None:
    stop_server = ResourceManager.stop_postgres
    seen: list[object] = []

    def late(manager: ResourceManager, server: str) -> None:
        seen.append(start(long_up))  # its mark comes after our look
        stop_server(manager, server)

    long_up.patch.setattr(ResourceManager, "stop_postgres", late)
    assert len(long_up.sweep()) == 1
    assert seen == [("Stopping", False)]

    long_up.arm.state = "Ready"
    ServerMarks(long_up.reports).not_stopping()
    long_up.patch.setattr(idling, "_idle", lambda *_: start(long_up)[1])  # its mark comes between our two looks
    assert long_up.sweep() == []
    assert start(long_up) == ("Ready", True)


def start(stand: Stand) -> tuple[str, bool]:
    run = runs.load(stand.run()).model_copy(update={"id": "20261128t200000-abc123"})
    power = start_postgres(None, {"run": run.model_dump(mode="json")})
    return power["state"], power["reached"]


def test_a_run_that_waits_for_longer_than_its_mark_is_remembered_keeps_its_server_before_it_has_a_database(
    long_up: Stand,
) -> None:
    run_id = long_up.run(age=timedelta(days=3))
    ServerMarks(long_up.reports).put(run_id)
    long_up.patch.setattr(marks, "FORGOTTEN_AFTER", timedelta(0))
    long_up.states[run_id] = "RUNNING"
    assert long_up.sweep() == []
    assert long_up.arm.calls == []
    long_up.states[run_id] = "TERMINATED"
    assert long_up.sweep()[-1] == "Stopped the temporary server 127.0.0.1, which nobody used."


def test_a_run_that_ends_leaves_the_server_to_one_that_waits_for_longer_than_its_mark_is_remembered(
    stand: Stand,
) -> None:
    waiting, last = stand.run(age=timedelta(days=3)), stand.run()
    ServerMarks(stand.reports).put(waiting)
    stand.patch.setattr(marks, "FORGOTTEN_AFTER", timedelta(0))
    assert stopped_by(last) == "kept running"
    assert stand.arm.calls == []
    stand.close(waiting)
    assert stopped_by(last) == "Stopping"


def test_a_mark_that_nobody_can_still_wait_behind_keeps_no_server(long_up: Stand) -> None:
    """A run of another task hub that was never closed: nobody knows it any more."""
    ServerMarks(long_up.reports).put(long_up.run(age=timedelta(days=40), hub="gone"))
    long_up.patch.setattr(marks, "FORGOTTEN_AFTER", timedelta(0))
    assert long_up.sweep() == []
    long_up.patch.setattr(marks, "LOST_AFTER", timedelta(0))
    assert long_up.sweep()[-1] == "Stopped the temporary server 127.0.0.1, which nobody used."


def test_marks_that_cannot_be_listed_keep_the_server_and_the_sweep_goes_on(long_up: Stand) -> None:
    def fails(*_: object) -> None:
        raise ServiceRequestError("no route")

    long_up.patch.setattr(ServerMarks, "forgotten", fails)
    assert long_up.sweep() == []
    assert long_up.arm.calls == []


def test_a_manager_that_fails_leaves_no_word_that_the_server_stops(long_up: Stand) -> None:
    def fails(*_: object) -> None:
        raise ServiceRequestError("no route")

    long_up.patch.setattr(ResourceManager, "stop_postgres", fails)
    assert long_up.sweep() == []
    assert not ServerMarks(long_up.reports).is_stopping()
