"""Smoke checks that are signed in, against the stand-in for the target app: whom it lets in, and where the password goes."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, ContainerClient

from activities import preflight as preflight_stage
from activities.preflight import preflight
from activities.smoke import SmokeTested, smoke_tests
from local.targetapp import USER, TargetApp, serve
from shared import runs
from shared.contracts import Run, RunWork
from shared.request import DocumentCheck, HttpCheck, MigrationRequest
from shared.settings import Application
from shared.smoke import signin
from shared.smoke.signin import SignIn, SignInError, check_sign_in
from shared.smoke.tries import Tries
from shared.smoke.web import check_document, check_page
from tests.fixtures.appsettings import set_settings
from tests.fixtures.httpdouble import serving
from tests.fixtures.slowserver import sending

PASSWORD = "correct-horse-battery"
SOURCE = {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture
def app(container: ContainerClient) -> Iterator[tuple[TargetApp, str]]:
    """The stand-in before a container with one document, and its address."""
    container.upload_blob("uuid-1", bytes(range(256)) * 400)
    made = TargetApp(container, PASSWORD)
    server = serve(made)
    yield made, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def settings_of(address: str, password: str = PASSWORD) -> Application:
    return Application.model_validate({"address": address, "smoke_user": USER, "smoke_password": password})


def document(address: str, *, signed_in: bool = True, blob: str = "uuid-1") -> DocumentCheck:
    return DocumentCheck(name="invoice", url=f"{address}/file?guid={blob}", blob=blob, signed_in=signed_in)


def test_a_document_is_handed_out_to_somebody_signed_in_only(app: tuple[TargetApp, str]) -> None:
    stand_in, address = app
    nobody = check_document(document(address, signed_in=False), stand_in.files, own=True)
    assert (nobody.outcome, nobody.detail[:23]) == ("failed", "expected 200, found 401")
    assert '"signed_in": true' in nobody.detail
    sign_in = SignIn(settings_of(address), own=True)
    found = check_document(document(address), stand_in.files, sign_in=sign_in, own=True)
    assert found.outcome == "passed", found.detail
    assert found.how.startswith(f"GET {address}/file signed in, compared with")
    missing = check_document(document(address, blob="uuid-2"), stand_in.files, sign_in=sign_in, own=True)
    assert (missing.outcome, "APP__SMOKE_USER may read it" in missing.detail) == ("failed", True)


def test_all_checks_share_one_session_which_is_ended(app: tuple[TargetApp, str]) -> None:
    stand_in, address = app
    sign_in = SignIn(settings_of(address), own=True)
    page = HttpCheck(name="home", url=f"{address}/", text="<title>Mendix", signed_in=True)
    assert check_page(page, sign_in=sign_in, own=True).outcome == "passed"
    for _ in range(2):
        assert check_document(document(address), stand_in.files, sign_in=sign_in, own=True).outcome == "passed"
    assert (stand_in.logins, len(stand_in.sessions)) == (1, 1)
    sign_in.end()
    assert stand_in.sessions == {}


def request(address: str, *names: str, **more: Any) -> MigrationRequest:
    documents = [document(address).model_dump() | {"name": name} for name in names]
    body = {"source": SOURCE, "target": "demo", "smoke": {"documents": documents}}
    return MigrationRequest.model_validate(body | more)


def stage_done(asked: MigrationRequest, run: str | None = None) -> SmokeTested:
    now = datetime.now(UTC)
    work = RunWork(run=Run(id=run or runs.new_id(now), request=asked, created_at=now))
    found: SmokeTested = smoke_tests.typed(work)  # type: ignore[attr-defined]
    return found


def profile(patch: pytest.MonkeyPatch, address: str, password: str, files: ContainerClient) -> None:
    prefix = "TARGET__DEMO__APP__"
    given = {f"{prefix}ADDRESS": address, f"{prefix}SMOKE_USER": USER, f"{prefix}SMOKE_PASSWORD": password}
    set_settings(patch, given, {"ALLOW_HTTP_SOURCES": "true", "TARGET__DEMO__BLOB__CONTAINER": files.container_name})


def test_the_stage_signs_in_and_out_and_leaves_nothing_of_it_in_its_answer(
    api_settings: None, monkeypatch: pytest.MonkeyPatch, app: tuple[TargetApp, str]
) -> None:
    stand_in, address = app
    profile(monkeypatch, address, PASSWORD, stand_in.files)
    found = stage_done(request(address, "one", "two"))
    assert [one.outcome for one in found.checks] == ["passed", "passed"]
    assert (found.sign_in_refused, stand_in.logins, stand_in.sessions) == (False, 1, {})
    answer = found.model_dump_json()
    assert [one for one in (PASSWORD, BASIC, "XASSESSIONID", "uuid-1?", "guid=") if one in answer] == []


def test_a_wrong_password_is_said_with_its_remedy_and_tried_once(
    api_settings: None, monkeypatch: pytest.MonkeyPatch, app: tuple[TargetApp, str]
) -> None:
    """Three would block the user."""
    stand_in, address = app
    profile(monkeypatch, address, "another password", stand_in.files)
    found = stage_done(request(address, "one", "two", "three", "four"))
    assert (found.sign_in_refused, stand_in.logins, stand_in.wrong) == (True, 1, 1)
    assert {one.outcome for one in found.checks} == {"failed"}
    (detail,) = {one.detail for one in found.checks}
    assert "found them refused. Set them to a user that the app's own login page takes" in detail
    assert "another password" not in found.model_dump_json()


def test_a_delivery_after_a_refused_password_does_not_send_it_again(
    api_settings: None, monkeypatch: pytest.MonkeyPatch, app: tuple[TargetApp, str]
) -> None:
    stand_in, address = app
    profile(monkeypatch, address, "another password", stand_in.files)
    run = runs.new_id(datetime.now(UTC))
    for _ in range(3):
        found = stage_done(request(address, "one"), run)
        assert found.sign_in_refused
    assert stand_in.logins == 1
    assert "has refused one, or left two without an answer. Set them to a user" in str(found.checks[0].detail)


def test_a_refusal_counts_whatever_becomes_of_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signin, "LOGIN_SECONDS", 1)
    with sending(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 9999\r\n\r\n", b"x", 0.02) as port:
        sign_in = SignIn(settings_of(f"http://127.0.0.1:{port}"), own=True)
        with pytest.raises(SignInError, match="found them refused"):
            sign_in.headers(f"http://127.0.0.1:{port}/")
    assert sign_in.refused


def test_a_run_sends_the_password_twice_at_most_without_an_answer(
    api_settings: None, app: tuple[TargetApp, str]
) -> None:
    """What the app makes of a request that it did not answer, nobody knows."""
    stand_in, address = app
    run, tried = runs.new_id(datetime.now(UTC)), []
    for first in (b"", b"HTTP/1.1 200", b""):
        with sending(first, b"", 0) as port:
            tried.append(look(f"http://127.0.0.1:{port}", run))
    assert tried == [False, False, True]
    assert (look(address, run), stand_in.logins) == (True, 0)


@pytest.mark.parametrize(("status", "posts"), [(504, 2), (503, 4)])
def test_a_gateway_whose_app_did_not_answer_in_time_uses_up_a_sign_in(
    api_settings: None, status: int, posts: int
) -> None:
    """The app may have looked at the password; one that is not there yet has not."""
    run, asked = runs.new_id(datetime.now(UTC)), []

    def reply(method: str, *_: object) -> tuple[int, bytes]:
        asked.append(method)
        return status, b""

    with serving(reply) as url:
        assert [look(url, run) for _ in range(4)] == [False] * posts + [True] * (4 - posts)
    assert asked == ["POST"] * posts


def test_a_note_that_cannot_be_taken_back_leaves_the_session_as_good(
    api_settings: None, monkeypatch: pytest.MonkeyPatch, app: tuple[TargetApp, str]
) -> None:
    stand_in, address = app

    def broken(*_: object, **__: object) -> None:
        raise HttpResponseError("the storage account does not answer")

    monkeypatch.setattr(BlobClient, "delete_blob", broken)
    profile(monkeypatch, address, PASSWORD, stand_in.files)
    found = stage_done(request(address, "one", "two"))
    assert [one.outcome for one in found.checks] == ["passed", "passed"]
    assert (stand_in.logins, stand_in.sessions) == (1, {})


def test_the_runtime_is_asked_before_anybody_is_signed_in(
    api_settings: None, monkeypatch: pytest.MonkeyPatch, app: tuple[TargetApp, str]
) -> None:
    """An error there would be delivered again, each time with a sign-in."""
    stand_in, address = app
    before: list[int] = []

    def reply(*_: object) -> tuple[int, bytes]:
        before.append(stand_in.logins)
        return 200, b'{"result": 0}'

    profile(monkeypatch, address, PASSWORD, stand_in.files)
    asked = request(address, "one")
    asked.smoke.runtime = True
    with serving(reply) as url:
        prefix = "TARGET__DEMO__APP__ADMIN_"
        set_settings(monkeypatch, {f"{prefix}URL": url, f"{prefix}PASSWORD": "admin password"})
        found = stage_done(asked)
    assert (len(before) >= 3, set(before), stand_in.logins) == (True, {0}, 1)
    assert [one.name for one in found.checks][:2] == ["smoke: one", "smoke: running"]


def test_an_app_that_takes_no_connection_yet_uses_up_no_sign_in(api_settings: None, app: tuple[TargetApp, str]) -> None:
    stand_in, address = app
    run = runs.new_id(datetime.now(UTC))
    assert [look("http://127.0.0.1:1", run) for _ in range(4)] == [False] * 4
    for _ in range(4):  # nor does one that succeeds
        assert not look(address, run)
    assert stand_in.logins == 4


def look(address: str, run: str) -> bool:
    """One look's sign-in; says whether it is refused."""
    sign_in = SignIn(settings_of(address), own=True, tries=Tries(run))
    with suppress(SignInError):
        sign_in.headers(f"{address}/")
    return sign_in.refused


