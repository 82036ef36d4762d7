"""The host's HTTP side: routes, methods, keys, bodies, responses."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fixtures.host import RunningHost, write_app

APP = """
import json
import logging
import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)


def told(req):
    return func.HttpResponse(json.dumps({
        "method": req.method, "url": req.url, "params": dict(req.params), "route": dict(req.route_params),
        "headers": {name.lower(): value for name, value in req.headers.items()}, "bytes": len(req.get_body()),
    }), mimetype="application/json", status_code=201)


@app.route(route="items/{id:int}", methods=["GET", "PUT"])
def item(req: func.HttpRequest) -> func.HttpResponse:
    logging.info("asked for %s", req.url)
    return told(req)


@app.route(route="items/new", methods=["GET"])
def new_item(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("new")


@app.route(route="files/{*path}", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def files(req: func.HttpRequest) -> func.HttpResponse:
    return told(req)


@app.route(route="mirror", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def mirror(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.get_body(), mimetype="application/octet-stream")


@app.route(route="cookie", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def cookie(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("", headers={"Set-Cookie": "a=b; Path=/; HttpOnly; SameSite=Lax", "X-Other": "yes"})


@app.route(route="broken", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("an inner secret of the app")


@app.route(route="secret", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
def secret(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("for admins")


@app.route(route="client", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@app.generic_input_binding(arg_name="durable", type="durableClient", durableRequiresGrpc=True)
def client(req: func.HttpRequest, durable: str) -> func.HttpResponse:
    return func.HttpResponse(durable)
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    folder = tmp_path_factory.mktemp("http")
    environment = {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": str(1024 * 1024)}
    running = RunningHost(write_app(folder / "app", APP), folder / "state", environment).start()
    yield running
    running.stop()


def test_a_route_gets_its_parameters_query_headers_and_body(host: RunningHost) -> None:
    with host.http() as http:
        answer = http.put("/api/items/7?q=a&q=b&empty=", content=b"12345", headers={"X-Mine": "1"})
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert found["method"] == "PUT"
    assert found["url"] == f"{host.url}/api/items/7?q=a&q=b&empty="
    assert found["params"] == {"q": "a,b", "empty": ""}
    assert found["route"] == {"id": "7"}
    assert found["bytes"] == 5
    assert found["headers"]["x-mine"] == "1"


def test_a_catch_all_route_gets_the_whole_rest(host: RunningHost) -> None:
    with host.http() as http:
        assert http.get("/api/files/a/b%20c/d.txt").json()["route"] == {"path": "a/b c/d.txt"}
        assert http.get("/api/files").json()["route"] == {}


def test_a_literal_route_wins_over_one_with_a_parameter(host: RunningHost) -> None:
    with host.http() as http:
        assert http.get("/api/items/new").text == "new"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nothing", 404),
        ("GET", "/api/items/seven", 404),
        ("GET", "/items/7", 404),
        ("GET", "/", 404),
        ("GET", "/runtime/webhooks/durabletask/instances", 404),
        ("DELETE", "/api/items/7", 405),
    ],
)
def test_what_no_function_serves_is_not_there(host: RunningHost, method: str, path: str, status: int) -> None:
    with host.http() as http:
        answer = http.request(method, path)
    assert answer.status_code == status
    if status == 405:
        assert answer.headers["allow"] == "GET, PUT"


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/api/items/7", None, 401),
        ("/api/items/7", "wrong", 401),
        ("/api/items/7", "function", 201),
        ("/api/items/7", "admin", 201),
        ("/api/files/x", None, 201),
        ("/api/secret", "function", 401),
        ("/api/secret", "admin", 200),
        ("/admin/host/status", "function", 401),
        ("/admin/host/status", "admin", 200),
        ("/admin/host/ping", None, 200),
    ],
)
@pytest.mark.parametrize("by", ["header", "query"])
def test_a_function_opens_with_the_key_of_its_level(
    host: RunningHost, path: str, key: str | None, status: int, by: str
) -> None:
    files = {"function": "function_key_file", "admin": "admin_key_file"}
    value = Path(host.ready[files[key]]).read_text().strip() if key in files else key
    headers = {"x-functions-key": value} if value and by == "header" else {}
    params = {"code": value} if value and by == "query" else {}
    assert httpx.get(host.url + path, headers=headers, params=params).status_code == status


def test_a_key_reaches_neither_the_function_nor_the_log_nor_the_arguments(host: RunningHost) -> None:
    found = httpx.get(f"{host.url}/api/items/7?code={host.key}&q=1").json()
    assert found["url"] == f"{host.url}/api/items/7?q=1"
    with host.http() as http:
        assert "x-functions-key" not in http.get("/api/items/7").json()["headers"]
    assert "asked for" in host.log
    assert host.key not in host.log
    assert host.key not in json.dumps(dict(host.ready))
    assert host.key.encode() not in Path(f"/proc/{host.child.pid}/cmdline").read_bytes()
    assert host.key.encode() not in (host.state / "engine.db").read_bytes()


def test_bodies_pass_as_bytes_both_ways(host: RunningHost) -> None:
    body = bytes(range(256)) * 100
    with host.http() as http:
        answer = http.post("/api/mirror", content=body)
    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(body).digest()
    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_body_over_the_limit_is_refused(host: RunningHost) -> None:
    with host.http() as http:
        assert http.post("/api/mirror", content=b"x" * (1024 * 1024 + 1)).status_code == 413


def test_headers_and_cookies_of_a_response_pass(host: RunningHost) -> None:
    with host.http() as http:
        answer = http.get("/api/cookie")
    assert answer.headers["x-other"] == "yes"
    assert answer.headers["set-cookie"] == "a=b; HttpOnly; Path=/; SameSite=Lax"


def test_a_function_that_raises_is_a_500_without_its_words_which_the_log_has(host: RunningHost) -> None:
    with host.http() as http:
        answer = http.get("/api/broken")
    assert (answer.status_code, answer.content) == (500, b"")
    assert "an inner secret of the app" in host.log


def test_a_durable_client_gets_the_engine_and_no_management_url_or_key(host: RunningHost) -> None:
    with host.http() as http:
        config = http.get("/api/client").json()
    assert config["rpcBaseUrl"] == f"http://{host.ready['engine']}"
    assert config["managementUrls"] == {}
    assert config["requiredQueryStringParameters"] == ""


def test_the_log_is_one_json_object_a_line(host: RunningHost) -> None:
    lines = [json.loads(line) for line in host.log.splitlines()]
    assert {"time", "level", "logger", "message"} <= lines[0].keys()
