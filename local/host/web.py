"""The app's HTTP triggers on a real port."""

import logging
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import hdrs, web

from local.host.app import App, Function, FunctionFailed
from local.host.keys import Keys
from local.host.messages import Message, TypedData
from local.host.routing import Route
from local.host.settings import HostError, HostSettings

log = logging.getLogger("mxferry.host.http")

KEY_HEADER = "x-functions-key"
KEY_PARAMETER = "code"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An HTTP function: where and how it may be called."""

    function: Function
    route: Route
    methods: frozenset[str]
    level: str


class HttpTriggers:
    """Finds the function for a request, checks the key, calls it and writes its response."""

    def __init__(self, app: App, keys: Keys, settings: HostSettings) -> None:
        self._app = app
        self._keys = keys
        self._prefix = settings.route_prefix
        self._endpoints = sorted(
            (_endpoint(function) for function in app.triggered_by("httpTrigger")),
            key=lambda endpoint: endpoint.route.precedence,
        )
        self._refuse_twins()

    def _refuse_twins(self) -> None:
        seen: dict[tuple[str, str], str] = {}
        for endpoint in self._endpoints:
            for method in endpoint.methods or {"*"}:
                other = seen.setdefault((endpoint.route.template.lower(), method), endpoint.function.name)
                if other != endpoint.function.name:
                    raise HostError(
                        f"functions '{other}' and '{endpoint.function.name}' share {method} {endpoint.route.template}"
                    )

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request."""
        began = time.monotonic()
        response = await self._answer(request)
        # The path only: a query may hold a key.
        log.info(
            "%s %s %d",
            request.method,
            request.path,
            response.status,
            extra={"fields": {"status": response.status, "ms": round((time.monotonic() - began) * 1000, 1)}},
        )
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path.strip("/")
        if path in ("admin/host/ping", "admin/host/status"):
            return self._status(request, path)
        inside = self._inside(path)
        if inside is None:
            return web.Response(status=404)
        matches = [
            (endpoint, parameters)
            for endpoint in self._endpoints
            if (parameters := endpoint.route.match(inside)) is not None
        ]
        for endpoint, parameters in matches:
            if not endpoint.methods or request.method in endpoint.methods:
                if not self._keys.allow(endpoint.level, _presented(request)):
                    return web.Response(status=401)
                return await self._call(request, endpoint, parameters)
        if matches:
            allowed = sorted({method for endpoint, _ in matches for method in endpoint.methods})
            return web.Response(status=405, headers={hdrs.ALLOW: ", ".join(allowed)})
        return web.Response(status=404)

    def _inside(self, path: str) -> str | None:
        """Return a path without the route prefix, None if it lies outside."""
        if not self._prefix:
            return path
        head, _, rest = path.partition("/")
        return rest if head.lower() == self._prefix.lower() else None

    def _status(self, request: web.Request, path: str) -> web.Response:
        if path == "admin/host/ping":
            return web.Response(status=200)
        if not self._keys.allow("admin", _presented(request)):
            return web.Response(status=401)
        names = sorted(function.name for function in self._app.functions)
        return web.json_response({"state": "Running", "functions": names})

    async def _call(self, request: web.Request, endpoint: Endpoint, parameters: dict[str, str]) -> web.StreamResponse:
        body = await request.read()  # 413 beyond the limit, by aiohttp
        message = TypedData(
            http=Message(
                method=request.method,
                url=_url_without_key(request),
                headers=_headers_without_key(request),
                body=TypedData(bytes=body),
                params=parameters,
                query=_query_without_key(request),
            )
        )
        try:
            return _response(await self._app.call(endpoint.function, message))
        except FunctionFailed as failure:
            log.error(  # noqa: TRY400 - the stack is the function's own
                "function %s failed: %s\n%s", endpoint.function.name, failure, failure.stack
            )
            return web.Response(status=500)


def _endpoint(function: Function) -> Endpoint:
    trigger = function.trigger
    methods = frozenset(str(method).upper() for method in trigger.get("methods") or [])
    return Endpoint(
        function,
        Route(str(trigger.get("route") or function.name)),
        methods,
        str(trigger.get("authLevel") or "function"),
    )


def _presented(request: web.Request) -> str:
    return request.headers.get(KEY_HEADER) or request.query.get(KEY_PARAMETER, "")


# A key opens the function and is no business of the app's: what it does not get it cannot log.


def _headers_without_key(request: web.Request) -> dict[str, str]:
    names = {name.lower() for name in request.headers} - {KEY_HEADER}
    return {name: ", ".join(request.headers.getall(name)) for name in sorted(names)}


def _query_without_key(request: web.Request) -> dict[str, str]:
    names = [name for name in dict.fromkeys(request.query) if name != KEY_PARAMETER]
    return {name: ",".join(request.query.getall(name)) for name in names}


def _url_without_key(request: web.Request) -> str:
    raw = request.rel_url.raw_query_string
    pairs = parse_qsl(raw, keep_blank_values=True)
    if any(name == KEY_PARAMETER for name, _ in pairs):
        raw = urlencode([(name, value) for name, value in pairs if name != KEY_PARAMETER])
    return f"{request.scheme}://{request.host}{request.rel_url.raw_path}" + (f"?{raw}" if raw else "")


def _response(answer: TypedData | None) -> web.Response:
    if answer is None:
        return web.Response(status=204)
    http = answer.get("http")
    if http is None:
        return web.Response(body=_bytes(answer), content_type="text/plain", charset="utf-8")
    response = web.Response(status=int(http.status_code), body=_bytes(http.body))
    for name, value in http.headers.items():
        if name.lower() not in ("content-length", "transfer-encoding", "connection"):
            response.headers[name] = value
    for cookie in http.cookies or []:
        response.set_cookie(cookie.name, cookie.value, **_cookie_options(cookie))
    return response


def _bytes(value: TypedData | None) -> bytes:
    if value is None:
        return b""
    for found in map(value.get, ("bytes", "string", "json")):
        if found is not None:
            return found if isinstance(found, bytes) else str(found).encode()
    return b""


def _cookie_options(cookie: Message) -> dict[str, Any]:
    given = {
        "domain": cookie.domain,
        "path": cookie.path,
        "max_age": cookie.max_age,
        "secure": cookie.secure,
        "httponly": cookie.http_only,
    }
    options: dict[str, Any] = {name: field.value for name, field in given.items() if field is not None and field.value}
    if cookie.same_site:
        options["samesite"] = cookie.same_site
    return options
