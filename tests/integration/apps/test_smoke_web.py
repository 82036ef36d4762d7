"""Smoke checks over HTTP: what they judge by, what they never ask, and how long they take at most."""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from pydantic import ValidationError

from activities import smoke
from local import certificates
from shared import runs
from shared.contracts import Check, Run, RunWork
from shared.request import DocumentCheck, HttpCheck, MigrationRequest
from shared.smoke import addresses
from shared.smoke.web import check_document, check_page
from tests.fixtures.httpdouble import serving
from tests.fixtures.slowserver import sending


def test_a_page_is_judged_by_status_and_text() -> None:
    with serving(lambda *_: (200, b"<title>Mendix</title>")) as url:
        base = {"name": "home", "url": f"{url}/?ref=abc"}
        passed = check_page(HttpCheck.model_validate(base | {"text": "<title>Mendix"}), own=True)
        assert passed.outcome == "passed"
        assert "abc" not in passed.model_dump_json()
        assert check_page(HttpCheck.model_validate(base | {"text": "Error"}), own=True).outcome == "failed"
        assert check_page(HttpCheck.model_validate(base | {"status": 302}), own=True).detail.startswith(
            "expected 302, found 200"
        )
    assert check_page(HttpCheck.model_validate(base), own=True).outcome == "failed"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://[::1]:{port}/", "http://169.254.169.254/", "http://0.0.0.0:{port}/",
     "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:169.254.169.254]/", "http://[::ffff:0.0.0.0]:{port}/", "http://168.63.129.16/"]
)  # fmt: skip
def test_a_smoke_check_never_asks_this_machine_or_the_platform_beside_it(url: str, container: ContainerClient) -> None:
    asked: list[str] = []

    def reply(_method: str, path: str, *_: object) -> tuple[int, bytes]:
        asked.append(path)
        return 200, b"a secret"

    with serving(reply) as base:
        address = url.format(port=base.rpartition(":")[2])
        page = check_page(HttpCheck(name="home", url=address))
        document = check_document(DocumentCheck(name="file", url=address, blob="uuid-1"), container)
    assert (page.outcome, document.outcome, asked) == ("failed", "failed", [])
    assert "an address that no smoke check asks" in page.detail


