"""The runbook on the page in headless Chromium: live, and ticked off by people; the durable engine is a double."""

from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from shared import ticks
from shared.ticks import Tick
from tests.fixtures.apiserver import ApiServer
from tests.fixtures.axe import violations
from tests.fixtures.browser import Browser
from tests.fixtures.pageruns import ID, copying, put, signed_in

DNS = "Switch DNS or the load balancer"
INSIDE = "return document.querySelector('.paper').shadowRoot."
TEXT = "return document.querySelector('.paper')?.shadowRoot.textContent ?? ''"
HASTE = "const real = window.setTimeout; window.setTimeout = (work, wait) => real(work, wait / 50)"
"""Polls as if fifty times as much time went by."""
DEAF = "const real = window.fetch; window.fetch = (to, how) => how.method === 'POST' ? Promise.reject(new TypeError('no line')) : real(to, how)"
"""What people say does not reach the app."""


Box = Callable[[str], WebElement | None]


@pytest.fixture
def box(api: ApiServer, browser: Browser) -> Box:
    """The box to tick a step with that is called so, in the runbook of a run that copies."""
    put(api, copying(100_000))
    signed_in(browser, api, "")
    browser.driver.execute_script(HASTE)
    browser.go(f"runs/{ID}/runbook")
    browser.until(lambda: DNS in browser.driver.execute_script(TEXT) or None, "the runbook")
    return lambda title: browser.driver.execute_script(
        f"{INSIDE}querySelector(`[aria-label='Done: ${{arguments[0]}}']`)", title
    )


def announced(browser: Browser, words: str) -> None:
    """Wait until the live region says so."""
    browser.until(lambda: words in str(browser.find("#live").get_attribute("textContent")) or None, words)


def shown(browser: Browser, words: str) -> None:
    """Wait until the runbook says so."""
    browser.until(lambda: words in browser.driver.execute_script(TEXT) or None, words)


def pressed(browser: Browser, found: WebElement | None) -> None:
    """Press the space bar on a box."""
    browser.driver.execute_script("arguments[0].focus()", found)
    ActionChains(browser.driver).send_keys(Keys.SPACE).perform()


def test_people_tick_the_steps_they_have_done_and_take_it_back_by_keyboard(browser: Browser, box: Box) -> None:
    browser.fill("#done-by", "Ada")
    assert box("Move the rows") is None, "the run does that itself"
    pressed(browser, browser.until(lambda: box(DNS)))
    announced(browser, f"“{DNS}” is done, says Ada.")
    shown(browser, "UTC by Ada")
    ticked = browser.until(lambda: box(DNS))
    assert ticked is not None
    assert (ticked.aria_role, ticked.accessible_name, ticked.is_selected()) == ("checkbox", f"Done: {DNS}", True)
    browser.shot("runbook-done")
    ActionChains(browser.driver).send_keys(Keys.SPACE).perform()  # the focus has stayed on it
    announced(browser, f"“{DNS}” is not done, says Ada.")
    shown(browser, "open; taken back ")
    open_again = browser.until(lambda: box(DNS))
    assert open_again is not None
    assert not open_again.is_selected()
    assert [one.done for one in ticks.load(ID)["switch-dns"]] == [True, False]
    browser.shot("runbook-taken-back")


def test_a_box_shows_what_is_kept_where_a_word_was_not_taken(browser: Browser, box: Box) -> None:
    pressed(browser, browser.until(lambda: box(DNS)))  # nobody has given a name
    unnamed = browser.until(lambda: box(DNS))
    assert unnamed is not None
    assert not unnamed.is_selected()
    browser.fill("#done-by", "Ada")
    browser.driver.execute_script(DEAF)
    pressed(browser, browser.until(lambda: box(DNS)))
    browser.until(lambda: browser.find(".fields [role=alert]").text or None, "why it was not taken")
    refused = browser.until(lambda: box(DNS))
    assert refused is not None
    assert not refused.is_selected()
    assert ticks.load(ID) == {}


def test_an_open_runbook_shows_what_others_have_done_and_the_focus_stays(
    api: ApiServer, browser: Browser, box: Box
) -> None:
    events = browser.until(lambda: box("Scheduled events on"))
    browser.driver.execute_script("arguments[0].focus(); scrollTo(0, 400)", events)
    at = browser.driver.execute_script("return scrollY")
    said(api, "switch-dns")
    shown(browser, "UTC by Grace")
    assert browser.driver.execute_script(f"{INSIDE}activeElement") == events, "the same box"
    said(api, "scheduled-events-on")
    browser.until(
        lambda: browser.driver.execute_script(f"{INSIDE}activeElement?.checked"), "the box that has the focus"
    )
    assert browser.driver.execute_script(f"{INSIDE}activeElement") == box("Scheduled events on")
    assert browser.driver.execute_script("return scrollY") == at


def said(api: ApiServer, step: str) -> None:
    """Somebody else says that a step is done."""
    address = f"{api.url}/api/migrations/{ID}/runbook/{step}"
    assert httpx.post(address, json={"by": "Grace"}, headers={"x-functions-key": api.key}).status_code == 200


def test_boxes_that_are_ticked_and_taken_back_keep_the_rules_for_everybody(
    api: ApiServer, browser: Browser, box: Box
) -> None:
    said(api, "switch-dns")
    said(api, "raise-ttl")
    ticks.keep(ID, Tick(step="raise-ttl", done=False, by="Ada", at=datetime.now(UTC), comment="too early"))
    shown(browser, "“too early”")
    for scheme in ("light", "dark"):
        browser.shown_as(scheme=scheme)
        assert violations(browser) == []


def test_a_document_brings_no_second_main_landmark_into_the_page(browser: Browser, box: Box) -> None:
    del box
    assert browser.driver.execute_script(f"{INSIDE}querySelectorAll('main').length") == 0
    assert len(browser.driver.find_elements("css selector", "main")) == 1
