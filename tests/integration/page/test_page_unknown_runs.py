"""Runs that the durable engine does not know, on the page in headless Chromium: purged, lost, of another task hub."""

from datetime import UTC, datetime, timedelta

from shared import runs
from shared.contracts import Run
from shared.request import MigrationRequest
from tests.fixtures.apiserver import ApiServer
from tests.fixtures.browser import Browser
from tests.fixtures.pageruns import ID, REQUEST, finished, signed_in


def old(run_id: str, hub: str | None = None) -> None:
    """A run that was asked for hours ago."""
    created = datetime.now(UTC) - timedelta(hours=3)
    runs.save(Run(id=run_id, request=MigrationRequest.model_validate(REQUEST), created_at=created, hub=hub))


def test_a_run_whose_history_was_purged_shows_how_it_ended(api: ApiServer, browser: Browser) -> None:
    finished(api, "verified", "verified")
    api.engine.states.clear()
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("Verified", ".verdict strong")
    browser.reads("Copy rows", ".stages")
    browser.reads("Read the report", ".bar-of-actions")


def test_a_lost_run_says_what_to_do_and_offers_no_abort_and_no_report(api: ApiServer, browser: Browser) -> None:
    old(ID)
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("Lost: nobody knows how it ended", ".verdict strong")
    browser.reads("See whether the target was written", ".verdict")
    browser.reads("Whether it has written the target is not known here.", ".verdict")
    assert "Read the report" not in browser.find(".bar-of-actions").text
    assert not browser.find(".part-abort").is_displayed()


def test_a_run_of_another_task_hub_says_so_in_the_list_and_on_its_own(api: ApiServer, browser: Browser) -> None:
    old(ID, hub="mxf0old")
    signed_in(browser, api, "runs")
    browser.reads("elsewhere in task hub mxf0old", "tbody")
    browser.go(f"runs/{ID}")
    browser.reads("In another task hub", ".verdict strong")
    browser.reads("mxf0old", ".verdict p")
    assert not browser.find(".part-abort").is_displayed()
