"""Where the events of migrations are told: the settings `NOTIFY__<NAME>__…` of one channel."""

import base64
from typing import Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from shared.eventkinds import EventKind
from shared.strict import Strict

ENCODED = "whsec_"
"""How a secret of Standard Webhooks begins; base64 follows."""


def encrypted(address: str) -> bool:
    """Whether what is sent to an address is encrypted on its way, or does not leave this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))


class Channel(Strict):
    """Where the events of migrations are told."""

    kind: Literal["teams", "slack", "cloudevents", "mail"] = Field(description="Form of the message.")
    audience: Literal["users", "team", "management"] = Field(
        default="team", description="Chooses the wording, and the events if `events` is empty."
    )
    events: str = Field(default="", description="Event names parted by commas; those of the audience if empty.")
    url: SecretStr | None = Field(
        default=None, description="Webhook address, https; secret, because it is the permission."
    )
    secret: SecretStr | None = Field(
        default=None,
        description="Signs `cloudevents`, which need it, by HMAC-SHA256 (Standard Webhooks; `whsec_...` or plain text).",
    )
    endpoint: str | None = Field(
        default=None, description="Azure Communication Services, https://<name>.communication.azure.com, for `mail`."
    )
    sender: str | None = Field(default=None, description="Sender address of `mail`, from a verified domain.")
    recipients: str = Field(default="", description="Addresses that `mail` goes to, parted by commas.")

    @model_validator(mode="after")
    def _complete(self) -> "Channel":
        if self.kind == "mail" and not (self.endpoint and self.sender and self.recipients):
            raise ValueError("a mail channel needs NOTIFY__<NAME>__ENDPOINT, ...__SENDER and ...__RECIPIENTS")
        if self.kind != "mail" and self.url is None:
            raise ValueError(f"a {self.kind} channel needs NOTIFY__<NAME>__URL")
        if self.kind == "cloudevents" and not (self.secret and self.secret.get_secret_value()):
            raise ValueError("a cloudevents channel needs NOTIFY__<NAME>__SECRET: its messages are signed")
        return self

    @field_validator("events")
    @classmethod
    def _known(cls, events: str) -> str:
        names, known = {one.strip() for one in events.split(",") if one.strip()}, get_args(EventKind)
        if unknown := sorted(names - set(known)):
            raise ValueError(f"unknown events {', '.join(unknown)}; the events are {', '.join(known)}")
        return events

    @field_validator("url")
    @classmethod
    def _encrypted(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not encrypted(url.get_secret_value()):
            raise ValueError("expected an https address")
        return url

    @field_validator("secret")
    @classmethod
    def _decoded(cls, secret: SecretStr | None) -> SecretStr | None:
        text = secret.get_secret_value() if secret is not None else ""
        if text.startswith(ENCODED):
            try:
                base64.b64decode(text.removeprefix(ENCODED), validate=True)
            except ValueError:
                raise ValueError(f"expected base64 after {ENCODED}") from None
        return secret
