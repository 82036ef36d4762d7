"""A person in headless Chromium, on what `make up` starts: starts, watches, approves, reads; screenshots are kept."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from local.processes import ROOT
from local.sqlserver.control import Control
from local.stack import BACKUPS, Stack
from tests.fixtures.browser import Browser

PATIENCE = 240
"""Seconds for a whole run of the sample on a machine that does other work."""


NO_RIGHT = 262
"""The number of SQL Server's error where a login may not make a procedure."""


@dataclass(frozen=True)
class Up:
    """What `make up` has left running, and what it printed of it, by the words of its table."""

    folder: Path
    printed: dict[str, str]

    @property
    def page(self) -> str:
        return self.printed["page"]

    @property
    def key(self) -> str:
        return Path(self.printed["function key"]).read_text().strip()

    @property
    def secrets(self) -> dict[str, str]:
        return dict(json.loads(Path(self.printed["passwords and keys"]).read_text())["secrets"])

    def facts(self, part: str) -> dict[str, Any]:
        """What a part said of itself when it was ready."""
        lines = (self.folder / f"{part}.out").read_text().splitlines()
        return next(json.loads(line) for line in lines if line.startswith('{"ready": true'))

    def upload(self, name: str, content: bytes) -> None:
        """Put a backup where the form looks for one."""
        address = self.printed["Azurite"]
        credential = {"account_name": address.rpartition("/")[2], "account_key": self.secrets["account_key"]}
        with BlobServiceClient(address, credential=credential) as service:
            service.get_blob_client(BACKUPS, name).upload_blob(content, overwrite=True)


@pytest.fixture(scope="module")
def stack(sample_snapshot: Path) -> Iterator[Up]:
    name = f"page-{secrets.token_hex(4)}"
    try:
        printed = command("--name", name, "--snapshot", str(sample_snapshot))
        made = Up(Stack.folder_of(name), dict(re.findall(r"^│ (\S[^│]*?) +│ (\S[^│]*?) +│$", printed, re.MULTILINE)))
        made.upload(sample_snapshot.name, sample_snapshot.read_bytes())
        yield made
    finally:
        command("--name", name, "--down", "--delete")
        shutil.rmtree(Stack.folder_of(name), ignore_errors=True)


def command(*arguments: str) -> str:
    """Do what `make up` and `make down` do; returns what is printed, on lines as long as it takes."""
    given = [sys.executable, "-m", "local.up", *arguments]
    wide = os.environ | {"COLUMNS": "300"}
    done = subprocess.run(given, capture_output=True, text=True, cwd=ROOT, env=wide, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def forbidden(stack: Up, statement: str) -> Iterator[None]:
    """The SQL Server stand-in refuses a statement to the login, as a server does that gave it no right."""
    with Control(int(stack.facts("sqlserver")["control_port"])) as control:
        control.fault("error", text=statement, number=NO_RIGHT, times=None)
        try:
            yield
        finally:
            control.clear()


@pytest.fixture
def person(stack: Up, browser: Browser) -> Browser:
    """A browser that is signed in and shows the form."""
    browser.open(stack.page)
    browser.sign_in(stack.key)
    browser.reads("Migrations", "main h1")
    browser.go("new")
    browser.fill("[name=container]", BACKUPS)
    return browser


def in_the_end(browser: Browser, word: str) -> None:
    browser.until(lambda: word in browser.text(".verdict strong") or None, word, patience=PATIENCE)


def report_read(browser: Browser, verdict: str) -> str:
    """The text of the report that a run's page opens, once its verdict is that."""
    browser.click("Read the report")
    root = browser.find(".paper").shadow_root
    browser.until(lambda: verdict in root.find_element("css selector", ".verdict").text or None, verdict)
    return root.find_element("css selector", ".document").text


@pytest.mark.slow
def test_a_person_starts_watches_approves_and_reads_the_report(
    stack: Up, person: Browser, sample_snapshot: Path
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
    assert "Ada Fischer" in report_read(person, "Verified")
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
    stack: Up, person: Browser, sample_with_problems: Path
) -> None:
    stack.upload(sample_with_problems.name, sample_with_problems.read_bytes())
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


def source_app(stack: Up) -> str:
    """What the source app does, as the Mendix Cloud stand-in tells."""
    cloud = stack.facts("mendixcloud")
    headers = {"Mendix-Username": cloud["username"], "Mendix-ApiKey": stack.secrets["mendix_api_key"]}
    address = f"{cloud['deploy_url']}/apps/{cloud['app_id']}/environments/Production"
    return str(httpx.get(address, headers=headers).json()["Status"])


@pytest.mark.slow
def test_a_no_at_the_gate_brings_the_source_app_back(stack: Up, person: Browser) -> None:
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
    report = report_read(person, "Aborted")
    assert "it runs again since" in report
    assert "Not tonight." in report


@pytest.mark.slow
def test_a_rehearsal_of_a_backup_that_is_none_is_refused_before_anyones_eyes(stack: Up, person: Browser) -> None:
    stack.upload("none.tar.gz", b"this is no backup" * 1000)
    person.fill("[name=blob]", "none.tar.gz")
    person.click("Start")
    person.reads("Rehearsal to demo", "main h1")
    in_the_end(person, "Refused")
    person.shot("stack-refused")
    assert "The target was not written" in person.text(".verdict")
    assert person.find(".finding code").text
    person.go("rehearsals")
    person.reads("Not ready yet")


@pytest.mark.slow
def test_a_rehearsal_that_fails_says_what_the_target_holds_and_what_was_not_checked(
    stack: Up, person: Browser, sample_snapshot: Path
) -> None:
    person.fill("[name=blob]", sample_snapshot.name)
    with forbidden(stack, "CREATE OR ALTER PROCEDURE"):
        person.click("Start")
        person.reads("Rehearsal to demo", "main h1")
        in_the_end(person, "Failed")
    person.reads("Keys, indexes, sequences", ".verdict")
    person.reads("Do not start the app on it.", ".verdict")
    person.reads("failed", ".stage.failed")
    person.reads("1 of", ".part-findings h2")
    person.shot("stack-failed")
    report = report_read(person, "Failed")
    assert "What the target holds now" in report
    assert "row hash" in report[report.index("Not checked") :], "the run did not come to it"
    assert "Every check that the run knows of was done" not in report
    person.shot("stack-failed-report")
    person.go("rehearsals")
    person.reads("The last rehearsal ended failed", ".verdict")
    assert person.complaints() == []


def test_the_real_host_serves_the_page_and_keeps_its_door(stack: Up) -> None:
    assert httpx.get(stack.page).headers["content-security-policy"].startswith("default-src 'none'")
    assert httpx.get(f"{stack.page}/app.js").status_code == 200
    assert httpx.get(stack.printed["API"]).status_code == 401
    keyed = {"x-functions-key": stack.key}
    first = httpx.get(stack.printed["API"].replace("migrations", "profiles"), headers=keyed)
    assert first.json()["targets"][0]["throw_away"] is True
    again = httpx.get(
        stack.printed["API"].replace("migrations", "profiles"), headers=keyed | {"If-None-Match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
