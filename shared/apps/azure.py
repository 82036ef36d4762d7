"""An app on Azure App Service or Azure Container Apps, through Azure Resource Manager by the app's own identity."""

from shared.apps.app import State
from shared.azure.arm import ResourceManager
from shared.settings import Application

SITES, CONTAINERS = "microsoft.web/sites", "microsoft.app/containerapps"
VERSIONS = {SITES: "2024-04-01", CONTAINERS: "2025-01-01"}
STATES: dict[str, State] = {
    "running": "running",
    "ready": "running",
    "stopped": "stopped",
    "suspended": "stopped",
    "progressing": "changing",
}


class AzureApp:
    """Starts, stops and looks at one resource."""

    def __init__(self, settings: Application) -> None:
        self.resource = settings.resource_id or ""
        kind = SITES if f"/{SITES}/" in self.resource.lower() else CONTAINERS
        self.version = VERSIONS[kind]
        self.property = "state" if kind == SITES else "runningStatus"

    def state(self) -> State:
        """Return the resource's own state."""
        with ResourceManager() as manager:
            found = manager.look(self.resource, self.version)
        return STATES.get(str(found.get("properties", {}).get(self.property, "")).lower(), "unknown")

    def start(self) -> None:
        """Ask for the start."""
        with ResourceManager() as manager:
            manager.act(self.resource, "start", self.version)

    def stop(self) -> None:
        """Ask for the stop."""
        with ResourceManager() as manager:
            manager.act(self.resource, "stop", self.version)
