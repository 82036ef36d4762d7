"""Who calls: the name that App Service authentication puts into headers, on the Functions host stand-in."""

import base64
import json
from pathlib import Path

import httpx
import pytest

from api import caller
from api.http import Call
from tests.fixtures.host import HostFactory

APP = """
    import azure.functions as func

    from api import caller
    from api.http import Call

    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


    @app.route(route="who")
    def who(req: func.HttpRequest) -> str:
        headers = {name.lower(): value for name, value in req.headers.items()}
        return caller.name(Call(engine=None, headers=headers)) or "nobody"
"""
NAME = {"X-MS-CLIENT-PRINCIPAL-NAME": "ada.fischer@example.org"}


def principal(**said: object) -> dict[str, str]:
    """The other header, as the platform writes it."""
    return {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(json.dumps(said).encode()).decode()}


CLAIMS = {"name_typ": "name", "claims": [{"typ": "aud", "val": "x"}, {"typ": "name", "val": "Ada Fischer"}]}


@pytest.mark.parametrize(("enabled", "who"), [("True", "ada.fischer@example.org"), (None, "nobody")])
def test_the_headers_are_believed_only_where_the_platform_says_that_it_sets_them(
    functions_host: HostFactory, enabled: str | None, who: str
) -> None:
    environment = {"PYTHONPATH": str(Path.cwd())} | ({"WEBSITE_AUTH_ENABLED": enabled} if enabled else {})
    host = functions_host(APP, environment=environment)
    assert httpx.get(f"{host.url}/api/who", headers=NAME).text == who
    assert httpx.get(f"{host.url}/api/who").text == "nobody"


@pytest.mark.parametrize(
    ("headers", "who"),
    [
        (NAME, "ada.fischer@example.org"),
        (principal(**CLAIMS), "Ada Fischer"),
        (principal(**CLAIMS) | {"X-MS-CLIENT-PRINCIPAL-ID": "7d0c"}, "Ada Fischer"),
        (principal(claims=[]) | {"X-MS-CLIENT-PRINCIPAL-ID": "7d0c"}, "7d0c"),
        (principal(claims=[]), caller.NAMELESS),
        ({"X-MS-CLIENT-PRINCIPAL": "no base64 at all"}, caller.NAMELESS),
        ({"X-MS-CLIENT-PRINCIPAL-NAME": "x" * 500}, "x" * 200),
        ({}, None),
    ],
)
def test_the_name_comes_from_either_header(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], who: str | None
) -> None:
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "true")
    call = Call(engine=None, headers={name.lower(): value for name, value in headers.items()})  # type: ignore[arg-type]
    assert caller.name(call) == who


def test_a_signed_in_callers_decision_never_carries_the_name_of_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    call = Call(engine=None, headers={"x-ms-client-principal-id": "7d0c"})  # type: ignore[arg-type]
    assert caller.named(call, "Ada") == caller.Name("Ada", signed_in=False)
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "true")
    assert caller.named(call, "Ada") == caller.Name("7d0c", signed_in=True)
