"""A person in headless Chromium, on the whole local stack: starts, watches, approves, reads; screenshots are kept."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from local.stack import BACKUPS, Stack
from tests.fixtures.browser import Browser

PATIENCE = 240
"""Seconds for a whole run of the sample on a machine that does other work."""


@pytest.fixture(scope="module")
def stack(sample_snapshot: Path) -> Iterator[Stack]:
    name = f"page-{secrets.token_hex(4)}"
    with Stack(name, sample_snapshot) as made:
        made.upload(BACKUPS, sample_snapshot)
        yield made
    shutil.rmtree(Stack.folder_of(name), ignore_errors=True)


@pytest.fixture
def person(stack: Stack, browser: Browser) -> Browser:
    """A browser that is signed in and shows the form."""
    browser.open(f"{stack.url}/api/ui")
    browser.sign_in(stack.function_key)
    browser.reads("Migrations", "main h1")
    browser.go("new")
    browser.fill("[name=container]", BACKUPS)
    return browser


def in_the_end(browser: Browser, word: str) -> None:
    browser.until(lambda: word in browser.text(".verdict strong") or None, word, patience=PATIENCE)


@pytest.mark.slow
def test_a_person_starts_watches_approves_and_reads_the_report(
    stack: Stack, person: Browser, sample_snapshot: Path
) -> None:
    person.find("[name=purpose][value=cutover]").click()
    person.fill("[name=blob]", sample_snapshot.name)
    person.click("Start")
    person.reads("Cut-over to demo", "main h1")
    person.until(lambda: "Write the target?" in person.text("main") or None, "the gate", patience=PATIENCE)
    person.reads("to copy")
    person.shot("stack-gate")
    person.fill("#by", "Ada Fischer")
    person.fill("#comment", "Go.")
    person.click("Approve")
    in_the_end(person, "Verified")
    person.reads("system$user", ".tall")
    person.shot("stack-verified")
    run = person.driver.current_url.rpartition("/")[2]
    person.click("Read the report")
    root = person.find(".paper").shadow_root
    person.until(lambda: "Verified" in root.find_element("css selector", ".verdict").text or None)
    assert "Ada Fischer" in root.find_element("css selector", ".document").text
    person.shot("stack-report")
    person.go(f"runs/{run}/runbook")
    shown = person.until(lambda: person.find(".paper").shadow_root.find_element("css selector", ".steps"))
    assert shown
    assert person.complaints() == []


@pytest.mark.slow
def test_a_person_starts_a_rehearsal_watches_it_approves_and_sees_it_verified(
    person: Browser, sample_snapshot: Path
) -> None:
    person.fill("[name=blob]", sample_snapshot.name)
    person.find("[data-only=rehearsal] [name=approval]").click()
    person.shot("stack-rehearsal-form")
    person.click("Start")
    person.reads("Rehearsal to demo", "main h1")
    person.until(lambda: "Write the target?" in person.text("main") or None, "the gate", patience=PATIENCE)
    person.reads("The target has not been written", ".verdict")
    person.shot("stack-rehearsal-gate")
    person.fill("#by", "Ada Fischer")
    person.click("Approve")
    person.until(lambda: "have all their rows" in person.text(".part-tables") or None, "rows", patience=PATIENCE)
    person.until(lambda: "Write the target?" not in person.text(".part-gate") or None, "the gate's end")
    person.shot("stack-rehearsal-watched")
    in_the_end(person, "Verified")
    person.reads("approved Write the target? by Ada Fischer (as stated)", ".decisions")
    person.shot("stack-rehearsal-verified")
    person.go("rehearsals")
    person.reads("On to demo")
    assert "verified" in person.text("table")
    assert person.complaints() == []


@pytest.mark.slow
def test_what_stands_in_the_way_is_remedied_and_started_again_on_the_page(
    stack: Stack, person: Browser, sample_with_problems: Path
) -> None:
    stack.upload(BACKUPS, sample_with_problems)
    person.fill("[name=blob]", sample_with_problems.name)
    person.click("Start")
    in_the_end(person, "Refused")
    person.shot("stack-findings")
    choices = person.driver.find_elements("css selector", ".choosing select")
    assert len(choices) > 10
    for one in choices:
        one.find_elements("css selector", "option")[-1].click()
    person.reads(f"{len(choices)} of {len(choices)} chosen.")
    person.click("Start again with remedies")
    person.reads("Start again", "main h1")
    person.click("Start")
    person.reads("Rehearsal to demo", "main h1")
    in_the_end(person, "Verified")
    person.find(".part-findings summary").click()
    person.reads("Chosen remedy:", ".part-findings")
    person.shot("stack-remedied")


def source_app(stack: Stack) -> str:
    """What the source app does, as the Mendix Cloud stand-in tells."""
    cloud = stack.facts["mendixcloud"]
    headers = {"Mendix-Username": cloud["username"], "Mendix-ApiKey": stack.state.secrets.mendix_api_key}
    address = f"{cloud['deploy_url']}/apps/{cloud['app_id']}/environments/Production"
    return str(httpx.get(address, headers=headers).json()["Status"])


@pytest.mark.slow
def test_a_no_at_the_gate_brings_the_source_app_back(stack: Stack, person: Browser) -> None:
    person.find("[name=purpose][value=cutover]").click()
    person.find("[name=kind][value=mendix-cloud]").click()
    person.find("[name=stopApp]").click()
    person.find("[name=drop]").click()
    person.fill("[name=confirm]", "demo")
    person.click("Start")
    person.until(lambda: "Write the target?" in person.text("main") or None, "the gate", patience=PATIENCE)
    assert source_app(stack) == "Stopped"
    person.fill("#by", "Ada Fischer")
    person.fill("#comment", "Not tonight.")
    person.click("Abort…")
    person.click("Abort this run")
    in_the_end(person, "Aborted")
    assert source_app(stack) == "Running"
    person.reads("Start the source app again", ".stages")
    person.reads("Not tonight.", ".decisions")
    person.shot("stack-aborted")
    person.click("Read the report")
    root = person.find(".paper").shadow_root
    person.until(lambda: "it runs again since" in root.find_element("css selector", ".document").text or None)
    assert "Not tonight." in root.find_element("css selector", ".document").text


@pytest.mark.slow
def test_a_rehearsal_of_a_backup_that_is_none_fails_before_anyones_eyes(stack: Stack, person: Browser) -> None:
    with BlobServiceClient.from_connection_string(stack.azurite.connection_string) as service:
        service.get_blob_client(BACKUPS, "none.tar.gz").upload_blob(b"this is no backup" * 1000, overwrite=True)
    person.fill("[name=blob]", "none.tar.gz")
    person.click("Start")
    person.reads("Rehearsal to demo", "main h1")
    in_the_end(person, "Refused")
    person.shot("stack-refused")
    assert "The target was not written" in person.text(".verdict")
    assert person.find(".finding code").text
    person.go("rehearsals")
    person.reads("Not ready yet")


def test_the_real_host_serves_the_page_and_keeps_its_door(stack: Stack) -> None:
    assert httpx.get(f"{stack.url}/api/ui").headers["content-security-policy"].startswith("default-src 'none'")
    assert httpx.get(f"{stack.url}/api/ui/app.js").status_code == 200
    assert httpx.get(f"{stack.url}/api/migrations").status_code == 401
    keyed = {"x-functions-key": stack.function_key}
    first = httpx.get(f"{stack.url}/api/profiles", headers=keyed)
    assert first.json()["targets"][0]["throw_away"] is True
    again = httpx.get(f"{stack.url}/api/profiles", headers=keyed | {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
