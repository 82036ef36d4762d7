"""The app, loaded and indexed by the worker library, and how to call its functions."""

import json
import logging
import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as worker

from local.host.messages import Input, TypedData, request
from local.host.settings import HostError

log = logging.getLogger("mxferry.host")

TRIGGERS = ("httpTrigger", "timerTrigger", "orchestrationTrigger", "activityTrigger")


class FunctionFailed(Exception):  # noqa: N818
    """A function raised; `kind` is the exception's class name, `text` its message."""

    def __init__(self, kind: str, text: str, stack: str) -> None:
        self.kind = kind
        self.text = text
        self.stack = stack
        super().__init__(f"{kind}: {text}")


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the app with its bindings as function.json would have them."""

    name: str
    id: str
    bindings: tuple[Mapping[str, Any], ...]

    @property
    def trigger(self) -> Mapping[str, Any]:
        """The trigger's binding."""
        return next(binding for binding in self.bindings if str(binding["type"]).endswith("Trigger"))

    @property
    def durable_clients(self) -> list[str]:
        """The parameters that take a durable client."""
        return [str(binding["name"]) for binding in self.bindings if binding["type"] == "durableClient"]

    @property
    def disabled(self) -> bool:
        """Whether the app setting `AzureWebJobs.<name>.Disabled` switches it off."""
        names = (f"AzureWebJobs.{self.name}.Disabled", f"AzureWebJobs_{self.name}_Disabled")
        return any(os.environ.get(name, "").lower() in ("true", "1") for name in names)


class App:
    """The functions of one app folder. The worker library keeps global state: one app a process."""

    def __init__(self, functions: list[Function], durable_client: str) -> None:
        self.functions = functions
        self._durable_client = durable_client

    @classmethod
    async def load(cls, folder: Path, durable_client: str) -> "App":
        """Import `function_app.py` and index it; `HostError` with the worker's own words when it cannot."""
        sys.path.insert(0, str(folder))
        worker.start_threadpool_executor()
        answer = await worker.worker_init_request(
            request(worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=str(folder)))
        )
        if answer.result.status != 1:
            trouble = answer.result.exception
            raise HostError(f"the app in {folder} cannot be loaded: {trouble.message}\n{trouble.stack_trace}")
        if "HttpUri" in answer.capabilities:
            raise HostError(
                "the app streams HTTP (azurefunctions-extensions-http-fastapi), which this host does not do"
            )
        found = await worker.functions_metadata_request(request())
        functions = [_function(one) for one in found.function_metadata_results or []]
        if not functions:
            raise HostError(f"the app in {folder} has no functions")
        return cls(functions, durable_client)

    def triggered_by(self, kind: str) -> list[Function]:
        """Return the enabled functions with a kind of trigger."""
        return [one for one in self.functions if one.trigger["type"] == kind and not one.disabled]

    def named(self, kind: str, field: str) -> dict[str, Function]:
        """Return the functions with a kind of durable trigger by the name they are called by."""
        return {str(one.trigger.get(field) or one.name): one for one in self.triggered_by(kind)}

    async def call(self, function: Function, data: TypedData) -> TypedData | None:
        """Invoke a function with its trigger's value; raises `FunctionFailed` when it does."""
        inputs = [Input(name=function.trigger["name"], data=data)]
        inputs += [Input(name=name, data=TypedData(string=self._durable_client)) for name in function.durable_clients]
        invocation = SimpleNamespace(
            invocation_id=str(uuid.uuid4()),
            function_id=function.id,
            input_data=inputs,
            trigger_metadata={},
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        try:
            answer = await worker.invocation_request(request(invocation_request=invocation))
        except SystemExit as exit_:  # the worker passes it on, and it would end the host
            raise FunctionFailed("SystemExit", str(exit_.code), "") from None
        if answer.result.status != 1:
            trouble = answer.result.exception
            kind, _, text = trouble.message.partition(": ")
            raise FunctionFailed(kind, text, trouble.stack_trace or "")
        value: TypedData | None = answer.return_value
        return value


def _function(metadata: Any) -> Function:
    bindings = tuple(json.loads(binding) for binding in metadata.raw_bindings)
    function = Function(metadata.name, metadata.function_id, bindings)
    kinds = [str(binding["type"]) for binding in bindings]
    strange = [kind for kind in kinds if kind.endswith("Trigger") and kind not in TRIGGERS]
    if strange:
        raise HostError(f"function '{function.name}' has a {strange[0]}, which this host does not run")
    return function
