"""Every view by the rules of axe-core, in light and in the dark, on a desk and on a phone; the durable engine is a double."""

from pathlib import Path

import pytest

from shared import runs
from shared.communication.memory import Told
from shared.reporting.html import page
from tests.fixtures import reports
from tests.fixtures.apiserver import ApiServer
from tests.fixtures.axe import violations
from tests.fixtures.browser import Browser
from tests.fixtures.pageruns import ID, TAKEN, copying, finished, fits, planned, put, signed_in, tell, untaken, waiting
from tests.integration.page.test_page import rehearsed

LOOKS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def look(request: pytest.FixtureRequest, browser: Browser) -> tuple[int, str]:
    """A width in pixels and a colour scheme; the browser has both."""
    width, scheme = request.param
    browser.size(width, 900)
    browser.shown_as(scheme=scheme)
    return width, scheme


def good(browser: Browser, look: tuple[int, str], name: str) -> None:
    """Nothing is wrong with what is shown, and it is as dark as it was wanted."""
    browser.until(lambda: "Loading…" not in browser.text("main") or None)
    fits(browser, look[0])
    assert violations(browser) == [], name
    paper = browser.find("body").value_of_css_property("background-color")
    assert (sum(map(int, paper.strip("rgba()").split(",")[:3])) < 200) == (look[1] == "dark"), paper
    browser.shot(f"{name}-{look[0]}-{look[1]}")


def test_the_views_of_no_run_keep_the_rules(api: ApiServer, browser: Browser, look: tuple[int, str]) -> None:
    browser.open(f"{api.url}/api/ui")
    browser.reads("Function key", "main h1")
    good(browser, look, "sign-in")
    signed_in(browser, api, "")
    good(browser, look, "no-runs")
    browser.go("new")
    browser.reads("Start", "main h1")
    browser.click("The request as JSON")
    good(browser, look, "start")
    for days, copy in ((9, 30.0), (1, 95.0)):
        rehearsed(days, copy)
    browser.go("rehearsals")
    browser.reads("Not ready yet", ".verdict")
    good(browser, look, "rehearsals")


def test_a_run_under_way_and_its_runbook_keep_the_rules(
    api: ApiServer, browser: Browser, look: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.tables._counted_on", lambda _: {"orders$order": 3})  # a double of the target's count
    planned({"orders$order": 10, "customers$customer_with_a_very_long_name_of_an_entity_that_nobody_shortened": 5})
    put(api, copying(300_000))
    runs.save_findings(ID, reports.verified().findings)
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("300,000 of 1,000,000 rows")
    browser.find(".plot .line[d]")
    browser.click("Abort…")
    good(browser, look, "under-way")
    put(api, waiting(), approval=True)
    browser.go("")
    browser.go(f"runs/{ID}")
    browser.reads("Write the target?")
    browser.click("Abort…")
    good(browser, look, "at-a-gate")
    browser.go(f"runs/{ID}/runbook")
    browser.find(".paper")
    good(browser, look, "runbook")


@pytest.mark.parametrize("verdict", ["verified", "failed"])
def test_a_run_that_is_over_and_its_report_keep_the_rules(
    api: ApiServer, browser: Browser, look: tuple[int, str], verdict: str
) -> None:
    finished(api, verdict, verdict)
    runs.save_findings(ID, reports.verified().findings)
    lost, waits = untaken("mail", "started", "", "NO_TOKEN"), untaken("mail", "late", ":2h", "")
    tell(Told(told=TAKEN, dropped=[lost], waiting=[waits]))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("orders$order", ".part-tables")
    browser.reads("1 given up, 1 waiting", ".part-messages")
    good(browser, look, verdict)
    browser.go(f"runs/{ID}/report")
    browser.find(".paper")
    good(browser, look, f"{verdict}-report")


def test_the_report_as_a_file_keeps_the_rules(browser: Browser, look: tuple[int, str], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(reports.failed()))
    browser.open(path.as_uri())
    assert "Failed" in browser.text("main")
    good(browser, look, "report-file")


def test_what_does_not_keep_the_rules_is_found_in_shadow_trees_too(browser: Browser) -> None:
    browser.open("data:text/html,<html lang=en><title>x</title><main><h1>x</h1><div id=host></div></main>")
    browser.driver.execute_script(
        "document.querySelector('#host').attachShadow({mode: 'open'}).innerHTML = '<main><img src=x></main>'"
    )
    found = {one.split(" ")[0] for one in violations(browser)}
    assert found >= {"image-alt", "landmark-no-duplicate-main", "landmark-main-is-top-level"}
