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
    assert "Ada Fischer" in root.find_element("css selector", "main").text
    person.shot("stack-report")
    person.go(f"runs/{run}/runbook")
    shown = person.until(lambda: person.find(".paper").shadow_root.find_element("css selector", ".steps"))
    assert shown
    assert person.complaints() == []


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
