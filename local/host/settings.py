"""host.json and local.settings.json, as the Functions host reads them."""

import json
import logging
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPARE_THREADS = 2  # for orchestrator turns and sync HTTP functions, which share the worker's pool with activities

_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}


class HostError(RuntimeError):
    """The app or its configuration cannot be served; the text says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What host.json and the environment say."""

    route_prefix: str
    task_hub: str
    threads: int
    most_activities: int
    most_turns: int
    function_timeout: float  # seconds
    body_limit: int  # bytes
    log_level: int


def load_app_settings(path: Path) -> None:
    """Put the `Values` of a local.settings.json into the environment; what is there already stays."""
    if not path.exists():
        return
    values = _json(path).get("Values", {})
    if not isinstance(values, dict):
        raise HostError(f"{path}: expected 'Values' to be an object, found {type(values).__name__}")
    for name, value in values.items():
        os.environ.setdefault(name, value if isinstance(value, str) else json.dumps(value))


def load_host_settings(path: Path) -> HostSettings:
    """Read host.json; the Functions defaults stand where it is silent."""
    document = _json(path) if path.exists() else {"version": "2.0"}
    _override(document)
    if document.get("version") != "2.0":
        raise HostError(f'{path}: expected "version": "2.0", found {document.get("version")!r}')
    durable = _section(document, "extensions", "durableTask")
    processors = os.cpu_count() or 1
    threads = _threads()
    most_activities = int(durable.get("maxConcurrentActivityFunctions", 10 * processors))
    levels = {
        category: _LEVELS.get(str(level).lower(), logging.INFO)
        for category, level in _section(document, "logging", "logLevel").items()
    }
    return HostSettings(
        route_prefix=str(_section(document, "extensions", "http").get("routePrefix", "api")).strip("/"),
        task_hub=expand(str(durable.get("hubName", "TestHubName"))),
        threads=threads,
        most_activities=max(1, min(most_activities, threads - SPARE_THREADS)),
        most_turns=int(durable.get("maxConcurrentOrchestratorFunctions", 10 * processors)),
        function_timeout=time_span(str(document.get("functionTimeout", "00:30:00"))) or math.inf,
        body_limit=int(os.environ.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", 100 * 1024 * 1024)),
        # The app's own loggers are the category `Function.<name>.User` in Azure.
        log_level=levels.get("Function", levels.get("default", logging.INFO)),
    )


def quiet_libraries() -> None:
    """Raise the level of loggers that write a line an invocation; the app may lower it again."""
    for name in ("azure.functions", "azure.durable_functions", "azure.core", "durabletask"):
        logging.getLogger(name).setLevel(logging.WARNING)


def expand(text: str) -> str:
    """Replace every `%NAME%` by the app setting of that name; `HostError` when there is none."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in os.environ:
            raise HostError(f"'{text}' needs the app setting {name}, which is not set")
        return os.environ[name]

    return re.sub(r"%([^%\s]+)%", value, text)


def time_span(text: str) -> float | None:
    """Return a .NET time span `[d.]hh:mm:ss` in seconds, None if it is not one; -1 (no limit) is 0."""
    if text == "-1":
        return 0.0
    found = re.fullmatch(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.\d+)?", text)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _override(document: dict[str, Any]) -> None:
    """Let settings `AzureFunctionsJobHost__a__b` stand for values of host.json, as in Azure."""
    for name, value in os.environ.items():
        prefix, *path = name.split("__")
        if prefix != "AzureFunctionsJobHost" or not path:
            continue
        place = document
        for part in path[:-1]:
            inner = place.setdefault(part, {})
            place = inner if isinstance(inner, dict) else {}
        place[path[-1]] = value


def _threads() -> int:
    """Return the size of the worker's pool: the setting, else what ThreadPoolExecutor takes."""
    text = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT", "")
    if text.isdigit() and int(text) >= 1:
        return int(text)
    return min(32, (os.process_cpu_count() or 1) + 4)


def _section(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    found: Any = document
    for name in names:
        found = found.get(name, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise HostError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise HostError(f"{path}: expected an object, found {type(document).__name__}")
    return document
