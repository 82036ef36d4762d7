"""A snapshot at a URL. The URL may be pre-signed, so it lives in a staging blob and nowhere else.

The HTTP trigger stows it before the run is recorded; activities read it back; it is deleted when the archive is staged.
A pre-signed URL is signed for one method, so everything here is a GET: HEAD would be refused by S3.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
from azure.core.exceptions import ResourceNotFoundError

from shared.errors import Refusal, TransientError
from shared.settings import settings
from shared.snapshot.layout import SNIFF, sniff
from shared.snapshot.places import SOURCE_URL, staged
from shared.sources.origin import OriginFacts

CONTENT_RANGE = re.compile(r"bytes [0-9]+-[0-9]+/([0-9]+)\Z")
TIMEOUT = httpx.Timeout(30, read=120)
EXPIRED = {401, 403, 410}


def stow_source_url(run_id: str, url: str) -> None:
    """Keep the run's source URL in staging, where only activities read it. Raises `Refusal` SOURCE_URL_INVALID."""
    staged(run_id, SOURCE_URL).upload_blob(checked_url(url).encode(), overwrite=True)


def source_url(run_id: str) -> str:
    """Return the stowed URL; it is a secret. Raises `Refusal` SOURCE_URL_GONE."""
    try:
        return bytes(staged(run_id, SOURCE_URL).download_blob().readall()).decode()
    except ResourceNotFoundError:
        raise Refusal(
            "SOURCE_URL_GONE",
            run_id,
            "expected the source URL in staging, found none.",
            "Start the migration again with the URL.",
        ) from None


def forget_source_url(run_id: str) -> None:
    """Delete the stowed URL, if there is one."""
    try:
        staged(run_id, SOURCE_URL).delete_blob()
    except ResourceNotFoundError:
        return


def checked_url(url: str) -> str:
    """Return the URL. Raises `Refusal` SOURCE_URL_INVALID unless it is https (or http where settings allow it)."""
    parts = urlsplit(url)
    allowed = ("https", "http") if settings().allow_http_sources else ("https",)
    if parts.scheme in allowed and parts.hostname:
        return url
    raise Refusal(
        "SOURCE_URL_INVALID",
        label_of(url),
        f"expected an {' or '.join(allowed)} URL with a host name, found scheme {parts.scheme or 'none'!r}.",
        "Give the download URL as it was handed out.",
    )


def label_of(url: str) -> str:
    """Return the URL's host and file name, without the query that may sign it."""
    parts = urlsplit(url)
    return f"{parts.hostname or '?'}/…/{parts.path.rsplit('/', 1)[-1]}"[:200]


class UrlOrigin:
    """An `Origin` behind http(s)."""

    def __init__(self, url: str) -> None:
        self._url = checked_url(url)

    @property
    def label(self) -> str:
        """Return the host and the file's name."""
        return label_of(self._url)

    def facts(self) -> OriginFacts:
        """Look at the first bytes. Raises `Refusal` SOURCE_URL_EXPIRED, SOURCE_MISSING or of `sniff`."""
        with self._get({"Range": f"bytes=0-{SNIFF - 1}"}) as answer:
            first = _take(answer.iter_raw(), SNIFF)
            ranges = answer.status_code == httpx.codes.PARTIAL_CONTENT
            if ranges:
                told = CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
                size = int(told[1]) if told else None
            else:
                length = answer.headers.get("Content-Length", "")
                size = int(length) if length.isdigit() and "Content-Encoding" not in answer.headers else None
            etag = answer.headers.get("ETag")
        strong = etag if etag and not etag.startswith("W/") else None  # If-Match compares strongly (RFC 9110, 13.1.1)
        return OriginFacts(size=size, etag=strong, ranges=ranges and size is not None, layout=sniff(first))

    def copy_url(self) -> str:
        """Return the URL itself; the storage service can follow it if the source is open to it."""
        return self._url

    def read(self, offset: int, length: int, etag: str | None) -> bytes:
        """Return exactly `length` bytes of the version `etag`; a dropped connection is resumed where it broke."""
        data = bytearray()
        for _attempt in range(4):
            start = offset + len(data)
            headers = {"Range": f"bytes={start}-{offset + length - 1}"} | ({"If-Match": etag} if etag else {})
            try:
                with self._get(headers) as answer:
                    if answer.status_code != httpx.codes.PARTIAL_CONTENT:
                        raise _changed(self.label, "it no longer serves parts")
                    for piece in answer.iter_raw():
                        data += piece
            except TransientError:
                if len(data) == start - offset:
                    raise  # no progress: the orchestrator's policy decides
            if len(data) >= length:
                del data[length:]  # and no slice: it would be the whole block once more
                return bytes(data)
        raise TransientError(
            "SOURCE_DROPPED", self.label, f"expected {length:,} bytes, found {len(data):,} and an end."
        )

    def stream(self, etag: str | None) -> Iterator[bytes]:
        """Yield the whole archive from its start."""
        with self._get({"If-Match": etag} if etag else {}) as answer:
            yield from answer.iter_raw()

    @contextmanager
    def _get(self, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """GET the URL; no error that leaves here names it."""
        accept = {"Accept-Encoding": "identity", **headers}  # or a .gz could arrive inflated
        try:
            with httpx.Client(timeout=TIMEOUT, follow_redirects=False) as client:
                request, hops = client.build_request("GET", self._url, headers=accept), 0
                answer = client.send(request, stream=True)
                while answer.next_request is not None and hops < 5:
                    checked_url(str(answer.next_request.url))
                    request, hops = answer.next_request, hops + 1
                    answer.close()
                    answer = client.send(request, stream=True)
                try:
                    _refuse(answer, self.label)
                    yield answer
                finally:
                    answer.close()
        except httpx.HTTPError as error:
            what = type(error).__name__
            raise TransientError("SOURCE_UNREACHABLE", self.label, f"expected an answer, found {what}.") from None


def _take(pieces: Iterator[bytes], most: int) -> bytes:
    data = b""
    for piece in pieces:
        data += piece
        if len(data) >= most:
            break
    return data[:most]


def _refuse(answer: httpx.Response, label: str) -> None:
    status = answer.status_code
    if status in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        return
    if status in EXPIRED:
        raise Refusal(
            "SOURCE_URL_EXPIRED",
            label,
            f"expected the archive, found status {status}: the URL has expired or was never allowed to read it.",
            "Ask for a new download URL and start the migration again.",
        )
    if status == httpx.codes.NOT_FOUND:
        raise Refusal("SOURCE_MISSING", label, "expected an archive, found status 404.", "Check the URL.")
    if status == httpx.codes.PRECONDITION_FAILED:
        raise _changed(label, "another version")
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
        raise TransientError("SOURCE_BUSY", label, f"expected the archive, found status {status}.")
    raise Refusal("SOURCE_REFUSED", label, f"expected the archive, found status {status}.", "Check the URL.")


def _changed(label: str, found: str) -> Refusal:
    return Refusal(
        "SOURCE_CHANGED",
        label,
        f"expected the same archive throughout the run, found {found}.",
        "Leave the archive alone while it is being copied, and start the migration again.",
    )
