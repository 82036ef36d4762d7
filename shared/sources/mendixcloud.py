"""Mendix Cloud's Backups API v2 and Deploy APIs v1 and v4, as far as a migration asks them.

https://docs.mendix.com/apidocs-mxsdk/apidocs/backups-api-v2/ and .../deploy-api/. Whatever may pass (throttling, an
environment that is busy, a server error) is raised as `Busy` with the seconds to wait: the orchestrator waits by a
durable timer, no activity sleeps. Download URLs are pre-signed: they go to the staging blob for secrets, never on.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from shared import answers
from shared.errors import Refusal
from shared.settings import MendixCloud

TIMEOUT = httpx.Timeout(30, read=60)
WHOLE_SECONDS = 120  # for an answer, however it comes
PAGE = 100
WAIT = 30.0  # seconds, where the API does not say how long
LONGEST_RETRY_AFTER = (
    6 * 3600.0
)  # seconds, waited by durable timers; told to wait longer, the run asks again all the same
SECONDS = re.compile(r"[0-9]{1,9}\Z")
MAY_PASS = {"ALREADY_LOCKED", "ENVIRONMENT_BUSY", "INVALID_STATE", "SERVICE_UNAVAILABLE", "SNAPSHOT_LISTING_FAILED"}
DOES_NOT_START = {
    "NO_PACKAGE", "DB_SYNC_FAILED", "INVALID_DB_STRUCTURE", "MISSING_CONSTANT", "INSECURE_ADMIN_PASSWORD",
    "STARTUP_ACTION_FAILED", "START_FAILED",
}  # fmt: skip
"""What the Deploy API says of an app that another attempt would not start either."""
STOP_FAILED = "STOP_FAILED"
DATA_TYPE = "files_and_database"


class Busy(Exception):  # noqa: N818 - a state, not a fault
    """The API asks to come back after `seconds`; `why` is fit for a status line."""

    def __init__(self, seconds: float, why: str) -> None:
        self.seconds = min(max(seconds, 1.0), LONGEST_RETRY_AFTER)
        self.why = why
        super().__init__(why)


class Unreachable(Busy):
    """No connection: the API is down, or the app cannot get there at all."""


class StopFailed(Busy):
    """The app did not stop; another attempt may stop it, the tenth will not."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class CloudSnapshot(_Answer):
    """A snapshot; failed ones have no `model_version`, and their reason in `status_message`."""

    snapshot_id: str
    state: str
    status_message: str | None = None
    model_version: str | None = None
    comment: str | None = None
    created_at: datetime | None = None


class CloudArchive(_Answer):
    """A download archive of a snapshot; `url` is there once it is completed, for eight hours."""

    archive_id: str
    state: str
    status_message: str | None = None
    url: SecretStr | None = None


