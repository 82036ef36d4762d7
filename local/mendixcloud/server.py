"""Puts the APIs together behind the checks that every call passes: key, rate limit, injected faults."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from local.mendixcloud.backups import Backups, Stop
from local.mendixcloud.deploy import PLATFORM, Deploy
from local.mendixcloud.downloads import Downloads
from local.mendixcloud.environment import Environment
from local.mendixcloud.faults import Fault, Faults, error

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class MendixCloud:
    """The stand-in; `start` serves on loopback."""

    environment: Environment
    username: str
    api_key: str = field(repr=False)
    faults: Faults = field(default_factory=Faults)
    lifetime: float = 8 * 3600
    ranges: bool = True

    async def start(self, port: int = 0) -> int:
        """Serve on 127.0.0.1 and return the port."""
        self.downloads = Downloads(self.environment, self.faults, self.lifetime, self.ranges)
        app = web.Application(middlewares=[self._checked])
        app.add_routes(Backups(self.environment, self.downloads.url).routes())
        app.add_routes(Deploy(self.environment).routes())
        app.add_routes(self.downloads.routes())
        app.add_routes([web.post("/control", self._control)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        found = int(self._runner.addresses[0][1])
        self.downloads.base = f"http://127.0.0.1:{found}"
        return found

    async def stop(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()

    @web.middleware
    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/download/"):
            if fault := self.faults.take(request, cuts=False):
                return web.Response(status=fault.status)
            answer = await handler(request)
            if answer.status < 300:
                self.faults.downloads.append(request.headers.get("Range", ""))
            return answer
        if not self._may(request):
            return error(403, "NO_ACCESS", "The user does not have access to the backups of this environment.")
        if request.path == "/control":
            return await handler(request)
        self.faults.calls.append(f"{request.method} {request.path}")
        if self.faults.too_many():
            return error(429, "RATE_LIMIT", "Rate Limit of V2 API Exceeded", retry_after=1)
        if fault := self.faults.take(request, cuts=False):
            return error(fault.status, fault.code, "Injected.", fault.retry_after)
        try:
            return await handler(request)
        except Stop as stop:
            return stop.response

    def _may(self, request: web.Request) -> bool:
        if request.path.startswith(PLATFORM):
            # The v4 API takes personal access tokens only; the stand-in's is its API key.
            given = request.headers.get("Authorization", "")
            return hmac.compare_digest(given.encode(), f"MxToken {self.api_key}".encode())
        name, key = (request.headers.get(header, "") for header in ("Mendix-Username", "Mendix-ApiKey"))
        return hmac.compare_digest(name.encode(), self.username.encode()) and hmac.compare_digest(
            key.encode(), self.api_key.encode()
        )

    async def _control(self, request: web.Request) -> web.Response:
        """For tests: `faults`, `clear`, `expire` (URLs), `fail_snapshots` or `fail_archives` with a reason; answers the calls."""
        asked: dict[str, Any] = await request.json()
        if asked.get("clear"):
            self.faults.pending.clear()
            self.faults.calls.clear()
            self.faults.downloads.clear()
            self.environment.archive_failure = None
        self.faults.pending.extend(Fault(**fault) for fault in asked.get("faults", []))
        if asked.get("expire"):
            self.downloads.expire()
        if reason := asked.get("fail_snapshots"):
            for snapshot in self.environment.snapshots.values():
                if snapshot.job.state(self.environment.now()) in ("queued", "running"):
                    snapshot.job.failure = str(reason)
        if reason := asked.get("fail_archives"):
            self.environment.archive_failure = str(reason)
        told = {"calls": self.faults.calls, "downloads": self.faults.downloads, "status": self.environment.status}
        return web.json_response(told)
