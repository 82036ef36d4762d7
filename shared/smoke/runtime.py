"""Checks through the Mendix runtime's admin API (m2ee): running, healthy, model version, no pending database changes.

On premises only. Protocol as https://github.com/mendix/m2ee-tools (src/m2ee/client.py) speaks it: POST with the action,
password in base64 in `X-M2EE-Authentication`; `result` 0 is success.
"""

import base64
from collections.abc import Callable
from typing import Any

import httpx
from pydantic import SecretStr

from shared import answers
from shared.contracts import Check
from shared.settings import Application

TIMEOUT = 30.0
Say = Callable[[dict[str, Any]], str | None]


class AdminApi:
    """Asks the admin port."""

    def __init__(self, url: str, password: SecretStr) -> None:
        self.url = url
        token = base64.b64encode(password.get_secret_value().encode()).decode()
        self.headers = {"X-M2EE-Authentication": token, "Content-Type": "application/json"}

    def ask(self, action: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the feedback of an action. Raises `httpx.HTTPError`, or `RefusedError` with the runtime's message."""
        body = {"action": action, "params": parameters or {}}
        with httpx.Client(timeout=TIMEOUT) as client:
            answer = answers.ask(client, "POST", self.url, json=body, headers=self.headers)
        answer.raise_for_status()
        found = answer.json()
        if not isinstance(found, dict):
            raise RefusedError("an answer that is no JSON object")
        if found.get("result") != 0:
            raise RefusedError(f"result {found.get('result')}: {str(found.get('message', ''))[:200]}")
        feedback = found.get("feedback")
        if feedback is not None and not isinstance(feedback, dict):
            raise RefusedError("an answer whose feedback is no JSON object")
        return feedback or {}


class RefusedError(Exception):
    """The runtime answered with another result than 0."""


def version_of(app: Application | None) -> str | None:
    """Return the version of the target app's runtime; None without an admin API, or where it does not answer now."""
    if app is None or app.admin_url is None or app.admin_password is None:
        return None
    try:
        return AdminApi(app.admin_url, app.admin_password).ask("about").get("version")
    except (httpx.HTTPError, RefusedError, ValueError):
        return None


def check_runtime(api: AdminApi, expected_version: str | None) -> list[Check]:
    """Return the four checks; each has its own verdict."""
    checks: list[tuple[str, str, str, dict[str, Any], Say]] = [
        ("running", "runtime_status", "expecting status `running`", {}, _running),
        ("healthy", "check_health", "expecting `healthy`, or no health check in the model", {}, _healthy),
        (
            "database up to date",
            "get_ddl_commands",
            "expecting no pending change of the schema",
            {"verbose": True},
            _no_ddl,
        ),
    ]
    found = [_one(api, *one) for one in checks]
    if expected_version is None:
        how = "about, the model version compared with the expected one"
        return [
            *found,
            Check(name="smoke: model version", outcome="skipped", how=how, detail="the request expects none."),
        ]
    version: Say = lambda feedback: _version(feedback, expected_version)  # noqa: E731
    return [*found, _one(api, "model version", "about", f"expecting {expected_version}", {}, version)]


def _one(api: AdminApi, name: str, action: str, how: str, parameters: dict[str, Any], wrong: Say) -> Check:
    how = f"m2ee action {action}, {how}"
    try:
        problem = wrong(api.ask(action, parameters))
    except (httpx.HTTPError, RefusedError, ValueError) as error:
        problem = f"expected an answer, found {error if isinstance(error, RefusedError) else type(error).__name__}."
    outcome = "failed" if problem else "passed"
    return Check.model_validate(
        {"name": f"smoke: {name}", "outcome": outcome, "how": how, "detail": problem or "as expected."}
    )


def _running(feedback: dict[str, Any]) -> str | None:
    return None if feedback.get("status") == "running" else f"found status {feedback.get('status')!r}."


def _healthy(feedback: dict[str, Any]) -> str | None:
    if feedback.get("health") in ("healthy", "unknown"):
        return None
    return f"found {feedback.get('health')!r}: {str(feedback.get('diagnosis', ''))[:200]}"


def _no_ddl(feedback: dict[str, Any]) -> str | None:
    commands = feedback.get("ddl_commands")
    if commands is not None and not isinstance(commands, list):
        return f"expected a list of changes, found {str(commands)[:200]!r}."
    return f"found {len(commands)} pending changes, first: {str(commands[0])[:200]}" if commands else None


def _version(feedback: dict[str, Any], expected: str) -> str | None:
    found = feedback.get("model_version")
    return None if found == expected else f"found {found!r}."
