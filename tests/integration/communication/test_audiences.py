"""Each audience hears what concerns it, in words that are true of the run."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from api.telling import tell
from orchestrators.sourceapp import NOT_OURS, TWO_SYSTEMS
from shared.contracts import Gate, Progress, StageState
from tests.fixtures.channels import ID, Configure, Receiver, engine_at, recent

STOPPED = {"source": {"kind": "mendix-cloud", "profile": "crm", "stop_app": True}}


def source_start(state: str, note: str = "") -> StageState:
    return recent("copy")[-1].model_copy(update={"name": "source-start", "state": state, "note": note})


@pytest.mark.parametrize(
    ("audience", "kinds"),
    [("team", 18), ("management", 2), ("users", 0)],
)
def test_each_audience_hears_what_concerns_it(
    receiver: Receiver, channel: Configure, audience: str, kinds: int
) -> None:
    channel("one", kind="cloudevents", url=receiver.url, audience=audience)
    asyncio.run(tell(engine_at(Progress(stages=recent()), "COMPLETED", {"verdict": "verified"})))
    assert len(receiver.got) == kinds


def test_every_gate_is_told_also_one_that_was_answered_within_the_minute(
    receiver: Receiver, channel: Configure
) -> None:
    channel("team", kind="cloudevents", url=receiver.url, events="gate-waits")
    now = datetime.now(UTC)
    gates = [
        Gate(name="late", asked_at=now, answers_by=now, decision="approved", decided_by="Ada", decided_at=now),
        Gate(name="write", asked_at=now + timedelta(seconds=1), answers_by=now + timedelta(hours=1)),
    ]
    asyncio.run(tell(engine_at(Progress(stages=recent("inspect"), gates=gates))))
    asked = [one["data"]["text"].split("?")[0] for one in receiver.json()]
    assert asked == ["It will be late. Go on", "Write the target"]


def test_a_source_app_that_stays_stopped_is_told_to_team_and_management(receiver: Receiver, channel: Configure) -> None:
    channel("bosses", kind="cloudevents", url=receiver.url, audience="management")
    asyncio.run(tell(engine_at(Progress(stages=[source_start("failed", "MENDIX_START_FAILED")]), **STOPPED)))
    [told] = [one for one in receiver.json() if one["type"] == "dev.mxferry.migration.source-down"]
    assert "until somebody starts it" in told["data"]["text"]


def test_a_source_app_left_stopped_beside_a_live_target_is_no_invitation_to_start_it(
    receiver: Receiver, channel: Configure
) -> None:
    channel("bosses", kind="cloudevents", url=receiver.url, audience="management", events="source-down")
    stages = [source_start("skipped", TWO_SYSTEMS)]
    asyncio.run(tell(engine_at(Progress(stages=stages), **STOPPED)))
    [told] = receiver.json()
    assert "Decide which of the two goes on" in told["data"]["text"]
    assert "until somebody starts it" not in told["data"]["text"]


def test_a_source_app_that_the_run_has_not_stopped_is_not_said_to_run_again(
    receiver: Receiver, channel: Configure
) -> None:
    channel("bosses", kind="cloudevents", url=receiver.url, audience="management", events="available,source-down")
    asyncio.run(tell(engine_at(Progress(stages=[source_start("skipped", NOT_OURS)]), **STOPPED)))
    [told] = receiver.json()
    assert told["type"] == "dev.mxferry.migration.source-down"
    assert "this run has not stopped it" in told["data"]["text"]


@pytest.mark.parametrize(
    ("more", "stages", "titles"),
    [
        (STOPPED, recent("preflight"), []),
        (STOPPED, recent("snapshot"), ["The app is being moved"]),
        (STOPPED, [*recent("copy"), source_start("done")], ["The app is being moved", "The move is postponed"]),
        (STOPPED, [*recent("copy"), source_start("failed")], ["The app is being moved"]),
        (STOPPED, [*recent("copy"), source_start("skipped", NOT_OURS)], ["The app is being moved"]),
        (STOPPED | {"options": {"dry_run": True}}, recent("snapshot"), []),
        (STOPPED | {"options": {"purpose": "rehearsal"}}, recent("snapshot"), []),
        ({}, recent("copy"), []),
    ],
)
def test_users_are_told_when_their_app_stops_and_when_it_is_back_and_nothing_else(
    receiver: Receiver, channel: Configure, more: dict[str, object], stages: list[StageState], titles: list[str]
) -> None:
    """Not at the start of a run, in which preflight may refuse and an agreed snapshot time be far; not for a dry run."""
    channel("one", kind="cloudevents", url=receiver.url, audience="users")
    asyncio.run(tell(engine_at(Progress(stages=stages), **more)))
    assert [one["data"]["title"] for one in receiver.json()] == titles
    assert all(ID not in one["data"]["text"] for one in receiver.json())


def test_a_dry_run_is_the_teams_business_alone(receiver: Receiver, channel: Configure) -> None:
    channel("bosses", kind="cloudevents", url=receiver.url, audience="management")
    options = {"dry_run": True}
    asyncio.run(tell(engine_at(Progress(stages=recent()), "COMPLETED", {"verdict": "planned"}, options=options)))
    assert receiver.got == []


def test_a_rehearsal_is_the_teams_business_alone(receiver: Receiver, channel: Configure) -> None:
    channel("bosses", kind="cloudevents", url=receiver.url, audience="management")
    options = {"purpose": "rehearsal"}
    asyncio.run(tell(engine_at(Progress(stages=recent()), "COMPLETED", {"verdict": "failed"}, options=options)))
    assert receiver.got == []


def test_a_channel_may_name_its_events(receiver: Receiver, channel: Configure) -> None:
    channel("one", kind="cloudevents", url=receiver.url, events="verified, failed")
    asyncio.run(tell(engine_at(Progress(stages=recent()), "COMPLETED", {"verdict": "verified"})))
    assert [one["type"] for one in receiver.json()] == ["dev.mxferry.migration.verified"]


def test_a_message_leads_to_the_page_where_the_app_knows_its_address(
    receiver: Receiver, channel: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBSITE_HOSTNAME", "mxf-contoso.azurewebsites.net")
    channel("team", kind="cloudevents", url=receiver.url, events="started")
    asyncio.run(tell(engine_at(Progress(stages=recent("preflight")))))
    [event] = receiver.json()
    assert event["data"]["link"] == f"https://mxf-contoso.azurewebsites.net/api/ui#/runs/{ID}"
    assert event["data"]["link"] in event["data"]["text"]
