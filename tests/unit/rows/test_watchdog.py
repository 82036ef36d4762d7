import contextlib
import socket
import threading

import pytest

from shared.copying import watchdog
from shared.copying.watchdog import Heartbeat, Sockets, run_watched
from shared.errors import TransientError


@pytest.fixture
def silent_server():
    """A server that accepts and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted = []

    def accept():
        with contextlib.suppress(OSError):  # a test may end before it is accepted
            accepted.append(listener.accept())

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()
    for connection, _ in accepted:
        connection.close()


def test_work_that_ends_gives_its_result():
    assert run_watched(lambda: 7, Heartbeat(), 5, lambda: None, "work") == 7


def test_an_error_of_the_work_is_raised_as_it_is():
    def work():
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_watched(work, Heartbeat(), 5, lambda: None, "work")


def test_a_receive_that_waits_for_ever_is_ended_by_shutting_its_socket(silent_server):
    sockets = Sockets(lambda port: port == silent_server)
    connection = sockets.opened_by(lambda: socket.create_connection(("127.0.0.1", silent_server)))
    ended = threading.Event()

    def work():
        connection.recv(1)
        ended.set()
        raise ConnectionError("the server is gone")

    heartbeat = Heartbeat()
    heartbeat.beat("waiting for the server")
    with connection, pytest.raises(TransientError) as raised:
        run_watched(work, heartbeat, 0.3, sockets.cut, "chunk 3")
    assert ended.is_set()
    assert raised.value.code == "STALLED"
    assert "waiting for the server" in raised.value.message
    assert raised.value.about == "chunk 3"


def test_a_connect_that_hangs_is_ended_like_a_load_that_hangs(silent_server):
    sockets = Sockets(lambda port: port == silent_server)
    ended = threading.Event()

    def connect():
        connection = socket.create_connection(("127.0.0.1", silent_server))
        with connection:
            connection.recv(1)  # an answer to the login, or the driver's own first query
        ended.set()
        raise ConnectionError("the server is gone")

    with pytest.raises(TransientError, match="STALLED"):
        run_watched(lambda: sockets.opened_by(connect), Heartbeat(), 0.3, sockets.cut, "job 1")
    assert ended.is_set()


def test_a_connect_that_hangs_keeps_nobody_else_from_connecting(monkeypatch, silent_server):
    monkeypatch.setattr(watchdog, "ALONE", 0.05)
    hanging, go_on = threading.Event(), threading.Event()

    def hang():
        hanging.set()
        go_on.wait(30)

    thread = threading.Thread(target=Sockets(lambda port: False).opened_by, args=(hang,))
    thread.start()
    hanging.wait(30)
    try:
        sockets = Sockets(lambda port: port == silent_server)
        with sockets.opened_by(lambda: socket.create_connection(("127.0.0.1", silent_server))):
            assert thread.is_alive(), "the other one still hangs"
            assert sockets.cut() == 1
    finally:
        go_on.set()
        thread.join()
    assert not watchdog._connecting.locked()


def test_work_that_was_left_behind_does_not_go_on_when_it_wakes_up(monkeypatch):
    monkeypatch.setattr(watchdog, "GRACE", 0.05)
    heartbeat, wakes, over = Heartbeat(), threading.Event(), threading.Event()
    done = []

    def work():
        try:
            wakes.wait(30)  # in a driver that does not notice its socket's end
            heartbeat.beat("committing t chunk 3")
            done.append("committed")
        finally:
            over.set()

    with pytest.raises(TransientError, match="STALLED"):
        run_watched(work, heartbeat, 0.1, lambda: None, "t chunk 3")
    wakes.set()
    assert over.wait(30)
    assert done == []


def test_work_that_beats_is_left_alone():
    heartbeat = Heartbeat()
    ticks = threading.Event()

    def work():
        for _ in range(10):
            ticks.wait(0.1)
            heartbeat.beat("working")
        return "done"

    assert run_watched(work, heartbeat, 0.5, lambda: pytest.fail("cut"), "work") == "done"


def test_a_panic_of_a_driver_becomes_an_error_that_can_be_retried():
    class PanicException(BaseException):
        """As pyo3 raises it."""

    def work():
        raise PanicException("mid > len")

    with pytest.raises(TransientError, match="DRIVER_PANIC"):
        run_watched(work, Heartbeat(), 5, lambda: None, "work")


def test_only_sockets_to_the_expected_port_are_counted_in(silent_server):
    sockets = Sockets(lambda port: port == silent_server + 1)
    connection = sockets.opened_by(lambda: socket.create_connection(("127.0.0.1", silent_server)))
    with connection:
        assert sockets.cut() == 0
        assert connection.getpeername()[1] == silent_server


def test_a_closed_socket_whose_number_is_used_again_is_not_cut(silent_server):
    sockets = Sockets(lambda port: port == silent_server)
    connection = sockets.opened_by(lambda: socket.create_connection(("127.0.0.1", silent_server)))
    number = connection.fileno()
    connection.close()
    left, right = socket.socketpair()
    with left, right:
        assert number in (left.fileno(), right.fileno())
        assert sockets.cut() == 0
        left.send(b"x")
        assert right.recv(1) == b"x"
