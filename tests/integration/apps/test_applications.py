"""The adapters of the target app and the smoke checks, each against a small server that is a double of the real one."""

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import SecretStr, ValidationError

from shared import settings as settings_module
from shared.apps.app import app_of
from shared.apps.azure import AzureApp
from shared.apps.kubernetes import KubernetesApp
from shared.apps.webhook import Webhook
from shared.errors import Refusal, TransientError
from shared.settings import Application
from shared.smoke.runtime import AdminApi, check_runtime, version_of
from tests.fixtures.appsettings import set_settings
from tests.fixtures.httpdouble import serving
from tests.fixtures.identity import IdentityDouble, identified_by


def test_a_profile_without_an_adapter_is_left_to_people(api_settings: None) -> None:
    assert app_of(settings_module.settings().target_profile("demo")) is None


@pytest.mark.parametrize("kind", ["webhook", "azure", "kubernetes", "mendix-operator"])
def test_an_adapter_whose_settings_are_incomplete_is_refused_by_name(kind: str) -> None:
    with pytest.raises(ValidationError, match=r"APP__(URL|RESOURCE_ID|SERVER)"):
        Application.model_validate({"kind": kind})


def test_a_hook_is_told_signed_commands_and_says_the_state() -> None:
    app = {"state": "running"}

    def reply(_m: str, _p: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        made = base64.b64encode(hmac.new(b"a secret", signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{made}"
        command = json.loads(body)["command"]
        app["state"] = {"start": "running", "stop": "stopped"}.get(command, app["state"])
        return 200, json.dumps(app).encode()

    with serving(reply) as url:
        hook = Webhook(Application.model_validate({"kind": "webhook", "url": url, "secret": "a secret"}))
        assert hook.state() == "running"
        hook.stop()
        assert hook.state() == "stopped"
        hook.start()
        assert hook.state() == "running"


@pytest.mark.parametrize(("status", "error"), [(500, TransientError), (429, TransientError), (403, Refusal)])
def test_a_hook_that_does_not_take_a_command_says_whether_a_retry_helps(status: int, error: type[Exception]) -> None:
    with serving(lambda *_: (status, b"")) as url, pytest.raises(error) as raised:
        Webhook(Application.model_validate({"kind": "webhook", "url": f"{url}/secret-path"})).stop()
    assert "secret-path" not in str(raised.value)


class Cluster:
    """A double of the Kubernetes API server: one Deployment and one MendixApp called `shop`."""

    def __init__(self) -> None:
        self.replicas = 1
        self.others: list[dict[str, Any]] = []
        self.selectors = ("privatecloud.mendix.com/app=shop", "app=shop,tier in (web,worker),!canary")
        self.patched: list[tuple[str, str]] = []

    def reply(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if headers["authorization"] != "Bearer the token":
            return 403, b"{}"
        if method == "PATCH":
            self.patched.append((path, headers["content-type"]))
            self.replicas = json.loads(body)["spec"]["replicas"]
            return 200, b"{}"
        asked = urlsplit(path)
        selector = dict(parse_qsl(asked.query)).get("labelSelector")
        if asked.path == "/api/v1/namespaces/mx/pods" and selector in self.selectors:
            pods = [pod() for _ in range(self.replicas)]
            return 200, json.dumps({"items": [*pods, *self.others]}).encode()
        if path == "/apis/apps/v1/namespaces/mx/deployments/shop":
            spec = {"replicas": self.replicas, "selector": SELECTOR}
            return 200, json.dumps({"spec": spec, "status": {"replicas": self.replicas}}).encode()
        return 404, b"{}"


SELECTOR = {
    "matchLabels": {"app": "shop"},
    "matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["web", "worker"]}, {"key": "canary", "operator": "DoesNotExist"},
    ],
}  # fmt: skip


def pod(phase: str = "Running", *, ready: bool = True, ending: bool = False) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}]
    metadata = {"deletionTimestamp": "2026-11-28T20:00:00Z"} if ending else {}
    return {"metadata": metadata, "status": {"phase": phase, "conditions": conditions}}


def shop(url: str, kind: str) -> KubernetesApp:
    wanted = {"kind": kind, "server": url, "namespace": "mx", "name": "shop", "token": "the token"}
    return KubernetesApp(Application.model_validate(wanted))


@pytest.mark.parametrize("kind", ["kubernetes", "mendix-operator"])
def test_an_app_whose_pods_are_still_being_ended_is_not_stopped(kind: str) -> None:
    cluster = Cluster()
    with serving(cluster.reply) as url:
        app = shop(url, kind)
        cluster.others = [pod(ending=True)]
        app.stop()
        assert app.state() == "changing"
        cluster.others = [pod("Failed", ready=False), pod("Succeeded", ready=False)]
        assert app.state() == "stopped"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("kubernetes", "/apis/apps/v1/namespaces/mx/deployments/shop/scale"),
        ("mendix-operator", "/apis/privatecloud.mendix.com/v1alpha1/namespaces/mx/mendixapps/shop"),
    ],
)
def test_an_app_on_kubernetes_is_scaled_to_none_and_back(kind: str, path: str) -> None:
    cluster = Cluster()
    with serving(cluster.reply) as url:
        wanted = {"kind": kind, "server": url, "namespace": "mx", "name": "shop", "token": "the token", "replicas": 2}
        app = KubernetesApp(Application.model_validate(wanted))
        assert app.state() == "running"
        app.stop()
        assert app.state() == "stopped"
        app.start()
        assert (app.state(), cluster.replicas) == ("running", 2)
        assert set(cluster.patched) == {(path, "application/merge-patch+json")}
        with pytest.raises(Refusal, match="APP_REFUSED"):
            KubernetesApp(Application.model_validate(wanted | {"token": "another"})).stop()