def test_after_three_wrong_passwords_the_right_one_is_refused_too(app: tuple[TargetApp, str]) -> None:
    """The stand-in blocks as the runtime does, so that a check which tries too often fails here."""
    stand_in, address = app
    for password in ("first", "second", "third", PASSWORD):
        sign_in = SignIn(settings_of(address, password), own=True)
        assert check_document(document(address), stand_in.files, sign_in=sign_in, own=True).outcome == "failed"
        assert sign_in.refused
    assert stand_in.logins == 4


OTHERS = [
    "http://localhost:{port}/file", "https://127.0.0.1:{port}/file", "http://127.0.0.1:{other}/file",
    "http://127.0.0.1:{other}/?http://127.0.0.1:{port}/", "http://127.0.0.1.:{port}/file", "http://127.0.0.1/file",
]  # fmt: skip


@pytest.mark.parametrize("url", OTHERS)
def test_the_password_is_sent_to_exactly_the_apps_origin(app: tuple[TargetApp, str], url: str) -> None:
    stand_in, address = app
    asked: list[str] = []

    def reply(method: str, path: str, *_: object) -> tuple[int, bytes]:
        asked.append(f"{method} {path}")
        return 200, b"{}"

    with serving(reply) as other:
        there = url.format(port=address.rpartition(":")[2], other=other.rpartition(":")[2])
        check = HttpCheck(name="home", url=there, signed_in=True)
        found = check_page(check, sign_in=SignIn(settings_of(address), own=True), own=True)
    assert (found.outcome, asked, stand_in.logins) == ("failed", [], 0)
    assert "found another origin: the password is sent nowhere else" in found.detail


