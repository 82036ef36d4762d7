"""`GET /api/ui`: the page, and the few files it is made of. Anonymous: they hold no data, the API behind them asks for the key.

The page is static: `web/` is served as it lies there, with a content security policy that lets it load only itself.
"""

import functools
import json
from pathlib import Path

from api import caller
from api.http import Answer, Call, problem, with_etag

FOLDER = Path(__file__).parent.parent / "web"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


async def ui(call: Call) -> Answer:
    """Return the page."""
    return _answer(call, "index.html")


async def file(call: Call) -> Answer:
    """Return one of the page's files; names are looked up in a table, never joined to a path."""
    name = call.params["file"]
    if name not in _files():
        return problem(404, "UNKNOWN_FILE", "expected a file of the page, found another name.")
    return _answer(call, name)


def _answer(call: Call, name: str) -> Answer:
    body, content_type = _files()[name]
    return with_etag(call, Answer(200, body, content_type, HEADERS))


@functools.cache
def _files() -> dict[str, tuple[bytes, str]]:
    session = {"entra": caller.authenticated()}
    return {"session.json": (json.dumps(session).encode(), "application/json")} | {
        path.name: (path.read_bytes(), TYPES[path.suffix]) for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES
    }
