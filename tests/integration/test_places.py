"""The report of a run that has failed says where its data lies, before the clean-up and after it."""

from html import unescape
from typing import Any

import pytest

from activities.report import write_report
from shared import remains, runs, settings
from shared.remains import Remains
from shared.reporting.model import Report
from shared.request import MigrationRequest

RUN = {
    "id": "20261128t200000-abc123", "created_at": "2026-11-28T20:00:00Z",
    "request": {"source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}, "target": "demo"},
}  # fmt: skip
STAGES = [
    {"name": name, "state": "done", "started_at": "2026-11-28T20:00:00Z", "ended_at": "2026-11-28T20:01:00Z"}
    for name in ("preflight", "snapshot", "restore")
]


def reported() -> dict[str, tuple[str, str]]:
    work: dict[str, Any] = {"run": RUN, "verdict": "failed", "stages": STAGES, "reported_at": "2026-11-28T21:00:00Z"}
    assert "refused" not in write_report(None, work)
    stored, html = (runs.read(f"runs/{RUN['id']}/report.{kind}") for kind in ("json", "html"))
    assert stored is not None
    assert html is not None
    found = Report.model_validate_json(stored).places
    assert b"<h2>Places</h2>" in html
    assert all(one.where in unescape(html.decode()) for one in found)
    return {one.name: (one.holds, one.until) for one in found}


@pytest.mark.usefixtures("api_settings")
def test_a_failed_run_says_where_its_data_lies_before_the_clean_up_and_after_it() -> None:
    before = reported()
    assert before["staging"][1].startswith("until the clean-up of this run")
    assert before["target database"][0] == "nothing of this run: it never wrote there"
    remains.save(str(RUN["id"]), Remains(left={"database": "Not deleted: it is locked."}))
    after = reported()
    assert after["staging"][1].startswith("deleted at the clean-up")
    assert after["temporary database"][1] == "still there, the sweep tries every hour. Not deleted: it is locked."


@pytest.mark.usefixtures("api_settings")
@pytest.mark.parametrize(
    ("options", "rule", "refused"),
    [
        ({"cleanup": "keep", "keep_days": 13}, "14", True),
        ({"cleanup": "on-success", "keep_days": 13}, "14", True),
        ({"cleanup": "keep", "keep_days": 12}, "14", False),
        ({"cleanup": "keep"}, "8", True),  # KEEP_DAYS, 7
        ({"cleanup": "keep", "keep_days": 300}, None, False),
        ({}, "1", False),
    ],
)
def test_a_run_is_not_promised_to_be_kept_for_longer_than_the_rule_of_the_account_lets_it_lie(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], rule: str | None, refused: bool
) -> None:
    if rule is not None:
        monkeypatch.setenv("RETENTION__STAGING_DAYS", rule)
    settings.settings.cache_clear()
    request = MigrationRequest.model_validate({**RUN["request"], "options": options})  # type: ignore[dict-item]
    assert [one.code for one in remains.check_keep(request)] == ["KEPT_TOO_LONG"] * refused
