"""What a handler gets and gives: a small, host-neutral form of a request and of an answer.

Errors are problem+json (RFC 9457): `detail` is the sentence, `code`, `object` and `remedy` are its parts.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ValidationError

from shared.errors import MxferryError, Refusal

MAX_BODY = 1024 * 1024
PROBLEM = "application/problem+json"
GUARDS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
"""Headers of every answer."""
DOCUMENT = {
    "Cache-Control": "no-store",
    "Vary": "Accept",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
}
"""Headers of a report or runbook: kept by no browser or proxy, and never more than a document, whatever is in it."""


class Engine(Protocol):
    """The part of the durable client that handlers use; the Functions client and durabletask's own have it."""

    async def schedule_new_orchestration(self, orchestrator: str, *, input: Any, instance_id: str) -> str:  # noqa: A002
        """Start an orchestration."""

    async def get_orchestration_state(self, instance_id: str, *, fetch_payloads: bool = True) -> Any:
        """Return its state, or None."""

    async def raise_orchestration_event(self, instance_id: str, event_name: str, *, data: Any = None) -> None:
        """Raise an external event."""


@dataclass(frozen=True)
class Call:
    """A request as handlers see it; header names are lower case."""

    engine: Engine
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Answered(Exception):  # noqa: N818 - no error: the rest of the handler has nothing to add
    """Ends a handler with its answer; `api.functions.served` gives it."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(f"answered {answer.status}")


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True)
class Query:
    """One query parameter: what it means, and its JSON schema."""

    description: str
    form: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True)
class Route:
    """One route of the API; the table of routes makes the triggers and the OpenAPI page alike."""

    name: str
    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    summary: str
    auth: Literal["function", "anonymous"] = "function"
    request: type[BaseModel] | None = None
    responses: Mapping[int, type[BaseModel] | str | tuple[type[BaseModel], str]] = field(default_factory=dict)
    """By status: a model (JSON), media types parted by commas, or a model and the other media types it comes in."""
    query: Mapping[str, Query] = field(default_factory=dict)
    etag: bool = False
    idempotent: bool = False
    """Whether the caller may send an Idempotency-Key."""


class Problem(BaseModel):
    """An error answer (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    object: str = ""
    remedy: str = ""
    errors: list[dict[str, str]] = []


def answer(
    model: BaseModel | list[Any] | dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return a JSON answer."""
    text = model.model_dump_json() if isinstance(model, BaseModel) else json.dumps(model)
    return Answer(status, text.encode(), headers=headers or {})


def problem(status: int, code: str, detail: str, **more: Any) -> Answer:
    """Return an error answer."""
    titles = {
        400: "Bad request",
        404: "Not found",
        409: "Conflict",
        412: "Precondition failed",
        413: "Too large",
        503: "Not ready",
    }
    body = Problem(title=titles.get(status, "Error"), status=status, detail=detail, code=code, **more)
    return Answer(status, body.model_dump_json().encode(), PROBLEM)


def refusal(error: MxferryError, status: int) -> Answer:
    """Return one of our errors as an answer."""
    return problem(status, error.code, error.message, object=error.about, remedy=error.remedy)


@contextmanager
def refused_as(status: int) -> Iterator[None]:
    """Answer a `Refusal` of the block with this status."""
    try:
        yield
    except Refusal as error:
        raise Answered(refusal(error, status)) from None


def parsed[M: BaseModel](model: type[M], body: bytes) -> M:
    """Return the body as a model; answers the 400 that says which fields are wrong. Values are never echoed.

    Types are those of the description: a 0 is no false, a "5" no number.
    """
    if len(body) > MAX_BODY:
        raise Answered(problem(413, "BODY_TOO_LARGE", f"expected at most {MAX_BODY} bytes, found {len(body)}."))
    try:
        return model.model_validate_json(body or b"{}", strict=True)
    except ValidationError as error:
        errors = [
            {"field": ".".join(str(part) for part in one["loc"]) or "(body)", "message": one["msg"]}
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        detail = "; ".join(f"{one['field']}: {one['message']}" for one in errors)
        remedy = "GET /api/openapi.json has the form of every body."
        raise Answered(problem(400, "INVALID_REQUEST", detail, errors=errors, remedy=remedy)) from None


def with_etag(call: Call, found: Answer) -> Answer:
    """Add an ETag of the body; 304 without a body when the caller has it already."""
    etag = f'"{hashlib.sha256(found.body).hexdigest()[:32]}"'
    headers = {"Cache-Control": "no-cache", **found.headers, "ETag": etag}
    if etag in [one.strip().removeprefix("W/") for one in call.headers.get("if-none-match", "").split(",")]:
        return Answer(304, b"", found.content_type, headers)
    return Answer(found.status, found.body, found.content_type, headers)
