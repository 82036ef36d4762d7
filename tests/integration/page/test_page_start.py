"""The form of the page in headless Chromium: fields and JSON in step, errors at their place, a run started again."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from shared import runs
from shared.contracts import Progress, Run
from shared.errors import Finding
from shared.request import MigrationRequest
from tests.fixtures.apiserver import ApiServer
from tests.fixtures.browser import Browser
from tests.fixtures.pageruns import ID

BLOB = {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}
NULLS = Finding(
    code="UNIQUE_NULLS", severity="error", object="crm$customer.number", message="found 14.",
    choices=["filtered-index", "drop-constraint"],
)  # fmt: skip
LONG = Finding(
    code="TOO_LONG_UTF16",
    severity="error",
    object="crm$customer.name",
    message="found 2.",
    choices=["truncate", "widen"],
)


@pytest.fixture
def form(api: ApiServer, browser: Browser) -> Callable[[str], Browser]:
    """Opens a view of the page, signed in."""

    def opened(view: str = "new") -> Browser:
        browser.open(f"{api.url}/api/ui")
        browser.sign_in(api.key)
        browser.reads("Migrations", "main h1")
        browser.go(view)
        browser.find("form.start")
        return browser

    return opened


def shown(browser: Browser) -> Any:
    """The request as the page's JSON has it."""
    return json.loads(browser.find("#f-json").get_property("value"))  # type: ignore[arg-type]


def rewrite(browser: Browser, change: Callable[[dict[str, Any]], Any]) -> None:
    """Edit the JSON as a person does, with what the change makes of it."""
    if not browser.find("#f-json").is_displayed():
        browser.click("The request as JSON")
    request = shown(browser)
    made = change(request)
    text = json.dumps(request if made is None else made) if not isinstance(made, str) else made
    browser.driver.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
        browser.find("#f-json"), text,
    )  # fmt: skip


def sent(api: ApiServer) -> dict[str, Any]:
    """What the run that was started was asked for, what is default left out."""
    [(_, run, _)] = api.engine.scheduled
    answer = httpx.get(f"{api.url}/api/migrations/{run}/request", headers={"x-functions-key": api.key})
    return dict(answer.json())


def test_a_person_starts_a_migration_and_comes_to_its_run(api: ApiServer, form: Callable[..., Browser]) -> None:
    browser = form()
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


def test_a_refused_start_says_what_is_wrong_and_can_be_mended(api: ApiServer, form: Callable[..., Browser]) -> None:
    browser = form()
    browser.find("[name=purpose][value=cutover]").click()
    browser.fill("[name=container]", "Not A Container")
    browser.fill("[name=blob]", "snapshot.tar.gz")
    browser.click("Start")
    browser.reads("source.blob.container", "form .notice")
    browser.reads("String should match pattern", "#f-container-wrong")
    assert browser.driver.switch_to.active_element.get_attribute("name") == "container"
    assert api.engine.scheduled == []
    browser.fill("[name=container]", "uploads")
    assert browser.driver.find_elements("css selector", "#f-container-wrong") == []
    browser.click("Start")
    browser.reads("Cut-over to demo", "main h1")


