"""An http server that hands out one archive the way pre-signed URLs do, and misbehaves when asked to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ArchiveServer:
    """`ranges`: serves parts. `drop_after`: cuts every answer after so many bytes. `status`: answers only that."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.etag = '"one"'
        self.ranges = True
        self.drop_after: int | None = None
        self.status: int | None = None
        self.requests: list[tuple[str, str]] = []
        self.url = ""

    @property
    def signed(self) -> str:
        return f"{self.url}/backups/snapshot.tar.gz?X-Amz-Signature=s3cr3t-signature&expires=8h"


@contextmanager
def serving(data: bytes) -> Iterator[ArchiveServer]:
    server = ArchiveServer(data)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.requests.append((self.command, self.headers.get("Range", "")))
            if server.status is not None:
                self.answer(server.status, b"")
            elif self.headers.get("If-Match", server.etag) != server.etag:
                self.answer(412, b"")
            elif server.ranges and self.headers.get("Range"):
                first, last = self.headers["Range"].removeprefix("bytes=").split("-")
                part = server.data[int(first) : int(last) + 1]
                end = int(first) + len(part) - 1
                self.answer(206, part, {"Content-Range": f"bytes {first}-{end}/{len(server.data)}"})
            else:
                self.answer(200, server.data)

        def do_HEAD(self) -> None:
            server.requests.append((self.command, ""))
            self.answer(403, b"")

        def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", server.etag)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            if server.drop_after is not None and len(body) > server.drop_after:
                self.wfile.write(body[: server.drop_after])
                self.close_connection = True
                self.wfile.flush()
                self.connection.shutdown(2)
            else:
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.handle_error = lambda *_: None  # type: ignore[method-assign]  # a cut connection is part of the plan
    server.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
