"""Events of a run: derived with the same ids whenever one looks, told at least once, signed, never in the way."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from api.telling import tell
from orchestrators.sourceapp import NOT_OURS, TWO_SYSTEMS
from shared import rehearsals, runs, settings
from shared.communication import channels
from shared.communication.delivery import memory, memory_of
from shared.communication.occurrences import Seen, occurrences
from shared.communication.trying import try_channels
from shared.contracts import Gate, Progress, Run, StageState
from shared.errors import Refusal
from shared.forecast import Forecast
from shared.progress import View, stage_view
from shared.request import MigrationRequest
from tests.fixtures import reports
from tests.fixtures.apiserver import EngineDouble
from tests.fixtures.identity import IdentityDouble, identified_by

ID = "20261122t203000-3f9a1c"
REQUEST = {"source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}, "target": "demo"}
SECRET = "whsec_" + base64.b64encode(b"a shared secret of the test").decode()


class Receiver:
    """A web hook: keeps what it was sent, and answers as it is told (a list of statuses, then 200)."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answers.pop(0) if receiver.answers else 200
                if status < 300:
                    receiver.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep the test's output quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def json(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def channel(api_settings: None, monkeypatch: pytest.MonkeyPatch):
    """Configures a channel."""

    def configure(name: str, **values: str) -> None:
        if values["kind"] == "cloudevents":
            values = {"secret": SECRET} | values
        for key, value in values.items():
            monkeypatch.setenv(f"NOTIFY__{name.upper()}__{key.upper()}", value)
        settings.settings.cache_clear()

    return configure


def run(**more: object) -> Run:
    wanted = MigrationRequest.model_validate(REQUEST | more)
    return Run(id=ID, request=wanted, created_at=datetime.now(UTC))


def engine_at(progress: Progress, status: str = "RUNNING", output: object = None, **more: object) -> EngineDouble:
    engine = EngineDouble()
    runs.save(run(**more))
    engine.set(ID, status, custom=progress.model_dump(mode="json"), output=output)
    return engine


def recent(until: str | None = None) -> list[StageState]:
    """The stages of the sample, moved to the last minutes, so that they are no old news."""
    now = datetime.now(UTC) - timedelta(seconds=200)
    shift = now - reports.START
    return [
        one.model_copy(update={"started_at": one.started_at + shift, "ended_at": one.ended_at and one.ended_at + shift})
        for one in reports.stages(until)
    ]


def test_the_same_events_have_the_same_ids_whenever_one_looks() -> None:
    stages = [stage_view(one, reports.START) for one in reports.stages("restore")]
    seen = Seen(run=run(), view=View(stages=stages))
    first, later = (occurrences(seen, reports.START + timedelta(minutes=n)) for n in (0, 5))
    assert first == later
    assert [one.id for one in first] == [
        f"{ID}:started", f"{ID}:stage-done:preflight", f"{ID}:stage-done:snapshot", f"{ID}:stage-done:restore",
    ]  # fmt: skip


def test_a_first_look_before_the_window_is_no_start() -> None:
    early = StageState(name="early-preflight", state="done", started_at=reports.START, ended_at=reports.START)
    stages = [stage_view(early, reports.START)]
    kinds = [one.kind for one in occurrences(Seen(run=run(), view=View(stages=stages)), reports.START)]
    assert "started" not in kinds


def test_gate_lateness_end_and_regressions_are_events() -> None:
    now = reports.START
    gate = Gate(name="write", asked_at=now, answers_by=now)
    late = Forecast(ends_at=now, seconds_left=1, basis="x", late_seconds=600)
    kinds = {one.kind for one in occurrences(Seen(run=run(), view=View(gates=[gate]), forecast=late), now)}
    assert kinds == {"gate-waits", "late"}
    ended = Seen(run=run(), view=View(), verdict="failed", reason="It broke.", regressions=["Slower."])
    assert {(one.kind, one.words) for one in occurrences(ended, now)} == {
        ("failed", "It broke."),
        ("regressed", "Slower."),
    }


