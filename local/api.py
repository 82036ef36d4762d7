"""A client of the app's HTTP API, as the demo and a person with curl use it."""

import time
from typing import Any

import httpx

from api.migrations import MigrationView


class ApiError(RuntimeError):
    """The API refused a call; the text is its sentence and its remedy."""


class Api:
    """Calls one Functions host with its function key."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/api", headers={"x-functions-key": key}, timeout=30)

    def start(self, request: dict[str, Any]) -> str:
        """Post a migration and return its id."""
        answer = self._client.post("/migrations", json=request)
        _check(answer)
        return str(answer.json()["id"])

    def show(self, run: str) -> MigrationView:
        """Return a migration's status; an answer that does not come is asked for again for half a minute."""
        deadline = time.monotonic() + 30
        while True:
            try:
                answer = self._client.get(f"/migrations/{run}")
                if answer.status_code < 500 or time.monotonic() > deadline:
                    _check(answer)
                    return MigrationView.model_validate(answer.json())
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise ApiError(f"The API does not answer ({type(error).__name__}).") from None
            time.sleep(0.5)

    def report(self, run: str, media_type: str) -> bytes:
        """Return the report as `application/json` or `text/html`."""
        answer = self._client.get(f"/migrations/{run}/report", headers={"Accept": media_type})
        _check(answer)
        return answer.content

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    try:
        said = answer.json()
    except ValueError:
        said = {}
    sentence = said.get("detail") or answer.text[:500] or answer.reason_phrase
    raise ApiError(" ".join(part for part in (f"{answer.status_code}:", sentence, said.get("remedy")) if part))
