"""What people say of the steps of a runbook: by the step's own key, kept word by word, shown, reported; Azurite is real."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import httpx
import pytest

from activities.report import write_report
from shared import runs, ticks
from shared.contracts import Progress, Run
from shared.progress import View
from shared.reporting import runbook
from shared.reporting.model import Report
from shared.reporting.steps import PHASES
from shared.request import MigrationRequest
from shared.ticks import Tick
from tests.fixtures import reports
from tests.fixtures.apiserver import ApiServer

ID = "20261122t203000-3f9a1c"
START = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
BLOB = {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}
DNS = "switch-dns"
TICKED = {
    "lower-ttl", "freeze-model", "configure-target", "rehearse", "tell-everybody", "stop-source-app", "stop-target-app",
    "give-login-rights", "start-target-app", "switch-dns", "scheduled-events-on", "say-done", "keep-source-stopped",
    "back-up-target", "raise-ttl",
}  # fmt: skip
"""Steps that people tick in a plain cut-over. Ticks are kept under these keys: none is ever changed."""


def run(**more: object) -> Run:
    request = MigrationRequest.model_validate({"source": BLOB, "target": "production"} | more)
    return Run(id=ID, request=request, created_at=START)


def steps(of: Run, said: dict[str, list[Tick]] | None = None) -> list[runbook.Step]:
    made = runbook.runbook(of, View(), {}, [], START, None, said)
    return [step for part in made.parts for step in part.steps]


def tick(by: str, *, done: bool = True, minute: int = 0, step: str = DNS) -> Tick:
    return Tick(step=step, done=done, by=by, at=START + timedelta(minutes=minute))


class People:
    """Ticks steps of a run over HTTP, and reads its runbook."""

    def __init__(self, api: ApiServer) -> None:
        runs.save(run())
        api.engine.set(ID, "RUNNING", custom=Progress(stages=reports.stages("copy", "running")).model_dump(mode="json"))
        self.address = f"{api.url}/api/migrations/{ID}/runbook"
        self.headers = {"x-functions-key": api.key}

    def say(self, step: str, **body: object) -> httpx.Response:
        return httpx.post(f"{self.address}/{step}", headers=self.headers, json=body)

    def row(self) -> str:
        text = httpx.get(self.address, headers=self.headers).text
        return next(line for line in text.splitlines() if "**Switch DNS" in line)

    def page(self) -> str:
        return httpx.get(self.address, headers=self.headers | {"Accept": "text/html"}).text


@pytest.fixture
def people(api: ApiServer) -> People:
    return People(api)


def test_every_step_has_a_key_of_its_own_that_stays_what_it_is() -> None:
    keys = [step.key for phase in PHASES for step in phase.steps]
    assert len(set(keys)) == len(keys), "unique in every runbook, whatever a request leaves out"
    assert [key for key in keys if not re.fullmatch(r"[a-z]+(-[a-z]+)*", key)] == []
    assert {step.key for step in steps(run()) if step.by_people} == TICKED


def test_a_tick_stays_at_its_step_when_other_steps_appear_or_disappear() -> None:
    said = {DNS: [tick("Ada")]}
    for more in (
        {},
        {"approval": True},
        {"target_not_empty": "drop", "confirm": "production"},
        {"options": {"target_mode": "postgres"}},
    ):
        ticked = [step for step in steps(run(**more), said) if step.done]
        assert [step.title for step in ticked] == ["Switch DNS or the load balancer"], more
    numbers = {step.number for more in ({}, {"approval": True}) for step in steps(run(**more)) if step.key == DNS}
    assert len(numbers) == 2, "its number is another one"


def test_the_last_word_counts_and_those_before_it_stay(people: People) -> None:
    nameless = people.say(DNS)
    assert (nameless.status_code, nameless.json()["code"]) == (400, "INVALID_REQUEST")
    said = people.say(DNS, by="Ada", comment="TTL was 300")
    assert (said.status_code, said.json()["by"], said.json()["done"]) == (200, "Ada", True)
    assert re.search(r"done \d\d:\d\d:\d\d UTC by Ada", people.row()), people.row()
    assert "TTL was 300" in people.page()
    assert f'data-step="{DNS}" checked' in people.page()
    back = people.say(DNS, by="Bob", done=False, comment="wrong zone")
    assert (back.status_code, back.json()["done"]) == (200, False)
    assert re.search(r"open; taken back \d\d:\d\d:\d\d UTC by Bob", people.row()), people.row()
    page = people.page()
    assert f'data-step="{DNS}" checked' not in page
    assert re.search(r"before: done \d\d:\d\d:\d\d UTC by Ada \(as stated\) “TTL was 300”", page)
    people.say(DNS, by="Cy")
    assert "by Cy" in people.row()
    kept = [(one.by, one.done, one.comment) for one in ticks.load(ID)[DNS]]
    assert kept == [("Ada", True, "TTL was 300"), ("Bob", False, "wrong zone"), ("Cy", True, "")]


def test_the_same_word_delivered_twice_is_kept_once(people: People) -> None:
    first, second = (people.say(DNS, by="Ada").json() for _ in range(2))
    assert first == second
    people.say(DNS, by="Ada", done=False)
    people.say(DNS, by="Ada", done=False)
    people.say(DNS, by="Ada")
    assert [one.done for one in ticks.load(ID)[DNS]] == [True, False, True]


def test_only_what_somebody_has_said_is_taken_back(people: People) -> None:
    answered = people.say(DNS, by="Ada", done=False)
    assert (answered.status_code, answered.json()["code"]) == (409, "NOT_TICKED")
    assert ticks.load(ID) == {}


def test_what_the_run_does_itself_nobody_else_says_is_done(people: People) -> None:
    for step, status in (("move-rows", 409), ("999", 404), ("4", 404), ("first", 404)):
        answered = people.say(step, by="Ada")
        assert answered.status_code == status, (step, answered.text)
    assert DNS in answered.json()["remedy"], "the keys of this run"


@pytest.mark.usefixtures("api_settings")
def test_people_who_tick_at_once_lose_nothing() -> None:
    together = Barrier(8)

    def say(name: str) -> None:
        together.wait(60)
        ticks.keep(ID, tick(name))

    names = [f"person {number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(say, names))
    assert sorted(one.by for one in ticks.load(ID)[DNS]) == names
    assert len(runs.names(f"runs/{ID}/steps/{DNS}/")) == 8


@pytest.mark.usefixtures("api_settings")
def test_a_tick_by_number_of_an_earlier_version_is_at_no_step() -> None:
    runs.create(f"runs/{ID}/steps/010.json", {"step": 10, "by": "Ada", "at": START.isoformat()})
    assert ticks.load(ID) == {}
    ticks.keep(ID, tick("Bob"))
    assert list(ticks.load(ID)) == [DNS]


@pytest.mark.usefixtures("api_settings")
def test_the_report_has_what_was_ticked_and_what_was_taken_back_in_the_order_of_time() -> None:
    for one in (tick("Ada"), tick("Bob", done=False, minute=2), tick("Cy", minute=1, step="raise-ttl")):
        ticks.keep(ID, one)
    work = {
        "run": run(target="demo").model_dump(mode="json"),
        "verdict": "verified",
        "stages": [],
        "reported_at": START.isoformat(),
    }
    assert "refused" not in write_report(None, work)
    stored, page = (runs.read(f"runs/{ID}/report.{form}") for form in ("json", "html"))
    assert stored is not None
    assert page is not None
    told = [(one.title, one.by, one.done) for one in Report.model_validate_json(stored).ticks]
    assert told == [
        ("Switch DNS or the load balancer", "Ada", True), ("Raise the TTL again", "Cy", True),
        ("Switch DNS or the load balancer", "Bob", False),
    ]  # fmt: skip
    assert "taken back by Bob (as stated)" in page.decode()
