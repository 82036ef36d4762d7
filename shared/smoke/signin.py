"""Signs smoke checks in to the target app: as its login page does, at the profile's APP__ADDRESS and nowhere else.

The file handler (`/file?guid=…`) knows a user by the session's cookie, which `/xas/` gives for user and password
(https://docs.mendix.com/refguide/session-management). Published services take Basic in `Authorization`, or the session
together with its token (https://docs.mendix.com/refguide/published-rest-service), so a request carries all three.
"""

import base64
import json
from contextlib import suppress
from urllib.parse import urlsplit

import httpx

from shared.errors import Finding
from shared.request import DocumentCheck, HttpCheck, MigrationRequest
from shared.settings import Application
from shared.smoke import addresses
from shared.smoke.asking import asked, beginning
from shared.smoke.tries import Tries

SETTINGS = "APP__ADDRESS, APP__SMOKE_USER and APP__SMOKE_PASSWORD"
PORTS = {"https": 443, "http": 80}
REFUSED = 401
UNANSWERED = 504
"""Of a gateway whose app has the login and gave no answer in time."""
LOGIN_SECONDS = 60
"""For the sign-in, whatever time a check has: the first one of an app that has just started is slow."""
GOODBYE_SECONDS = 10
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol, OSError, ValueError)
"""Troubles before anything was sent."""
WRONG = (
    "Set them to a user that the app's own login page takes, neither blocked nor of single sign-on only; a runtime whose licence "
    "allows no more sessions says the same."
)
TROUBLES = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError)


class SignInError(ValueError):
    """Nobody is signed in for a check; the text says what was expected and found, and what to do."""


class SignIn:
    """Signs in once for all checks that ask for it, when the first of them does; `end` signs out.

    What has failed once is not tried again; `tries` says whether the run may, or how often it has already.
    """

    def __init__(self, app: Application | None, *, own: bool = False, tries: Tries | None = None) -> None:
        self._app, self._own, self._tries = app, own, tries
        self._session: dict[str, str] | None = None
        self._problem = ""
        self.refused = False
        """Whether the app has said no to user and password, now or to an earlier delivery, or left too many unanswered."""

    def headers(self, url: str) -> dict[str, str]:
        """Return what a request to this address carries. Raises `SignInError`."""
        wrong = _wrong(self._app, url)
        if wrong is not None:
            raise SignInError(" ".join(wrong))
        if self._session is None and not self._problem:
            self._begin()
        if self._session is None:
            raise SignInError(self._problem)
        return self._session

    def end(self) -> None:
        """Sign out, if anybody was signed in: a session would last until its time is out, and a licence counts it."""
        if self._session is not None:
            with suppress(*TROUBLES):
                self._xas("logout", {}, GOODBYE_SECONDS, self._session)
        self._session = None

    def _begin(self) -> None:
        assert self._app is not None
        assert self._app.smoke_password is not None
        user, password = self._app.smoke_user or "", self._app.smoke_password.get_secret_value()
        if self._tries is not None and not self._tries.begin():
            self.refused = True
            self._problem = (
                f"expected a sign-in of this run to succeed, found that {self._app.address} has refused one, or left two "
                f"without an answer. {WRONG}"
            )
            return
        try:
            status, cookie, token = self._xas("login", {"username": user, "password": password}, LOGIN_SECONDS, {})
        except TROUBLES as error:
            self._problem = f"expected the sign-in at {self._app.address}/xas/ answered, found {type(error).__name__}."
            if isinstance(error, UNSENT):
                self._take_back()
            return
        self._answered(status, cookie)
        if not self._problem:
            basic = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._session = {"Cookie": cookie, "X-Csrf-Token": token, "Authorization": f"Basic {basic}"}

    def _answered(self, status: int, cookie: str) -> None:
        assert self._app is not None
        self.refused = status == REFUSED
        if self.refused:
            self._problem = f"expected {self._app.address} to take APP__SMOKE_USER and APP__SMOKE_PASSWORD, found them refused. {WRONG}"
            if self._tries is not None:
                self._tries.use_up()
            return
        if status != UNANSWERED:
            self._take_back()
        if status != httpx.codes.OK or not cookie:
            self._problem = (
                f"expected a session of {self._app.address}/xas/, found status {status}{'' if cookie else ' and no cookie'}. "
                "Look whether APP__ADDRESS is the app itself, not an address that redirects to it."
            )

    def _take_back(self) -> None:
        if self._tries is not None:
            self._tries.take_back()

    def _xas(
        self, action: str, parameters: dict[str, str], timeout: float, headers: dict[str, str]
    ) -> tuple[int, str, str]:
        """Post an action of the client's API; returns the status, the cookies that were set, and the session's token."""
        assert self._app is not None
        assert self._app.address is not None
        hosts = addresses.hosts(self._app.address, own=self._own)
        posted = {"action": action, "params": parameters}
        with asked(f"{self._app.address}/xas/", hosts, timeout, headers, posted=posted) as answer:
            # By hand: the address that is asked is not the name that the cookies' domains are of.
            cookies = [one.partition(";")[0] for one in answer.headers.get_list("set-cookie")]
            # Of a refusal the status is all that counts, whatever becomes of its body.
            token = _token(beginning(answer)) if answer.status_code == httpx.codes.OK else ""
            return answer.status_code, "; ".join(cookies), token


def check_sign_in(app: Application | None, request: MigrationRequest) -> list[Finding]:
    """Return SMOKE_SIGN_IN for each check that asks to be signed in where nobody can be."""
    checks: list[HttpCheck | DocumentCheck] = [*request.smoke.http, *request.smoke.documents]
    return [
        Finding.error("SMOKE_SIGN_IN", f"smoke check {one.name}", *wrong)
        for one in checks
        if one.signed_in and (wrong := _wrong(app, one.url)) is not None
    ]


def _wrong(app: Application | None, url: str) -> tuple[str, str] | None:
    """Say what was expected and found, and what to do, where nobody can be signed in for an address."""
    if app is None or app.address is None:
        return (
            f"expected {SETTINGS} in the target profile for a check that is signed in, found none.",
            "Add them (docs/settings.md), or take `signed_in` out of the check.",
        )
    if _origins(url) != _origins(app.address):
        return (
            f"expected an address of {app.address} (APP__ADDRESS), found another origin: the password is sent nowhere else.",
            "Name the document at that address, or set APP__ADDRESS to the origin that users call.",
        )
    return None


def _origins(url: str) -> list[tuple[str, str | None, int | None]]:
    """Return scheme, host and port of a URL as each of the two readers of URLs understands it; none where one cannot.

    One says which addresses are asked, the other what is sent there.
    """
    try:
        parts, named = urlsplit(url), httpx.URL(url)
        return [
            (parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)),
            (named.scheme, named.host, named.port or PORTS.get(named.scheme)),
        ]
    except (httpx.InvalidURL, ValueError):
        return []


def _token(body: bytes) -> str:
    try:
        return str(json.loads(body)["csrftoken"])
    except (ValueError, KeyError, TypeError):
        return ""
