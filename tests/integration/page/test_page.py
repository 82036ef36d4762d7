"""The page in headless Chromium, over the API's own handlers; the durable engine behind them is a double."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from api import ui
from shared import rehearsals, remains, runs
from shared.contracts import Run
from shared.remains import Remains
from shared.request import MigrationRequest
from tests.fixtures import reports
from tests.fixtures.apiserver import ApiServer
from tests.fixtures.browser import Browser
from tests.fixtures.pageruns import ID, REQUEST, copying, finished, fits, put, signed_in

NO_POLLING = "window.setTimeout = () => 0"
HOSTILE = "<img src=x onerror=document.title='owned'>"


def test_the_page_asks_for_the_key_and_says_when_it_is_wrong(api: ApiServer, browser: Browser) -> None:
    browser.open(f"{api.url}/api/ui")
    browser.sign_in("not the key")
    browser.reads("The app did not take that key.")
    browser.sign_in(api.key)
    browser.reads("No migration has been started yet.")
    assert browser.driver.execute_script("return sessionStorage.getItem('mxferry-key')") == api.key
    assert api.key not in browser.driver.current_url
    browser.click("Forget the key")
    browser.reads("Function key", "main h1")


def test_the_skip_link_leads_to_the_content_and_the_run_goes_on_being_watched(api: ApiServer, browser: Browser) -> None:
    put(api, copying(100_000))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("100,000 of 1,000,000 rows")
    skip = browser.find(".skip")
    skip.send_keys(Keys.ENTER)
    assert browser.driver.switch_to.active_element.get_attribute("id") == "main"
    put(api, copying(600_000))
    browser.reads("600,000 of 1,000,000 rows")


def test_the_menu_says_where_one_is(api: ApiServer, browser: Browser) -> None:
    signed_in(browser, api, "rehearsals")
    browser.until(lambda: browser.text("nav [aria-current=page]") == "Rehearsals" or None)
    browser.go("")
    browser.until(lambda: browser.text("nav [aria-current=page]") == "Migrations" or None)
    browser.go(f"runs/{ID}")
    browser.until(lambda: browser.driver.find_elements("css selector", "nav [aria-current]") == [] or None)


def test_a_run_that_ends_shows_verdict_tables_and_report(api: ApiServer, browser: Browser) -> None:
    put(api, copying(1))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("Copy rows")
    finished(api, "verified", "verified")
    browser.reads("Verified", ".verdict")
    browser.reads("orders$order")
    browser.reads("customers$customer email: masked (email)", ".part-tables")
    browser.shot("run-verified")
    browser.click("Read the report")
    root = browser.find(".paper").shadow_root
    browser.until(lambda: "Verified" in root.find_element("css selector", ".verdict").text or None)
    colour = root.find_element("css selector", ".verdict strong").value_of_css_property("color")
    assert colour == "rgba(23, 112, 74, 1)", "the report's own styles apply"
    browser.shot("report")
    assert browser.complaints() == []


def test_the_script_of_the_schema_is_read_from_the_run_and_from_its_report(api: ApiServer, browser: Browser) -> None:
    finished(api, "verified", "verified")
    runs.write(f"runs/{ID}/schema.sql", b"CREATE TABLE [<b>a</b>] (x int);", "text/plain")
    signed_in(browser, api, f"runs/{ID}")
    browser.click("Schema script")
    browser.reads("CREATE TABLE [<b>a</b>] (x int);", "main pre")
    browser.go(f"runs/{ID}/report")
    browser.until(
        lambda: browser.find(".paper").shadow_root.find_element("css selector", "a[data-view=schema]")
    ).click()
    browser.reads("CREATE TABLE", "main pre")


def test_on_paper_a_run_has_all_its_tables(api: ApiServer, browser: Browser) -> None:
    finished(api, "verified", "verified")
    signed_in(browser, api, f"runs/{ID}")
    region = browser.find(".part-tables .tall")
    many = "const rows = arguments[0].querySelector('tbody'); for (let n = 0; n < 60; n += 1) rows.append(rows.lastChild.cloneNode(true))"
    browser.driver.execute_script(many, region)
    cut = "return arguments[0].scrollHeight > arguments[0].clientHeight"
    assert browser.driver.execute_script(cut, region), "on a screen it scrolls"
    browser.shown_as(media="print")
    assert not browser.driver.execute_script(cut, region)


def test_older_runs_come_at_once_and_the_focus_goes_to_the_first_of_them(api: ApiServer, browser: Browser) -> None:
    wanted = MigrationRequest.model_validate(REQUEST)
    for number in range(23):
        at = datetime.now(UTC) - timedelta(days=number)
        runs.save(Run(id=f"{at:%Y%m%dt%H%M%S}-0000aa", request=wanted, created_at=at))
    signed_in(browser, api, "")
    older = browser.find("main button")
    browser.until(lambda: older.is_displayed() or None)
    browser.driver.execute_script(NO_POLLING)
    older.send_keys(Keys.ENTER)
    links = browser.until(lambda: (found := browser.driver.find_elements("css selector", "tbody a"))[22:] and found)
    browser.until(
        lambda: browser.driver.switch_to.active_element == links[20] or None, "the focus on the first new one"
    )
    assert not older.is_displayed(), "there are no older ones"


def test_how_long_ago_a_run_was_asked_for_goes_on_although_nothing_else_changes(
    api: ApiServer, browser: Browser
) -> None:
    put(api, copying(1))
    signed_in(browser, api, "")
    browser.reads("just now", "table")
    browser.driver.execute_script("const now = Date.now; Date.now = () => now() + 3 * 3600 * 1000")
    browser.reads("3 h 00 min ago", "table")


def test_a_page_that_waits_for_its_app_says_so(api: ApiServer, browser: Browser) -> None:
    signed_in(browser, api, "")
    # A double of an app that is slow: it answers when the test says so.
    browser.driver.execute_script(
        "const real = window.fetch; window.fetch = async (...asked) => { await new Promise((go) => { window.answer = go; });"
        " return real(...asked); };"
    )
    browser.go("rehearsals")
    browser.reads("Loading…", "main")
    browser.until(lambda: browser.driver.execute_script("window.answer(); return true"))
    browser.reads("No rehearsal has ended yet.", "main")
    assert "Loading" not in browser.text("main")


def test_a_failed_run_says_why_in_the_first_thing_one_reads(api: ApiServer, browser: Browser) -> None:
    finished(api, "failed", "failed")
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("DUPLICATE_KEYS", ".verdict")
    browser.shot("run-failed")


def test_values_from_the_run_never_become_markup(api: ApiServer, browser: Browser) -> None:
    from shared.errors import Finding

    put(api, copying(1))
    runs.save_findings(ID, [Finding(code="X", severity="error", object=HOSTILE, message=HOSTILE, examples=[HOSTILE])])
    signed_in(browser, api, f"runs/{ID}")
    browser.reads(HOSTILE)
    assert browser.driver.find_elements("css selector", "main img") == []
    assert browser.driver.title != "owned"
    assert browser.complaints() == []


def rehearsed(days: int, copy: float, verdict: Literal["verified", "failed"] = "verified") -> None:
    """A rehearsal in the history, that many days ago, whose copy took so many seconds."""
    when = datetime.now(UTC) - timedelta(days=days)
    made = reports.verified()
    stages = [one.model_copy(update={"seconds": copy}) if one.name == "copy" else one for one in made.stages]
    update = {"purpose": "rehearsal", "target": "rehearsal", "verdict": verdict, "created_at": when,
              "id": f"{when:%Y%m%dt%H%M%S}-0000aa", "stages": stages}  # fmt: skip
    rehearsals.remember(made.model_copy(update=update))


def test_rehearsals_are_compared_stage_by_stage(api: ApiServer, browser: Browser) -> None:
    for days, copy in ((9, 30.0), (5, 31.0), (1, 95.0)):
        rehearsed(days, copy)
    signed_in(browser, api, "rehearsals")
    browser.reads("Not ready yet", ".verdict")
    browser.reads("Copy rows took 1 min 35 s, before 31.0 s, at equal size.")
    cells = browser.driver.find_elements("xpath", "//tr[th[normalize-space()='Copy rows']]/td")
    assert [" ".join(one.text.split()) for one in cells] == ["▲ slower: 1 min 35 s", "31.0 s", "30.0 s"]
    assert len(browser.driver.find_elements("css selector", ".slower")) == 1
    browser.shot("rehearsals")
    rehearsed(0, 30.0)
    browser.go("")
    browser.go("rehearsals")
    browser.reads("Ready for the cut-over", ".verdict")
    assert browser.driver.find_elements("css selector", ".slower") == [], "only the newest one is judged"


def test_a_stage_is_marked_as_slower_only_where_the_app_says_so(api: ApiServer, browser: Browser) -> None:
    """After one that failed, and after one that moved less, the stage before it in the list says nothing."""
    rehearsed(9, 95.0)
    rehearsed(5, 20.0, "failed")
    rehearsed(1, 96.0)
    signed_in(browser, api, "rehearsals")
    browser.reads("Ready for the cut-over", ".verdict")
    assert browser.driver.find_elements("css selector", ".slower") == []
    browser.reads("Bytes of rows and files", "table")
    assert "Approval" not in browser.text("table"), "what people took measures nothing"


def test_a_rehearsal_that_could_not_start_is_shown_with_when_why_and_what_to_do(
    api: ApiServer, browser: Browser
) -> None:
    at = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)
    why, remedy = "expected no other migration on this target, found one.", "Wait for it."
    missed = rehearsals.NotStarted(at=at, target="rehearsal", why=why, code="TARGET_BUSY", remedy=remedy)
    rehearsals.not_started(missed)
    signed_in(browser, api, "rehearsals")
    browser.reads("Not ready yet", ".verdict")
    shown = browser.text("article.finding")
    assert all(part in shown for part in ("not started", "TARGET_BUSY", "on to rehearsal", why, remedy)), shown
    assert browser.complaints() == []


@pytest.mark.parametrize("view", ["", "new", "rehearsals", f"runs/{ID}", f"runs/{ID}/report"])
def test_no_view_is_wider_than_a_phone(api: ApiServer, browser: Browser, view: str) -> None:
    finished(api, "failed", "failed")
    browser.size(360, 740)
    signed_in(browser, api, view)
    browser.until(lambda: "Loading" not in browser.text("main") or None)
    browser.find("main h1, .paper, main h2")
    fits(browser)


def test_the_page_may_load_only_itself(api: ApiServer) -> None:
    answered = httpx.get(f"{api.url}/api/ui")
    policy = answered.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "<script>" not in answered.text
    assert httpx.get(f"{api.url}/api/ui/..%2Ffunction_app.py").status_code == 404
    assert httpx.get(f"{api.url}/api/ui/app.js").headers["content-type"].startswith("text/javascript")


def test_what_a_run_has_left_behind_is_on_its_page(api: ApiServer, browser: Browser) -> None:
    finished(api, "failed", "failed")
    until = datetime(2026, 12, 5, 20, 0, tzinfo=UTC)
    remains.save(ID, Remains(kept_until=until, left={"staging": "expected to delete it, found: 403."}))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("Not deleted yet: staging. Expected to delete it, found: 403.")
    browser.reads("are kept until")


@pytest.mark.parametrize("what", ["report", "runbook"])
def test_a_document_is_kept_by_nobody_and_can_run_nothing(api: ApiServer, what: str) -> None:
    finished(api, "verified", "verified")
    for accept in ("text/html", "application/json"):
        answered = httpx.get(
            f"{api.url}/api/migrations/{ID}/{what}", headers={"x-functions-key": api.key, "Accept": accept}
        )
        assert answered.status_code == 200
        assert (answered.headers["cache-control"], answered.headers["vary"]) == ("no-store", "Accept")
        assert answered.headers["content-security-policy"].startswith("default-src 'none'")
        again = httpx.get(
            str(answered.url),
            headers={"x-functions-key": api.key, "Accept": accept, "If-None-Match": answered.headers["etag"]},
        )
        assert (again.status_code, again.headers["vary"]) == (304, "Accept")


def test_no_answer_is_taken_for_another_type_than_it_says(api: ApiServer) -> None:
    for path in ("health", "ui", "ui/app.js", "migrations", f"migrations/{ID}"):
        answered = httpx.get(f"{api.url}/api/{path}", headers={"x-functions-key": api.key})
        assert answered.headers["x-content-type-options"] == "nosniff", path


def test_behind_app_service_authentication_the_page_offers_the_sign_in(
    api: ApiServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.open(f"{api.url}/api/ui")
    browser.reads("Function key", "main h1")
    assert "Entra" not in browser.text("main")
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
    ui._files.cache_clear()
    browser.open(f"{api.url}/api/ui")
    link = browser.find("a[href^='/.auth/login/aad']")
    assert "Sign in with Microsoft Entra" in link.text
    ui._files.cache_clear()


def test_behind_app_service_authentication_a_good_key_outlives_the_sign_in(
    api: ApiServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
    ui._files.cache_clear()
    signed_in(browser, api, "")
    # A double of App Service's authentication, whose sign-in has ended.
    browser.driver.execute_script(
        "const real = window.fetch; window.fetch = async (path, options) =>"
        " String(path).startsWith('/api/') ? new Response('', { status: 401 }) : real(path, options);"
    )
    browser.go("rehearsals")
    browser.reads("Sign in again")
    assert browser.driver.execute_script("return sessionStorage.getItem('mxferry-key')") == api.key
    browser.driver.refresh()  # as after the sign-in
    browser.reads("No rehearsal has ended yet.")
    ui._files.cache_clear()


def test_every_file_of_the_page_is_open_before_the_sign_in() -> None:
    bicep = Path("infra/modules/functions.bicep").read_text()
    for path in ("/api/ui", *(f"/api/ui/{name}" for name in ui._files())):
        assert f"'{path}'" in bicep, path
