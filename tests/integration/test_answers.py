"""Answers that never end: headers by the byte, bodies by the byte, bodies without end, over plain connections and TLS."""

from pathlib import Path

import httpx
import pytest

from local.certificates import self_signed
from shared import answers
from tests.fixtures.slowserver import CERTIFICATE, KEY, sending

WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Told: yes\r\n\r\nok"
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n"
LIMIT = 0.5


def test_an_answer_in_time_is_given_whole() -> None:
    with sending(WELL, b"", 0) as port, httpx.Client() as client:
        answer = answers.ask(client, "GET", f"http://127.0.0.1:{port}", seconds=30)
    assert (answer.status_code, answer.text, answer.headers["X-Told"]) == (200, "ok", "yes")


@pytest.mark.parametrize(
    "first", [pytest.param(b"HTTP/1.1 200 OK\r\nX: ", id="headers"), pytest.param(ENDLESS, id="body")]
)
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
def test_an_answer_that_comes_by_the_byte_is_given_up(first: bytes, secured: bool, tmp_path: Path) -> None:
    if secured:
        self_signed(tmp_path / CERTIFICATE, tmp_path / KEY)
    scheme, folder = ("https", tmp_path) if secured else ("http", None)
    with (
        sending(first, b"x", 0.02, folder) as port,
        httpx.Client(verify=False, timeout=30) as client,
        pytest.raises(httpx.ReadTimeout, match="whole answer"),
    ):
        answers.ask(client, "GET", f"{scheme}://127.0.0.1:{port}", seconds=LIMIT)


def test_an_answer_without_end_does_not_fill_the_memory() -> None:
    with (
        sending(ENDLESS, bytes(1 << 20), 0) as port,
        httpx.Client() as client,
        pytest.raises(httpx.ReadError, match="more than 4,194,304 bytes"),
    ):
        answers.ask(client, "GET", f"http://127.0.0.1:{port}", seconds=60)
