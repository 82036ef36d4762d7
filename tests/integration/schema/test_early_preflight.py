"""Preflight of a run that waits for its window, hours before: what needs no temporary server, which may be asleep."""

import pytest

from activities import preflight as stage
from activities.preflight import preflight
from shared.settings import settings
from tests.integration.schema.conftest import Stand


@pytest.mark.usefixtures("target")
def test_before_the_window_opens_everything_is_looked_at_but_the_server_that_may_be_asleep(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES__PORT", "9")  # nobody listens there
    monkeypatch.setattr(stage, "ATTEMPTS", 1)
    settings.cache_clear()
    work = {"run": stand.work["run"]}
    early = {one["code"] for one in preflight(None, work | {"early": True})["findings"]}
    later = {one["code"] for one in preflight(None, work)["findings"]}
    assert early < later
    assert any("POSTGRES" in code for code in later - early), later
    assert not any("POSTGRES" in code for code in early)
