"""The report and the runbook in headless Chromium: on paper, on a phone, in the dark, by keyboard."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared.contracts import Gate
from shared.reporting.html import page
from shared.reporting.model import Report
from tests.fixtures import reports
from tests.fixtures.browser import Browser

PAPER = 688
"""Pixels between the margins of a sheet of A4: 182 mm at 96 a inch."""
CUT = """
    return [...document.querySelectorAll('table')].filter((one) => one.scrollWidth > one.parentNode.clientWidth)
        .map((one) => one.textContent.trim().slice(0, 40))
"""


def decided() -> Report:
    """A report with all that makes its tables wide."""
    [gate] = reports.verified().gates
    start = gate.asked_at + timedelta(hours=1)
    talkative = Gate(
        name="late-snapshot", asked_at=start, answers_by=start + timedelta(hours=1), decision="approved", decided_at=start,
        decided_by="Maximiliane Schönbergen-Hohenfels", comment="The head of finance has looked at the invoices. " * 6,
    )  # fmt: skip
    stages = [
        one.model_copy(update={"rows": 1_234_567_890, "files": 1_000_000, "rows_per_second": 400_000.0})
        if one.name == "copy"
        else one
        for one in reports.verified().stages
    ]
    return reports.verified().model_copy(
        update={"gates": [gate, talkative], "compared_with": gate.name, "before": {"copy": 4000.0}, "stages": stages}
    )


def opened(browser: Browser, path: Path, report: Report) -> None:
    path.write_text(page(report))
    browser.open(path.as_uri())


@pytest.mark.parametrize("report", [decided(), reports.failed(), reports.refused()], ids=lambda one: one.verdict)
def test_on_paper_no_table_is_cut(browser: Browser, tmp_path: Path, report: Report) -> None:
    browser.size(PAPER, 900)
    browser.shown_as(media="print")
    opened(browser, tmp_path / "report.html", report)
    assert browser.driver.execute_script(CUT) == []
    assert browser.driver.execute_script("return document.documentElement.scrollWidth") == PAPER
    browser.shot(f"paper-{report.verdict}")


def test_on_a_screen_the_decisions_are_read_without_scrolling(browser: Browser, tmp_path: Path) -> None:
    browser.size(1100, 900)
    opened(browser, tmp_path / "report.html", decided())
    assert browser.driver.execute_script(CUT) == []


def test_what_scrolls_sideways_can_be_reached_by_keyboard_and_has_a_name_of_its_own(
    browser: Browser, tmp_path: Path
) -> None:
    opened(browser, tmp_path / "report.html", reports.failed())
    regions = browser.driver.find_elements("css selector", ".scroll")
    names = [one.get_attribute("aria-label") for one in regions]
    assert len(set(names)) == len(names) > 2
    assert {(one.get_attribute("role"), one.get_attribute("tabindex")) for one in regions} == {("region", "0")}