def test_the_json_is_what_is_sent_and_goes_on_listening_to_the_fields(
    api: ApiServer, form: Callable[..., Browser]
) -> None:
    browser = form()
    browser.find("[name=purpose][value=cutover]").click()
    browser.fill("[name=container]", "uploads")
    browser.fill("[name=blob]", "s.tar.gz")
    browser.fill("[name=smokeUrl]", "https://app.example.org/")

    def more(request: dict[str, Any]) -> None:
        request["options"] = {"verify": ["counts"], "window_minutes": 90}
        request["contacts"] = [{"role": "lead", "name": "Ada"}]
        request["smoke"]["sql"] = [{"name": "users", "table": "System.User", "at_least": 10}]
        request["source"]["container"] = "backups"

    rewrite(browser, more)
    assert browser.find("[name=container]").get_property("value") == "backups", "the fields follow the JSON"
    browser.find("[name=dryRun]").click()
    browser.fill("[name=smokeUrl]", "")
    assert shown(browser)["smoke"] == {"sql": [{"name": "users", "table": "System.User", "at_least": 10}]}
    browser.shot("start-json")
    browser.click("Start")
    browser.reads("Cut-over to demo", "main h1")
    request = sent(api)
    assert request["source"] == BLOB | {"container": "backups"}
    assert request["options"] == {
        "target_mode": "create", "dry_run": True, "verify": ["counts"], "window_minutes": 90,
    }  # fmt: skip
    assert request["contacts"] == [{"role": "lead", "name": "Ada"}]
    assert request["smoke"]["sql"][0]["at_least"] == 10


def test_what_is_no_json_is_not_sent_and_not_lost(api: ApiServer, form: Callable[..., Browser]) -> None:
    browser = form()
    rewrite(browser, lambda _: '{"source": nope')
    browser.reads("This is no request", ".editor")
    browser.fill("[name=container]", "uploads")
    browser.fill("[name=blob]", "s.tar.gz")
    assert browser.find("#f-json").get_property("value") == '{"source": nope'
    browser.click("Start")
    assert browser.driver.switch_to.active_element.get_attribute("id") == "f-json"
    assert api.engine.scheduled == []


def test_an_error_of_a_part_without_a_field_is_said_at_the_json(api: ApiServer, form: Callable[..., Browser]) -> None:
    browser = form()
    browser.fill("[name=container]", "uploads")
    browser.fill("[name=blob]", "s.tar.gz")
    rewrite(browser, lambda request: request | {"options": {"max_rejects": -1}})
    browser.click("The request as JSON")  # closed again
    browser.click("Start")
    browser.reads("options.max_rejects: Input should be greater than or equal to 0", "#f-json-wrong")
    assert browser.find("#f-json").is_displayed()
    assert browser.driver.switch_to.active_element.get_attribute("id") == "f-json"


def test_every_example_beside_the_json_is_one_that_the_api_takes(form: Callable[..., Browser]) -> None:
    browser = form()
    browser.click("The request as JSON")
    examples = [one.text for one in browser.driver.find_elements("css selector", ".editor .more code")]
    assert len(examples) >= 6
    for one in examples:
        MigrationRequest.model_validate({"source": BLOB, "target": "demo"} | json.loads(f"{{{one}}}"))


def test_a_rehearsal_may_wait_for_an_approval(api: ApiServer, form: Callable[..., Browser]) -> None:
    browser = form()
    browser.fill("[name=container]", "uploads")
    browser.fill("[name=blob]", "s.tar.gz")
    assert "approval" not in shown(browser)
    browser.find("[data-only=rehearsal] [name=approval]").click()
    browser.click("Start")
    browser.reads("Rehearsal to rehearsal", "main h1")
    assert sent(api)["approval"] is True


def stopped(api: ApiServer, findings: list[Finding], **request: object) -> None:
    """A run that its findings have stopped."""
    wanted = MigrationRequest.model_validate({"source": BLOB, "target": "demo"} | request)
    runs.save(Run(id=ID, request=wanted, created_at=datetime.now(UTC)))
    api.engine.set(ID, "COMPLETED", custom=Progress().model_dump(mode="json"), output={"verdict": "refused"})
    runs.save_findings(ID, findings)


