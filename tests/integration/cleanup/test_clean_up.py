"""The clean-up of a run: every step is tried, what is left is said by name, and the sweep does the rest."""

import threading
from datetime import datetime, timedelta
from typing import Any

from activities import cleanup
from shared import remains, runs
from shared.errors import TransientError
from shared.installation import installation
from shared.postgres.connection import database_name
from tests.integration.cleanup.conftest import Stand


def clean_up(run_id: str, verdict: str = "verified", **more: Any) -> dict[str, Any]:
    run = runs.load(run_id).model_dump(mode="json")
    return cleanup.clean_up(None, {"run": run, "verdict": verdict, **more})


def left_of(run_id: str) -> remains.Remains:
    found = remains.load(run_id)
    assert found is not None
    return found


def test_what_is_kept_is_said_with_the_day_on_which_it_goes(stand: Stand) -> None:
    run_id = stand.restore(stand.stage(stand.run(cleanup="keep", keep_days=3)), installation())
    answer = clean_up(run_id)
    closing = remains.closing(run_id)
    assert closing is not None
    until = left_of(run_id).kept_until
    assert isinstance(until, datetime)
    assert until - closing.at == timedelta(days=3)
    assert answer["done"][0].startswith(f"Kept until {until:%Y-%m-%d %H:%M} UTC, as the request says (keep): ")
    assert (stand.staged(), stand.restored()) == ({run_id}, {database_name(run_id)})
    assert clean_up(run_id) == answer, "a second delivery does not keep it longer"


def test_a_run_that_did_not_succeed_is_kept_where_the_request_says_on_success(stand: Stand) -> None:
    failed, verified = (stand.stage(stand.run(cleanup="on-success")) for _ in range(2))
    assert "Kept until" in clean_up(failed, "failed")["done"][0]
    assert left_of(failed).kept_until is not None
    clean_up(verified)
    assert left_of(verified).kept_until is None
    assert stand.staged() == {failed}


def test_a_step_that_fails_names_its_object_and_the_later_ones_are_done(stand: Stand, caplog: Any) -> None:
    caplog.set_level("INFO")
    run_id = stand.restore(stand.stage(stand.run()), installation())
    lease = stand.staging.get_blob_client(f"runs/{run_id}/snapshot.tar").acquire_lease()
    answer = clean_up(run_id)
    [finding] = answer["findings"]
    assert (finding["code"], finding["object"]) == ("NOT_CLEANED_UP", f"{stand.staging.container_name}/runs/{run_id}/")
    assert "snapshot.tar" in finding["message"]
    assert f"delete runs/{run_id}/" in finding["remedy"]
    assert answer["done"] == [f"Dropped the temporary database {database_name(run_id)}."]
    assert "snapshot.tar" in left_of(run_id).left["staging"]
    assert "staging-cleaned" not in caplog.text
    lease.release()
    stand.states[run_id] = "COMPLETED"
    stand.sweep()
    assert left_of(run_id).left == {}
    assert len(left_of(run_id).done) == 2
    assert f'{{"event": "staging-cleaned", "run": "{run_id}"}}' in caplog.text


def test_a_database_of_another_installation_is_a_finding_that_names_it(stand: Stand) -> None:
    run_id = stand.restore(stand.run(), "0ther1d")
    [finding] = clean_up(run_id)["findings"]
    assert finding["object"] == database_name(run_id)
    assert "installation 0ther1d" in finding["message"]
    assert stand.restored() == {database_name(run_id)}


def test_an_error_of_ours_in_one_step_does_not_keep_the_others_from_being_done(stand: Stand) -> None:
    run_id = stand.stage(stand.run())

    def broken(*_: object) -> list[str]:
        raise ZeroDivisionError("a bug")

    stand.patch.setattr(cleanup.temporary, "drop", broken)
    answer = clean_up(run_id, target_written=False)
    assert [(one["object"], one["code"]) for one in answer["findings"]] == [("database", "NOT_CLEANED_UP")]
    assert "ZeroDivisionError" in answer["findings"][0]["message"]
    assert stand.staged() == set()


def test_a_run_that_ended_before_its_environment_was_awake_does_not_ask_the_server_that_sleeps(stand: Stand) -> None:
    run_id = stand.stage(stand.run())

    def asleep(*_: object) -> list[str]:
        raise TransientError("POSTGRES_TRANSIENT", "postgres", "no answer.")

    stand.patch.setattr(cleanup.temporary, "drop", asleep)
    assert clean_up(run_id, target_written=False, opened=False)["findings"] == []
    assert stand.staged() == set()
    assert [one["object"] for one in clean_up(run_id, target_written=False)["findings"]] == ["postgres"]


def test_two_clean_ups_of_one_run_at_once_say_nothing_wrong(stand: Stand) -> None:
    run_id = stand.restore(stand.stage(stand.run()), installation())
    for number in range(5):
        stand.staging.get_blob_client(f"runs/{run_id}/dead-{number}").stage_block("00000000", b"never committed")
    answers: list[dict[str, Any]] = []
    barrier = threading.Barrier(2)

    def deliver() -> None:
        barrier.wait()
        answers.append(clean_up(run_id))

    threads = [threading.Thread(target=deliver) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one["findings"] for one in answers] == [[], []]
    assert (stand.staged(), stand.restored()) == (set(), set())
