"""Checks over HTTP: a page, its certificate, a document against its blob; for anybody, or for somebody signed in."""

import hashlib
import ssl
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
from azure.core.exceptions import AzureError
from azure.storage.blob import ContainerClient

from shared.contracts import Check
from shared.request import DocumentCheck, HttpCheck
from shared.smoke import addresses
from shared.smoke.asking import PIECE, asked, beginning, connected
from shared.smoke.signin import SignIn, SignInError

NOBODY = SignIn(None)


def check_page(check: HttpCheck, *, sign_in: SignIn = NOBODY, own: bool = False) -> Check:
    """Get a page: its status, its text, and how long its certificate is still valid.

    `own` lets it ask addresses of this machine, as on a developer's.
    """
    name = f"smoke: {check.name}"
    how = f"GET {_shown(check)}, expecting status {check.status}"
    how += f" and the text {check.text!r}" if check.text else ""
    how += f" and a certificate valid for {check.certificate_days} days" if check.certificate_days is not None else ""
    started = time.monotonic()
    try:
        hosts, headers = addresses.hosts(check.url, own=own), _headers(check, sign_in)
        with asked(check.url, hosts, check.timeout_seconds, headers) as answer:
            status, body = answer.status_code, beginning(answer)
        days = _certificate_days(check, hosts) if check.certificate_days is not None else None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Check(name=name, outcome="failed", how=how, detail=_why("an answer", error))
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


def check_document(
    check: DocumentCheck, container: ContainerClient, *, sign_in: SignIn = NOBODY, own: bool = False
) -> Check:
    """Download a document from the app and compare its bytes with its blob's, by length and SHA-256; `own` as above."""
    name = f"smoke: {check.name}"
    how = f"GET {_shown(check)}, compared with blob {check.blob} by length and SHA-256"
    try:
        hosts, headers = addresses.hosts(check.url, own=own), _headers(check, sign_in)
        with asked(check.url, hosts, check.timeout_seconds, headers) as answer:
            if answer.status_code != 200:
                return Check(name=name, outcome="failed", how=how, detail=_refused(check, answer.status_code))
            handed = _digest(answer.iter_bytes(PIECE))
        stored = _digest(container.download_blob(check.blob).chunks())
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Check(name=name, outcome="failed", how=how, detail=_why("the document", error))
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


def _certificate_days(check: HttpCheck, hosts: list[str]) -> int:
    """Return the days until the server's certificate ends; whether it is trusted the request itself has found out."""
    parts = urlsplit(check.url)
    context = ssl.create_default_context()
    with (
        connected(hosts, parts.port or 443, check.timeout_seconds) as plain,
        context.wrap_socket(plain, server_hostname=parts.hostname) as secured,
    ):
        ends = str((secured.getpeercert() or {}).get("notAfter", ""))
    return int(
        (datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) - datetime.now(UTC)).total_seconds() // 86400
    )


def _refused(check: DocumentCheck, status: int) -> str:
    """Say what was found instead of a document; the runtime answers 401 or 404 to whom may not read one."""
    remedy = (
        "Look whether the user of APP__SMOKE_USER may read it."
        if check.signed_in
        else 'Say `"signed_in": true` where it is not for anybody.'
    )
    return f"expected 200, found {status}. {remedy}"


def _headers(check: HttpCheck | DocumentCheck, sign_in: SignIn) -> dict[str, str]:
    return sign_in.headers(check.url) if check.signed_in else {}


def _digest(blocks: object) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    for piece in blocks:  # type: ignore[attr-defined]  # httpx and the storage SDK share no type for this
        size += len(piece)
        digest.update(piece)
    return size, digest.hexdigest()


def _shown(check: HttpCheck | DocumentCheck) -> str:
    """Return a check's URL without what may be a secret in it, and whether somebody is signed in for it."""
    parts = urlsplit(check.url)
    shown = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
    return f"{shown} signed in" if check.signed_in else shown


def _why(expected: str, error: Exception) -> str:
    """Say what was found instead: an error's kind, what is wrong with a certificate or an address, but no query."""
    text = str(error)
    if isinstance(error, SignInError):
        return text
    if isinstance(error, addresses.OwnAddressError):
        found = f"an address that no smoke check asks: {text}"
    else:
        told = "certificate" in text.lower()
        found = f"{type(error).__name__}: {text[:200]}" if told else type(error).__name__
    return f"expected {expected}, found {found}."
