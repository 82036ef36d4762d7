"""Checks over HTTP: a page, its certificate, a document against its blob.

The address that was looked at (`shared.smoke.addresses`) is the one that is asked: a name that is resolved twice may mean
another the second time.
"""

import hashlib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
from azure.core.exceptions import AzureError
from azure.storage.blob import ContainerClient

from shared.contracts import Check
from shared.request import DocumentCheck, HttpCheck
from shared.smoke import addresses

MOST = 1024 * 1024
"""Bytes of a page that are looked through for the text."""
PIECE = 256 * 1024


def check_page(check: HttpCheck, *, own: bool = False) -> Check:
    """Get a page: its status, its text, and how long its certificate is still valid.

    `own` lets it ask addresses of this machine, as on a developer's.
    """
    name = f"smoke: {check.name}"
    how = f"GET {_shown(check.url)}, expecting status {check.status}"
    how += f" and the text {check.text!r}" if check.text else ""
    how += f" and a certificate valid for {check.certificate_days} days" if check.certificate_days is not None else ""
    started = time.monotonic()
    try:
        hosts = addresses.hosts(check.url, own=own)
        status, body = _get(check.url, hosts, check.timeout_seconds)
        days = _certificate_days(check, hosts) if check.certificate_days is not None else None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Check(name=name, outcome="failed", how=how, detail=f"expected an answer, found {_why(error)}.")
    took = f"in {time.monotonic() - started:.2f} s"
    if status != check.status:
        return Check(name=name, outcome="failed", how=how, detail=f"expected {check.status}, found {status} {took}.")
    if check.text and check.text not in body.decode("utf-8", "replace"):
        return Check(
            name=name, outcome="failed", how=how, detail=f"the text is not in the first MiB of the answer ({took})."
        )
    if days is not None and days < (check.certificate_days or 0):
        return Check(
            name=name, outcome="failed", how=how, detail=f"the certificate is valid for {days} more days only."
        )
    valid = f", certificate valid for {days} days" if days is not None else ""
    return Check(name=name, outcome="passed", how=how, detail=f"status {status} {took}{valid}.")


def check_document(check: DocumentCheck, container: ContainerClient, *, own: bool = False) -> Check:
    """Download a document from the app and compare its bytes with its blob's, by length and SHA-256; `own` as above."""
    name = f"smoke: {check.name}"
    how = f"GET {_shown(check.url)}, compared with blob {check.blob} by length and SHA-256"
    try:
        until = time.monotonic() + check.timeout_seconds
        with _asked(check.url, addresses.hosts(check.url, own=own), check.timeout_seconds) as answer:
            if answer.status_code != 200:
                return Check(name=name, outcome="failed", how=how, detail=f"expected 200, found {answer.status_code}.")
            handed = _digest(_until(until, answer))
        stored = _digest(container.download_blob(check.blob).chunks())
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Check(name=name, outcome="failed", how=how, detail=f"expected the document, found {_why(error)}.")
    except AzureError as error:
        return Check(name=name, outcome="failed", how=how, detail=f"expected the blob, found {type(error).__name__}.")
    if handed != stored:
        return Check(
            name=name, outcome="failed", how=how,
            detail=f"the app hands out {handed[0]} bytes, the blob has {stored[0]}; SHA-256 {handed[1][:12]}… and {stored[1][:12]}…",
        )  # fmt: skip
    return Check(
        name=name, outcome="passed", how=how, detail=f"{handed[0]} bytes, SHA-256 {handed[1][:12]}… on both sides."
    )


@contextmanager
def _asked(url: str, hosts: list[str], timeout: float) -> Iterator[httpx.Response]:
    """Get the URL from the first of these hosts that takes the connection, in the name that the URL has.

    A host that stays silent has its share of the time, not all of it.
    """
    named = httpx.URL(url)
    headers, extensions = {"Host": named.netloc.decode()}, {"sni_hostname": named.host}
    with httpx.Client(timeout=httpx.Timeout(timeout, connect=timeout / len(hosts)), follow_redirects=False) as client:
        for last, host in enumerate(hosts, start=1 - len(hosts)):
            try:
                with client.stream("GET", named.copy_with(host=host), headers=headers, extensions=extensions) as answer:
                    yield answer
                    return
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if last == 0:
                    raise


def _connected(hosts: list[str], port: int, timeout: float) -> socket.socket:
    """Return a connection to the first of these hosts that takes one, as `_asked` does."""
    for last, host in enumerate(hosts, start=1 - len(hosts)):
        try:
            return socket.create_connection((host, port), timeout=timeout / len(hosts))
        except OSError:
            if last == 0:
                raise
    raise AssertionError


def _until(until: float, answer: httpx.Response) -> Iterator[bytes]:
    """Yield the answer's bytes; one that comes by drops has the time of the whole, not of each drop."""
    for block in answer.iter_bytes(PIECE):
        if time.monotonic() > until:
            raise httpx.ReadTimeout("the whole answer took too long")
        yield block


def _get(url: str, hosts: list[str], timeout: float) -> tuple[int, bytes]:
    until = time.monotonic() + timeout
    with _asked(url, hosts, timeout) as answer:
        body = b""
        for block in _until(until, answer):
            body += block
            if len(body) > MOST:
                break
        return answer.status_code, body


def _certificate_days(check: HttpCheck, hosts: list[str]) -> int:
    """Return the days until the server's certificate ends; whether it is trusted the request itself has found out."""
    parts = urlsplit(check.url)
    context = ssl.create_default_context()
    with (
        _connected(hosts, parts.port or 443, check.timeout_seconds) as plain,
        context.wrap_socket(plain, server_hostname=parts.hostname) as secured,
    ):
        ends = str((secured.getpeercert() or {}).get("notAfter", ""))
    return int(
        (datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) - datetime.now(UTC)).total_seconds() // 86400
    )


def _digest(pieces: object) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    for piece in pieces:  # type: ignore[attr-defined]  # httpx and the storage SDK share no type for this
        size += len(piece)
        digest.update(piece)
    return size, digest.hexdigest()


def _shown(url: str) -> str:
    """Return a URL without what may be a secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _why(error: Exception) -> str:
    """Return an error's kind, and what is wrong with a certificate or an address, but no address with a query."""
    text = str(error)
    if isinstance(error, addresses.OwnAddressError):
        return f"an address that no smoke check asks: {text}"
    return f"{type(error).__name__}: {text[:200]}" if "certificate" in text.lower() else type(error).__name__
