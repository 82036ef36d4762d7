"""`GET /api/openapi.json`: OpenAPI 3.1, made from the table of routes and the pydantic models.

Nothing is written twice: a route that the app serves is described, with the statuses that its handler, the boundary
around it (`api.functions.served`) and the Functions host itself can answer.
"""

import functools
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.http import PROBLEM, Answer, Call, Problem, Route, answer, with_etag
from shared.contracts import RUN_ID
from shared.version import VERSION

STATUS_WORDS = {
    200: "The answer.",
    202: "Accepted; the work goes on.",
    304: "Not modified: the caller's ETag is still right.",
    400: "The request is not well-formed; every wrong field is named.",
    401: "No valid function key. Answered by the Functions host, without a body.",
    404: "There is no such thing (yet).",
    409: "The state of things does not allow it.",
    413: "The body is too large.",
    500: "A fault of the app; its log has the details.",
    503: "The app, or a service it needs, is not ready.",
}
PATH_PATTERNS = {"id": RUN_ID.pattern, "file": r"^[a-z]+\.(html|css|js|svg|json)$", "step": r"^[0-9]{1,3}$"}
JSON = "application/json"
REF = "#/components/schemas/{model}"

Json = dict[str, Any]


def route(routes: Sequence[Route]) -> Route:
    """Return the route that serves the description of these routes and of itself."""

    @functools.cache
    def made() -> Answer:
        return answer(document([*routes, itself]))

    async def serve(call: Call) -> Answer:
        return with_etag(call, made())

    itself = Route("openapi", "GET", "openapi.json", serve, "This description, OpenAPI 3.1.",
                   responses={200: JSON}, etag=True)  # fmt: skip
    return itself


def document(routes: Sequence[Route]) -> Json:
    """Return the OpenAPI document."""
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(f"/api/{route.path}", {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mxferry",
            "version": VERSION,
            "description": "Brings a Mendix Cloud app's database into Azure SQL and its files into Azure Blob Storage. "
            "Errors are problem+json (RFC 9457).",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "code": {"type": "apiKey", "in": "query", "name": "code"},
            },
        },
    }


def _operation(route: Route) -> Json:
    operation: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": _responses(route),
        "security": [{"key": []}, {"code": []}] if route.auth == "function" else [],
    }
    if route.request is not None:
        operation["requestBody"] = {
            "required": any(field.is_required() for field in route.request.model_fields.values()),
            "content": {JSON: {"schema": _ref(route.request)}},
        }
    return operation


def _parameters(route: Route) -> list[Json]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": PATH_PATTERNS[name]}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    found += [
        {"name": name, "in": "query", "description": one.description, "schema": dict(one.form)}
        for name, one in route.query.items()
    ]
    if route.etag:
        found.append(_header("If-None-Match", "An ETag of an earlier answer; 304 if nothing changed."))
    if route.idempotent:
        found.append(_header("Idempotency-Key", "The same key with the same body starts only one."))
    return found


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _responses(route: Route) -> Json:
    known: dict[int, Json] = {status: _content(form) for status, form in route.responses.items()}
    if route.request is not None:
        known |= {400: _problem(), 413: _problem()}
    if route.auth == "function":
        known |= {401: {}, 500: _problem(), 503: _problem()}
    if route.etag:
        known[304] = {}
        known[200] |= {"headers": {"ETag": {"schema": {"type": "string"}}}}
    if 202 in known and route.idempotent:
        known[202] |= {"headers": {"Location": {"schema": {"type": "string"}}}}
    return {str(status): {"description": STATUS_WORDS[status]} | known[status] for status in sorted(known)}


def _content(form: type[BaseModel] | str | tuple[type[BaseModel], str]) -> Json:
    if isinstance(form, tuple):
        return {"content": _content(form[0])["content"] | _content(form[1])["content"]}
    if isinstance(form, str):
        return {"content": {one.strip(): {"schema": {}} for one in form.split(",")}}
    return {"content": {PROBLEM if form is Problem else JSON: {"schema": _ref(form)}}}


def _problem() -> Json:
    return _content(Problem)


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": REF.format(model=model.__name__)}


def _schemas(routes: Sequence[Route]) -> Json:
    """Return every model's schema: bodies as they are validated, answers as they are written.

    A body that is also answered is answered as it may be sent.
    """
    bodies = {route.request for route in routes if route.request is not None}
    asked = {(body, "validation") for body in bodies}
    told: set[Any] = {(Problem, "serialization")}
    for route in routes:
        for form in route.responses.values():
            model = form[0] if isinstance(form, tuple) else form
            if not isinstance(model, str) and model not in bodies:
                told.add((model, "serialization"))
    ordered: Any = sorted(asked | told, key=lambda pair: pair[0].__name__)
    _, definitions = models_json_schema(ordered, ref_template=REF)
    schemas: Json = definitions["$defs"]
    return schemas
