"""What was told of a run, what waits and what was given up, as the API and the report show it."""

from datetime import timedelta

from activities.report import write_report
from shared import runs, settings
from shared.communication.delivery import GIVE_UP, deliver
from shared.communication.memory import memory_of
from shared.contracts import Progress
from shared.reporting.model import Report
from tests.fixtures.apiserver import EngineDouble
from tests.fixtures.asking import ask
from tests.fixtures.channels import ID, STARTED, Configure, Receiver, engine_at, event, recent
from tests.fixtures.reports import START


def told_and_given_up(receiver: Receiver, channel: Configure) -> EngineDouble:
    """One channel took the start of the run; the other one was given up with it."""
    channel("team", kind="cloudevents", url=receiver.url)
    channel("bosses", kind="cloudevents", url=receiver.url, audience="management")
    receiver.answers = [200, 500, 500]
    for now in (START, START + GIVE_UP + timedelta(minutes=1)):
        deliver(memory_of(ID), [event(STARTED)], settings.settings().notify, now, over=False)
    return engine_at(Progress(stages=recent("preflight")))


def test_the_api_shows_what_each_channel_took_and_what_was_given_up(receiver: Receiver, channel: Configure) -> None:
    _, seen, _ = ask(told_and_given_up(receiver, channel), "GET", f"migrations/{ID}")
    assert not seen["messages"]["done"]
    bosses, team = seen["messages"]["channels"]
    assert (team["channel"], team["taken"], team["waiting"], team["dropped"]) == ("team", 1, [], [])
    [lost] = bosses["dropped"]
    assert (bosses["channel"], bosses["taken"], lost["event"], lost["code"]) == ("bosses", 0, STARTED, "NOT_DELIVERED")
    assert lost["dropped_at"]


def test_the_report_says_what_was_told_until_it_was_written_and_that_telling_goes_on(
    receiver: Receiver, channel: Configure
) -> None:
    told_and_given_up(receiver, channel)
    work = {"run": runs.load(ID).model_dump(mode="json"), "verdict": "verified", "stages": [], "reported_at": START.isoformat()}  # fmt: skip
    assert "refused" not in write_report(None, work)
    stored, page = (runs.read(f"runs/{ID}/report.{form}") for form in ("json", "html"))
    assert stored is not None
    assert page is not None
    found = Report.model_validate_json(stored).messages
    assert found is not None
    assert [(one.channel, one.taken, len(one.dropped)) for one in found.channels] == [("bosses", 0, 1), ("team", 1, 0)]
    assert "<code>bosses</code>: took 0 messages; 1 message given up: started (NOT_DELIVERED)." in page.decode()
    assert "Telling goes on after the report" in page.decode()


def test_nothing_is_said_of_messages_where_nobody_listens(api_settings: None) -> None:
    _, seen, _ = ask(engine_at(Progress(stages=recent("preflight"))), "GET", f"migrations/{ID}")
    assert seen["messages"] is None
