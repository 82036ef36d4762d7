"""What channels took of a run, and what not, on its page in headless Chromium; the durable engine is a double."""

from datetime import timedelta

from shared.communication.memory import Told
from shared.contracts import Progress
from tests.fixtures import reports
from tests.fixtures.apiserver import ApiServer
from tests.fixtures.browser import Browser
from tests.fixtures.pageruns import ID, TAKEN, copying, fits, put, signed_in, tell, untaken

AT_ONCE = "const later = window.setTimeout; window.setTimeout = (work, wait) => later(work, Math.min(wait, 300))"


def test_what_a_channel_took_and_what_waits_for_it_is_shown_while_the_run_goes_on(
    api: ApiServer, browser: Browser
) -> None:
    put(api, copying(100_000))
    tell(Told(told=TAKEN))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("took 2", ".part-messages")
    waiting = [untaken("mail", "stage-done", ":snapshot", "NO_TOKEN"), untaken("mail", "late", "", "")]
    tell(Told(told=TAKEN, waiting=waiting))
    browser.reads("2 waiting", ".part-messages")
    browser.reads("stage-done:snapshot NO_TOKEN, late", ".part-messages")


def test_what_was_given_up_is_shown_and_messages_that_follow_the_end_still_reach_the_page(
    api: ApiServer, browser: Browser
) -> None:
    dropped = untaken("mail", "stage-done", ":snapshot", "NOT_DELIVERED")
    dropped.dropped_at = dropped.since + timedelta(days=1)
    waiting = untaken("team", "verified", "", "NO_ANSWER")
    put(api, Progress(stages=reports.stages()), "COMPLETED", {"verdict": "verified"})
    tell(Told(told=TAKEN, dropped=[dropped], waiting=[waiting]))
    signed_in(browser, api, "runs")
    browser.driver.execute_script(AT_ONCE)
    browser.go(f"runs/{ID}")
    browser.reads("1 given up, 1 waiting", ".part-messages")
    browser.reads("given up: stage-done:snapshot NOT_DELIVERED", ".part-messages")
    browser.driver.execute_script("document.querySelector('.part-messages').scrollIntoView()")
    browser.shot("messages")
    browser.size(360, 740)
    fits(browser)
    tell(Told(told=TAKEN | {waiting.event: ["team"]}, dropped=[dropped], done=True))
    browser.reads("took 3", ".part-messages")
    assert "waiting" not in browser.text(".part-messages")


def test_a_run_that_nobody_is_told_of_has_no_messages_on_its_page(api: ApiServer, browser: Browser) -> None:
    put(api, copying(100_000))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("100,000 of 1,000,000 rows")
    assert "Messages" not in browser.text("main")
