"""Asks the addresses that were looked at, in the name that the URL has; no redirect is followed.

A name that is resolved twice may mean another address the second time, so both steps are apart: `shared.smoke.addresses`
gives the addresses, and nothing here resolves a name again.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from shared.answers import within

MOST = 1024 * 1024
"""Bytes of an answer that are looked through."""
PIECE = 256 * 1024


@contextmanager
def asked(
    url: str, hosts: list[str], timeout: float, headers: Mapping[str, str], *, posted: dict[str, Any] | None = None
) -> Iterator[httpx.Response]:
    """Ask the first of these hosts that takes the connection: GET, or POST of JSON if there is any.

    A host that stays silent has its share of the time, not all of it. What is done with the answer, inside the `with`,
    counts: an answer that comes by drops has the time of the whole, not of each drop.
    """
    named = httpx.URL(url)
    sent = {**headers, "Host": named.netloc.decode()}
    method = "GET" if posted is None else "POST"
    limits = httpx.Timeout(timeout, connect=timeout / len(hosts))
    with within(timeout) as watched, httpx.Client(timeout=limits, follow_redirects=False) as client:
        extensions = {**watched, "sni_hostname": named.host}
        for last, host in enumerate(hosts, start=1 - len(hosts)):
            there = named.copy_with(host=host)
            try:
                with client.stream(method, there, headers=sent, extensions=extensions, json=posted) as answer:
                    yield answer
                    return
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if last == 0:
                    raise


def connected(hosts: list[str], port: int, timeout: float) -> socket.socket:
    """Return a connection to the first of these hosts that takes one, as `asked` does."""
    for last, host in enumerate(hosts, start=1 - len(hosts)):
        try:
            return socket.create_connection((host, port), timeout=timeout / len(hosts))
        except OSError:
            if last == 0:
                raise
    raise AssertionError


def beginning(answer: httpx.Response) -> bytes:
    """Return the answer's first bytes, about as many as `MOST`."""
    body = b""
    for block in answer.iter_bytes(PIECE):
        body += block
        if len(body) > MOST:
            break
    return body