def test_no_redirect_is_followed_with_what_a_session_carries(app: tuple[TargetApp, str]) -> None:
    stand_in, address = app
    asked: list[str] = []

    def reply(method: str, path: str, *_: object) -> tuple[int, bytes]:
        asked.append(f"{method} {path}")
        return (200 if method == "POST" else 302), b"{}"

    headers = [("Set-Cookie", "XASSESSIONID=abc; Path=/"), ("Location", f"{address}/file?guid=uuid-1")]
    with serving(reply, headers=headers) as url:
        sign_in = SignIn(settings_of(url), own=True)
        found = check_document(document(url), stand_in.files, sign_in=sign_in, own=True)
    assert asked == ["POST /xas/", "GET /file?guid=uuid-1"]
    assert (found.outcome, found.detail[:23]) == ("failed", "expected 200, found 302")


def test_a_sign_in_that_is_redirected_is_no_session_and_nothing_is_asked_with_it() -> None:
    asked: list[str] = []

    def reply(method: str, path: str, *_: object) -> tuple[int, bytes]:
        asked.append(f"{method} {path}")
        return 302, b""

    with serving(reply, headers=[("Location", "https://sign-in.example.test/")]) as url:
        sign_in = SignIn(settings_of(url), own=True)
        found = check_page(HttpCheck(name="home", url=f"{url}/file", signed_in=True), sign_in=sign_in, own=True)
    assert asked == ["POST /xas/"]
    assert "found status 302 and no cookie" in found.detail
    assert "not an address that redirects to it" in found.detail
    assert not sign_in.refused


