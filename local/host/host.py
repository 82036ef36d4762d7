"""The host: engine, app, HTTP, timers and durable work items put together."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from local.engine import Engine
from local.host.app import App
from local.host.durable import DurableWorker, client_binding
from local.host.keys import Keys
from local.host.settings import HostSettings
from local.host.timers import Timer
from local.host.web import HttpTriggers

log = logging.getLogger("mxferry.host")

HTTP_PATIENCE = 1.0  # seconds for requests under way when the host is asked to stop


@dataclass(frozen=True, slots=True)
class Options:
    """What to serve, where, and with which engine; `engine` is None for one in this process.

    `deliver_twice` runs every activity twice at the same time, as at-least-once delivery may.
    """

    app: Path
    state: Path
    port: int = 0
    engine: str | None = None
    function_key: str | None = None
    deliver_twice: bool = False


class Host:
    """One app being served."""

    def __init__(self, options: Options, settings: HostSettings) -> None:
        self._options = options
        self._settings = settings
        self._engine: Engine | None = None
        self._app: App | None = None
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.keys = Keys(options.state, options.function_key)
        self.port = 0
        self.engine_address = options.engine or ""

    async def start(self) -> None:
        """Start everything; HTTP last, so that whoever can connect is served."""
        if self._options.engine is None:
            self._engine = Engine(self._options.state / "engine.db").start()
            self.engine_address = self._engine.address
        self._app = await App.load(self._options.app, client_binding(self.engine_address, self._settings.task_hub))
        triggers = HttpTriggers(self._app, self.keys, self._settings)
        timers = [
            Timer(self._app, function, self._options.state / "timers")
            for function in self._app.triggered_by("timerTrigger")
        ]
        worker = DurableWorker(self._app, self.engine_address, self._settings, self._options.deliver_twice)
        self._spawn(worker.run(), "work items")
        await self._listen(triggers)
        for timer in timers:
            self._spawn(timer.run(), "timer")
        log.info(
            "serving %d functions, %d activities at once on %d threads",
            len(self._app.functions),
            self._settings.most_activities,
            self._settings.threads,
        )

    async def _listen(self, triggers: HttpTriggers) -> None:
        server = web.Application(client_max_size=self._settings.body_limit)
        server.router.add_route("*", "/{path:(?s:.*)}", triggers.handle)  # a path may hold an escaped line break
        self._runner = web.AppRunner(server, access_log=None, handle_signals=False, shutdown_timeout=HTTP_PATIENCE)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._options.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(_report)
        self._tasks.append(task)

    async def stop(self) -> None:
        """Stop taking work, give what is under way a moment, close the engine's state."""
        if self._runner is not None:
            await self._runner.cleanup()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._engine is not None:
            await asyncio.to_thread(self._engine.stop)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended: %s", task.get_name(), error, exc_info=error)
