"""Who else is on the target database, asked once more right before it is written."""

from typing import Any

import pytest

from activities.application import look_for_sessions
from activities.preflight import preflight
from tests.integration.schema.conftest import Answer, Stand

pytestmark = pytest.mark.usefixtures("target")


def looked(stand: Stand) -> list[Answer]:
    found: list[Answer] = look_for_sessions(None, {"run": stand.work["run"]})["findings"]
    return found


def test_sessions_of_others_are_an_error_and_leave_with_their_program(sql_server: Any, stand: Stand) -> None:
    assert looked(stand) == []
    with sql_server.connect(stand.target.database, APP="Mendix Runtime"):
        (finding,) = looked(stand)
        assert (finding["code"], finding["severity"], finding["count"]) == ("TARGET_IN_USE", "error", 1)
        assert '"TARGET_IN_USE": "accept"' in finding["remedy"]
    assert looked(stand) == []


def test_sessions_that_the_request_accepts_are_a_warning_in_preflight_and_at_the_end(
    sql_server: Any, stand: Stand
) -> None:
    stand.request(options={"remedies": {"TARGET_IN_USE": "accept"}}, stop_target_app=True)
    with sql_server.connect(stand.target.database, APP="Mendix Runtime"):
        before = preflight(None, {"run": stand.work["run"]})["findings"]
        found = [*(one for one in before if one["code"] == "TARGET_IN_USE"), *looked(stand)]
    assert [(one["severity"], one["chosen"]) for one in found] == [("warning", "accept")] * 2


def test_a_rehearsal_is_not_said_to_look_again(sql_server: Any, stand: Stand) -> None:
    stand.request(options={"purpose": "rehearsal"})
    with sql_server.connect(stand.target.database, APP="Mendix Runtime"):
        before = preflight(None, {"run": stand.work["run"]})["findings"]
    (finding,) = (one for one in before if one["code"] == "TARGET_IN_USE")
    assert "dropped whoever is on it" in finding["remedy"]
    assert "refuses then" not in finding["remedy"]


def test_the_sessions_that_azure_keeps_open_are_nobody(sql_server: Any, stand: Stand) -> None:
    with sql_server.connect(stand.target.database, APP="MetricsDownloader"):
        assert looked(stand) == []
