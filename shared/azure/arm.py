"""Start and stop a PostgreSQL flexible server, change the size of an Azure SQL database, through Azure Resource Manager.

Every call is short: a change is asked for, and its progress is read from the resource itself. The address that ARM
gives for watching an operation is not used, because it carries a signature and would have to cross the durable boundary.
"""

from typing import Any
from urllib.parse import urlsplit

import httpx
from azure.core.credentials import TokenCredential
from pydantic import BaseModel

from shared.credentials import credential, token
from shared.errors import Refusal, TransientError
from shared.settings import settings

POSTGRES_API = "2024-08-01"
SQL_API = "2023-08-01"
TIMEOUT = 60.0  # seconds a request
# ARM answers these while another operation of the same resource is under way.
BUSY = {"ServerIsBusy", "ServerBusy", "OperationNotAllowed", "ConflictingServerOperation", "AnotherOperationInProgress"}


class DatabaseSize(BaseModel):
    """Size of an Azure SQL database: SKU name such as `GP_Gen5_8`, and whether a change is under way."""

    sku: str
    changing: bool


class ResourceManager:
    """A client of Azure Resource Manager, for the few calls above."""

    def __init__(
        self,
        identity: TokenCredential | None = None,
        url: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = (url or settings().management_url).rstrip("/")
        self.identity = identity or credential()
        self.http = httpx.Client(timeout=TIMEOUT, transport=transport)

    def __enter__(self) -> "ResourceManager":
        return self

    def __exit__(self, *_error: object) -> None:
        self.http.close()

    def postgres_state(self, server_id: str) -> str:
        """Return the server's state: Ready, Stopped, Starting, Stopping, Updating, …"""
        return str(self._call("GET", server_id, POSTGRES_API)["properties"]["state"])

    def postgres_tier(self, server_id: str) -> str:
        """Return the server's compute tier: Burstable, GeneralPurpose or MemoryOptimized."""
        return str(self._call("GET", server_id, POSTGRES_API)["sku"]["tier"])

    def postgres_storage(self, server_id: str) -> tuple[int, bool]:
        """Return the bytes of the server's storage, and whether it grows by itself."""
        storage = self._call("GET", server_id, POSTGRES_API)["properties"]["storage"]
        return int(storage["storageSizeGB"]) << 30, storage.get("autoGrow") == "Enabled"

    def start_postgres(self, server_id: str) -> None:
        """Ask for the server to be started. TransientError ARM_BUSY while another operation is under way."""
        self._call("POST", f"{server_id}/start", POSTGRES_API)

    def stop_postgres(self, server_id: str) -> None:
        """Ask for the server to be stopped. TransientError ARM_BUSY while another operation is under way."""
        self._call("POST", f"{server_id}/stop", POSTGRES_API)

    def database_size(self, database_id: str) -> DatabaseSize:
        """Return the database's present size."""
        answer = self._call("GET", database_id, SQL_API)
        properties = answer.get("properties", {})
        now = properties.get("currentServiceObjectiveName") or sku_name(properties.get("currentSku") or answer["sku"])
        wanted = properties.get("requestedServiceObjectiveName") or now
        return DatabaseSize(sku=now, changing=properties.get("status") == "Scaling" or wanted != now)

    def scale_database(self, database_id: str, sku: str) -> None:
        """Ask for another size. TransientError ARM_BUSY while another change is under way."""
        self._call("PATCH", database_id, SQL_API, {"sku": {"name": sku}})

    def look(self, resource_id: str, version: str) -> dict[str, Any]:
        """Return a resource as ARM describes it."""
        return self._call("GET", resource_id, version)

    def act(self, resource_id: str, action: str, version: str) -> None:
        """Ask for an action such as `start`. TransientError ARM_BUSY while another operation is under way."""
        self._call("POST", f"{resource_id}/{action}", version)

    def ask(self, resource_id: str, action: str, version: str) -> dict[str, Any]:
        """Return what an action answers that only reads, such as `listSecrets`; the answer may hold secrets."""
        return self._call("POST", f"{resource_id}/{action}", version)

    def put(self, resource_id: str, version: str, body: dict[str, Any]) -> None:
        """Ask for a resource to be as the body says. TransientError ARM_BUSY while another operation is under way."""
        self._call("PUT", resource_id, version, body)

    def patch(self, resource_id: str, version: str, body: dict[str, Any]) -> None:
        """Ask for a part of a resource to be as the body says; lists are replaced whole."""
        self._call("PATCH", resource_id, version, body)

    def _call(self, method: str, path: str, version: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        access = token(f"{self.url}/.default", self.identity)
        try:
            answer = self.http.request(
                method,
                f"{self.url}/{path.lstrip('/')}",
                params={"api-version": version},
                headers={"Authorization": f"Bearer {access}"},
                json=body,
            )
        except httpx.TransportError as error:
            raise TransientError(
                "ARM_UNREACHABLE", urlsplit(self.url).netloc, f"expected an answer, found {type(error).__name__}."
            ) from None
        if answer.status_code >= 400:
            raise _error(path, answer)
        return dict(answer.json()) if answer.content else {}


def sku_name(sku: dict[str, Any]) -> str:
    """Return a SKU as `GP_Gen5_8`; ARM gives name and capacity apart for vCore SKUs, and together for DTU ones (`S3`)."""
    name = str(sku["name"])
    capacity = sku.get("capacity")
    per_core = name.startswith(("GP_", "BC_", "HS_"))
    has_capacity = name.rsplit("_", 1)[-1].isdigit()
    return f"{name}_{capacity}" if per_core and capacity is not None and not has_capacity else name


def _error(path: str, answer: httpx.Response) -> Refusal | TransientError:
    """Turn an ARM error into ours; the body's code and message hold no secret."""
    try:
        detail = answer.json().get("error", {})
    except ValueError:
        detail = {}
    code, message = str(detail.get("code", answer.status_code)), str(detail.get("message", "no message"))
    about = "/".join(path.strip("/").split("/")[-2:])
    if answer.status_code in (408, 429) or answer.status_code >= 500:
        return TransientError("ARM_THROTTLED", about, f"expected success, found {answer.status_code} {code}.")
    if answer.status_code == 409 or code in BUSY:
        return TransientError("ARM_BUSY", about, f"expected an idle resource, found {code}: {message}")
    if answer.status_code in (401, 403):
        return Refusal(
            "ARM_FORBIDDEN", about,
            f"expected the app's identity to be allowed this, found {code}.",
            "Deploy infra/ again (it assigns the role), or leave the resource id out of the settings.",
        )  # fmt: skip
    return Refusal(
        "ARM_REFUSED", about, f"expected success, found {answer.status_code} {code}: {message}",
        "Check the resource id and the SKU name in the settings.",
    )  # fmt: skip
