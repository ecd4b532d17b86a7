"""Callers who say nothing, or too slowly, keep nobody out; with real sockets."""

import contextlib
import socket

import pytest

from tests.pipeline.serving.viewers import Slicer

SECONDS = 60
"""Until a test gives up."""
SLOW_UPLOAD = (
    b"PUT /datastore/?image=a HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 2000000\r\n\r\n"
)


AUTH = b"GET /auth/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def connect(start, monkeypatch):
    """Return a function that opens a connection, and the viewer of the service."""
    monkeypatch.setattr("pipeline.serving.server.KEEP_ALIVE_SECONDS", SECONDS)
    with contextlib.ExitStack() as stack:
        address, _ = start()
        host, port = address.removeprefix("http://").split(":")

        def connect():
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.settimeout(SECONDS)
            return connection

        connect.viewer = Slicer(address)
        yield connect


def is_closed_after(connection, drop: bytes) -> bool:
    try:
        connection.sendall(drop)
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:  # reset
        return True


def test_silent_connections_keep_nobody_out(connect):
    silent = [connect() for _ in range(40)]
    assert connect.viewer.call("GET", "/info/").status == 200
    assert silent[0].recv(1) == b""  # the oldest were closed
    silent[-1].sendall(b"GET /info/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert silent[-1].recv(100).startswith(b"HTTP/1.1 200")


def test_connections_that_are_kept_open_keep_nobody_out(connect):
    """What needs no token is answered, and the connection is kept for the next call."""
    for _ in range(40):
        connection = connect()
        connection.sendall(AUTH)
        assert connection.recv(2000).startswith(b"HTTP/1.1 200")
    assert connect.viewer.call("GET", "/info/").status == 200


def test_a_connection_without_a_request_is_closed(connect, monkeypatch):
    monkeypatch.setattr("pipeline.serving.connections.HEAD_SECONDS", 0.2)
    assert connect().recv(1) == b""


def test_a_head_that_comes_drop_by_drop_is_not_awaited(connect, monkeypatch):
    monkeypatch.setattr("pipeline.serving.connections.HEAD_SECONDS", 0.3)
    slow = connect()
    slow.settimeout(0.05)
    slow.sendall(b"GET /info/ HTTP/1.1\r\n")
    assert any(is_closed_after(slow, b"a: b\r\n") for _ in range(int(SECONDS / 0.05)))


def test_the_next_request_of_a_connection_is_bounded_too(connect, monkeypatch):
    monkeypatch.setattr("pipeline.serving.connections.HEAD_SECONDS", 0.3)
    connection = connect()
    connection.sendall(AUTH)
    assert connection.recv(2000).startswith(b"HTTP/1.1 200")
    connection.sendall(b"GET /auth/ HT")
    while connection.recv(2000):
        pass  # ends when it is closed


def test_a_body_that_does_not_come_is_not_awaited(connect, monkeypatch):
    monkeypatch.setattr("pipeline.serving.guard.SILENT_SECONDS", 0.2)
    connection = connect()
    connection.sendall(SLOW_UPLOAD + b"--b\r\n")
    assert connection.recv(2000).startswith(b"HTTP/1.1 408")
    while connection.recv(2000):
        pass


def test_a_disk_without_room_refuses_an_upload_before_it_comes(connect, monkeypatch):
    monkeypatch.setattr("pipeline.serving.uploads.FREE_BYTES", 10**18)
    connection = connect()
    connection.sendall(SLOW_UPLOAD)
    answer = b""
    while b"make room, or give another --data" not in answer:  # it then waits for the next request
        part = connection.recv(2000)
        assert part, answer
        answer += part
    assert answer.startswith(b"HTTP/1.1 507")
