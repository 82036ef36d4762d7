"""What preflight finds out about the speed of target and temporary server, and what the forecast makes of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from activities.forecast import forecast_end
from shared import capacity, settings
from shared.contracts import Counts, Run, StageState
from shared.request import MigrationRequest
from shared.settings import SqlServer
from shared.sqlserver.connection import session
from tests.fixtures.appsettings import NO_POSTGRES, set_settings, staging_settings, target_settings
from tests.fixtures.armdouble import DATABASE_ID, POSTGRES_ID, ArmDouble

RUN = "20261128t200000-aaaaaa"
NOW = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)


@pytest.fixture
def environment(azurite: str, container: ContainerClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArmDouble]:
    """Settings that name a target which is scaled for the load, and a burstable server, both known to ARM's double."""
    with ArmDouble() as arm:
        set_settings(
            monkeypatch,
            staging_settings(azurite, container.container_name),
            NO_POSTGRES,
            target_settings("REHEARSAL", azurite, container.container_name),
            {
                "POSTGRES__RESOURCE_ID": POSTGRES_ID,
                "TARGET__REHEARSAL__SQL__RESOURCE_ID": DATABASE_ID,
                "TARGET__REHEARSAL__SQL__SCALE_UP_TO": "GP_Gen5_8",
                "MANAGEMENT_URL": arm.url,
            },
        )
        yield arm


def run() -> Run:
    request = MigrationRequest.model_validate(
        {
            "source": {"kind": "blob", "container": "backups", "blob": "s.tar.gz"},
            "target": "rehearsal",
            "window": {"end": (NOW + timedelta(minutes=30)).isoformat()},
        }
    )
    return Run(id=RUN, request=request, created_at=NOW)


def test_preflight_says_what_bounds_the_load_and_keeps_it_for_the_forecast(environment: ArmDouble) -> None:
    assert capacity.remembered(RUN) is None
    (found,) = capacity.find_out(run())
    assert (found.code, found.severity) == ("TARGET_PACE", "info")
    assert found.message == (
        "GP_Gen5_8 for the load may write 36 MB/s to its log; rows will go at about 18 MB/s with 4 chunks at a time "
        "(heap-first), bound by the log rate of the target."
    )
    kept = capacity.remembered(RUN)
    assert kept is not None
    assert (kept.objective, kept.burstable) == ("GP_Gen5_8", True)


def test_a_window_that_the_sizes_do_not_fit_in_is_seen_before_the_target_is_written(environment: ArmDouble) -> None:
    capacity.find_out(run())
    done = {"snapshot": Counts(files=10, bytes=1000), "restore": Counts(rows=1, bytes=1), "plan": Counts(rows=40_000_000, bytes=33_000_000_000)}  # fmt: skip
    stages = [
        StageState(name=name, state="done", started_at=NOW, ended_at=NOW, done=one, total=one)
        for name, one in done.items()
    ]
    answer = forecast_end(
        None,
        {
            "run": run().model_dump(mode="json"),
            "now": NOW.isoformat(),
            "stages": [one.model_dump(mode="json") for one in stages],
        },
    )
    assert answer["basis"].startswith("33.0 GB of rows at 18 MB/s (log rate of GP_Gen5_8)")
    assert answer["late_seconds"] == pytest.approx(33_000 / 18 + 33_000 / 200 - 1800, rel=0.01)


@pytest.mark.parametrize(("minutes", "late"), [(29, None), (31, 60.0)])
def test_where_nothing_tells_how_long_the_rest_takes_a_window_that_is_over_is_late(
    environment: ArmDouble, minutes: int, late: float | None
) -> None:
    now = NOW + timedelta(minutes=minutes)
    preflight = StageState(name="preflight", state="done", started_at=NOW, ended_at=now)
    work = {"run": run().model_dump(mode="json"), "now": now.isoformat(), "stages": [preflight.model_dump(mode="json")]}
    answer = forecast_end(None, work)
    assert (answer["late_seconds"], answer["basis"]) == (late, "")


def test_a_target_and_a_server_that_cannot_be_asked_have_no_known_limit(
    environment: ArmDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TARGET__REHEARSAL__SQL__RESOURCE_ID")
    settings.settings.cache_clear()
    environment.forbidden = True
    assert capacity.find_out(run()) == []
    kept = capacity.remembered(RUN)
    assert kept is not None
    assert (kept.objective, kept.burstable) == ("", False)


def test_a_server_outside_azure_has_no_service_objective(sql_server: Any) -> None:
    profile = SqlServer.model_validate(
        {
            "server": f"127.0.0.1,{sql_server.port}", "database": sql_server.new_database(), "user": sql_server.user,
            "password": sql_server.password, "trust_server_certificate": True, "encrypt": "no",
        }
    )  # fmt: skip
    with session(profile) as connection:
        assert capacity.objective(connection) == ""
