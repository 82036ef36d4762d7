"""The settings by which a Mendix runtime copies a source database into its own empty one, in the forms people need.

Names and rules: https://docs.mendix.com/refguide/custom-settings/ (section Migration Settings). `SourceDatabaseJdbcUrl`
is not supported for PostgreSQL; `SourceDatabaseUseSsl` is TLS without a check of the server's certificate. They work at
a start of the app on a database without tables, and are to be removed after it.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from shared.settings import Application, Postgres

TYPE = "SourceDatabaseType"
HOST = "SourceDatabaseHost"
NAME = "SourceDatabaseName"
USER = "SourceDatabaseUserName"
PASSWORD = "SourceDatabasePassword"  # noqa: S105 - the setting's name
SSL = "SourceDatabaseUseSsl"
NAMES = (TYPE, HOST, NAME, USER, PASSWORD, SSL)

ENVIRONMENT_PREFIX = "MXRUNTIME_"
SECRET = "mxferry-source-database"  # noqa: S105 - the name of the Kubernetes secret
SECRET_KEY = "password"  # noqa: S105
AZURE_SECRET = "mxferry-source-password"  # noqa: S105
HIDDEN = "<password>"
"""Stands where the password goes, until somebody asks for one."""


class SourceSettings(BaseModel):
    """The answer of `/api/migrations/{id}/source-database`: one set of settings in several forms."""

    id: str
    password_included: bool = Field(description="True in the answer to POST alone, and this once.")
    valid_until: datetime | None = Field(default=None, description="When the login ends by itself (UTC).")
    settings: dict[str, str] = Field(description="Custom runtime settings, name → value.")
    environment: str = Field(description="Environment variables, one a line, as a container runtime takes them.")
    kubernetes: str = Field(description="kubectl commands: a Secret and a strategic-merge patch of a Deployment.")
    mendix_operator: str = Field(
        description="kubectl commands: a merge patch of a MendixApp (spec.runtime.customConfiguration)."
    )
    azure: str = Field(description="Commands of the Azure CLI for App Service and Container Apps.")
    console: str = Field(description="Custom runtime settings for the Mendix console or Service Console, one a line.")
    removal: str = Field(description="How to take the settings away again.")


@dataclass(frozen=True)
class Source:
    """The temporary database as a runtime reaches it."""

    server: Postgres
    database: str
    user: str
    password: str = HIDDEN
    more: tuple[tuple[str, str], ...] = ()
    """Other custom runtime settings that the app is to be started with."""

    @property
    def host(self) -> str:
        """`host:port`, an IPv6 address in brackets."""
        host = f"[{self.server.host}]" if ":" in self.server.host else self.server.host
        return f"{host}:{self.server.port}"

    def settings(self) -> dict[str, str]:
        """Return the custom runtime settings, in the documentation's order."""
        return {
            TYPE: "POSTGRESQL",
            HOST: self.host,
            NAME: self.database,
            USER: self.user,
            PASSWORD: self.password,
            SSL: "false" if self.server.sslmode == "disable" else "true",
            **dict(self.more),
        }


def in_all_forms(
    run: str, source: Source, app: Application | None, *, password: bool, valid_until: datetime | None = None
) -> SourceSettings:
    """Return the settings in every form, with the names of the profile's app where it has one."""
    settings = source.settings()
    return SourceSettings(
        id=run,
        password_included=password,
        valid_until=valid_until,
        settings=settings,
        environment="\n".join(f"{name}={value}" for name, value in environment(settings).items()),
        kubernetes=_deployment_text(settings, app),
        mendix_operator=_mendix_app_text(settings, app),
        azure=_azure_text(settings, app),
        console="\n".join(f"{name}={value}" for name, value in settings.items()),
        removal=_removal_text(app),
    )


def environment_name(setting: str) -> str:
    """Return the environment variable of a custom runtime setting: a prefix, and underscores for dots."""
    return ENVIRONMENT_PREFIX + setting.replace(".", "_")


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Return the settings as environment variables."""
    return {environment_name(name): value for name, value in settings.items()}


def secret(settings: dict[str, str]) -> dict[str, Any]:
    """Return the Kubernetes Secret that holds the password."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET},
        "type": "Opaque",
        "stringData": {SECRET_KEY: settings[PASSWORD]},
    }


def deployment_patch(settings: dict[str, str], container: str) -> dict[str, Any]:
    """Return the strategic-merge patch of a Deployment: variables are merged by name, a password is a reference."""
    variables: list[dict[str, Any]] = [
        {"name": name, "value": value}
        for name, value in environment(settings).items()
        if name != environment_name(PASSWORD)
    ]
    if PASSWORD in settings:
        reference = {"secretKeyRef": {"name": SECRET, "key": SECRET_KEY}}
        variables.append({"name": environment_name(PASSWORD), "valueFrom": reference})
    return _containers(container, variables)


