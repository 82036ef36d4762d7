"""The page in headless Chromium, over the API's own handlers; the durable engine behind them is a double."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from api import ui
from shared import runs
from shared.blobs import clients
from shared.contracts import Counts, Gate, Progress, Run, StageState
from shared.databaseplan import DatabasePlan, PlannedTable, blob_name
from shared.reporting.html import page
from shared.reporting.wording import GATE_WORDS, STAGE_WORDS
from shared.request import MigrationRequest
from tests.fixtures import reports
from tests.fixtures.apiserver import ApiServer
from tests.fixtures.browser import Browser

ID = "20261122t203000-3f9a1c"
REQUEST = {"source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}, "target": "demo"}
HOSTILE = "<img src=x onerror=document.title='owned'>"


def put(api: ApiServer, progress: Progress, status: str = "RUNNING", output: object = None, **request: object) -> None:
    """Put a run in a state."""
    wanted = MigrationRequest.model_validate(REQUEST | request)
    runs.save(Run(id=ID, request=wanted, created_at=datetime.now(UTC)))
    api.engine.set(ID, status, custom=progress.model_dump(mode="json"), output=output)


def copying(done: int, total: int = 1_000_000) -> Progress:
    """The database is being copied."""
    now = datetime.now(UTC)
    counts = [Counts(rows=n, bytes=n * 100) for n in (done, total)]
    stage = StageState(name="copy", started_at=now - timedelta(seconds=20), done=counts[0], total=counts[1])
    return Progress(stages=[stage], target_written_at=now)


def waiting() -> Progress:
    """The gate before the target is written."""
    now = datetime.now(UTC)
    gate = Gate(name="write", asked_at=now, answers_by=now + timedelta(hours=1))
    return Progress(stages=[StageState(name="approval", state="waiting", started_at=now)], gates=[gate])


def signed_in(browser: Browser, api: ApiServer, view: str) -> None:
    """Open the page, give the key, go to a view."""
    browser.open(f"{api.url}/api/ui")
    browser.sign_in(api.key)
    browser.reads("Migrations", "main h1")
    browser.go(view)


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


def test_a_person_starts_a_migration_and_comes_to_its_run(api: ApiServer, browser: Browser) -> None:
    signed_in(browser, api, "new")
    browser.find("[name=purpose][value=cutover]").click()
    browser.fill("[name=container]", "uploads")
    browser.fill("[name=blob]", "snapshot.tar.gz")
    browser.shot("start-form")
    browser.click("Start")
    browser.reads("Cut-over to demo", "main h1")
    [(name, run_id, run)] = api.engine.scheduled
    assert name == "migrate"
    assert run["request"]["approval"] is True
    assert run["request"]["source"] == {
        "kind": "blob",
        "profile": None,
        "container": "uploads",
        "blob": "snapshot.tar.gz",
    }
    assert run_id in browser.driver.current_url


def test_a_refused_start_says_what_is_wrong_and_can_be_mended(api: ApiServer, browser: Browser) -> None:
    signed_in(browser, api, "new")
    browser.find("[name=purpose][value=cutover]").click()
    browser.fill("[name=container]", "Not A Container")
    browser.fill("[name=blob]", "snapshot.tar.gz")
    browser.click("Start")
    browser.reads("source.blob.container", "form [role=alert]")
    assert api.engine.scheduled == []
    browser.fill("[name=container]", "uploads")
    browser.click("Start")
    browser.reads("Cut-over to demo", "main h1")


def test_the_stages_move_while_the_person_watches(api: ApiServer, browser: Browser) -> None:
    put(api, copying(100_000))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("100,000 of 1,000,000 rows")
    put(api, copying(600_000))
    browser.reads("600,000 of 1,000,000 rows")
    browser.reads("running, 60 %")
    put(api, copying(700_000))
    browser.find(".plot .line")
    browser.shot("run-live")
    assert "Copy rows" in browser.find("#live").get_attribute("textContent")


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


def test_tables_are_shown_as_soon_as_they_are_planned(api: ApiServer, browser: Browser) -> None:
    put(api, copying(1).model_copy(update={"target_written_at": None}))
    tables = [
        PlannedTable(name=f"orders$table{n}", source_name=f"orders$table{n}", columns=[], rows=n) for n in range(3)
    ]
    plan = DatabasePlan(run=ID, tables=tables)
    clients.staging().upload_blob(blob_name(ID), plan.model_dump_json())
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


def finished(api: ApiServer, report: object, verdict: str) -> None:
    """Put a run at its end, with its report."""
    made = getattr(reports, str(report))()
    put(api, Progress(stages=reports.stages()), "COMPLETED", {"verdict": verdict, "reason": made.reason})
    runs.write(f"runs/{ID}/report.json", made.model_dump_json().encode(), "application/json")
    runs.write(f"runs/{ID}/report.html", page(made).encode(), "text/html")


def test_a_run_that_ends_shows_verdict_tables_and_report(api: ApiServer, browser: Browser) -> None:
    put(api, copying(1))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("Copy rows")
    finished(api, "verified", "verified")
    browser.reads("Verified", ".verdict")
    browser.reads("orders$order")
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


def test_a_lost_app_is_said_and_forgotten_when_it_answers_again(api: ApiServer, browser: Browser) -> None:
    put(api, copying(1))
    signed_in(browser, api, f"runs/{ID}")
    browser.reads("Copy rows")
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/api/migrations/*"]})
    browser.until(lambda: "trying again" in browser.text("#trouble") or None)
    browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    browser.until(lambda: not browser.find("#trouble").is_displayed() or None)


@pytest.mark.parametrize("view", ["", "new", "rehearsals", f"runs/{ID}", f"runs/{ID}/report"])
def test_no_view_is_wider_than_a_phone(api: ApiServer, browser: Browser, view: str) -> None:
    finished(api, "failed", "failed")
    browser.size(360, 740)
    signed_in(browser, api, view)
    browser.until(lambda: "Loading" not in browser.text("main") or None)
    browser.find("main h1, .paper, main h2")
    wide = "return document.documentElement.scrollWidth"
    browser.until(lambda: browser.driver.execute_script(wide) <= 360 or None, "no sideways scrolling")


def test_the_page_may_load_only_itself(api: ApiServer) -> None:
    answered = httpx.get(f"{api.url}/api/ui")
    policy = answered.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "<script>" not in answered.text
    assert httpx.get(f"{api.url}/api/ui/..%2Ffunction_app.py").status_code == 404
    assert httpx.get(f"{api.url}/api/ui/app.js").headers["content-type"].startswith("text/javascript")


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


def test_the_page_names_the_stages_as_the_report_does(api: ApiServer) -> None:
    script = httpx.get(f"{api.url}/api/ui/format.js").text
    for name, words in (STAGE_WORDS | GATE_WORDS).items():
        assert f'"{name}": "{words}"' in script


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


def test_every_file_of_the_page_is_open_before_the_sign_in() -> None:
    bicep = Path("infra/modules/functions.bicep").read_text()
    for path in ("/api/ui", *(f"/api/ui/{name}" for name in ui._files())):
        assert f"'{path}'" in bicep, path
