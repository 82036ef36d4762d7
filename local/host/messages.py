"""The messages between host and worker, duck-typed.

The worker library (`azure_functions_runtime`) gets the classes of the FunctionRpc protocol injected (`protos`) and only
sets and reads attributes, so attribute bags do; an absent field reads as None.
"""

from types import SimpleNamespace
from typing import Any


class Message:
    """Any message: its fields are whatever it was made with."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


class TypedData:
    """One value: `TypedData(json="...")`. The worker probes for attributes that must not be there, so it has no other."""

    def __init__(self, **field: Any) -> None:
        self.__dict__.update(field)

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - the protocol buffers' name
        """Return the name of the field that is set."""
        return next(iter(self.__dict__), None)

    def get(self, name: str) -> Any:
        """Return a field, None if it is not the one that is set."""
        return self.__dict__.get(name)


class Input(Message):
    """One parameter of an invocation."""

    def WhichOneof(self, _group: str) -> str:  # noqa: N802
        """Say that the value is in the message, not in shared memory."""
        return "data"


class StatusResult(Message):
    """How a request ended."""

    Failure = 0
    Success = 1


class BindingInfo(Message):
    """A binding's declaration: directions and data types by their numbers in FunctionRpc.proto."""

    undefined, string, binary, stream = 0, 1, 2, 3
    out, inout = 1, 2


setattr(BindingInfo, "in", 0)  # a keyword, so it cannot be written in the class


class SameSite:
    """A cookie's SameSite attribute, as Set-Cookie spells it."""

    Lax, Strict, ExplicitNone = "Lax", "Strict", "None"


setattr(SameSite, "None", None)


class RpcHttpCookie(Message):
    """A cookie of an HTTP response."""

    SameSite = SameSite


class Protos:
    """What the worker takes for its protocol module."""

    TypedData = TypedData
    StatusResult = StatusResult
    BindingInfo = BindingInfo
    RpcHttpCookie = RpcHttpCookie

    def __getattr__(self, name: str) -> type[Message]:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Message,), {})


def request(**fields: Any) -> SimpleNamespace:
    """Wrap a request as the worker's dispatcher hands it on."""
    return SimpleNamespace(request=SimpleNamespace(**fields), properties={"host": "127.0.0.1", "protos": Protos()})