def test_a_run_is_started_again_with_the_remedies_chosen_for_its_findings(
    api: ApiServer, browser: Browser, form: Callable[..., Browser]
) -> None:
    others = [NULLS.model_copy(update={"object": f"crm$order.n{n}"}) for n in range(3)]
    masks = [{"table": "crm$customer", "column": "email", "how": "email"}]
    kept = {"verify": ["counts"], "remedies": {"DANGLING_REFERENCE": "null"}, "masks": masks}
    stopped(api, [NULLS, *others, LONG], expected_model_version="1.2", options=kept)
    browser.open(f"{api.url}/api/ui")
    browser.sign_in(api.key)
    browser.reads("Migrations", "main h1")
    browser.go(f"runs/{ID}")
    browser.reads("0 of 5 chosen.")
    browser.find("#remedy-0 [value=filtered-index]").click()
    browser.click("The same for all 4 of UNIQUE_NULLS")
    browser.find("#remedy-4 [value=truncate]").click()
    browser.reads("5 of 5 chosen.")
    browser.shot("remedies")
    browser.click("Start again with remedies")
    browser.reads("Start again", "main h1")
    assert browser.find("[name=model]").get_property("value") == "1.2"
    assert browser.find("[name=purpose][value=cutover]").is_selected()
    browser.find("[data-only=cutover] [name=approval]").click()
    browser.click("Start")
    browser.reads("Cut-over to demo", "main h1")
    request = sent(api)
    assert request["options"] == kept | {
        "target_mode": "create",
        "remedies": kept["remedies"]
        | {f"UNIQUE_NULLS:{one.object}": "filtered-index" for one in (NULLS, *others)}
        | {"TOO_LONG_UTF16:crm$customer.name": "truncate"},
    }
    assert (request["approval"], request["expected_model_version"]) == (True, "1.2")


def test_a_target_that_is_not_empty_is_dropped_only_by_who_says_its_name_again(
    api: ApiServer, browser: Browser, form: Callable[..., Browser]
) -> None:
    full = Finding(code="CONTAINER_NOT_EMPTY", severity="error", object="files", message="found 3.", choices=["drop"])
    stopped(api, [full])
    form("new")
    browser.go(f"runs/{ID}")
    browser.find("#remedy-0 [value=drop]").click()
    browser.click("Start again with remedies")
    browser.until(lambda: browser.find("[name=drop]").is_selected() or None)
    browser.click("Start")
    assert browser.driver.switch_to.active_element.get_attribute("name") == "confirm"
    assert api.engine.scheduled == []
    browser.fill("[name=confirm]", "demo")
    browser.click("Start")
    browser.reads("Cut-over to demo", "main h1")
    assert sent(api)["target_not_empty"] == "drop"
    assert "remedies" not in sent(api)["options"]


def test_a_rehearsal_is_started_again_as_a_rehearsal(api: ApiServer, form: Callable[..., Browser]) -> None:
    drop = {"target_not_empty": "drop", "confirm": "rehearsal"}
    stopped(api, [], target="rehearsal", options={"purpose": "rehearsal"}, **drop)
    browser = form(f"runs/{ID}/again")
    assert browser.find("[name=purpose][value=rehearsal]").is_selected()
    assert shown(browser) == {"source": BLOB, "target": "rehearsal"}
    browser.click("Start")
    browser.reads("Rehearsal to rehearsal", "main h1")
    assert sent(api)["options"]["purpose"] == "rehearsal"


def test_a_start_whose_answer_is_lost_starts_one_migration_only(api: ApiServer, form: Callable[..., Browser]) -> None:
    browser = form()
    browser.find("[name=purpose][value=cutover]").click()
    browser.fill("[name=container]", "uploads")
    browser.fill("[name=blob]", "s.tar.gz")
    # A double of a network that loses an answer: the call arrives, the page never hears of it.
    browser.driver.execute_script(
        "const real = window.fetch; window.fetch = async (path, options) => {"
        " const answer = await real(path, options);"
        " if (options?.method !== 'POST') return answer;"
        " window.fetch = real; throw new TypeError('Failed to fetch'); };"
    )
    browser.click("Start")
    browser.reads("It may have been started.", "form .notice")
    browser.click("Start")
    browser.reads("Cut-over to demo", "main h1")
    assert len(api.engine.scheduled) == 1