def test_an_app_that_does_not_answer_is_no_refusal() -> None:
    sign_in = SignIn(settings_of("http://127.0.0.1:1"), own=True)
    check = HttpCheck(name="home", url="http://127.0.0.1:1/", signed_in=True)
    found = check_page(check, sign_in=sign_in, own=True)
    assert (found.outcome, sign_in.refused) == ("failed", False)
    assert "the sign-in at http://127.0.0.1:1/xas/ answered, found ConnectError" in found.detail


def test_a_sign_in_never_asks_this_machine_where_the_stand_is_not_local(app: tuple[TargetApp, str]) -> None:
    stand_in, address = app
    found = check_document(document(address), stand_in.files, sign_in=SignIn(settings_of(address)))
    assert (found.outcome, stand_in.logins) == ("failed", 0)
    assert "an address that no smoke check asks" in found.detail


COOKIES = [
    ("Set-Cookie", "__Host-XASSESSIONID=abc; Path=/; Secure; HttpOnly"),
    ("Set-Cookie", "route=7; Domain=.azure.test"),
]


def test_a_session_carries_cookie_token_and_basic() -> None:
    """The file handler reads the cookie; published services take Basic, or the session with its token."""
    seen: list[dict[str, str]] = []

    def reply(_method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        seen.append(headers)
        return 200, json.dumps({"csrftoken": "the token"}).encode() if body else b""

    with serving(reply, headers=COOKIES) as url:
        sign_in = SignIn(settings_of(url), own=True)
        assert (
            check_page(HttpCheck(name="h", url=f"{url}/", signed_in=True), sign_in=sign_in, own=True).outcome
            == "passed"
        )
    assert "authorization" not in seen[0]
    sent = {name: seen[1].get(name) for name in ("cookie", "x-csrf-token", "authorization")}
    assert sent == {
        "cookie": "__Host-XASSESSIONID=abc; route=7", "x-csrf-token": "the token", "authorization": f"Basic {BASIC}",
    }  # fmt: skip


def test_preflight_says_where_nobody_can_be_signed_in(api_settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight_stage, "ATTEMPTS", 1)  # there is no target to ask
    now = datetime.now(UTC)
    run = Run(id=runs.new_id(now), request=request("https://app.example.org", "an invoice"), created_at=now)
    found = preflight(None, {"run": run.model_dump(mode="json")})["findings"]
    (said,) = [one for one in found if one["code"] == "SMOKE_SIGN_IN"]
    assert (said["severity"], said["object"]) == ("error", "smoke check an invoice")
    assert "APP__ADDRESS, APP__SMOKE_USER and APP__SMOKE_PASSWORD" in said["message"]
    assert "signed_in" in said["remedy"]


def test_preflight_compares_origins() -> None:
    of_the_app = settings_of("https://app.example.org/")
    for url in ("https://app.example.org/file?guid=1", "https://APP.example.org:443/file"):
        assert check_sign_in(of_the_app, request(url, "one")) == [], url
    for url in ("https://app.example.org:8443", "http://app.example.org", "https://app.example.org.test"):
        (found,) = check_sign_in(of_the_app, request(url, "one"))
        assert "another origin" in found.message, url
    assert check_sign_in(None, MigrationRequest.model_validate({"source": SOURCE, "target": "demo"})) == []