def deployment_removal(container: str) -> dict[str, Any]:
    """Return the strategic-merge patch that takes the variables away."""
    return _containers(container, [{"name": environment_name(name), "$patch": "delete"} for name in NAMES])


def with_custom_configuration(present: str | None, settings: dict[str, str]) -> str:
    """Return a MendixApp's `customConfiguration` (a JSON object as text) with the settings added."""
    return json.dumps({**json.loads(present or "{}"), **settings}, indent=2)


def without_custom_configuration(present: str | None) -> str:
    """Return a MendixApp's `customConfiguration` without the settings."""
    return json.dumps(
        {name: value for name, value in json.loads(present or "{}").items() if name not in NAMES}, indent=2
    )


def mendix_app_patch(configuration: str) -> dict[str, Any]:
    """Return the merge patch of a MendixApp resource."""
    return {"spec": {"runtime": {"customConfiguration": configuration}}}


def _containers(name: str, variables: list[dict[str, Any]]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": name, "env": variables}]}}}}


def _deployment_text(settings: dict[str, str], app: Application | None) -> str:
    name, namespace = _name_and_namespace(app)
    patch = deployment_patch(settings, "<container>")
    return (
        f"kubectl -n {namespace} apply -f - <<'END'\n{_json(secret(settings))}\nEND\n"
        f"cat > patch.json <<'END'\n{_json(patch)}\nEND\n"
        f"kubectl -n {namespace} patch deployment {name} --type strategic --patch-file patch.json"
    )


def _mendix_app_text(settings: dict[str, str], app: Application | None) -> str:
    name, namespace = _name_and_namespace(app)
    patch = mendix_app_patch(json.dumps(settings, indent=2))
    return (
        "# customConfiguration is replaced whole: add what yours holds already\n"
        f"cat > patch.json <<'END'\n{_json(patch)}\nEND\n"
        f"kubectl -n {namespace} patch mendixapp {name} --type merge --patch-file patch.json"
    )


def _azure_text(settings: dict[str, str], app: Application | None) -> str:
    name, group = _resource(app)
    variables = environment(settings)
    listed = " \\\n  ".join(f"'{key}={value}'" for key, value in variables.items())
    hidden = environment_name(PASSWORD)
    open_ones = " \\\n  ".join(f"'{key}={value}'" for key, value in variables.items() if key != hidden)
    return (
        f"# App Service\naz webapp config appsettings set -g {group} -n {name} --settings \\\n  {listed}\n\n"
        f"# Container App\naz containerapp secret set -g {group} -n {name} --secrets '{AZURE_SECRET}={settings[PASSWORD]}'\n"
        f"az containerapp update -g {group} -n {name} --set-env-vars \\\n  {open_ones} \\\n  '{hidden}=secretref:{AZURE_SECRET}'"
    )


def _removal_text(app: Application | None) -> str:
    name, namespace = _name_and_namespace(app)
    resource, group = _resource(app)
    variables = " ".join(environment_name(one) for one in NAMES)
    removals = " ".join(f"{environment_name(one)}-" for one in NAMES)
    return (
        f"# Kubernetes Deployment\nkubectl -n {namespace} set env deployment/{name} {removals}\n"
        f"kubectl -n {namespace} delete secret {SECRET}\n"
        f"# MendixApp: take {', '.join(NAMES)} out of spec.runtime.customConfiguration\n"
        f"# App Service\naz webapp config appsettings delete -g {group} -n {resource} --setting-names {variables}\n"
        f"# Container App\naz containerapp update -g {group} -n {resource} --remove-env-vars {variables}\n"
        f"az containerapp secret remove -g {group} -n {resource} --secret-names {AZURE_SECRET}\n"
        "# Mendix console: delete these custom runtime settings, then restart the app"
    )


def _name_and_namespace(app: Application | None) -> tuple[str, str]:
    """Return name and namespace of a Kubernetes app; placeholders for any other."""
    if app is None or app.kind not in ("kubernetes", "mendix-operator"):
        return "<app>", "<namespace>"
    return app.name, app.namespace


def _resource(app: Application | None) -> tuple[str, str]:
    """Return name and resource group of an app in Azure; placeholders for any other."""
    parts = (app.resource_id or "").strip("/").split("/") if app is not None else []
    if len(parts) < 8:  # subscriptions/S/resourceGroups/G/providers/P/T/N
        return "<app>", "<resource group>"
    return parts[-1], parts[3]


def _json(value: dict[str, Any]) -> str:
    """Return JSON, which kubectl takes as it takes YAML."""
    return json.dumps(value, indent=2)