def test_the_address_that_was_looked_at_is_asked_whatever_the_name_means_a_moment_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody resolves `app.example.test`; the second address takes the connection where the first one does not."""
    hosts: list[str] = []

    def reply(_method: str, _path: str, headers: Any, *_: object) -> tuple[int, bytes]:
        hosts.append(headers["host"])
        return 200, b""

    with serving(reply) as base:
        port = base.rpartition(":")[2]
        monkeypatch.setattr(addresses, "hosts", lambda *_, **__: ["127.0.0.9", "127.0.0.1"])
        assert check_page(HttpCheck(name="home", url=f"http://app.example.test:{port}/")).outcome == "passed"
    assert hosts == [f"app.example.test:{port}"]


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["headers", "body"])
def test_a_page_that_comes_by_drops_has_the_time_of_the_whole(first: bytes) -> None:
    """Each drop is in time; all together they are not."""
    container = ContainerClient("http://127.0.0.1:9", "none")
    with sending(first, b"x", 0.02) as port:
        document = DocumentCheck(name="x", url=f"http://127.0.0.1:{port}/", blob="b", timeout_seconds=1)
        found = check_document(document, container, own=True)
    assert (found.outcome, found.detail) == ("failed", "expected the document, found ReadTimeout.")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://app:99999/", "out of range"),
        ("https://ada:secret@app/", "without user and password"),
        ("https:///path", "with a host name"),
        ("ftp://app/", "string_pattern_mismatch|should match pattern"),
    ],
)
def test_an_address_that_could_never_be_asked_is_refused_with_the_request(url: str, words: str) -> None:
    for check in (HttpCheck, DocumentCheck):
        with pytest.raises(ValidationError, match=words):
            check.model_validate(
                {"name": "home", "url": url, "blob": "b"} if check is DocumentCheck else {"name": "home", "url": url}
            )
    with pytest.raises(ValidationError, match="an http address has no certificate"):
        HttpCheck(name="home", url="http://app/", certificate_days=10)


@pytest.fixture
def tls(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of the test's own making, and the server's side of it."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificates.self_signed(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


def test_a_certificate_that_nobody_trusts_fails_and_one_that_ends_soon_too(
    tls: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, context = tls
    with serving(lambda *_: (200, b"ok"), context) as url:
        check = HttpCheck.model_validate({"name": "home", "url": url, "certificate_days": 1})
        assert "certificate" in check_page(check, own=True).detail.lower()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        good = check_page(check, own=True)
        assert good.outcome == "passed", good.detail
        assert "certificate valid for" in good.detail
        soon = check_page(check.model_copy(update={"certificate_days": 3650}), own=True)
        assert (soon.outcome, "more days only" in soon.detail) == ("failed", True)


def test_a_certificate_is_checked_in_the_urls_name_at_the_address_that_takes_the_connection(
    tls: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate is localhost's; nothing listens at the first address."""
    certificate, context = tls
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(addresses, "hosts", lambda *_, **__: ["127.0.0.9", "127.0.0.1"])
    with serving(lambda *_: (200, b"ok"), context) as url:
        port = url.rpartition(":")[2]
        good = check_page(HttpCheck(name="home", url=f"https://localhost:{port}/", certificate_days=1))
        other = check_page(HttpCheck(name="home", url=f"https://app.example.test:{port}/"))
    assert good.outcome == "passed", good.detail
    assert names == ["localhost", "localhost", "app.example.test"]
    assert (other.outcome, "certificate" in other.detail.lower()) == ("failed", True)


def test_a_document_is_the_bytes_of_its_blob(container: ContainerClient) -> None:
    content = bytes(range(256)) * 4000
    container.upload_blob("uuid-1", content)
    with serving(lambda _m, path, _h, _b: (200, content if "good" in path else content[:-1])) as url:
        good = DocumentCheck(name="invoice", url=f"{url}/file?good", blob="uuid-1")
        assert check_document(good, container, own=True).outcome == "passed"
        bad = check_document(good.model_copy(update={"url": f"{url}/file?bad"}), container, own=True)
        assert (bad.outcome, "1023999 bytes" in bad.detail) == ("failed", True)
        assert check_document(good.model_copy(update={"blob": "none"}), container, own=True).outcome == "failed"


SOURCE = {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ({}, 0),
        ({"start_target_app": "yes"}, 600),
        ({"start_target_app": "ask"}, 600),
        ({"options": {"target_mode": "runtime"}}, 600),
        ({"start_target_app": "yes", "smoke": {"retry_seconds": 0}}, 0),
        ({"smoke": {"retry_seconds": 30}}, 30),
    ],
)
def test_an_app_that_the_run_starts_has_time_to_answer(more: dict[str, object], seconds: int) -> None:
    request = MigrationRequest.model_validate({"source": SOURCE, "target": "demo", **more})
    assert request.smoke_patience_seconds == seconds


def test_checks_beyond_the_time_of_one_activity_have_failed_and_say_so(
    api_settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 901.0])
    monkeypatch.setattr(smoke.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(smoke, "check_page", lambda one, **_: Check(name=one.name, outcome="passed", how="asked"))
    checks = [{"name": name, "url": "https://app/"} for name in ("first", "second")]
    request = {"source": SOURCE, "target": "demo", "smoke": {"http": checks}}
    now = datetime.now(UTC)
    run = Run(id=runs.new_id(now), request=MigrationRequest.model_validate(request), created_at=now)
    found = smoke.smoke_tests.typed(RunWork(run=run))  # type: ignore[attr-defined]
    assert [one.outcome for one in found.checks] == ["passed", "failed"]
    assert "15 minutes together" in found.checks[1].detail
