"""A run under way on the page in headless Chromium: stages, tables, window, gates, abort; the durable engine is a double."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from selenium.webdriver.common.keys import Keys

from shared import runpaths
from shared.blobs import clients
from shared.contracts import Progress, StageState
from shared.databaseplan import DatabasePlan, PlannedTable
from shared.forecast import Forecast
from tests.fixtures.apiserver import ApiServer
from tests.fixtures.browser import Browser
from tests.fixtures.pageruns import ID, copying, fits, planned, put, signed_in, waiting


def test_the_stages_move_while_the_person_watches(api: ApiServer, browser: Browser) -> None:
    put(api, copying(100_000))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("100,000 of 1,000,000 rows")
    put(api, copying(600_000))
    browser.reads("600,000 of 1,000,000 rows")
    browser.reads("running, 60 %")
    put(api, copying(700_000))
    browser.find(".plot .line[d]")
    browser.shot("run-live")
    assert "Copy rows" in browser.find("#live").get_attribute("textContent")


def test_stages_and_rates_change_in_place_under_who_reads(api: ApiServer, browser: Browser) -> None:
    put(api, copying(100_000))
    signed_in(browser, api, f"runs/{ID}")
    browser.find(".plot .line[d]")
    mark = """
        const row = document.querySelector('.stage.running');
        getSelection().selectAllChildren(row.querySelector('.name'));
        return [row, document.querySelector('.plot')];
    """
    row, picture = browser.driver.execute_script(mark)
    now = datetime.now(UTC)
    files = StageState(name="files", started_at=now)
    progress = copying(600_000)
    put(api, progress.model_copy(update={"stages": [*progress.stages, files]}))
    browser.reads("600,000 of 1,000,000 rows")
    browser.reads("Copy files", ".stages")
    assert browser.find(".stage.running") == row
    assert browser.find(".plot") == picture
    assert browser.driver.execute_script("return getSelection().toString()") == "Copy rows", "what was marked stays so"


def test_the_wait_for_the_window_does_not_push_everything_else_to_the_edge(api: ApiServer, browser: Browser) -> None:
    progress = copying(100_000)
    [copy] = progress.stages
    asked, opened = copy.started_at - timedelta(hours=9), copy.started_at - timedelta(seconds=20)
    early = [
        StageState(name="early-preflight", state="done", started_at=asked, ended_at=asked + timedelta(seconds=3)),
        StageState(name="scheduled", state="done", started_at=asked + timedelta(seconds=3), ended_at=opened),
        StageState(name="preflight", state="done", started_at=opened, ended_at=copy.started_at),
    ]
    put(api, progress.model_copy(update={"stages": [*early, copy]}))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("Waiting for the window", ".stages")
    widths = browser.driver.execute_script(
        "return [...document.querySelectorAll('.stage:not(.axis) .lane > i')].map((one) => one.hidden ? null : parseFloat(one.style.width))"
    )
    assert widths[:2] == [None, None]
    assert widths[2] > 10, widths
    assert widths[3] > 10, widths
    browser.reads("8 h 59 min", ".stages")


def test_tables_are_shown_as_soon_as_they_are_planned(api: ApiServer, browser: Browser) -> None:
    put(api, copying(1).model_copy(update={"target_written_at": None}))
    tables = [
        PlannedTable(name=f"orders$table{n}", source_name=f"orders$table{n}", columns=[], rows=n) for n in range(3)
    ]
    plan = DatabasePlan(run=ID, tables=tables)
    clients.staging().upload_blob(runpaths.of_run(ID, runpaths.PLAN), plan.model_dump_json())
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("3 to copy")
    browser.reads("orders$table2")


def test_a_gate_is_approved_by_keyboard_with_name_and_comment(api: ApiServer, browser: Browser) -> None:
    put(api, waiting(), approval=True)
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("Write the target?")
    browser.shot("gate")
    name = browser.find("#by")
    name.send_keys("Ada Fischer", Keys.TAB, "Go.", Keys.TAB)
    assert browser.driver.switch_to.active_element.text == "Approve"
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.until(lambda: api.engine.events or None)
    assert api.engine.events == [(ID, "approve-write", {"by": "Ada Fischer", "signed_in": False, "comment": "Go."})]


def test_rows_on_the_target_grow_in_place_under_who_scrolls_and_reads(
    api: ApiServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {"orders$table39": 3}  # a double of the target's count
    monkeypatch.setattr("api.tables._counted_on", lambda _: dict(held))
    monkeypatch.setattr("api.tables.FRESH_SECONDS", 0.0)
    planned({f"orders$table{n}": 10 for n in range(40)})
    put(api, copying(1))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("0 of 40 have all their rows")
    region = browser.find(".tall")
    browser.driver.execute_script("arguments[0].scrollTop = 200; arguments[0].focus()", region)
    held["orders$table0"] = 10
    browser.reads("1 of 40 have all their rows")
    assert browser.driver.switch_to.active_element == region
    assert region.get_property("scrollTop") == 200


def test_a_target_that_is_slow_to_count_does_not_hold_the_run_up(
    api: ApiServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = threading.Event()
    monkeypatch.setattr("api.tables._counted_on", lambda _: counted.wait(60) and {})
    planned({"orders$order": 10})
    put(api, copying(100_000))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("100,000 of 1,000,000 rows")
    put(api, copying(600_000))
    browser.reads("600,000 of 1,000,000 rows")
    counted.set()


def test_the_focus_stays_on_the_page_when_the_gate_goes(api: ApiServer, browser: Browser) -> None:
    put(api, waiting(), approval=True)
    signed_in(browser, api, f"runs/{ID}")
    browser.fill("#by", "Ada")
    browser.click("Approve")
    browser.reads("Approved; the run goes on.")
    assert browser.driver.switch_to.active_element.text == "Approved; the run goes on."
    put(api, copying(1))
    browser.until(lambda: browser.driver.find_elements("css selector", ".gate") == [] or None)
    assert browser.driver.switch_to.active_element.get_attribute("id") == "main"


def test_a_gate_that_asks_again_says_why_and_keeps_what_was_typed(api: ApiServer, browser: Browser) -> None:
    progress = waiting()
    put(api, progress, approval=True)
    signed_in(browser, api, f"runs/{ID}")
    browser.fill("#by", "Ada")
    browser.fill("#comment", "Go.")
    browser.click("Approve")
    browser.reads("Approved; the run goes on.")
    [gate] = progress.gates
    put(api, progress.model_copy(update={"gates": [gate.model_copy(update={"comment": "Too early."})]}))
    browser.reads("Too early.", ".gate")
    assert browser.find("#comment").get_property("value") == "Go."
    browser.click("Approve")
    browser.until(lambda: len(api.engine.events) == 2 or None)


def test_a_half_typed_abort_outlives_the_point_of_no_return_and_a_gate(api: ApiServer, browser: Browser) -> None:
    put(api, copying(1).model_copy(update={"target_written_at": None}))
    signed_in(browser, api, f"runs/{ID}")
    browser.click("Abort…")
    browser.fill("#abort-why", "The users are")
    put(api, copying(1))
    browser.reads("The target has been written already", ".part-abort")
    put(api, waiting())
    browser.reads("Write the target?")
    why = browser.find("#abort-why")
    assert (why.is_displayed(), why.get_property("value")) == (True, "The users are")
    assert browser.driver.switch_to.active_element == why


def test_polling_does_not_take_what_the_person_types(api: ApiServer, browser: Browser) -> None:
    put(api, waiting(), approval=True)
    signed_in(browser, api, f"runs/{ID}")
    browser.find("#by").send_keys("Ada")
    stage = StageState(name="preflight", state="done", started_at=datetime.now(UTC))
    progress = waiting()
    before = api.engine.states[ID]
    gates = Progress.model_validate_json(before.serialized_custom_status).gates
    put(api, progress.model_copy(update={"stages": [stage, *progress.stages], "gates": gates}), approval=True)
    browser.reads("Preflight")
    assert browser.find("#by").get_attribute("value") == "Ada"
    assert browser.driver.switch_to.active_element.get_attribute("id") == "by"


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("hand-over", "waiting", "Start the app only for the hand-over, and let no users in."),
        ("hand-over", "done", "if it does not end so, stop the app"),
        ("smoke", "running", "do not start the app on it"),
        ("app-start", "running", "let no users in before everything is verified"),
    ],
)
def test_the_banner_says_what_the_app_on_the_target_may_do(
    api: ApiServer, browser: Browser, name: str, state: Literal["running", "waiting", "done"], words: str
) -> None:
    now = datetime.now(UTC)
    put(api, Progress(stages=[StageState(name=name, state=state, started_at=now)], target_written_at=now))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads(words, ".verdict")


def test_a_run_that_had_the_app_started_and_failed_says_to_stop_it(api: ApiServer, browser: Browser) -> None:
    stages = [StageState(name="app-start", state="done", started_at=datetime.now(UTC))]
    put(api, Progress(stages=stages, target_written_at=datetime.now(UTC)), "COMPLETED", {"verdict": "failed"})
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("The app was started on it: stop it", ".verdict")


def test_an_abort_at_a_gate_is_no_slip_of_the_hand(api: ApiServer, browser: Browser) -> None:
    put(api, waiting(), approval=True)
    signed_in(browser, api, f"runs/{ID}")
    browser.fill("#by", "Ada")
    button = browser.driver.find_element("xpath", "//div[@class='gate']//button[.='Abort this run']")
    assert not button.is_displayed()
    browser.click("Abort…")
    browser.reads("Nothing has been written to the target: it stays as it was.", ".gate")
    button.click()
    browser.reads("Abort asked for.", ".gate")
    assert [name for _, name, _ in api.engine.events] == ["abort"]


def test_what_is_spoken_and_shown_of_an_end_is_words(api: ApiServer, browser: Browser) -> None:
    reason = "copy: [DUPLICATE_KEYS] orders$order: expected unique keys in `id`."
    put(api, copying(1), "COMPLETED", {"verdict": "failed", "reason": reason})
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("Copy rows, orders$order: expected unique keys in id.", ".verdict")
    assert browser.find(".verdict code").text == "id"
    spoken = str(browser.find("#live").get_attribute("textContent"))
    assert spoken.endswith("is over: failed. Copy rows, orders$order: expected unique keys in id.")


def test_an_abort_needs_a_name_and_reaches_the_run(api: ApiServer, browser: Browser) -> None:
    put(api, copying(1))
    signed_in(browser, api, f"runs/{ID}")
    browser.click("Abort…")
    browser.click("Abort this run")
    assert api.engine.events == []
    browser.fill("#abort-by", "Ada")
    browser.fill("#abort-why", "Wrong snapshot")
    browser.click("Abort this run")
    browser.reads("Abort asked for")
    assert api.engine.events == [(ID, "abort", {"by": "Ada", "signed_in": False, "comment": "Wrong snapshot"})]


NIGHT = timedelta(hours=3)


def in_a_window(api: ApiServer, seconds_left: float, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """A run in its window of three hours, an hour of them gone; its expected end is a double's."""
    start = datetime.now(UTC) - timedelta(hours=1)
    window = {"start": start.isoformat(), "end": (start + NIGHT).isoformat(), "when_late": "ask"}
    ends = datetime.now(UTC) + timedelta(seconds=seconds_left)
    late = max(0.0, (ends - start - NIGHT).total_seconds())
    expected = Forecast(ends_at=ends, seconds_left=seconds_left, basis="the last rehearsal", late_seconds=late)
    monkeypatch.setattr("api.migrations._forecast", lambda *_: expected)
    put(api, copying(300_000), window=window)
    return start


