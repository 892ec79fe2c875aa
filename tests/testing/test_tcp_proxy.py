"""The TCP proxy in front of a double."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from harbor_oauth.testing import AuthorizationServer, TcpProxy, answers

REQUEST = b"GET /nothing HTTP/1.0\r\n\r\n"


@pytest.fixture
def proxy(authorization_server: AuthorizationServer) -> Iterator[TcpProxy]:
    """Give a proxy in front of the authorization server."""
    port = int(authorization_server.origin.rpartition(":")[2])
    with TcpProxy("127.0.0.1", port) as proxy:
        yield proxy


def read_all(proxy: TcpProxy) -> bytes:
    """Send one request and read to the end."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        connection.sendall(REQUEST)
        received = b""
        while chunk := connection.recv(4096):
            received += chunk
        return received


def test_it_hands_everything_on(
    proxy: TcpProxy, authorization_server: AuthorizationServer, ask: Any
) -> None:
    """Requests and answers pass unchanged, also large ones."""
    body = {"redirect_uris": ["http://127.0.0.1/callback"], "client_name": "x" * 1_000_000}
    reply = ask(f"{proxy.origin}/register", content=body)
    assert reply.status == 201
    assert reply.json["client_name"] == body["client_name"]
    assert authorization_server.count("register") == 1
    assert proxy.connections == 1


@pytest.mark.parametrize("count", [0, 1, 5, 20])
def test_it_cuts_after_exactly_n_bytes(
    proxy: TcpProxy, authorization_server: AuthorizationServer, count: int
) -> None:
    """The server does its work, the client gets that many bytes of the answer."""
    whole = read_all(proxy)
    proxy.cut_after(count)
    assert read_all(proxy) == whole[:count]
    assert authorization_server.count("unknown") == 2
    proxy.forward()
    assert len(read_all(proxy)) == len(whole)


def test_an_answer_shorter_than_the_cut_passes(proxy: TcpProxy) -> None:
    """Nothing is cut that is not there."""
    whole = read_all(proxy)
    proxy.cut_after(len(whole) + 1)
    assert len(read_all(proxy)) == len(whole)


def test_it_can_reset(proxy: TcpProxy) -> None:
    """A reset is an error on the client's side, not an end."""
    proxy.cut_after(0, reset=True)
    with pytest.raises(ConnectionResetError):
        read_all(proxy)


def test_http_sees_a_lost_answer(proxy: TcpProxy, ask: Any) -> None:
    """An HTTP client is told that its answer is incomplete or gone."""
    proxy.cut_after(0)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(f"{proxy.origin}/nothing")


def test_a_lost_token_answer_has_rotated(proxy: TcpProxy, user: Any, ask: Any) -> None:
    """The reason for the proxy: the token is spent and the client has nothing."""
    tokens = user.sign_in()
    form = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "client_id": user.client.client_id,
    }
    proxy.cut_after(30, reset=True)
    with pytest.raises(ConnectionResetError):
        ask(f"{proxy.origin}/token", form=form)
    proxy.forward()
    assert ask(f"{proxy.origin}/token", form=form).json["error"] == "invalid_grant"
    assert len(user.server.reuse_events) == 1


def test_it_refuses_and_comes_back_on_the_same_port(proxy: TcpProxy, ask: Any) -> None:
    """As a server that restarts."""
    origin = proxy.origin
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        ask(f"{origin}/nothing")
    proxy.refuse()
    assert proxy.connections == 0
    proxy.forward()
    assert proxy.origin == origin
    assert ask(f"{origin}/nothing").status == 404


def test_a_target_that_is_not_there_ends_the_connection(ask: Any) -> None:
    """The client connects, and is hung up on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        TcpProxy("127.0.0.1", port) as proxy,
        pytest.raises((http.client.RemoteDisconnected, ConnectionError)),
    ):
        ask(f"{proxy.origin}/")


def test_closing_ends_open_connections(authorization_server: AuthorizationServer) -> None:
    """A client that still waits is let go, and no thread stays."""
    gate = threading.Event()
    authorization_server.script("unknown", answers.slow(gate))
    port = int(authorization_server.origin.rpartition(":")[2])
    with (
        TcpProxy("127.0.0.1", port) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection,
    ):
        connection.sendall(REQUEST)
        assert authorization_server.wait_for("unknown")
        proxy.close()
        assert connection.recv(1) == b""
    gate.set()
    assert not any(relay.is_alive() for relay in proxy._relays)