class CloudEnvironment(BaseModel):
    """An environment as the Deploy API v1 tells it; sandboxes have no versions."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    Status: str
    EnvironmentId: str | None = None
    ModelVersion: str | None = None
    MendixVersion: str | None = None


class CloudPlatform(_Answer):
    """An environment as the Deploy API v4 tells it; `dbVersion` is that of its PostgreSQL, such as `15.8`."""

    dbVersion: str | None = None  # noqa: N815 - the API's name


class MendixCloudApi:
    """The APIs for one environment. Every method raises `Busy`, or `Refusal` for what will not pass."""

    def __init__(self, profile: MendixCloud) -> None:
        self._profile = profile
        self._environment = (
            f"{profile.backups_url.rstrip('/')}/apps/{profile.project_id}/environments/{profile.environment_id}"
        )

    def snapshots(self) -> Iterator[CloudSnapshot]:
        """Yield all snapshots, page by page. The end is told by `total`: pages may be longer than their limit."""
        offset = 0
        while True:
            page = self._ask("GET", f"{self._environment}/snapshots", {"offset": str(offset), "limit": str(PAGE)})
            found = page.get("snapshots") or []
            yield from (_read(CloudSnapshot, one) for one in found)
            offset += len(found)
            if not found or offset >= int(page.get("total") or 0):
                return

    def create(self, comment: str) -> CloudSnapshot:
        """Ask for a new snapshot."""
        return _read(CloudSnapshot, self._ask("POST", f"{self._environment}/snapshots", body={"comment": comment}))

    def snapshot(self, snapshot: str) -> CloudSnapshot:
        """Return a snapshot as it is now."""
        return _read(CloudSnapshot, self._ask("GET", f"{self._environment}/snapshots/{snapshot}"))

    def request_archive(self, snapshot: str) -> CloudArchive:
        """Ask for a download archive with files and database."""
        url = f"{self._environment}/snapshots/{snapshot}/archives"
        return _read(CloudArchive, self._ask("POST", url, {"data_type": DATA_TYPE}))

    def archive(self, snapshot: str, archive: str) -> CloudArchive:
        """Return a download archive as it is now."""
        return _read(CloudArchive, self._ask("GET", f"{self._environment}/snapshots/{snapshot}/archives/{archive}"))

    def environment(self) -> CloudEnvironment:
        """Return status and versions of the environment (Deploy API v1; needs the profile's app id)."""
        return _read(CloudEnvironment, self._ask("GET", self._deploy()))

    def database_version(self) -> str | None:
        """Return the version of the environment's PostgreSQL (Deploy API v4); None without a personal access token."""
        token = self._profile.personal_access_token
        if token is None:
            return None
        profile = self._profile
        url = f"{profile.platform_url.rstrip('/')}/apps/{profile.project_id}/environments/{profile.environment_id}"
        headers = {"Authorization": f"MxToken {token.get_secret_value()}", "Accept": "application/json"}
        return _read(CloudPlatform, self._ask("GET", url, headers=headers)).dbVersion

    def stop(self) -> None:
        """Ask the app to stop (Deploy API v1)."""
        self._ask("POST", f"{self._deploy()}/stop")

    def start(self) -> str | None:
        """Ask the app to start (Deploy API v1); return the id of the job, None where it was started already."""
        # `AutoSyncDb` is what the portal's own button does; the model is the one that ran before.
        found = self._ask("POST", f"{self._deploy()}/start", body={"AutoSyncDb": True}, ok="ALREADY_STARTED")
        return str(found["JobId"]) if "JobId" in found else None

    def started(self, job: str) -> bool:
        """Tell whether a job has started the app; `Refusal` MENDIX_START_FAILED when it will not."""
        found = self._ask("GET", f"{self._deploy()}/start/{job}", ok="ALREADY_STARTED")
        return bool(found.get("Status", "Started") == "Started")

    def _deploy(self) -> str:
        return f"{self._profile.deploy_url.rstrip('/')}/apps/{self._profile.app_id}/environments/{self._profile.mode}"

    def _ask(
        self,
        method: str,
        url: str,
        query: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
        ok: str = "",
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the answer's JSON; the error code `ok` is as good as an empty answer."""
        headers = headers or {
            "Mendix-Username": self._profile.username,
            "Mendix-ApiKey": self._profile.api_key.get_secret_value(),
            "Accept": "application/json",
        }
        try:
            with httpx.Client(timeout=TIMEOUT) as client:
                answer = answers.ask(
                    client, method, url, seconds=WHOLE_SECONDS, params=query, json=body, headers=headers
                )
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError) as error:
            raise _unfit(self._profile.environment_id, type(error).__name__) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable(WAIT, f"Mendix Cloud cannot be reached ({type(error).__name__})") from None
        except httpx.HTTPError as error:
            raise Busy(WAIT, f"Mendix Cloud does not answer ({type(error).__name__})") from None
        if answer.is_success:
            return _json(answer)
        if ok and _code_of(answer)[0] == ok:
            return {}
        raise _failure(answer, self._profile.environment_id)


def _json(answer: httpx.Response) -> dict[str, Any]:
    if not answer.content.strip():
        return {}
    try:
        found = answer.json()
    except ValueError:
        raise Busy(WAIT, "Mendix Cloud answered with something that is no JSON") from None
    return found if isinstance(found, dict) else {}


def _read[A: BaseModel](kind: type[A], found: Any) -> A:
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        missing = ", ".join(str(item["loc"][0]) for item in error.errors() if item["loc"])
        raise Refusal(
            "MENDIX_ANSWER",
            kind.__name__,
            f"expected an answer as the Mendix API documentation shows it, found one without {missing or 'fields'}.",
            "The API may have changed; look for a newer version of mxferry.",
        ) from None


def _unfit(environment: str, found: str) -> Refusal:
    """Return the refusal of settings that make no request; what is wrong with them may be in a secret."""
    return Refusal(
        "MENDIX_SETTINGS",
        environment,
        f"expected addresses, user name and key that can be sent to Mendix Cloud, found that they cannot ({found}).",
        "Look at the profile's …_URL, USERNAME, API_KEY and PERSONAL_ACCESS_TOKEN: an address begins with https://, and "
        "no other has blanks, line ends or letters beyond ASCII.",
    )


def _failure(answer: httpx.Response, environment: str) -> Busy | Refusal:
    status = answer.status_code
    code, message = _code_of(answer)
    if code in DOES_NOT_START:
        return Refusal(
            "MENDIX_START_FAILED",
            environment,
            f"expected the app to start, found {code}{': ' if message else ''}{message}",
            "Look at the app's log in the Mendix portal, and start it there.",
        )
    if code == STOP_FAILED:
        return StopFailed(
            _retry_after(answer), f"Mendix Cloud could not stop the app{': ' if message else ''}{message}"
        )
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500 or code in MAY_PASS:
        return Busy(_retry_after(answer), f"Mendix Cloud asks to wait: {code or f'status {status}'}")
    if status in (401, 403):
        return Refusal(
            "MENDIX_DENIED",
            environment,
            f"expected access to the environment's backups, found status {status} {code}.",
            "Give the API key's user the permissions Access to Backups and API Rights on this environment.",
        )
    if status == 404:
        return Refusal(
            "MENDIX_NOT_FOUND",
            environment,
            f"expected the environment or snapshot, found none ({code or 'status 404'}).",
            "Check the project id, the environment id and the snapshot id.",
        )
    return Refusal(
        "MENDIX_REFUSED",
        environment,
        f"expected Mendix Cloud to take the request, found status {status} {code}{': ' if message else ''}{message}",
        "Look at the environment in the Mendix portal.",
    )


def _code_of(answer: httpx.Response) -> tuple[str, str]:
    """Return error code and message; the API's versions name them differently."""
    try:
        found = answer.json()
    except ValueError:
        return "", ""
    if isinstance(found, dict) and isinstance(found.get("error"), dict):
        found = found["error"]
    if not isinstance(found, dict):
        return "", ""
    code = found.get("errorCode") or found.get("error_code") or found.get("code") or found.get("error") or ""
    return str(code)[:80], str(found.get("errorMessage") or found.get("message") or "")[:200]


def _retry_after(answer: httpx.Response) -> float:
    """Return the seconds of `Retry-After`, given as a number or as a date."""
    told = answer.headers.get("Retry-After", "").strip()
    if SECONDS.match(told):
        return float(told)
    try:
        return (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds() if told else WAIT
    except (ValueError, TypeError):
        return WAIT
