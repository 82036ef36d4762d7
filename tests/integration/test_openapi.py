"""The API answers as its description says: schemathesis makes requests from it, well-formed and not."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS, load_all_checks

from api import openapi
from api.routes import ROUTES
from shared import runs
from shared.contracts import Run
from shared.request import MigrationRequest
from tests.fixtures.apiserver import KEY, ApiServer

REQUEST = {"source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}, "target": "demo"}
NOW = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)
KNOWN = [f"20261122t20300{n}-00000{n}" for n in range(5)]

load_all_checks()
EXCLUDED = [
    # The schema cannot say which profiles exist, or that `drop` must be confirmed: such a body is a precise 400.
    *CHECKS.get_by_names(["positive_data_acceptance"]),
    # The Functions host answers 404 to a method that no trigger has; it is not ours to change.
    *CHECKS.get_by_names(["unsupported_method", "allow_header_conformance"]),
]
# A query parameter nobody knows is ignored, as HTTP APIs do; for bodies the check stays.
UNKNOWN_QUERY = CHECKS.get_by_names(["negative_data_rejection"])

schema = schemathesis.openapi.from_dict(openapi.document(ROUTES))
schema.config.phases.coverage.unexpected_methods = set()


@schema.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Ask for a run that exists, and for a step of people, in half of the cases; made-up ones would only ever meet the 404."""
    del context
    asked = dict(path_parameters or {})
    made, step = str(asked.get("id", "")), str(asked.get("step", ""))
    if made and made[-1:] in "01234567":
        asked["id"] = KNOWN[len(made) % len(KNOWN)]
    if step and len(step) % 2:
        asked["step"] = "configure-target"
    return asked or path_parameters


@schema.hook
def map_body(context: Any, body: Any) -> Any:
    """Name a target that exists; a made-up one would only ever meet the 400."""
    del context
    if isinstance(body, dict) and isinstance(body.get("target"), str) and not body.get("confirm"):
        return {**body, "target": "demo"}
    return body


@pytest.fixture
def peopled(api: ApiServer) -> ApiServer:
    """An API with runs in five states, two of them with a report."""
    stage = {"name": "copy", "started_at": NOW.isoformat(), "state": "running"}
    gate = {"name": "write", "asked_at": NOW.isoformat(), "answers_by": (NOW + timedelta(hours=1)).isoformat()}
    for run_id in KNOWN:
        runs.save(Run(id=run_id, request=MigrationRequest.model_validate(REQUEST), created_at=NOW))
    api.engine.set(KNOWN[0], "PENDING")
    api.engine.set(KNOWN[1], "RUNNING", custom={"stages": [stage]})
    api.engine.set(KNOWN[2], "RUNNING", custom={"stages": [stage], "gates": [gate]})
    api.engine.set(KNOWN[3], "COMPLETED", custom={"stages": [stage]}, output={"verdict": "verified"})
    api.engine.set(KNOWN[4], "FAILED", custom={"stages": [stage]})
    from shared.reporting.html import page
    from tests.fixtures import reports

    report = reports.verified()
    runs.write(f"runs/{KNOWN[3]}/report.json", report.model_dump_json().encode(), "application/json")
    runs.write(f"runs/{KNOWN[3]}/schema.sql", b"CREATE TABLE [dbo].[a] ([id] bigint);", "text/plain")
    runs.write(f"runs/{KNOWN[3]}/report.html", page(report).encode(), "text/html")
    return api


@schema.parametrize()
@settings(
    max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate], derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_every_answer_is_one_that_the_description_has(peopled: ApiServer, case: schemathesis.Case) -> None:
    excluded = [*EXCLUDED, *(UNKNOWN_QUERY if case.method == "GET" else [])]
    case.call_and_validate(base_url=peopled.url, headers={"x-functions-key": KEY}, excluded_checks=excluded)


@pytest.mark.parametrize("limit", ["0", "101", "x", "", "-1", "1e3"])
def test_a_page_size_out_of_range_is_a_400(api: ApiServer, limit: str) -> None:
    answered = httpx.get(f"{api.url}/api/migrations", params={"limit": limit}, headers={"x-functions-key": KEY})
    assert (answered.status_code, answered.json()["code"]) == (400, "INVALID_REQUEST")


def test_the_description_is_served_with_an_etag_and_names_every_route(api: ApiServer) -> None:
    keyed = {"x-functions-key": KEY}
    first = httpx.get(f"{api.url}/api/openapi.json", headers=keyed)
    assert first.status_code == 200
    described = {(path, method.upper()) for path, one in first.json()["paths"].items() for method in one}
    assert described == {(f"/api/{route.path}", route.method) for route in ROUTES}
    again = httpx.get(f"{api.url}/api/openapi.json", headers=keyed | {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_everything_but_health_and_the_page_needs_the_key(api: ApiServer) -> None:
    anonymous = {route.name for route in ROUTES if route.auth == "anonymous"}
    assert anonymous == {"health", "ui", "ui_file"}
    for route in ROUTES:
        path = route.path.replace("{id}", KNOWN[0]).replace("{file}", "app.js")
        answered = httpx.request(route.method, f"{api.url}/api/{path}", content=b"{}")
        assert (answered.status_code == 401) == (route.name not in anonymous), route.name
    described = openapi.document(ROUTES)["paths"]
    for path, methods in described.items():
        for operation in methods.values():
            assert ("401" in operation["responses"]) == bool(operation["security"]), path


def test_a_reference_in_the_description_always_leads_somewhere() -> None:
    text = json.dumps(openapi.document(ROUTES))
    described = json.loads(text)["components"]["schemas"]
    wanted = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert wanted <= set(described)
