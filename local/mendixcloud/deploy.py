"""The Deploy API v1, as far as a migration uses it: apps, environments, stop, start, package, settings; and v4's look."""

from typing import Any

from aiohttp import web

from local.mendixcloud.environment import Environment
from local.mendixcloud.faults import error

RUNTIME_VERSION = "10.18.3"
DATABASE_VERSION = "15.8"
PLATFORM = "/api/v4/"
ENVIRONMENTS = "/api/1/apps/{app}/environments"


class Deploy:
    """Handlers."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        one = f"{ENVIRONMENTS}/{{mode}}"
        return [
            web.get("/api/1/apps", self.apps),
            web.get("/api/1/apps/{app}", self.app),
            web.get(ENVIRONMENTS, self.list),
            web.get(one, self.show),
            web.post(f"{one}/stop", self.stop),
            web.post(f"{one}/start", self.start),
            web.get(f"{one}/start/{{job}}", self.started),
            web.get(f"{one}/package", self.package),
            web.get(f"{one}/settings", self.settings),
            web.get(f"{PLATFORM}apps/{{project}}/environments/{{id}}", self.platform),
        ]

    async def apps(self, _request: web.Request) -> web.Response:
        """List the apps."""
        return web.json_response([self._app()])

    async def app(self, request: web.Request) -> web.Response:
        """Show the app."""
        return web.json_response(self._app()) if self._known(request) else _no_app()

    async def list(self, request: web.Request) -> web.Response:
        """List the app's environments."""
        return web.json_response([self._environment()]) if self._known(request) else _no_app()

    async def show(self, request: web.Request) -> web.Response:
        """Show an environment."""
        return web.json_response(self._environment()) if self._known(request) else _no_environment()

    async def stop(self, request: web.Request) -> web.Response:
        """Stop the app; an empty answer."""
        if not self._known(request):
            return _no_environment()
        self.environment.status = "Stopped"
        return web.Response()

    async def start(self, request: web.Request) -> web.Response:
        """Begin a start of the app."""
        if not self._known(request):
            return _no_environment()
        if self.environment.status == "Running":
            return error(400, "ALREADY_STARTED", "The environment is already started.")
        job = self.environment.job("Started")
        self.environment.starts[job.id] = job
        return web.json_response({"JobId": job.id})

    async def started(self, request: web.Request) -> web.Response:
        """Show how far a start is."""
        job = self.environment.starts.get(request.match_info["job"])
        if job is None or not self._known(request):
            return error(404, "JOB_NOT_FOUND", "Job not found.")
        if job.state(self.environment.now()) != "completed":
            return web.json_response({"Status": "Starting"})
        self.environment.status = "Running"
        return web.json_response({"Status": "Started"})

    async def package(self, request: web.Request) -> web.Response:
        """Show the deployment package in use."""
        if not self._known(request):
            return _no_environment()
        return web.json_response(
            {
                "PackageId": "7a6a4a0c-6d2b-4b0d-9c53-5c1fb3a6a7f1",
                "Name": f"Sample_{self.environment.model_version}.mda",
                "Description": "Sample",
                "Version": self.environment.model_version,
                "Creator": "sample@example.com",
                "CreationDate": 1_794_000_000_000,
                "ExpiryDate": 1_825_000_000_000,
                "Status": "Succeeded",
                "Size": 31_457_280,
            }
        )

    async def settings(self, request: web.Request) -> web.Response:
        """Show constants and scheduled events."""
        if not self._known(request):
            return _no_environment()
        constants = [
            {"Name": "Orders.TaxRate", "DataType": "Decimal", "Value": "0.21", "DeployedValue": "0.21"},
            {"Name": "Encryption.EncryptionKey", "DataType": "String", "Value": "", "DeployedValue": ""},
        ]
        events = [
            {"Name": "Orders.SE_Nightly", "Value": "Enabled", "DeployedValue": "Enabled"},
            {"Name": "Tickets.SE_Escalate", "Value": "Disabled", "DeployedValue": "Disabled"},
        ]
        return web.json_response({"Constants": constants, "CustomSettings": [], "ScheduledEvents": events})

    async def platform(self, request: web.Request) -> web.Response:
        """Show an environment as the Deploy API v4 does, without its package."""
        given = (request.match_info["project"], request.match_info["id"])
        if given != (self.environment.project_id, self.environment.environment_id):
            return web.json_response({"error": {"code": "NOT_FOUND", "message": "Not found."}}, status=404)
        return web.json_response(
            {
                "id": self.environment.environment_id,
                "appId": self.environment.project_id,
                "name": self.environment.mode,
                "state": self.environment.status.lower(),
                "isProduction": True,
                "url": "https://sample.example.com",
                "dbVersion": DATABASE_VERSION,
                "planName": "M21-Standard",
            }
        )

    def _known(self, request: web.Request) -> bool:
        info = request.match_info
        return info["app"] == self.environment.app_id and info.get("mode", "Production") == self.environment.mode

    def _app(self) -> dict[str, Any]:
        return {
            "AppId": self.environment.app_id,
            "Name": "Sample",
            "ProjectId": self.environment.project_id,
            "Url": "https://sample.example.com",
        }

    def _environment(self) -> dict[str, Any]:
        return {
            "Status": self.environment.status,
            "EnvironmentId": self.environment.environment_id,
            "Url": "https://sample.example.com",
            "Mode": self.environment.mode,
            "ModelVersion": self.environment.model_version,
            "MendixVersion": RUNTIME_VERSION,
            "Production": True,
            "Instances": 1,
            "MemoryPerInstance": 1024,
            "TotalMemory": 1024,
            "RuntimeLayer": "CloudFoundry",
        }


def _no_app() -> web.Response:
    return error(404, "APP_NOT_FOUND", "App not found.")


def _no_environment() -> web.Response:
    return error(404, "ENVIRONMENT_NOT_FOUND", "Environment not found.")
