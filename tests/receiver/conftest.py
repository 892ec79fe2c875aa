"""A receiver that awaits one known answer, and raw connections to it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from harbor_oauth.errors import StateMismatchError
from harbor_oauth.receiver import LoopbackReceiver

AWAITED = "code=good-code&state=good-state"


class FakeClock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Judge:
    """Accepts the awaited query alone, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, query: str) -> str:
        self.asked.append(query)
        if query != AWAITED:
            raise StateMismatchError("That state was not sent.", requirement="RFC 6749 §10.12")
        return "good-code"


def _address(receiver: LoopbackReceiver[str]) -> tuple[str, int]:
    host, _, port = receiver.redirect_uri.removeprefix("http://").partition("/")[0].rpartition(":")
    return host.strip("[]"), int(port)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def receiver(clock: FakeClock, judge: Judge) -> Iterator[LoopbackReceiver[str]]:
    made = LoopbackReceiver[str](clock=clock)
    made.start()
    made.expect(judge)
    yield made
    made.cancel()


@pytest.fixture
def connect() -> Iterator[Callable[[LoopbackReceiver[str]], socket.socket]]:
    """Opens connections that are closed at the end."""
    opened: list[socket.socket] = []

    def open_one(receiver: LoopbackReceiver[str]) -> socket.socket:
        connection = socket.create_connection(_address(receiver), timeout=20)
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def ask() -> Callable[[LoopbackReceiver[str], bytes], bytes]:
    """Sends octets on a connection of their own and returns all that comes back."""

    def send(receiver: LoopbackReceiver[str], octets: bytes) -> bytes:
        with socket.create_connection(_address(receiver), timeout=20) as connection:
            connection.sendall(octets)
            connection.shutdown(socket.SHUT_WR)
            received = b""
            while more := connection.recv(65536):
                received += more
            return received

    return send


@pytest.fixture
def get(
    ask: Callable[[LoopbackReceiver[str], bytes], bytes],
) -> Callable[..., bytes]:
    """Sends the GET a browser would send, with more fields if asked."""

    def send(receiver: LoopbackReceiver[str], target: str, *fields: str) -> bytes:
        authority = receiver.redirect_uri.split("/")[2]
        lines = [f"GET {target} HTTP/1.1", f"Host: {authority}", *fields, "", ""]
        return ask(receiver, "\r\n".join(lines).encode("latin-1"))

    return send


@pytest.fixture
def refused() -> Callable[[LoopbackReceiver[str]], bool]:
    """Says whether the port is closed, once the receiver's own thread has ended."""

    def closed(receiver: LoopbackReceiver[str]) -> bool:
        assert receiver._connections is not None
        receiver._connections._thread.join(20)
        assert not receiver._connections._thread.is_alive()
        try:
            socket.create_connection(_address(receiver), timeout=20).close()
        except ConnectionRefusedError:
            return True
        return False

    return closed
