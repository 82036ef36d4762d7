"""A client of the app's HTTP API, as the demo and a person with curl use it."""

import time
from typing import Any, Literal
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from api.migrations import MigrationPage, MigrationView
from api.profiles import Profiles
from api.rehearsals import Rehearsals
from api.setup import SetupView
from api.tables import TablesView
from shared.mendix.handover import SourceSettings
from shared.ticks import Tick

SETUP_SECONDS = 300
"""How long the set-up check may take: a server that sleeps is asked for a while."""


class ApiError(RuntimeError):
    """The API refused a call; the text is its sentence and its remedy, `status` that of the answer, if there was one."""

    def __init__(self, text: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(text)


class Api:
    """Calls one Functions host with its function key, and an Entra token where one is wanted beside it."""

    def __init__(self, url: str, key: str, token: str | None = None) -> None:
        headers = {"x-functions-key": key} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._client = httpx.Client(base_url=f"{url}/api", headers=headers, timeout=30)

    def start(self, request: dict[str, Any], *, rehearsal: bool = False, key: str | None = None) -> str:
        """Post a migration or a rehearsal and return its id; the same idempotency key starts only one."""
        headers = {"Idempotency-Key": key} if key else {}
        answer = self._client.post("/rehearsals" if rehearsal else "/migrations", json=request, headers=headers)
        _check(answer)
        return str(answer.json()["id"])

    def index(self, limit: int = 20) -> MigrationPage:
        """Return the newest migrations."""
        return self._get(f"/migrations?limit={limit}", MigrationPage)

    def decide(
        self, run: str, what: Literal["approve", "abort"], by: str | None, comment: str = "", gate: str | None = None
    ) -> None:
        """Approve at a gate (refused if `gate` is named and it waits at another), or abort."""
        body = {"by": by, "comment": comment, "gate": gate}
        _check(self._client.post(f"/migrations/{run}/{what}", json=body))

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

    def report(
        self, run: str, media_type: str, *, what: Literal["report", "runbook", "schema", "request"] = "report"
    ) -> bytes:
        """Return the report as `application/json` or `text/html`, the runbook as `text/markdown` or `text/html`, the
        script of the schema as `text/plain`, or the request as `application/json`.
        """
        answer = self._client.get(f"/migrations/{run}/{what}", headers={"Accept": media_type})
        _check(answer)
        return answer.content

    def source_settings(self, run: str, by: str | None) -> SourceSettings:
        """Return the settings that the runtime copies its source by; with a new password when `by` says who asks."""
        path = f"/migrations/{run}/source-database"
        answer = self._client.get(path) if by is None else self._client.post(path, json={"by": by})
        _check(answer)
        return SourceSettings.model_validate(answer.json())

    def tables(self, run: str) -> TablesView:
        """Return the tables of a run with their rows."""
        return self._get(f"/migrations/{run}/tables", TablesView)

    def tick(self, run: str, step: str, by: str | None, comment: str = "", *, done: bool = True) -> Tick:
        """Say that the step of the runbook with that key is done, or take it back; returns the word that is kept."""
        body = {"done": done, "by": by, "comment": comment}
        answer = self._client.post(f"/migrations/{run}/runbook/{quote(step, safe='')}", json=body)
        _check(answer)
        return Tick.model_validate(answer.json())

    def rehearsals(self) -> Rehearsals:
        """Return the rehearsals of each target, compared."""
        return self._get("/rehearsals", Rehearsals)

    def profiles(self) -> Profiles:
        """Return the profiles that a request may name."""
        return self._get("/profiles", Profiles)

    def setup(self, administrators: str | None, *, channels: bool) -> SetupView:
        """Check the logins of all databases, which may take minutes; with a test message to every channel if wanted."""
        body = {"administrators": administrators, "channels": channels}
        answer = self._client.post("/setup", json=body, timeout=SETUP_SECONDS)
        _check(answer)
        return SetupView.model_validate(answer.json())

    def _get[M: BaseModel](self, path: str, model: type[M]) -> M:
        answer = self._client.get(path)
        _check(answer)
        return model.model_validate(answer.json())

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
    title = f"{answer.status_code} {said.get('title') or answer.reason_phrase}".rstrip()
    code = f"[{said['code']}]" if said.get("code") else ""
    words = " ".join(part for part in (f"{title}:", code, sentence, said.get("remedy")) if part)
    raise ApiError(words, answer.status_code)
