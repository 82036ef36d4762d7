"""An app on Kubernetes: a Deployment is scaled, or a MendixApp resource of the Mendix Operator is patched.

Through the API server with a token of a service account that may `get` and `patch` this one object (and `list` pods,
for a MendixApp; and `patch` and `delete` the secret `mxferry-source-database`, for a hand-over to a Deployment). Not tried against a cluster by this project: the calls are those of the API reference
(https://kubernetes.io/docs/reference/kubernetes-api/).
"""

import ssl
from typing import Any

import httpx

from shared.apps.app import State
from shared.errors import Refusal, TransientError
from shared.mendix import handover
from shared.settings import Application

TIMEOUT = 30.0
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
"""Server-side apply: makes the object or changes it, in one call (JSON is YAML)."""
LABEL = "privatecloud.mendix.com/app"
"""The label that the Mendix Operator puts on an app's pods."""


class KubernetesApp:
    """Scales to none and back, and sets the app's runtime settings."""

    def __init__(self, settings: Application, transport: httpx.BaseTransport | None = None) -> None:
        self.settings = settings
        self.transport = transport
        core = f"/namespaces/{settings.namespace}"
        self.deployment = f"/apis/apps/v1{core}/deployments/{settings.name}"
        self.mendixapp = f"/apis/privatecloud.mendix.com/v1alpha1{core}/mendixapps/{settings.name}"
        self.pods = f"/api/v1{core}/pods"
        self.secret = f"/api/v1{core}/secrets/{handover.SECRET}"

    def state(self) -> State:
        """Running when a replica is ready, stopped when there is none left."""
        if self.settings.kind == "mendix-operator":
            pods = self._call("GET", self.pods, params={"labelSelector": f"{LABEL}={self.settings.name}"})["items"]
            ready = sum(_ready(pod) for pod in pods)
            return _state(len(pods), ready)
        found = self._call("GET", self.deployment)
        status = found.get("status", {})
        return _state(status.get("replicas", 0), status.get("readyReplicas", 0))

    def start(self) -> None:
        """Scale to the replicas of the settings."""
        self._scale(self.settings.replicas)

    def stop(self) -> None:
        """Scale to none."""
        self._scale(0)

    def configure(self, settings: dict[str, str]) -> None:
        """Add the settings: variables of the Deployment's first container, or a MendixApp's customConfiguration."""
        if self.settings.kind == "mendix-operator":
            self._configure_mendix_app(handover.with_custom_configuration(self._configuration(), settings))
            return
        apply = {"fieldManager": "mxferry", "force": "true"}
        self._patch(self.secret, handover.secret(settings), APPLY, params=apply)
        self._patch(self.deployment, handover.deployment_patch(settings, self._container()), STRATEGIC)

    def unconfigure(self) -> None:
        """Take the settings, and the secret with the password, away."""
        if self.settings.kind == "mendix-operator":
            self._configure_mendix_app(handover.without_custom_configuration(self._configuration()))
            return
        self._patch(self.deployment, handover.deployment_removal(self._container()), STRATEGIC)
        self._call("DELETE", self.secret, missing_is_well=True)

    def _container(self) -> str:
        found = self._call("GET", self.deployment)
        return str(found["spec"]["template"]["spec"]["containers"][0]["name"])

    def _configuration(self) -> str | None:
        runtime = self._call("GET", self.mendixapp).get("spec", {}).get("runtime", {})
        return runtime.get("customConfiguration") or None

    def _configure_mendix_app(self, configuration: str) -> None:
        self._patch(self.mendixapp, handover.mendix_app_patch(configuration), MERGE)

    def _patch(self, path: str, body: dict[str, Any], kind: str, **more: Any) -> None:
        self._call("PATCH", path, json=body, headers={"Content-Type": kind}, **more)

    def _scale(self, replicas: int) -> None:
        path = self.mendixapp if self.settings.kind == "mendix-operator" else f"{self.deployment}/scale"
        self._call("PATCH", path, json={"spec": {"replicas": replicas}}, headers={"Content-Type": MERGE})

    def _call(self, method: str, path: str, *, missing_is_well: bool = False, **more: Any) -> dict[str, Any]:
        token = self.settings.token.get_secret_value() if self.settings.token else ""
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        try:
            with httpx.Client(base_url=self.settings.server or "", timeout=TIMEOUT, **self._trust()) as client:
                answer = client.request(method, path, headers=headers, **more)
        except httpx.HTTPError as error:
            raise TransientError("APP_UNREACHABLE", "kubernetes", f"no answer ({type(error).__name__}).") from None
        if answer.status_code >= 500 or answer.status_code in (409, 429):
            raise TransientError("APP_UNREACHABLE", "kubernetes", f"expected success, found {answer.status_code}.")
        if missing_is_well and answer.status_code == 404:
            return {}
        if not answer.is_success:
            raise Refusal(
                "APP_REFUSED", f"{self.settings.namespace}/{self.settings.name}",
                f"expected success of {method} {path}, found {answer.status_code}.",
                "Check the names in the target profile, and that the token's service account may get and patch it.",
            )  # fmt: skip
        return dict(answer.json())

    def _trust(self) -> dict[str, Any]:
        if self.transport is not None:
            return {"transport": self.transport}
        if self.settings.ca is None:
            return {}
        return {"verify": ssl.create_default_context(cadata=self.settings.ca)}


def _state(replicas: int, ready: int) -> State:
    if not replicas:
        return "stopped"
    return "running" if ready else "changing"


def _ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