@pytest.mark.parametrize(("hours", "words"), [(1.0, "to spare"), (2.5, "too late")])
def test_the_window_is_a_bar_with_the_expected_end(
    api: ApiServer, browser: Browser, monkeypatch: pytest.MonkeyPatch, hours: float, words: str
) -> None:
    in_a_window(api, hours * 3600, monkeypatch)
    signed_in(browser, api, f"runs/{ID}")
    browser.reads(words, ".window")
    browser.reads("If late: the run asks before the target is written.", ".window")
    browser.reads("reckoned from the last rehearsal", ".window")

    def share(part: str) -> float:
        bar, found = browser.find(".window .bar").rect, browser.find(f".window {part}").rect
        return float((found["x"] + found["width"] - bar["x"]) / bar["width"])

    last = max(3.0, 1 + hours) + 3 * 0.02
    assert share(".gone") == pytest.approx(1 / last, abs=0.02)
    assert share(".eta") == pytest.approx((1 + hours) / last, abs=0.02)
    assert share(".open") == pytest.approx(3 / last, abs=0.02)
    browser.shot(f"window-{words.replace(' ', '-')}")


def test_a_run_under_way_fits_a_phone(api: ApiServer, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_window(api, 2.5 * 3600, monkeypatch)
    monkeypatch.setattr("api.tables._counted_on", lambda _: {"orders$order": 3})
    planned({"orders$order": 10, "customers$customer_with_a_very_long_name_of_an_entity_that_nobody_shortened": 5})
    put(api, waiting())
    browser.size(360, 740)
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("Write the target?")
    browser.reads("too late", ".window")
    browser.reads("orders$order")
    fits(browser)
    flags = browser.driver.find_elements("css selector", ".flags span")
    assert flags
    for one in flags:
        assert 0 <= one.rect["x"] <= one.rect["x"] + one.rect["width"] <= 360, one.text
    browser.shot("phone-gate")
    put(api, copying(600_000))
    browser.reads("60 %")
    fits(browser)
    browser.shot("phone-live")
    browser.go(f"runs/{ID}/runbook")
    root = browser.until(lambda: browser.find(".paper").shadow_root.find_element("css selector", ".steps"))
    assert root
    fits(browser)
    browser.shot("phone-runbook")


def test_a_lost_app_is_said_and_forgotten_when_it_answers_again(api: ApiServer, browser: Browser) -> None:
    put(api, copying(1))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("Copy rows")
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/api/migrations/*"]})
    browser.until(lambda: "trying again" in browser.text("#trouble") or None)
    browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    browser.until(lambda: not browser.find("#trouble").is_displayed() or None)


def test_an_app_that_is_busy_is_asked_again(api: ApiServer, browser: Browser) -> None:
    put(api, copying(100_000))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("100,000 of 1,000,000 rows")
    # A double of a front that is busy once.
    browser.driver.execute_script(
        "const real = window.fetch; window.fetch = async () => {"
        " window.fetch = real; return new Response('{}', { status: 429 }); };"
    )
    browser.until(lambda: "trying again" in browser.text("#trouble") or None)
    put(api, copying(600_000))
    browser.reads("600,000 of 1,000,000 rows")
