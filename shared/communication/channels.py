"""Sends one event to one channel: Teams, Slack, signed CloudEvents, or e-mail by Azure Communication Services.

Whoever sends may have to send again: every form carries the event's id. Errors never show the webhook's address, which
is a permission.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx

from shared import answers
from shared.channel import ENCODED, Channel
from shared.communication.notices import message_for
from shared.communication.occurrences import Occurrence
from shared.credentials import token
from shared.errors import TransientError

TIMEOUT = 10.0
MAIL_SCOPE = "https://communication.azure.com/.default"
MAIL_API = "2023-03-31"
"""https://learn.microsoft.com/rest/api/communication/email/send"""
TONES = {"verified": "Good", "failed": "Attention", "aborted": "Warning", "refused": "Warning", "late": "Warning"}

Form = Callable[[Occurrence, Channel, datetime], httpx.Request]


def send(occurrence: Occurrence, channel: Channel, now: datetime) -> None:
    """Send; `TransientError` NO_ANSWER or NOT_DELIVERED when the channel did not take it."""
    try:
        request = FORMS[channel.kind](occurrence, channel, now)
        with answers.within(answers.WHOLE) as watched, httpx.Client(timeout=TIMEOUT, follow_redirects=False) as client:
            request.extensions |= watched
            answered = client.send(request, stream=True)  # the status is all we want: a body may come for ever
            answered.close()
    except httpx.HTTPError as error:
        raise TransientError("NO_ANSWER", channel.kind, f"no answer ({type(error).__name__}).") from None
    if not answered.is_success:
        raise TransientError("NOT_DELIVERED", channel.kind, f"expected a 2xx status, found {answered.status_code}.")


def _teams(occurrence: Occurrence, channel: Channel, now: datetime) -> httpx.Request:
    """An Adaptive Card, as a Teams workflow's webhook takes it."""
    subject, text = message_for(occurrence, channel.audience, now)
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "TextBlock", "text": _plain(subject), "weight": "Bolder", "size": "Medium", "wrap": True,
             "color": TONES.get(occurrence.kind, "Default")},
            {"type": "TextBlock", "text": _plain(text), "wrap": True},
            {"type": "TextBlock", "text": occurrence.id, "isSubtle": True, "size": "Small", "wrap": True},
        ],
    }  # fmt: skip
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return _post(channel, {"type": "message", "attachments": [attachment]})


def _slack(occurrence: Occurrence, channel: Channel, now: datetime) -> httpx.Request:
    """Blocks with plain text only: nothing from a database becomes a mention or a link."""
    subject, text = message_for(occurrence, channel.audience, now)
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": subject[:150]}},
        {"type": "section", "text": {"type": "plain_text", "text": text[:3000]}},
        {"type": "context", "elements": [{"type": "plain_text", "text": occurrence.id}]},
    ]
    fallback = subject.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _post(channel, {"text": fallback, "blocks": blocks})


def _cloudevents(occurrence: Occurrence, channel: Channel, now: datetime) -> httpx.Request:
    """CloudEvents 1.0, structured mode, signed as Standard Webhooks says."""
    subject, text = message_for(occurrence, channel.audience, now)
    data = {
        "target": occurrence.target,
        "purpose": occurrence.purpose,
        "stage": occurrence.stage,
        "late_seconds": occurrence.late_seconds,
        "link": occurrence.link,
        "title": subject,
        "text": text,
    }
    event = {
        "specversion": "1.0",
        "id": occurrence.id,
        "source": f"/mxferry/migrations/{occurrence.run}",
        "type": f"dev.mxferry.migration.{occurrence.kind}",
        "subject": occurrence.run,
        "time": occurrence.at.isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }
    body = json.dumps(event).encode()
    headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    if channel.secret is not None:
        headers |= signature(occurrence.id, body, channel.secret.get_secret_value(), now)
    return httpx.Request("POST", _address(channel), content=body, headers=headers)


def signature(identifier: str, body: bytes, secret: str, now: datetime) -> dict[str, str]:
    """Return the headers of Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    key = base64.b64decode(secret.removeprefix(ENCODED)) if secret.startswith(ENCODED) else secret.encode()
    moment = str(int(now.timestamp()))
    made = hmac.new(key, b".".join((identifier.encode(), moment.encode(), body)), hashlib.sha256).digest()
    return {
        "webhook-id": identifier,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
    }


def _mail(occurrence: Occurrence, channel: Channel, now: datetime) -> httpx.Request:
    """An e-mail; the Operation-Id is made from the event's id, so that the service itself knows a repetition."""
    subject, text = message_for(occurrence, channel.audience, now)
    recipients = [{"address": one.strip()} for one in channel.recipients.split(",") if one.strip()]
    body = {
        "senderAddress": channel.sender,
        "content": {"subject": " ".join(subject.split()), "plainText": text},
        "recipients": {"to": recipients},
    }
    operation = uuid.uuid5(uuid.NAMESPACE_URL, f"{occurrence.id} {channel.recipients}")
    headers = {"Authorization": f"Bearer {token(MAIL_SCOPE)}", "Operation-Id": str(operation)}
    address = f"{(channel.endpoint or '').rstrip('/')}/emails:send"
    return httpx.Request("POST", address, params={"api-version": MAIL_API}, json=body, headers=headers)


def _post(channel: Channel, body: dict[str, Any]) -> httpx.Request:
    return httpx.Request("POST", _address(channel), json=body)


def _address(channel: Channel) -> str:
    return channel.url.get_secret_value() if channel.url else ""


def _plain(text: str) -> str:
    """Escape what an Adaptive Card's TextBlock would take for Markdown."""
    return "".join(f"\\{one}" if one in "\\`*_[]()#" else one for one in text)


FORMS: dict[str, Form] = {"teams": _teams, "slack": _slack, "cloudevents": _cloudevents, "mail": _mail}
