"""An http server that hands out one archive the way pre-signed URLs do, and misbehaves when asked to."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ArchiveServer:
    """A server whose attributes say how it answers; a test may change them between two requests."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.etag: str | None = '"one"'
        self.modified: str | None = None
        self.headers: dict[str, str] = {}
        self.ranges = True  # serves parts
        self.conditions = True  # heeds If-Match
        self.drop_after: int | None = None  # cuts every answer after so many bytes
        self.most: int | None = None  # bytes of an answer to a range; it says so
        self.to_the_end = False  # answers a range with all that follows
        self.shifted = 0  # bytes by which every answer begins too late
        self.endless = False  # sends zeros for ever, in chunks
        self.trickles: Callable[[], None] | None = (
            None  # sends an answer byte by byte, for ever late; called before each
        )
        self.status: int | None = None  # answers only that
        self.requests: list[tuple[str, str]] = []
        self.sent = 0  # bytes
        self.url = ""

    @property
    def signed(self) -> str:
        return f"{self.url}/backups/snapshot.tar.gz?X-Amz-Signature=s3cr3t-signature&expires=8h"

    def part(self, asked: str) -> tuple[int, bytes]:
        """Where the answer to a range begins, and its bytes."""
        first, last = map(int, asked.removeprefix("bytes=").split("-"))
        first += self.shifted
        stop = len(self.data) if self.to_the_end else last + 1
        return first, self.data[first : min(stop, first + (self.most or len(self.data)))]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    serves: ArchiveServer

    def do_GET(self) -> None:
        serves, asked = self.serves, self.headers.get("Range", "")
        serves.requests.append((self.command, asked))
        if serves.status is not None:
            self.answer(serves.status, b"")
        elif serves.conditions and self.headers.get("If-Match", serves.etag) != serves.etag:
            self.answer(412, b"")
        elif serves.endless:
            self.zeros()
        elif serves.ranges and asked:
            first, part = serves.part(asked)
            size = len(serves.data)
            if part:
                self.answer(206, part, {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{size}"})
            else:
                self.answer(416, b"", {"Content-Range": f"bytes */{size}"})
        else:
            self.answer(200, serves.data)

    def do_HEAD(self) -> None:
        self.serves.requests.append((self.command, ""))
        self.answer(403, b"")

    def head(self, status: int, headers: dict[str, str]) -> None:
        known = {"ETag": self.serves.etag, "Last-Modified": self.serves.modified}
        self.send_response(status)
        for name, value in {**known, **self.serves.headers, **headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.head(status, {"Content-Length": str(len(body)), **(headers or {})})
        after = self.serves.drop_after
        if after is not None and len(body) > after:
            self.wfile.write(body[:after])
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(2)
        elif self.serves.trickles is not None:
            for at in range(len(body)):
                self.serves.trickles()
                self.wfile.write(body[at : at + 1])
                time.sleep(0.01)
        else:
            self.wfile.write(body)

    def zeros(self) -> None:
        self.head(200, {"Transfer-Encoding": "chunked"})
        chunk = self.serves.data[: 1 << 16]
        while True:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.serves.sent += len(chunk)
            chunk = bytes(1 << 16)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(data: bytes) -> Iterator[ArchiveServer]:
    server = ArchiveServer(data)
    listener = ThreadingHTTPServer(("127.0.0.1", 0), type("Serving", (Handler,), {"serves": server}))
    listener.handle_error = lambda *_: None  # type: ignore[method-assign]  # a cut connection is part of the plan
    server.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
