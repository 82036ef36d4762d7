"""An app on Azure App Service or Azure Container Apps, through Azure Resource Manager by the app's own identity."""

from collections.abc import Collection
from typing import Any

from shared.apps.protocol import State
from shared.azure.arm import ResourceManager
from shared.mendix.handover import AZURE_SECRET, NAMES, PASSWORD, environment, environment_name
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
VARIABLES = frozenset(environment_name(name) for name in NAMES)


class AzureApp:
    """Starts, stops and looks at one resource, and sets its runtime settings."""

    def __init__(self, settings: Application) -> None:
        self.resource = settings.resource_id or ""
        kind = SITES if f"/{SITES}/" in self.resource.lower() else CONTAINERS
        self.is_site = kind == SITES
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

    def try_settings(self) -> None:
        """Read the settings, which the role that lets us change them allows too; Refusal ARM_FORBIDDEN without it."""
        with ResourceManager() as manager:
            _ = self._site(manager) if self.is_site else self._secrets(manager)

    def configure(self, settings: dict[str, str]) -> None:
        """Add environment variables; a Container App's password goes into a secret of its own."""
        with ResourceManager() as manager:
            if self.is_site:
                present = self._site(manager)
                if not environment(settings).items() <= present.items():  # a change starts the app again
                    self._set_site(manager, present | environment(settings))
                return
            secrets = None
            if PASSWORD in settings:
                secrets = [one for one in self._secrets(manager) if one["name"] != AZURE_SECRET]
                secrets.append({"name": AZURE_SECRET, "value": settings[PASSWORD]})
            self._set_container(manager, secrets, _variables(settings))

    def unconfigure(self) -> None:
        """Take the variables and the secret away."""
        with ResourceManager() as manager:
            if self.is_site:
                present = self._site(manager)
                self._set_site(manager, {name: value for name, value in present.items() if name not in VARIABLES})
                return
            secrets = [one for one in self._secrets(manager) if one["name"] != AZURE_SECRET]
            # A secret that a revision still refers to cannot go: first the variables, then the secret.
            self._set_container(manager, None, [], VARIABLES)
            self._set_container(manager, secrets, [], VARIABLES)

    def _site(self, manager: ResourceManager) -> dict[str, str]:
        answer = manager.ask(self.resource, "config/appsettings/list", self.version)
        return dict(answer.get("properties", {}))

    def _set_site(self, manager: ResourceManager, values: dict[str, str]) -> None:
        manager.put(f"{self.resource}/config/appsettings", self.version, {"properties": values})

    def _secrets(self, manager: ResourceManager) -> list[dict[str, Any]]:
        """Return all secrets with their values: a change of the list has to give every one of them again."""
        return list(manager.ask(self.resource, "listSecrets", self.version).get("value", []))

    def _set_container(
        self,
        manager: ResourceManager,
        secrets: list[dict[str, Any]] | None,
        variables: list[dict[str, str]],
        without: Collection[str] = (),
    ) -> None:
        """Set variables of the first container; those of the same names, and those of `without`, are taken out."""
        first, *others = manager.look(self.resource, self.version)["properties"]["template"]["containers"]
        replaced = {one["name"] for one in variables} | set(without)
        kept = [one for one in first.get("env") or [] if one["name"] not in replaced]
        properties: dict[str, Any] = {"template": {"containers": [first | {"env": [*kept, *variables]}, *others]}}
        if secrets is not None:
            properties["configuration"] = {"secrets": secrets}
        manager.patch(self.resource, self.version, {"properties": properties})


def _variables(settings: dict[str, str]) -> list[dict[str, str]]:
    hidden = environment_name(PASSWORD)
    plain = [{"name": name, "value": value} for name, value in environment(settings).items() if name != hidden]
    return [*plain, {"name": hidden, "secretRef": AZURE_SECRET}] if PASSWORD in settings else plain
