"""An app on Kubernetes: a Deployment is scaled, or a MendixApp resource of the Mendix Operator is patched.

Through the API server with a token of a service account that may `get` and `patch` this one object and `list` pods (and
`patch` and `delete` the secret `mxferry-source-database`, for a hand-over to a Deployment). Not tried against a cluster by
this project: the calls are those of the API reference (https://kubernetes.io/docs/reference/kubernetes-api/).
"""

import ssl
from typing import Any

import httpx

from shared import answers
from shared.apps.protocol import State
from shared.errors import Refusal, TransientError
from shared.mendix import handover
from shared.settings import Application

TIMEOUT = 30.0
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
"""Server-side apply: makes the object or changes it, in one call (JSON is YAML)."""
ENDED = ("Succeeded", "Failed")
"""Phases of pods that run no more and stay listed, such as evicted ones."""
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
        """Running when a pod is ready, stopped when none is left or wanted: also none that is still being ended."""
        wanted, selector = self._wanted()
        pods = self._call("GET", self.pods, params={"labelSelector": selector})["items"]
        left = [pod for pod in pods if pod.get("status", {}).get("phase") not in ENDED]
        if not left:
            return "changing" if wanted else "stopped"
        return "running" if any(_ready(pod) for pod in left) else "changing"

    def _wanted(self) -> tuple[int, str]:
        """Return the replicas that a Deployment shall have (of a MendixApp only the pods tell) and its pods' selector.

        The pods are counted because a Deployment's status leaves out those that are being ended.
        """
        if self.settings.kind == "mendix-operator":
            return 0, f"{LABEL}={self.settings.name}"
        spec = self._call("GET", self.deployment)["spec"]
        labels = [f"{name}={value}" for name, value in (spec["selector"].get("matchLabels") or {}).items()]
        expressions = map(_expression, spec["selector"].get("matchExpressions") or [])
        return spec.get("replicas", 1), ",".join([*labels, *expressions])

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
        if handover.PASSWORD in settings:
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
                answer = answers.ask(client, method, path, headers=headers, **more)
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


def _expression(wanted: dict[str, Any]) -> str:
    """Return a matchExpression as a label selector writes it."""
    key, operator, values = wanted["key"], wanted["operator"], ",".join(wanted.get("values") or [])
    if operator in ("In", "NotIn"):
        return f"{key} {operator.lower()} ({values})"
    return str(key) if operator == "Exists" else f"!{key}"


def _ready(pod: dict[str, Any]) -> bool:
    """Tell whether a pod serves; one that is being ended is ready for a while and does not count."""
    if "deletionTimestamp" in pod.get("metadata", {}):
        return False
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