@pytest.mark.parametrize(
    ("resource", "stopped"),
    [
        ("/subscriptions/s/resourceGroups/r/providers/Microsoft.Web/sites/shop", {"state": "Stopped"}),
        ("/subscriptions/s/resourceGroups/r/providers/Microsoft.App/containerApps/shop", {"runningStatus": "Stopped"}),
    ],
)
def test_an_app_in_azure_is_stopped_through_its_own_actions(
    api_settings: None, monkeypatch: pytest.MonkeyPatch, resource: str, stopped: dict[str, str]
) -> None:
    asked: list[str] = []

    def reply(method: str, path: str, headers: dict[str, str], _body: bytes) -> tuple[int, bytes]:
        assert headers["authorization"].startswith("Bearer token for http")
        asked.append(f"{method} {path.partition('?')[0]}")
        return 200, json.dumps(
            {"properties": stopped if len(asked) > 1 else {"state": "Running", "runningStatus": "Running"}}
        ).encode()

    with identified_by(IdentityDouble()), serving(reply) as url:
        set_settings(monkeypatch, {"MANAGEMENT_URL": url})
        app = AzureApp(Application.model_validate({"kind": "azure", "resource_id": resource}))
        assert app.state() == "running"
        app.stop()
        assert app.state() == "stopped"
    assert asked[1] == f"POST {resource}/stop"


class Runtime:
    """A double of a Mendix runtime's admin port."""

    def __init__(self, **feedback: Any) -> None:
        self.feedback = {
            "runtime_status": {"status": "running"}, "check_health": {"health": "healthy"},
            "get_ddl_commands": {"ddl_commands": []}, "about": {"model_version": "1.0.0.40"},
        } | feedback  # fmt: skip

    def reply(self, _m: str, _p: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if base64.b64decode(headers["x-m2ee-authentication"]) != b"admin password":
            return 401, b"{}"
        action = json.loads(body)["action"]
        if action not in self.feedback:
            return 200, json.dumps({"result": -5, "message": "Action not found."}).encode()
        return 200, json.dumps({"result": 0, "feedback": self.feedback[action]}).encode()


@pytest.mark.parametrize(
    ("feedback", "failed"),
    [
        ({}, []),
        ({"runtime_status": {"status": "starting"}}, ["smoke: running"]),
        ({"check_health": {"health": "sick", "diagnosis": "queue"}}, ["smoke: healthy"]),
        ({"check_health": {"health": "unknown"}}, []),
        ({"get_ddl_commands": {"ddl_commands": ["ALTER TABLE x"]}}, ["smoke: database up to date"]),
        ({"get_ddl_commands": {"ddl_commands": 7}}, ["smoke: database up to date"]),
        ({"get_ddl_commands": []}, ["smoke: database up to date"]),
        ({"get_ddl_commands": [7], "runtime_status": 5}, ["smoke: running", "smoke: database up to date"]),
        ({"about": {"model_version": "1.0.0.41"}}, ["smoke: model version"]),
    ],
)
def test_the_runtime_says_whether_it_runs_on_this_schema(feedback: dict[str, Any], failed: list[str]) -> None:
    with serving(Runtime(**feedback).reply) as url:
        found = check_runtime(AdminApi(url, SecretStr("admin password")), "1.0.0.40")
        assert [one.name for one in found if one.outcome == "failed"] == failed
        assert len(found) == 4


def test_an_admin_port_that_answers_a_list_fails_every_check() -> None:
    with serving(lambda *_: (200, b"[1]")) as url:
        found = check_runtime(AdminApi(url, SecretStr("admin password")), None)
    assert [one.outcome for one in found] == ["failed", "failed", "failed", "skipped"]
    assert "found an answer that is no JSON object" in found[0].detail


def test_the_version_of_the_targets_runtime_is_known_where_its_admin_port_answers() -> None:
    with serving(Runtime(about={"version": "10.18.3.71234"}).reply) as url:
        known = {"admin_url": url, "admin_password": "admin password"}
        versions = [
            version_of(Application.model_validate(known | change)) for change in ({}, {"admin_password": "other"})
        ]
    assert versions == ["10.18.3.71234", None]
    assert version_of(Application.model_validate(known)) is None  # nobody there any more
    assert version_of(Application()) is version_of(None) is None


def test_a_wrong_admin_password_fails_every_check_and_is_not_shown() -> None:
    with serving(Runtime().reply) as url:
        found = check_runtime(AdminApi(url, SecretStr("wrong-password")), None)
    assert [one.outcome for one in found] == ["failed", "failed", "failed", "skipped"]
    assert "wrong-password" not in "".join(one.model_dump_json() for one in found)
