"""An app behind a web hook of the team: it is told `start`, `stop` or `status`, and answers its state.

Request: `POST {"command": "stop"}`, signed as Standard Webhooks says; `start` has `settings` too where the app is to be
started with custom runtime settings of its own. Answer: `{"state": "running"}`, or `stopped`, or `changing`.
"""

import json
import secrets
from datetime import UTC, datetime
from typing import cast

import httpx

from shared import answers
from shared.apps.protocol import State
from shared.communication.channels import signature
from shared.errors import Refusal, TransientError
from shared.settings import Application

TIMEOUT = 30.0
STATES = ("running", "stopped", "changing")


class Webhook:
    """Calls the hook."""

    def __init__(self, settings: Application, start_with: dict[str, str] | None = None) -> None:
        self.settings = settings
        self.start_with = start_with

    def state(self) -> State:
        """Return what the hook says."""
        return self._call("status")

    def start(self) -> None:
        """Tell it to start, and with which custom runtime settings."""
        self._call("start", {"settings": self.start_with} if self.start_with else {})

    def stop(self) -> None:
        """Tell it to stop."""
        self._call("stop")

    def _call(self, command: str, more: dict[str, object] | None = None) -> State:
        body = json.dumps({"command": command, **(more or {})}).encode()
        headers = {"Content-Type": "application/json"}
        if self.settings.secret is not None:
            secret = self.settings.secret.get_secret_value()
            headers |= signature(f"app-{secrets.token_hex(8)}", body, secret, datetime.now(UTC))
        address = self.settings.url.get_secret_value() if self.settings.url else ""
        try:
            with httpx.Client(timeout=TIMEOUT) as client:
                answer = answers.ask(client, "POST", address, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise TransientError(
                "APP_UNREACHABLE", "webhook", f"no answer to {command} ({type(error).__name__})."
            ) from None
        if answer.status_code >= 500 or answer.status_code in (408, 429):
            raise TransientError(
                "APP_UNREACHABLE", "webhook", f"expected 2xx to {command}, found {answer.status_code}."
            )
        if not answer.is_success:
            raise Refusal(
                "APP_REFUSED", "webhook", f"expected 2xx to {command}, found {answer.status_code}.",
                "Check APP__URL and APP__SECRET of the target profile, and the hook's own log.",
            )  # fmt: skip
        return _state(answer)


def _state(answer: httpx.Response) -> State:
    try:
        said = answer.json().get("state")
    except (ValueError, AttributeError):
        said = None
    return cast("State", said) if said in STATES else "unknown"
