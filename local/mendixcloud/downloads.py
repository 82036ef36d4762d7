"""Pre-signed download URLs, as S3 makes them: signed for GET alone, for a time, with ranges and an ETag."""

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from aiohttp import web

from local.mendixcloud.environment import Archive, Environment
from local.mendixcloud.faults import Faults

PIECE = 1 << 18


@dataclass
class Downloads:
    """Signs URLs and serves them. `lifetime` is in seconds; Mendix Cloud's is eight hours."""

    environment: Environment
    faults: Faults
    lifetime: float = 8 * 3600
    ranges: bool = True
    base: str = ""
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def routes(self) -> list[web.RouteDef]:
        """Return the route table."""
        return [web.get("/download/{archive}/{name}", self.get, allow_head=False)]

    def url(self, archive: Archive) -> str:
        """Return the archive's URL; its lifetime begins when the archive is completed."""
        timing = archive.job.timing
        expires = int(archive.job.created + timing.queued + timing.running + self.lifetime)
        path = f"/download/{archive.job.id}/{archive.file_name}"
        query = {"X-Amz-Expires": str(expires), "X-Amz-Signature": self._signature(path, expires)}
        return f"{self.base}{path}?{urlencode(query)}"

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Serve the archive, or a range of it."""
        if denied := self._denied(request):
            return _denial(denied)
        found = self._archive(request.match_info["archive"])
        if found is None:
            return _denial("Access Denied")
        path = await asyncio.to_thread(self.environment.file_of, found)
        cut = self.faults.take(request, cuts=True)
        if cut is not None:
            return await self._cut(request, path, cut.cut_after or 0)
        if not self.ranges:
            return await self._whole(request, path)
        # FileResponse gives Accept-Ranges, ETag, If-Match and 416 as it should.
        return web.FileResponse(path, headers={"Content-Type": "application/octet-stream"})

    def expire(self) -> None:
        """Make every URL handed out so far invalid."""
        self._key = secrets.token_bytes(32)

    def _signature(self, path: str, expires: int) -> str:
        return hmac.new(self._key, f"GET {path} {expires}".encode(), hashlib.sha256).hexdigest()

    def _denied(self, request: web.Request) -> str | None:
        try:
            expires = int(request.query["X-Amz-Expires"])
        except (KeyError, ValueError):
            return "Access Denied"
        wanted = self._signature(request.path, expires)
        if not hmac.compare_digest(wanted, request.query.get("X-Amz-Signature", "")):
            return "The request signature we calculated does not match the signature you provided."
        return "Request has expired" if self.environment.now() > expires else None

    def _archive(self, archive: str) -> Archive | None:
        for snapshot in self.environment.snapshots.values():
            if archive in snapshot.archives:
                return snapshot.archives[archive]
        return None

    async def _whole(self, request: web.Request, path: Path) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length, _etag = _facts(path)
        await response.prepare(request)
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                await response.write(piece)
        await response.write_eof()
        return response

    async def _cut(self, request: web.Request, path: Path, after: int) -> web.StreamResponse:
        """Send the right headers and `after` bytes of what was asked for, then break the connection."""
        size, etag = _facts(path)
        asked = request.http_range if self.ranges else slice(0, None)
        start = asked.start or 0
        stop = min(asked.stop or size, size)
        partial = self.ranges and "Range" in request.headers
        response = web.StreamResponse(status=206 if partial else 200)
        response.content_length = stop - start
        if partial:
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        response.headers["ETag"] = etag
        await response.prepare(request)
        with path.open("rb") as file:
            file.seek(start)
            await response.write(file.read(min(after, stop - start)))
        if request.transport is not None:
            request.transport.abort()
        return response


def _facts(path: Path) -> tuple[int, str]:
    """Return a file's size and its ETag, made as aiohttp's FileResponse makes it."""
    found = path.stat()
    return found.st_size, f'"{found.st_mtime_ns:x}-{found.st_size:x}"'


def _denial(message: str) -> web.Response:
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>'
    )
    return web.Response(status=403, text=body, content_type="application/xml")
