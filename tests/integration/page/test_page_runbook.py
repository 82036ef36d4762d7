"""The runbook on the page in headless Chromium: live, and ticked off by people; the durable engine is a double."""

from collections.abc import Callable

import httpx
import pytest
from selenium.webdriver.remote.webelement import WebElement

from tests.fixtures.apiserver import ApiServer
from tests.fixtures.browser import Browser
from tests.fixtures.pageruns import ID, copying, put, signed_in

DNS = "Switch DNS or the load balancer"
INSIDE = "return document.querySelector('.paper').shadowRoot."
TEXT = "return document.querySelector('.paper')?.shadowRoot.textContent ?? ''"
HASTE = "const real = window.setTimeout; window.setTimeout = (work, wait) => real(work, wait / 50)"
"""Polls as if fifty times as much time went by."""


@pytest.fixture
def button(api: ApiServer, browser: Browser) -> Callable[[str], WebElement | None]:
    """The button that reads so to somebody who does not see it, in the runbook of a run that copies."""
    put(api, copying(100_000))
    signed_in(browser, api, "")
    browser.driver.execute_script(HASTE)
    browser.go(f"runs/{ID}/runbook")
    browser.until(lambda: DNS in browser.driver.execute_script(TEXT) or None, "the runbook")
    return lambda label: browser.driver.execute_script(
        f"{INSIDE}querySelector(`[aria-label='${{arguments[0]}}']`)", label
    )


def test_people_say_with_two_presses_which_step_they_have_done(
    browser: Browser, button: Callable[[str], WebElement | None]
) -> None:
    browser.fill("#done-by", "Ada")
    assert button("Done: Move the rows") is None, "the run does that itself"
    browser.until(lambda: button(f"Done: {DNS}")).click()  # type: ignore[union-attr]
    browser.until(lambda: "Press once more" in str(browser.find("#live").get_attribute("textContent")) or None)
    browser.until(lambda: button(f"Yes, it is done: {DNS}")).click()  # type: ignore[union-attr]
    browser.until(lambda: "UTC by Ada" in browser.driver.execute_script(TEXT) or None, "the name beside the step")
    assert button(f"Done: {DNS}") is None, "it is done: no button any more"
    browser.until(
        lambda: f"“{DNS}” is done, says Ada." in str(browser.find("#live").get_attribute("textContent")) or None
    )
    held = browser.driver.execute_script(f"{INSIDE}activeElement?.textContent")
    assert DNS in held, "the focus is on the step"
    browser.shot("runbook-done")


def test_a_press_that_was_none_of_ones_business_is_taken_back_by_going_on(
    api: ApiServer, browser: Browser, button: Callable[[str], WebElement | None]
) -> None:
    browser.fill("#done-by", "Ada")
    browser.until(lambda: button(f"Done: {DNS}")).click()  # type: ignore[union-attr]
    browser.until(lambda: button(f"Yes, it is done: {DNS}"))
    browser.find("#done-by").click()
    browser.until(lambda: button(f"Done: {DNS}"))
    book = httpx.get(f"{api.url}/api/migrations/{ID}/runbook", headers={"x-functions-key": api.key}).text
    assert "by Ada" not in book


def test_an_open_runbook_shows_what_others_have_done_and_the_focus_stays(
    api: ApiServer, browser: Browser, button: Callable[[str], WebElement | None]
) -> None:
    before = browser.until(lambda: button("Done: Scheduled events on"))
    browser.driver.execute_script("arguments[0].focus(); scrollTo(0, 400)", before)
    at = browser.driver.execute_script("return scrollY")
    steps = f"{INSIDE}querySelector(`[aria-label='Done: {DNS}']`).dataset.step"
    answered = httpx.post(
        f"{api.url}/api/migrations/{ID}/runbook/{browser.driver.execute_script(steps)}",
        json={"by": "Grace"}, headers={"x-functions-key": api.key},
    )  # fmt: skip
    assert answered.status_code == 200
    browser.until(lambda: "UTC by Grace" in browser.driver.execute_script(TEXT) or None, "what Grace has done")
    assert browser.driver.execute_script(f"{INSIDE}activeElement") == before, "the same button"
    assert browser.driver.execute_script("return scrollY") == at


def test_a_document_brings_no_second_main_landmark_into_the_page(browser: Browser, button: object) -> None:
    del button
    assert browser.driver.execute_script(f"{INSIDE}querySelectorAll('main').length") == 0
    assert len(browser.driver.find_elements("css selector", "main")) == 1
