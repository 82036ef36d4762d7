"""The form in which each kind of channel gets an event: signed, escaped, by the right identity, no address in the log."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import time
from datetime import UTC, datetime

import pytest

from api.telling import tell
from shared import settings
from shared.communication.trying import try_channels
from shared.contracts import Progress
from shared.errors import Refusal
from tests.fixtures.channels import ID, SECRET, Configure, Receiver, engine_at, recent
from tests.fixtures.identity import IdentityDouble, identified_by


def test_events_reach_a_cloudevents_receiver_once_and_signed(receiver: Receiver, channel: Configure) -> None:
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


def test_teams_gets_an_adaptive_card_and_slack_plain_text_blocks(receiver: Receiver, channel: Configure) -> None:
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


def test_mail_goes_through_communication_services_with_the_apps_identity(
    receiver: Receiver, channel: Configure
) -> None:
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


def test_no_log_line_shows_a_webhooks_address(channel: Configure, caplog: pytest.LogCaptureFixture) -> None:
    channel("dead", kind="teams", url="http://127.0.0.1:9/very-secret-path?sig=abc")
    asyncio.run(tell(engine_at(Progress(stages=recent("preflight")))))
    assert "not delivered" in caplog.text
    assert "very-secret-path" not in caplog.text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"events": "stage_done"}, "unknown events stage_done; the events are scheduled,"),
        ({"url": "http://hooks.example.org/x"}, "expected an https address"),
        ({"secret": "whsec_not base64!"}, "expected base64 after whsec_"),
        ({"secret": ""}, "its messages are signed"),
    ],
)
def test_a_channel_that_would_stay_mute_or_unsigned_is_refused(
    channel: Configure, wrong: dict[str, str], words: str
) -> None:
    channel("team", **({"kind": "cloudevents", "url": "https://hooks.example.org/x"} | wrong))
    with pytest.raises(Refusal, match=re.escape(words)):
        settings.settings()


def test_the_set_up_check_tries_every_channel(receiver: Receiver, channel: Configure) -> None:
    channel("dead", kind="slack", url="http://127.0.0.1:9/hook")
    channel("team", kind="cloudevents", url=receiver.url)
    found = try_channels(settings.settings().notify, datetime.now(UTC))
    assert [(one.object, one.code) for one in found] == [("dead", "NO_ANSWER"), ("team", "CHANNEL_READY")]
    assert "NOTIFY__DEAD__" in found[0].remedy
    [event] = receiver.json()
    assert event["type"] == "dev.mxferry.migration.test"
