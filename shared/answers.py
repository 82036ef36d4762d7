"""Answers over HTTP that are bounded in time and bytes, whatever the other side does.

httpx's time-outs are for one read each: a server that sends a byte a minute, of its headers even, keeps a caller for
days, and one that never ends its body fills the memory. So the sockets of a request are shut down when its time is over.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx

WHOLE = 60.0
"""Seconds of a whole answer where nothing else is said."""
MOST = 4 * 1024 * 1024
"""Bytes of an answer that is read whole: a page of snapshots, a Deployment, have some hundred kilobytes at most."""

CONNECTED = "connection.connect_tcp.complete"
ABOUT_THE_BODY = frozenset((b"content-encoding", b"content-length", b"transfer-encoding"))


def ask(client: httpx.Client, method: str, url: str, *, seconds: float = WHOLE, **request: Any) -> httpx.Response:
    """Return the whole answer, `request` being what httpx takes of headers, query and body.

    Raises httpx.ReadTimeout when it is not there after `seconds`, httpx.ReadError when it is longer than `MOST`, and
    httpx's other errors.
    """
    with within(seconds) as extensions, client.stream(method, url, extensions=extensions, **request) as answer:
        body = bytearray()
        for piece in answer.iter_bytes():
            body += piece
            if len(body) > MOST:
                raise httpx.ReadError(f"an answer of more than {MOST:,} bytes", request=answer.request)
        headers = [one for one in answer.headers.raw if one[0].lower() not in ABOUT_THE_BODY]
    return httpx.Response(answer.status_code, headers=headers, content=bytes(body), request=answer.request)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the extensions of one or more requests that have `seconds` together: for what is done inside the `with`.

    Raises httpx.ReadTimeout when the time is over, even if the answer seems to have ended: a body without a length ends
    with its connection. Only connections that are made inside count, so let a client be made inside too.
    """
    watch = _Watch()
    timer = threading.Timer(seconds, watch.end)
    timer.daemon = True
    timer.start()
    try:
        yield {"trace": watch.trace}
    except httpx.HTTPError as error:
        # A request that was never sent is told as such: whoever may send it once only can go by that.
        if not watch.ended or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            raise
    finally:
        timer.cancel()
        watch.forget()
    if watch.ended:
        raise httpx.ReadTimeout(f"the whole answer took more than {seconds:g} seconds")


class _Watch:
    """The connections of some requests, and whether their time is over."""

    def __init__(self) -> None:
        self.ended = False
        self._copies: list[socket.socket] = []
        self._lock = threading.Lock()

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Take httpx's trace: note each connection that is made (https://www.python-httpx.org/advanced/extensions/)."""
        if event != CONNECTED:
            return
        made: socket.socket = info["return_value"].get_extra_info("socket")
        with self._lock:
            # A descriptor of our own: the connection's may be closed, and given to somebody else's, at any time. And
            # without TLS: an SSLSocket that is shut down fails otherwise than a broken one.
            self._copies.append(socket.socket(fileno=os.dup(made.fileno())))
        if self.ended:
            self.end()

    def end(self) -> None:
        """Shut the connections down: a read that waits ends with an error, or as if the answer had ended."""
        with self._lock:
            self.ended = True
            for one in self._copies:
                with contextlib.suppress(OSError):  # it is closed already
                    one.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """Watch no longer."""
        with self._lock:
            while self._copies:
                self._copies.pop().close()
