"""A stand-in for the target app: the part of a Mendix app that smoke checks ask, before the target's container.

`python -m local.targetapp --container NAME [--user NAME] [--port N]`; the user's password comes from MXFERRY_APP_PASSWORD,
the connection string of the storage account from MXFERRY_APP_STORAGE.

As the runtime does, it hands out documents (`/file?guid=…`) to a session only, gives one for user and password at `/xas/`,
and blocks a user after three wrong passwords. Unlike the runtime it asks no database: the `guid` is the blob's name.
"""

import argparse
import hmac
import json
import logging
import os
import secrets
import sys
import threading
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient

from local.engine import program

COOKIE = "XASSESSIONID"
USER = "smoke"
PASSWORD_VARIABLE, STORAGE_VARIABLE = "MXFERRY_APP_PASSWORD", "MXFERRY_APP_STORAGE"
MOST_WRONG = 3
"""Wrong passwords after which the runtime blocks a user."""
MOST = 64 * 1024
"""Bytes of a posted action that are read."""

Answer = tuple[int, bytes, str | None]
"""Status, body, and the session that a cookie names, if one is given."""


class TargetApp:
    """What the app knows: one user, its sessions, the container of its files."""

    def __init__(self, files: ContainerClient, password: str, user: str = USER) -> None:
        self.files, self.user, self._password = files, user, password
        self.sessions: dict[str, str] = {}
        """Token of each session, by its id."""
        self.logins = self.wrong = 0

    def page(self) -> Answer:
        """Answer `/`."""
        return 200, b"<!doctype html><title>Mendix</title>", None

    def file(self, guid: str, session: str | None) -> Answer:
        """Answer `/file?guid=…`: 401 to nobody, 404 for what is not there."""
        if session not in self.sessions:
            return 401, b"", None
        try:
            return 200, self.files.download_blob(guid).readall(), None
        except ResourceNotFoundError:
            return 404, b"", None

    def act(self, posted: dict[str, Any], session: str | None, token: str) -> Answer:
        """Answer an action of `/xas/`: `login` or `logout`."""
        if posted["action"] == "login":
            return self._login(str(posted["params"]["username"]), str(posted["params"]["password"]))
        if posted["action"] == "logout" and session and hmac.compare_digest(self.sessions.get(session, ""), token):
            del self.sessions[session]
            return 200, b"{}", None
        return 560, b'{"type": "exception"}', None

    def _login(self, user: str, password: str) -> Answer:
        self.logins += 1
        right = hmac.compare_digest(password.encode(), self._password.encode()) and user == self.user
        if self.wrong >= MOST_WRONG or not right:
            self.wrong += user == self.user
            return 401, b"{}", None
        self.wrong = 0
        session = secrets.token_urlsafe(16)
        self.sessions[session] = secrets.token_urlsafe(16)
        return 200, json.dumps({"csrftoken": self.sessions[session]}).encode(), session


def serve(app: TargetApp, port: int = 0) -> ThreadingHTTPServer:
    """Serve the app on loopback, on a thread; the caller shuts it down."""

    class Handler(BaseHTTPRequestHandler):
        def _session(self) -> str | None:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
            return found.value if found else None

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            if asked.path == "/":
                self._answer(*app.page())
            elif asked.path == "/file":
                self._answer(*app.file("".join(parse_qs(asked.query).get("guid", [])), self._session()))
            else:
                self._answer(404, b"", None)

        def do_POST(self) -> None:
            body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MOST))
            try:
                answer = app.act(json.loads(body), self._session(), self.headers.get("X-Csrf-Token", ""))
            except (ValueError, KeyError, TypeError):
                answer = 400, b"", None
            self._answer(*answer)

        def _answer(self, status: int, body: bytes, session: str | None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if session:
                self.send_header("Set-Cookie", f"{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing: the address of a document is nobody's business."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m local.targetapp", description="A stand-in for the target app.")
    parser.add_argument("--container", required=True, help="container of the app's files")
    parser.add_argument("--user", default=USER, help=f"the only user ({USER})")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    given = parser.parse_args()
    program.log_to_stderr(logging.WARNING)  # the storage SDK logs every request as information
    with BlobServiceClient.from_connection_string(os.environ[STORAGE_VARIABLE]) as service:
        app = TargetApp(service.get_container_client(given.container), os.environ[PASSWORD_VARIABLE], given.user)
        server = serve(app, given.port)
        port = server.server_address[1]
        program.ready(port=port, address=f"http://127.0.0.1:{port}", user=given.user, pid=os.getpid())
        program.wait_for_signal()
        server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
