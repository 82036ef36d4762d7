"""A snapshot at a URL. The URL may be pre-signed, so it lives in a staging blob and nowhere else.

The HTTP trigger stows it before the run is recorded; activities read it back; it is deleted when the archive is staged.
A pre-signed URL is signed for one method, so everything here is a GET: HEAD would be refused by S3.
"""

import base64
import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
from azure.core.exceptions import ResourceNotFoundError

from shared import answers, runpaths
from shared.blobs.clients import staged
from shared.errors import Refusal, TransientError
from shared.settings import settings
from shared.snapshot.layout import SNIFF, sniff
from shared.snapshot.origin import OriginFacts, changed, is_strong

CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,19})-[0-9]{1,19}|\*)/([0-9]{1,19})\Z")
LENGTH = re.compile(r"[0-9]{1,19}\Z")  # `isdigit` takes more than `int` does
TIMEOUT = httpx.Timeout(30, read=120)
MOST_SECONDS = 600  # for one `read`, of 16 MiB at most: a source slower than this could not be staged in a day
FACTS_SECONDS = 120  # for the first bytes, by which the archive is known
HEADERS_SECONDS = 120  # for an answer to begin, redirects and all
MOST_REDIRECTS = 5
FRUITLESS = 4  # answers in a row that bring less than `PROGRESS`
PROGRESS = 64 * 1024  # bytes; some servers answer a range with its beginning only
EXPIRED = {401, 403, 410}


def stow_source_url(run_id: str, url: str) -> None:
    """Keep the run's source URL in staging, where only activities read it. Raises `Refusal` SOURCE_URL_INVALID."""
    staged(run_id, runpaths.SOURCE_URL).upload_blob(checked_url(url).encode(), overwrite=True)


def source_url(run_id: str) -> str:
    """Return the stowed URL; it is a secret. Raises `Refusal` SOURCE_URL_GONE."""
    try:
        return bytes(staged(run_id, runpaths.SOURCE_URL).download_blob().readall()).decode()
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
        staged(run_id, runpaths.SOURCE_URL).delete_blob()
    except ResourceNotFoundError:
        return


