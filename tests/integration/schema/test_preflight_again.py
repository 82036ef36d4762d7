"""Preflight while something wakes up or does not answer yet: done again, with every finding at the last attempt."""

from typing import Any

import pytest
from azure.storage.blob import ExponentialRetry

from activities import preflight as stage
from activities.preflight import preflight
from shared.blobs import clients
from shared.errors import Finding, TransientError
from shared.settings import settings
from shared.sqlserver import checks
from tests.integration.schema.conftest import Stand

TARGET_AWAY = {"TARGET_WAKING", "TARGET_UNREACHABLE", "CONTAINER_UNREACHABLE"}


def delivered(stand: Stand, *, early: bool = True) -> tuple[set[str], list[str]]:
    """Deliver preflight until it answers, as the retry policy does; the answer's codes, and those it was raised with."""
    work = {"run": stand.work["run"], "early": early}
    raised: list[str] = []
    for _ in range(12):
        try:
            return {one["code"] for one in preflight(None, work)["findings"]}, raised
        except TransientError as error:
            raised.append(error.code)
    raise AssertionError(f"preflight never answered, but raised {raised}")


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize("times", [1, 3])
def test_a_paused_database_wakes_up_and_preflight_passes(stand: Stand, sql_server: Any, times: int) -> None:
    with sql_server.faults("refuse_login", number=checks.RESUMING, times=times):
        codes, raised = delivered(stand)
    assert raised == ["PREFLIGHT_AGAIN"] * times
    assert not codes & TARGET_AWAY
    assert "TARGET_COLLATION" in codes, "the database was looked at in the end"


@pytest.mark.usefixtures("target")
def test_a_database_that_never_wakes_up_is_a_finding_beside_the_others(
    stand: Stand, sql_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "ATTEMPTS_OF", {"TARGET_WAKING": 3})
    with sql_server.faults("refuse_login", number=checks.RESUMING, times=None):
        codes, raised = delivered(stand)
    assert raised == ["PREFLIGHT_AGAIN"] * 2
    assert {"TARGET_WAKING", "CONTAINER_MISSING", "SOURCE_MISSING"} <= codes


@pytest.mark.usefixtures("target")
def test_a_server_and_a_storage_account_that_do_not_answer_are_asked_a_few_times_and_then_findings(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES__PORT", "9")  # nobody listens there
    monkeypatch.setenv("TARGET__TEST__BLOB__CONNECTION_STRING", nowhere())
    monkeypatch.setattr(stage, "ATTEMPTS", 2)
    monkeypatch.setattr(clients, "ExponentialRetry", lambda **_: ExponentialRetry(retry_total=0))
    settings.cache_clear()
    codes, raised = delivered(stand, early=False)
    assert {"POSTGRES_UNREACHABLE", "CONTAINER_UNREACHABLE"} <= codes
    assert len(raised) == 1, "together, not one after the other"


@pytest.mark.usefixtures("target")
def test_a_question_that_times_out_is_asked_again_and_takes_no_other_finding_away(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object, **__: object) -> list[Finding]:
        raise TransientError("SQL_TIMEOUT", "target", "expected an answer within a minute, found none.")

    monkeypatch.setattr(stage, "_database", slow)
    codes, raised = delivered(stand)
    assert raised == ["PREFLIGHT_AGAIN"] * (stage.ATTEMPTS - 1)
    assert {"SQL_TIMEOUT", "CONTAINER_MISSING", "SOURCE_MISSING"} <= codes


@pytest.mark.usefixtures("target")
def test_staging_that_may_not_be_written_is_said_at_once_whatever_else_may_pass(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object, **__: object) -> list[Finding]:
        raise TransientError("SQL_TIMEOUT", "target", "expected an answer within a minute, found none.")

    monkeypatch.setattr(stage, "_database", slow)
    denied = Finding.error(
        "CONTAINER_DENIED", "staging", "expected to write, found 403.", "Give the identity its role."
    )
    monkeypatch.setattr(stage.blob_checks, "check_staging", lambda: [denied])
    codes, raised = delivered(stand)
    assert raised == []
    assert {"CONTAINER_DENIED", "SQL_TIMEOUT"} <= codes


def nowhere() -> str:
    """A connection string of a storage account that does not answer."""
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    return f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};BlobEndpoint=http://127.0.0.1:9/devstoreaccount1;"
