"""Adapters set the runtime's SourceDatabase settings and take them back, each against a double of the platform's API."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from activities.application import CommandWork, command_app
from shared import rehearsals, runs
from shared import settings as settings_module
from shared.apps.app import REHEARSAL_SETTINGS, configurable_of
from shared.apps.azure import AzureApp
from shared.apps.checks import check_settable
from shared.apps.kubernetes import KubernetesApp
from shared.apps.protocol import Configurable
from shared.apps.webhook import Webhook
from shared.contracts import Run
from shared.request import MigrationRequest
from shared.settings import Application, TargetProfile
from tests.fixtures.appsettings import set_settings
from tests.fixtures.httpdouble import serving
from tests.fixtures.identity import IdentityDouble, identified_by

SETTINGS = {
    "SourceDatabaseType": "POSTGRESQL",
    "SourceDatabaseHost": "pg:5432",
    "SourceDatabaseName": "run_x",
    "SourceDatabaseUserName": "run_x_reader",
    "SourceDatabasePassword": "s3cret",
    "SourceDatabaseUseSsl": "true",
}
VARIABLES = {f"MXRUNTIME_{name}": value for name, value in SETTINGS.items()}
NOW = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
OWN = {"name": "M2EE_ADMIN_PASS", "value": "mine"}
Answer = tuple[int, bytes]


class Cluster:
    """A double of the Kubernetes API server: merges patches by the rules of their content types."""

    def __init__(self) -> None:
        self.container: dict[str, Any] = {"name": "mendix", "env": [OWN]}
        self.secrets: dict[str, dict[str, str]] = {}
        self.replicas = 0
        self.runtime: dict[str, Any] = {"customConfiguration": '{"ApplicationRootUrl": "https://x"}'}

    def reply(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        where, kind = urlsplit(path).path, headers.get("content-type", "").removeprefix("application/")
        given = json.loads(body) if body else {}
        if "/secrets/" in where:
            return self._secret(method, where.rsplit("/", 1)[1], kind, given)
        if where.endswith("/mendixapps/shop"):
            if method == "PATCH":
                assert kind == "merge-patch+json"
                self.runtime |= given["spec"]["runtime"]
            return 200, json.dumps({"spec": {"runtime": self.runtime}}).encode()
        if where.endswith("/pods"):
            return 200, b'{"items": []}'
        if where.endswith("/scale"):
            self.replicas = given["spec"]["replicas"]
        elif method == "PATCH":
            assert kind == "strategic-merge-patch+json"
            self._merge(given["spec"]["template"]["spec"]["containers"])
        template = {"spec": {"containers": [self.container]}}
        spec = {"template": template, "replicas": self.replicas, "selector": {"matchLabels": {"app": "shop"}}}
        return 200, json.dumps({"spec": spec}).encode()

    def _secret(self, method: str, name: str, kind: str, given: dict[str, Any]) -> Answer:
        if method == "DELETE":
            return (200, b"{}") if self.secrets.pop(name, None) else (404, b"{}")
        assert (method, kind) == ("PATCH", "apply-patch+yaml")
        self.secrets[name] = given["stringData"]
        return 200, b"{}"

    def _merge(self, containers: list[dict[str, Any]]) -> None:
        (patch,) = containers
        assert patch["name"] == self.container["name"], "a container of another name would be a second container"
        env = {one["name"]: one for one in self.container["env"]}
        for one in patch["env"]:
            if one.pop("$patch", None) == "delete":
                env.pop(one["name"], None)
            else:
                env[one["name"]] = one
        self.container["env"] = list(env.values())

    def seen_by_the_container(self) -> dict[str, str]:
        """The environment as the container gets it, references to secrets looked up."""
        found = {}
        for one in self.container["env"]:
            reference = one.get("valueFrom", {}).get("secretKeyRef")
            found[one["name"]] = self.secrets[reference["name"]][reference["key"]] if reference else one["value"]
        return found


def application(kind: str, url: str) -> Application:
    return Application.model_validate(
        {"kind": kind, "server": url, "namespace": "mx", "name": "shop", "token": "the token"}
    )


def test_a_deployment_gets_variables_and_a_secret_and_loses_them_again() -> None:
    cluster = Cluster()
    with serving(cluster.reply) as url:
        app = KubernetesApp(application("kubernetes", url))
        for _ in range(2):
            app.configure(SETTINGS)
            assert cluster.seen_by_the_container() == VARIABLES | {"M2EE_ADMIN_PASS": "mine"}
        assert "s3cret" not in json.dumps(cluster.container)
        for _ in range(2):
            app.unconfigure()
            assert (cluster.container["env"], cluster.secrets) == ([OWN], {})


def test_a_mendix_app_keeps_its_own_custom_configuration() -> None:
    cluster = Cluster()
    with serving(cluster.reply) as url:
        app = KubernetesApp(application("mendix-operator", url))
        for _ in range(2):
            app.configure(SETTINGS)
            assert json.loads(cluster.runtime["customConfiguration"]) == {"ApplicationRootUrl": "https://x", **SETTINGS}
        app.unconfigure()
        assert json.loads(cluster.runtime["customConfiguration"]) == {"ApplicationRootUrl": "https://x"}


class Azure:
    """A double of Azure Resource Manager with one App Service and one Container App; lists are replaced whole."""

    def __init__(self) -> None:
        self.site = {"WEBSITES_PORT": "8080"}
        self.written: list[dict[str, str]] = []
        self.containers: list[dict[str, Any]] = [{"name": "mendix", "env": [OWN]}, {"name": "sidecar"}]
        self.secrets = [{"name": "own", "value": "kept"}]
        self.takes_settings = True

    def reply(self, method: str, path: str, _headers: dict[str, str], body: bytes) -> Answer:
        where, given = urlsplit(path).path, json.loads(body) if body else {}
        if not self.takes_settings and ("/config/" in where or where.endswith("/listSecrets")):
            return 403, b'{"error": {"code": "AuthorizationFailed", "message": "no role"}}'
        if where.endswith("/config/appsettings") and method == "PUT":
            self.site = given["properties"]
            self.written.append(self.site)
        if "/config/appsettings" in where:
            return 200, json.dumps({"properties": self.site}).encode()
        if where.endswith("/listSecrets"):
            return 200, json.dumps({"value": self.secrets}).encode()
        if method == "PATCH":
            self._patch(given["properties"])
        return 200, json.dumps({"properties": {"template": {"containers": self.containers}}}).encode()

    def _patch(self, given: dict[str, Any]) -> None:
        used = {one["secretRef"] for one in self.containers[0]["env"] if "secretRef" in one}
        if "configuration" in given:
            self.secrets = given["configuration"]["secrets"]
            used |= {one["secretRef"] for one in given["template"]["containers"][0]["env"] if "secretRef" in one}
            assert used <= {one["name"] for one in self.secrets}, "a secret in use cannot be taken away"
        self.containers = given["template"]["containers"]


@pytest.fixture
def azure(api_settings: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    double = Azure()
    with identified_by(IdentityDouble()), serving(double.reply) as url:
        set_settings(monkeypatch, {"MANAGEMENT_URL": url})
        yield double


def azure_app(kind: str) -> AzureApp:
    resource = f"/subscriptions/s/resourceGroups/r/providers/{kind}/shop"
    return AzureApp(Application.model_validate({"kind": "azure", "resource_id": resource}))


def test_an_app_service_keeps_its_other_settings(azure: Azure) -> None:
    app = azure_app("Microsoft.Web/sites")
    for _ in range(2):
        app.configure(SETTINGS)
        assert azure.site == VARIABLES | {"WEBSITES_PORT": "8080"}
    app.unconfigure()
    assert azure.site == {"WEBSITES_PORT": "8080"}


def test_a_container_app_gets_the_password_as_a_secret_and_keeps_its_own(azure: Azure) -> None:
    app = azure_app("Microsoft.App/containerApps")
    for _ in range(2):
        app.configure(SETTINGS)
        env = {one["name"]: one for one in azure.containers[0]["env"]}
        secrets = {one["name"]: one["value"] for one in azure.secrets}
        assert secrets[env.pop("MXRUNTIME_SourceDatabasePassword")["secretRef"]] == "s3cret"
        assert "s3cret" not in json.dumps(azure.containers)
        assert {name: one["value"] for name, one in env.items()} == {
            name: value for name, value in (VARIABLES | {"M2EE_ADMIN_PASS": "mine"}).items() if "Password" not in name
        }
    for _ in range(2):
        app.unconfigure()
        assert azure.containers == [{"name": "mendix", "env": [OWN]}, {"name": "sidecar"}]
        assert azure.secrets == [{"name": "own", "value": "kept"}]


QUIET = "MXRUNTIME_ScheduledEventExecution"


def test_settings_without_a_password_make_no_secret_and_stay_when_the_others_are_taken_away(azure: Azure) -> None:
    """What an app of a rehearsal is started with."""
    cluster = Cluster()
    site, container = azure_app("Microsoft.Web/sites"), azure_app("Microsoft.App/containerApps")
    with serving(cluster.reply) as url:
        deployment = KubernetesApp(application("kubernetes", url))
        for app in (deployment, site, container):
            app.configure(REHEARSAL_SETTINGS)
            app.configure(SETTINGS)
            app.unconfigure()
        assert (cluster.container["env"], cluster.secrets) == ([OWN, {"name": QUIET, "value": "NONE"}], {})
    assert azure.site == {"WEBSITES_PORT": "8080", QUIET: "NONE"}
    assert azure.containers[0]["env"] == [OWN, {"name": QUIET, "value": "NONE"}]
    assert azure.secrets == [{"name": "own", "value": "kept"}]


def test_an_app_service_that_has_the_settings_already_is_not_started_again_by_them(azure: Azure) -> None:
    app = azure_app("Microsoft.Web/sites")
    app.configure(REHEARSAL_SETTINGS)
    written = list(azure.written)
    app.configure(REHEARSAL_SETTINGS)
    assert azure.written == written


@pytest.mark.parametrize(("purpose", "quiet"), [("rehearsal", True), ("cutover", False)])
def test_the_app_of_a_rehearsal_is_started_without_its_scheduled_events(
    api_settings: None, monkeypatch: pytest.MonkeyPatch, purpose: str, quiet: bool
) -> None:
    cluster, told = Cluster(), []

    def hook(_method: str, _path: str, _headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        told.append(json.loads(body))
        return 200, b'{"state": "stopped"}'

    with serving(cluster.reply) as api, serving(hook) as address:
        for name, value in {
            "REHEARSAL__APP__KIND": "kubernetes", "REHEARSAL__APP__SERVER": api, "REHEARSAL__APP__NAMESPACE": "mx",
            "REHEARSAL__APP__NAME": "shop", "REHEARSAL__APP__TOKEN": "the token",
            "DEMO__APP__KIND": "webhook", "DEMO__APP__URL": address,
        }.items():  # fmt: skip
            monkeypatch.setenv(f"TARGET__{name}", value)
        settings_module.settings.cache_clear()
        for target in ("rehearsal", "demo"):
            request = {"source": {"kind": "blob", "container": "uploads", "blob": "s"}, "target": target, "options": {"purpose": purpose}}  # fmt: skip
            run = Run(id=runs.new_id(NOW), request=MigrationRequest.model_validate(request), created_at=NOW)
            command_app.typed(CommandWork(run=run, command="start"))  # type: ignore[attr-defined]
    assert ({"name": QUIET, "value": "NONE"} in cluster.container["env"]) == quiet
    [started] = [one for one in told if one["command"] == "start"]
    assert started.get("settings") == ({"ScheduledEventExecution": "NONE"} if quiet else None)


@pytest.mark.parametrize("resource", ["Microsoft.Web/sites", "Microsoft.App/containerApps"])
@pytest.mark.parametrize(
    ("purpose", "starts", "refused"),
    [("rehearsal", "ask", True), ("rehearsal", "no", False), ("cutover", "ask", False)],
)
def test_preflight_of_a_rehearsal_refuses_an_app_whose_settings_the_identity_may_not_change(
    azure: Azure, resource: str, purpose: str, starts: str, refused: bool
) -> None:
    profile = TargetProfile.model_validate(
        {
            "sql": {"server": "s", "database": "d"},
            "blob": {"account_url": "https://a.blob.core.windows.net", "container": "files"},
            "app": {"kind": "azure", "resource_id": azure_app(resource).resource},
        }
    )
    source = {"kind": "blob", "container": "uploads", "blob": "s"}
    request = MigrationRequest.model_validate(
        {"source": source, "target": "t", "start_target_app": starts, "options": {"purpose": purpose}}
    )
    assert check_settable(profile, request) == []
    azure.takes_settings = False
    assert [one.code for one in check_settable(profile, request)] == ["TARGET_APP_SETTINGS"] * refused


@pytest.mark.parametrize(
    ("more", "kind", "warned"),
    [
        ({"start_target_app": "ask"}, None, True),
        ({"start_target_app": "ask"}, "manual", True),
        ({"options": {"purpose": "rehearsal", "target_mode": "runtime"}}, None, True),
        ({"start_target_app": "ask"}, "webhook", False),
        ({}, None, False),
        ({"start_target_app": "ask", "options": {"purpose": "cutover"}}, None, False),
    ],
)
def test_where_people_start_the_app_of_a_rehearsal_they_are_warned_of_its_events(
    api_settings: None, monkeypatch: pytest.MonkeyPatch, more: dict[str, object], kind: str | None, warned: bool
) -> None:
    if kind is not None:
        monkeypatch.setenv("TARGET__REHEARSAL__APP__KIND", kind)
        monkeypatch.setenv("TARGET__REHEARSAL__APP__URL", "https://hook")
    settings_module.settings.cache_clear()
    source = {"kind": "blob", "container": "uploads", "blob": "s"}
    body = {"source": source, "target": "rehearsal", "options": {"purpose": "rehearsal"}} | more
    found = rehearsals.events_on(MigrationRequest.model_validate(body))
    assert [one.code for one in found] == ["SCHEDULED_EVENTS_BY_HAND"] * warned


@pytest.mark.parametrize("kind", ["kubernetes", "webhook"])
def test_a_token_or_a_signature_is_never_sent_in_the_clear(kind: str) -> None:
    given = {"kind": kind, "server": "http://cluster:6443", "name": "shop", "token": "t", "url": "http://hook"}
    with pytest.raises(ValidationError, match="expected https in APP__SERVER, APP__URL"):
        Application.model_validate(given)


def test_a_hook_of_the_team_sets_no_settings() -> None:
    hook = Webhook(Application.model_validate({"kind": "webhook", "url": "https://hook"}))
    assert not isinstance(hook, Configurable)
    profile = TargetProfile.model_validate(
        {
            "sql": {"server": "s", "database": "d"},
            "blob": {"account_url": "https://a.blob.core.windows.net", "container": "files"},
        }
    )
    assert configurable_of(profile) is None
