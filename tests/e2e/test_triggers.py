"""The triggers and bindings of function_app.py, as the Functions host gets to see them."""

from typing import Any

import pytest

from activities.registry import ACTIVITIES
from api.routes import ROUTES
from function_app import app
from orchestrators.registry import ORCHESTRATORS

HTTP = {
    ("GET", "health"): "ANONYMOUS",
    ("GET", "ui"): "ANONYMOUS",
    ("GET", "ui/{file}"): "ANONYMOUS",
    ("GET", "openapi.json"): "FUNCTION",
    ("GET", "profiles"): "FUNCTION",
    ("POST", "migrations"): "FUNCTION",
    ("GET", "migrations"): "FUNCTION",
    ("GET", "migrations/{id}"): "FUNCTION",
    ("POST", "migrations/{id}/approve"): "FUNCTION",
    ("POST", "migrations/{id}/abort"): "FUNCTION",
    ("GET", "migrations/{id}/report"): "FUNCTION",
    ("GET", "migrations/{id}/runbook"): "FUNCTION",
    ("POST", "migrations/{id}/runbook/{step}"): "FUNCTION",
    ("GET", "migrations/{id}/tables"): "FUNCTION",
    ("GET", "migrations/{id}/schema"): "FUNCTION",
    ("GET", "migrations/{id}/request"): "FUNCTION",
    ("GET", "migrations/{id}/source-database"): "FUNCTION",
    ("POST", "migrations/{id}/source-database"): "FUNCTION",
    ("POST", "setup"): "FUNCTION",
    ("POST", "rehearsals"): "FUNCTION",
    ("GET", "rehearsals"): "FUNCTION",
}
TIMERS = {"rehearse": "%REHEARSAL_SCHEDULE%", "sweep": "0 17 * * * *", "tell_channels": "%TELL_SCHEDULE%"}
BUILT_IN = {"BuiltIn__HttpActivity", "BuiltIn__HttpPollOrchestrator"}
"""What the durable library adds to every app, for durable HTTP calls; nothing of ours calls it."""


@pytest.fixture(scope="module")
def functions() -> dict[str, list[dict[str, Any]]]:
    """Bindings by function name; each name once."""
    found = app.get_functions()
    names = [function.get_function_name() for function in found]
    assert len(names) == len(set(names))
    return {one.get_function_name(): [binding.get_dict_repr() for binding in one.get_bindings()] for one in found}


def of_kind(functions: dict[str, list[dict[str, Any]]], kind: str) -> dict[str, dict[str, Any]]:
    """Trigger bindings of a kind by function name."""
    found = {name: next((one for one in bindings if one["type"] == kind), None) for name, bindings in functions.items()}
    return {name: binding for name, binding in found.items() if binding is not None}


def text(value: Any) -> str:
    """The name of an enumeration's member, or the text."""
    return str(getattr(value, "name", value)).upper()


def test_every_http_route_has_its_method_and_its_auth_level(functions: dict[str, list[dict[str, Any]]]) -> None:
    found = {
        (text(method), trigger["route"]): text(trigger["authLevel"])
        for trigger in of_kind(functions, "httpTrigger").values()
        for method in trigger["methods"]
    }
    assert found == HTTP
    assert len(found) == len(ROUTES)


def test_every_http_function_answers_and_gets_a_durable_client(functions: dict[str, list[dict[str, Any]]]) -> None:
    for name in of_kind(functions, "httpTrigger"):
        kinds = sorted(binding["type"] for binding in functions[name])
        assert kinds == ["durableClient", "http", "httpTrigger"], name


def test_timers_have_their_schedules_and_do_not_run_at_every_start(functions: dict[str, list[dict[str, Any]]]) -> None:
    timers = of_kind(functions, "timerTrigger")
    assert {name: timer["schedule"] for name, timer in timers.items()} == TIMERS
    assert all(not timer.get("runOnStartup") for timer in timers.values())


def test_every_orchestrator_and_activity_of_the_registries_is_a_function_of_its_name(
    functions: dict[str, list[dict[str, Any]]],
) -> None:
    ours = {name: bindings for name, bindings in functions.items() if name not in BUILT_IN}
    orchestrations, activities = (of_kind(ours, f"{kind}Trigger") for kind in ("orchestration", "activity"))
    assert set(orchestrations) == {one.__name__ for one in ORCHESTRATORS}
    assert set(activities) == {one.__name__ for one in ACTIVITIES}
    assert all(binding["name"] == "payload" for binding in activities.values())
    assert {"migrate", "migrate_database", "migrate_files"} <= set(orchestrations)


def test_nothing_else_is_in_the_app(functions: dict[str, list[dict[str, Any]]]) -> None:
    kinds = {binding["type"] for bindings in functions.values() for binding in bindings}
    assert kinds == {"httpTrigger", "http", "timerTrigger", "orchestrationTrigger", "activityTrigger", "durableClient"}
