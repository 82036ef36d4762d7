"""Starting and stopping the engine: the lock, the state file, the gRPC server."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from durabletask.internal import orchestrator_service_pb2_grpc as stubs

from local.engine.core import Core
from local.engine.lock import StateLock
from local.engine.service import Service
from local.engine.store import Store

log = logging.getLogger("mxferry.engine")

THREADS = 192  # made as needed: one for every open stream and waiting client, a few for everything else

SERVER_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),  # a second engine on the same port must fail, not share it
]
CLIENT_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Engine:
    """A durable engine over one state file.

    with Engine(Path("engine.db")) as engine:
        TaskHubGrpcClient(host_address=engine.address)
    """

    def __init__(self, state: Path, port: int = 0) -> None:
        self._state = state
        self._wanted_port = port
        self._lock = StateLock(state)
        self._core: Core | None = None
        self._server: grpc.Server | None = None
        self.port = 0

    @property
    def address(self) -> str:
        """Where the engine listens, as `host:port`; loopback only."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> "Engine":
        """Take the state file and listen; raises `StateFileInUse` when another process has it."""
        self._state.parent.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self._core = Core(Store(self._state))
            self._server = grpc.server(ThreadPoolExecutor(THREADS, thread_name_prefix="engine"), options=SERVER_OPTIONS)
            stubs.add_TaskHubSidecarServiceServicer_to_server(Service(self._core), self._server)
            self.port = self._server.add_insecure_port(f"127.0.0.1:{self._wanted_port}")
            self._core.open()
            self._server.start()
        except BaseException:
            self._lock.release()
            raise
        log.info("engine listens on %s, state in %s", self.address, self._state)
        return self

    def stop(self, grace: float = 1.0) -> None:
        """End the streams, wait up to `grace` seconds for calls under way, close the state file."""
        if self._core is None or self._server is None:
            return
        self._core.close()
        self._server.stop(grace).wait()
        self._core.close_state()
        self._core = self._server = None
        self._lock.release()

    def __enter__(self) -> "Engine":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