def checked_url(url: str) -> str:
    """Return the URL. Raises `Refusal` SOURCE_URL_INVALID unless it is https (or http where settings allow it)."""
    allowed = ("https", "http") if settings().allow_http_sources else ("https",)
    try:
        parts, known = urlsplit(url), httpx.URL(url)
        if known.scheme in allowed and known.host:
            return url
        label, found = label_of(url), f"scheme {parts.scheme or 'none'!r}"
    except (ValueError, httpx.InvalidURL):
        label, found = "source URL", "one that cannot be read"
    raise Refusal(
        "SOURCE_URL_INVALID",
        label,
        f"expected an {' or '.join(allowed)} URL with a host name, found {found}.",
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
            first = self._sniffed(answer)
            size, etag = _total(answer), answer.headers.get("ETag")
            return OriginFacts(
                size=size,
                etag=etag,
                modified=None if is_strong(etag) else answer.headers.get("Last-Modified"),
                md5=_md5(answer),
                ranges=answer.status_code == httpx.codes.PARTIAL_CONTENT and size is not None,
                layout=sniff(first),
            )

    def _sniffed(self, answer: httpx.Response) -> bytes:
        """Return the first bytes; a source that lets them trickle is given up."""
        first, started = bytearray(), time.monotonic()
        for piece in _first(answer, SNIFF):
            first += piece
            if time.monotonic() - started > FACTS_SECONDS:
                break
        else:
            return bytes(first)
        raise TransientError(
            "SOURCE_DROPPED",
            self.label,
            f"expected the first {SNIFF:,} bytes within {FACTS_SECONDS} seconds, found {len(first):,}.",
        )

    def copy_url(self) -> str:
        """Return the URL itself; the storage service can follow it if the source is open to it."""
        return self._url

    def read(self, offset: int, length: int, facts: OriginFacts) -> bytes:
        """Return exactly `length` bytes of the version of `facts`.

        A dropped connection is resumed where it broke. Raises `Refusal` SOURCE_CHANGED.
        """
        data = bytearray()
        started, fruitless = time.monotonic(), 0
        while len(data) < length and fruitless < FRUITLESS and time.monotonic() - started < MOST_SECONDS:
            before = len(data)
            headers = {"Range": f"bytes={offset + before}-{offset + length - 1}", **_pinned(facts)}
            try:
                with self._get(headers) as answer:
                    self._refuse_other(answer, facts, offset + before)
                    for piece in _first(answer, length - before):
                        data += piece
                        if time.monotonic() - started > MOST_SECONDS:
                            break
            except TransientError:
                if len(data) == before:
                    raise  # no progress: the orchestrator's policy decides
            fruitless = 0 if len(data) - before >= PROGRESS else fruitless + 1
        if len(data) < length:
            raise TransientError(
                "SOURCE_DROPPED", self.label, f"expected {length:,} bytes, found {len(data):,} and an end."
            )
        return bytes(data)

    def stream(self, facts: OriginFacts) -> Iterator[bytes]:
        """Yield the whole archive from its start. Raises `Refusal` SOURCE_CHANGED."""
        with self._get(_pinned(facts)) as answer:
            self._refuse_other(answer, facts, None)
            yield from answer.iter_raw()

    def _refuse_other(self, answer: httpx.Response, facts: OriginFacts, start: int | None) -> None:
        """Refuse an answer that is not of the version of `facts`, or not what was asked for; not all heed If-Match."""
        if start is not None:
            if answer.status_code != httpx.codes.PARTIAL_CONTENT:
                raise changed(self.label, "that it no longer serves parts")
            told = CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
            if told is None or int(told[1] or -1) != start:
                raise TransientError(
                    "SOURCE_DROPPED", self.label, f"expected the bytes from {start:,} on, found others."
                )
        for name, wanted in (("ETag", facts.etag), ("Last-Modified", facts.modified)):
            found = answer.headers.get(name)
            if wanted is not None and found != wanted:
                raise changed(self.label, f"{name} {found or 'no longer told'} instead of {wanted}")
        if (size := _total(answer)) is not None and facts.size is not None and size != facts.size:
            raise changed(self.label, f"{size:,} bytes instead of {facts.size:,}")

    @contextmanager
    def _get(self, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """GET the URL; no error that leaves here names it."""
        accept = {"Accept-Encoding": "identity", **headers}  # or a .gz could arrive inflated
        try:
            with httpx.Client(timeout=TIMEOUT, follow_redirects=False) as client:
                answer = self._begun(client, client.build_request("GET", self._url, headers=accept))
                try:
                    _refuse(answer, self.label)
                    yield answer
                finally:
                    answer.close()
        except httpx.HTTPError as error:
            what = type(error).__name__
            raise TransientError("SOURCE_UNREACHABLE", self.label, f"expected an answer, found {what}.") from None

    def _begun(self, client: httpx.Client, request: httpx.Request) -> httpx.Response:
        """Return the answer once its headers are there, after a few redirects at most."""
        with answers.within(HEADERS_SECONDS) as watched:
            for _ in range(1 + MOST_REDIRECTS):
                request.extensions |= watched
                answer = client.send(request, stream=True)
                if answer.next_request is None:
                    break
                checked_url(str(answer.next_request.url))
                request = answer.next_request
                answer.close()
        return answer


def _first(answer: httpx.Response, most: int) -> Iterator[bytes]:
    """Yield the first `most` bytes of the answer, and take no more of it."""
    for piece in answer.iter_raw():
        yield piece[:most]
        most -= len(piece)
        if most <= 0:
            return


def _total(answer: httpx.Response) -> int | None:
    """Return the bytes of the whole archive, where the answer tells them."""
    if answer.status_code == httpx.codes.PARTIAL_CONTENT:
        told = CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
        return int(told[2]) if told else None
    length = answer.headers.get("Content-Length", "")
    return int(length) if LENGTH.match(length) and "Content-Encoding" not in answer.headers else None


def _md5(answer: httpx.Response) -> str | None:
    """Return the MD5 of the whole archive, where the answer tells it; Content-MD5 is that of what was sent."""
    told = answer.headers.get("x-ms-blob-content-md5")
    if told is None and answer.status_code == httpx.codes.OK:
        told = answer.headers.get("Content-MD5")
    try:
        found = base64.b64decode(told or "", validate=True)
    except ValueError:
        return None
    return found.hex() if len(found) == hashlib.md5(usedforsecurity=False).digest_size else None


def _pinned(facts: OriginFacts) -> dict[str, str]:
    """Return the headers that ask for the version of `facts` and no other, as far as it can be asked for."""
    if is_strong(facts.etag):
        return {"If-Match": str(facts.etag)}
    return {"If-Unmodified-Since": facts.modified} if facts.modified else {}


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
        raise changed(label, "another version")
    if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        if answer.request.headers.get("Range", "").startswith("bytes=0-"):
            sniff(b"")  # not even the first byte is there
        raise changed(label, "a shorter one")
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
        raise TransientError("SOURCE_BUSY", label, f"expected the archive, found status {status}.")
    raise Refusal("SOURCE_REFUSED", label, f"expected the archive, found status {status}.", "Check the URL.")