def test_events_reach_a_cloudevents_receiver_once_and_signed(receiver: Receiver, channel) -> None:
    channel("team", kind="cloudevents", url=f"{receiver.url}/hook", secret=SECRET)
    engine = engine_at(Progress(stages=recent("snapshot")))
    asyncio.run(tell(engine))
    asyncio.run(tell(engine))
    assert [one["type"] for one in receiver.json()] == [
        "dev.mxferry.migration.started", "dev.mxferry.migration.stage-done", "dev.mxferry.migration.stage-done",
    ]  # fmt: skip
    path, headers, body = receiver.got[0]
    assert path == "/hook"
    assert headers["content-type"].startswith("application/cloudevents+json")
    event = json.loads(body)
    assert (event["specversion"], event["id"], event["subject"]) == ("1.0", f"{ID}:started", ID)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = hmac.new(b"a shared secret of the test", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 300


def test_what_was_not_taken_is_told_again_with_the_same_id(receiver: Receiver, channel) -> None:
    channel("team", kind="cloudevents", url=receiver.url)
    receiver.answers = [500, 429]
    engine = engine_at(Progress(stages=recent("preflight")))
    asyncio.run(tell(engine))
    assert receiver.got == []
    assert not memory(memory_of(ID)).done
    asyncio.run(tell(engine))
    assert [one["id"] for one in receiver.json()] == [f"{ID}:started", f"{ID}:stage-done:preflight"]


def test_a_dead_channel_does_not_keep_the_others_from_being_told(receiver: Receiver, channel) -> None:
    channel("dead", kind="slack", url="http://127.0.0.1:9/hook")
    channel("team", kind="cloudevents", url=receiver.url)
    asyncio.run(tell(engine_at(Progress(stages=recent("preflight")))))
    assert len(receiver.got) == 2


class Hanging:
    """A web hook that takes connections and never answers."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/hook"
        self.taken = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._open.append(self.socket.accept()[0])
                self.taken += 1


def test_a_channel_that_hangs_is_waited_for_once_and_the_others_hear_everything(
    receiver: Receiver, channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "TIMEOUT", 0.5)
    hanging = Hanging()
    channel("aaa", kind="slack", url=hanging.url)
    channel("team", kind="cloudevents", url=receiver.url)
    engine = engine_at(Progress(stages=recent()), "COMPLETED", {"verdict": "verified"})
    asyncio.run(tell(engine))
    assert hanging.taken == 1
    assert len(receiver.got) == 18
    assert not memory(memory_of(ID)).done, "what the hanging channel did not take is tried again"
    asyncio.run(tell(engine))
    assert (hanging.taken, len(receiver.got)) == (2, 18)
    hanging.socket.close()


def test_every_gate_is_told_also_one_that_was_answered_within_the_minute(receiver: Receiver, channel) -> None:
    channel("team", kind="cloudevents", url=receiver.url, events="gate-waits")
    now = datetime.now(UTC)
    gates = [
        Gate(name="late", asked_at=now, answers_by=now, decision="approved", decided_by="Ada", decided_at=now),
        Gate(name="write", asked_at=now + timedelta(seconds=1), answers_by=now + timedelta(hours=1)),
    ]
    asyncio.run(tell(engine_at(Progress(stages=recent("inspect"), gates=gates))))
    asked = [one["data"]["text"].split("?")[0] for one in receiver.json()]
    assert asked == ["It will be late. Go on", "Write the target"]


def test_a_source_app_that_stays_stopped_is_told_to_team_and_management(receiver: Receiver, channel) -> None:
    channel("bosses", kind="cloudevents", url=receiver.url, audience="management")
    asyncio.run(tell(engine_at(Progress(stages=[source_start("failed", "MENDIX_START_FAILED")]), **STOPPED)))
    [told] = [one for one in receiver.json() if one["type"] == "dev.mxferry.migration.source-down"]
    assert "until somebody starts it" in told["data"]["text"]


def test_a_source_app_left_stopped_beside_a_live_target_is_no_invitation_to_start_it(
    receiver: Receiver, channel
) -> None:
    channel("bosses", kind="cloudevents", url=receiver.url, audience="management", events="source-down")
    stages = [source_start("skipped", TWO_SYSTEMS)]
    asyncio.run(tell(engine_at(Progress(stages=stages), **STOPPED)))
    [told] = receiver.json()
    assert "Decide which of the two goes on" in told["data"]["text"]
    assert "until somebody starts it" not in told["data"]["text"]


def test_a_source_app_that_the_run_has_not_stopped_is_not_said_to_run_again(receiver: Receiver, channel) -> None:
    channel("bosses", kind="cloudevents", url=receiver.url, audience="management", events="available,source-down")
    asyncio.run(tell(engine_at(Progress(stages=[source_start("skipped", NOT_OURS)]), **STOPPED)))
    [told] = receiver.json()
    assert told["type"] == "dev.mxferry.migration.source-down"
    assert "this run has not stopped it" in told["data"]["text"]


def test_a_run_that_is_over_and_told_is_not_looked_at_again(receiver: Receiver, channel) -> None:
    channel("team", kind="cloudevents", url=receiver.url)
    engine = engine_at(Progress(stages=recent()), "COMPLETED", {"verdict": "verified"})
    assert asyncio.run(tell(engine)) == 1
    assert asyncio.run(tell(engine)) == 0
    kinds = [one["type"].rpartition(".")[2] for one in receiver.json()]
    assert kinds[0] == "started"
    assert sorted(kinds[-2:]) == ["cleaned-up", "verified"]


def test_without_channels_nothing_is_looked_at(api_settings: None) -> None:
    assert asyncio.run(tell(engine_at(Progress(stages=recent())))) == 0


def test_an_event_of_yesterday_is_given_up_not_told(receiver: Receiver, channel) -> None:
    channel("team", kind="cloudevents", url=receiver.url)
    old = [one.model_copy(update={"started_at": one.started_at - timedelta(days=3), "ended_at": one.ended_at and one.ended_at - timedelta(days=3)}) for one in recent("preflight")]  # fmt: skip
    asyncio.run(tell(engine_at(Progress(stages=old), "COMPLETED", {"verdict": "verified"})))
    assert receiver.got == []
    assert memory(memory_of(ID)).done


@pytest.mark.parametrize(
    ("audience", "kinds"),
    [("team", 18), ("management", 2), ("users", 0)],
)
def test_each_audience_hears_what_concerns_it(receiver: Receiver, channel, audience: str, kinds: int) -> None:
    channel("one", kind="cloudevents", url=receiver.url, audience=audience)
    asyncio.run(tell(engine_at(Progress(stages=recent()), "COMPLETED", {"verdict": "verified"})))
    assert len(receiver.got) == kinds


STOPPED = {"source": {"kind": "mendix-cloud", "profile": "crm", "stop_app": True}}


def source_start(state: str, note: str = "") -> StageState:
    return recent("copy")[-1].model_copy(update={"name": "source-start", "state": state, "note": note})


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
    receiver: Receiver, channel, more: dict[str, object], stages: list[StageState], titles: list[str]
) -> None:
    """Not at the start of a run, in which preflight may refuse and an agreed snapshot time be far; not for a dry run."""
    channel("one", kind="cloudevents", url=receiver.url, audience="users")
    asyncio.run(tell(engine_at(Progress(stages=stages), **more)))
    assert [one["data"]["title"] for one in receiver.json()] == titles
    assert all(ID not in one["data"]["text"] for one in receiver.json())


def test_a_dry_run_is_the_teams_business_alone(receiver: Receiver, channel) -> None:
    channel("bosses", kind="cloudevents", url=receiver.url, audience="management")
    options = {"dry_run": True}
    asyncio.run(tell(engine_at(Progress(stages=recent()), "COMPLETED", {"verdict": "planned"}, options=options)))
    assert receiver.got == []


def test_a_message_leads_to_the_page_where_the_app_knows_its_address(
    receiver: Receiver, channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBSITE_HOSTNAME", "mxf-contoso.azurewebsites.net")
    channel("team", kind="cloudevents", url=receiver.url, events="started")
    asyncio.run(tell(engine_at(Progress(stages=recent("preflight")))))
    [event] = receiver.json()
    assert event["data"]["link"] == f"https://mxf-contoso.azurewebsites.net/api/ui#/runs/{ID}"
    assert event["data"]["link"] in event["data"]["text"]


def test_what_was_late_for_a_minute_is_told_though_it_is_in_time_again(
    receiver: Receiver, channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel("team", kind="cloudevents", url=receiver.url, events="late")
    now = datetime.now(UTC)
    late = Forecast(ends_at=now + timedelta(hours=2), seconds_left=7200, basis="x", late_seconds=600)
    engine = engine_at(Progress(stages=recent("preflight")), window={"end": (now + timedelta(hours=1)).isoformat()})
    receiver.answers = [500]
    monkeypatch.setattr("api.migrations.forecast", lambda *_, **__: late)
    asyncio.run(tell(engine))
    assert receiver.got == []
    monkeypatch.setattr("api.migrations.forecast", lambda *_, **__: None)
    engine.set(ID, "COMPLETED", custom={"stages": []}, output={"verdict": "verified"})
    asyncio.run(tell(engine))
    [event] = receiver.json()
    assert event["type"] == "dev.mxferry.migration.late"
    assert memory(memory_of(ID)).done


def test_a_cut_over_planned_weeks_ahead_is_told_whatever_ran_since(receiver: Receiver, channel) -> None:
    channel("team", kind="cloudevents", url=receiver.url, events="started")
    engine = engine_at(Progress(stages=recent("preflight")))
    for number in range(120):
        later = run().model_copy(update={"id": f"20261123t2030{number % 60:02d}-{number:06x}"})
        runs.save(later)
        runs.mark_told(later.id)
    asyncio.run(tell(engine))
    assert [one["id"] for one in receiver.json()] == [f"{ID}:started"]


def test_a_run_without_listeners_is_forgotten_when_it_is_over_and_not_before(receiver: Receiver, channel) -> None:
    engine = engine_at(Progress(stages=recent("preflight")))
    settings.settings.cache_clear()
    asyncio.run(tell(engine))
    assert runs.untold() == [ID]
    channel("team", kind="cloudevents", url=receiver.url, events="started")
    asyncio.run(tell(engine))
    assert len(receiver.got) == 1, "a channel that was set up later"


def test_a_rehearsal_that_could_not_start_is_told_once(receiver: Receiver, channel) -> None:
    channel("team", kind="cloudevents", url=receiver.url)
    at = datetime.now(UTC).replace(second=0, microsecond=0)
    rehearsals.not_started(rehearsals.NotStarted(at=at, target="rehearsal", why="It is busy."))
    for _ in range(2):
        asyncio.run(tell(EngineDouble()))
    [event] = receiver.json()
    assert (event["type"], event["data"]["text"].split(" (")[0]) == ("dev.mxferry.migration.not-started", "It is busy.")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"events": "stage_done"}, "unknown events stage_done; the events are scheduled,"),
        ({"url": "http://hooks.example.org/x"}, "expected an https address"),
        ({"secret": "whsec_not base64!"}, "expected base64 after whsec_"),
        ({"secret": ""}, "its messages are signed"),
    ],
)
def test_a_channel_that_would_stay_mute_or_unsigned_is_refused(channel, wrong: dict[str, str], words: str) -> None:
    channel("team", **({"kind": "cloudevents", "url": "https://hooks.example.org/x"} | wrong))
    with pytest.raises(Refusal, match=re.escape(words)):
        settings.settings()


def test_a_rehearsal_is_the_teams_business_alone(receiver: Receiver, channel) -> None:
    channel("bosses", kind="cloudevents", url=receiver.url, audience="management")
    options = {"purpose": "rehearsal"}
    asyncio.run(tell(engine_at(Progress(stages=recent()), "COMPLETED", {"verdict": "failed"}, options=options)))
    assert receiver.got == []


def test_a_channel_may_name_its_events(receiver: Receiver, channel) -> None:
    channel("one", kind="cloudevents", url=receiver.url, events="verified, failed")
    asyncio.run(tell(engine_at(Progress(stages=recent()), "COMPLETED", {"verdict": "verified"})))
    assert [one["type"] for one in receiver.json()] == ["dev.mxferry.migration.verified"]


def test_teams_gets_an_adaptive_card_and_slack_plain_text_blocks(receiver: Receiver, channel) -> None:
    channel("one", kind="teams", url=f"{receiver.url}/teams", events="failed")
    channel("two", kind="slack", url=f"{receiver.url}/slack", events="failed")
    output = {"verdict": "failed", "reason": "table [a](javascript:x) <!channel> failed"}
    asyncio.run(tell(engine_at(Progress(stages=recent("copy")), "COMPLETED", output)))
    sent = {path: json.loads(body) for path, _, body in receiver.got}
    card = sent["/teams"]["attachments"][0]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert "\\[a\\]\\(javascript:x\\)" in card["content"]["body"][1]["text"]
    assert {one["text"]["type"] for one in sent["/slack"]["blocks"] if "text" in one} == {"plain_text"}
    assert "<!channel>" not in sent["/slack"]["text"]


def test_mail_goes_through_communication_services_with_the_apps_identity(receiver: Receiver, channel) -> None:
    channel("bosses", kind="mail", endpoint=receiver.url, sender="noreply@example.org", recipients="a@example.org, b@example.org", events="verified")  # fmt: skip
    receiver.answers = [503]
    engine = engine_at(Progress(stages=recent()), "COMPLETED", {"verdict": "verified"})
    with identified_by(IdentityDouble()):
        asyncio.run(tell(engine))
        asyncio.run(tell(engine))
    [(path, headers, body)] = receiver.got
    assert path == "/emails:send?api-version=2023-03-31"
    assert headers["authorization"] == "Bearer token for https://communication.azure.com/.default"
    assert len(headers["operation-id"]) == 36
    mail = json.loads(body)
    assert [one["address"] for one in mail["recipients"]["to"]] == ["a@example.org", "b@example.org"]
    assert mail["content"]["subject"] == "Cut-over to demo: verified"


def test_no_log_line_shows_a_webhooks_address(channel, caplog: pytest.LogCaptureFixture) -> None:
    channel("dead", kind="teams", url="http://127.0.0.1:9/very-secret-path?sig=abc")
    asyncio.run(tell(engine_at(Progress(stages=recent("preflight")))))
    assert "not delivered" in caplog.text
    assert "very-secret-path" not in caplog.text


def test_the_set_up_check_tries_every_channel(receiver: Receiver, channel) -> None:
    channel("dead", kind="slack", url="http://127.0.0.1:9/hook")
    channel("team", kind="cloudevents", url=receiver.url)
    found = try_channels(settings.settings().notify, datetime.now(UTC))
    assert [(one.object, one.code) for one in found] == [("dead", "NO_ANSWER"), ("team", "CHANNEL_READY")]
    assert "NOTIFY__DEAD__" in found[0].remedy
    [event] = receiver.json()
    assert event["type"] == "dev.mxferry.migration.test"
