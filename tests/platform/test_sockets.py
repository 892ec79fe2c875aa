"""Loopback ports: nobody else listens on them."""

from __future__ import annotations

import errno
import socket
import sys
from contextlib import ExitStack, closing
from typing import Any

import pytest

from harbor_oauth.platform import sockets
from harbor_oauth.platform.sockets import bind_loopback

FAMILIES = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}


@pytest.mark.parametrize("host", FAMILIES)
def test_a_literal_is_bound_as_it_is(host: str) -> None:
    """One socket, on that address only, listening."""
    (listener,) = bind_loopback(host, 0)
    with listener:
        assert listener.getsockname()[0] == host
        socket.create_connection(listener.getsockname()[:2], timeout=20).close()


def test_localhost_is_both_families_on_one_port() -> None:
    """A browser may take either address for that name."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(closing(each)) for each in bind_loopback("localhost", 0)]
        assert [each.getsockname()[0] for each in listeners] == ["127.0.0.1", "::1"]
        assert len({each.getsockname()[1] for each in listeners}) == 1


@pytest.mark.parametrize("host", FAMILIES)
def test_localhost_fails_if_either_family_is_taken(host: str) -> None:
    """And leaves nothing open: the other family can be bound afterwards."""
    other = next(each for each in FAMILIES if each != host)
    with socket.create_server((host, 0), family=FAMILIES[host]) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            bind_loopback("localhost", port)
        for listener in bind_loopback(other, port):
            listener.close()


def test_localhost_tries_other_ports_while_the_choice_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the system picks a port that is taken on [::1], another is picked."""
    listen = sockets._listen
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        picks = iter([taken.getsockname()[1]])

        def picking(family: Any, host: str, port: int) -> socket.socket:
            return listen(family, host, port or next(picks, 0))

        monkeypatch.setattr(sockets, "_listen", picking)
        listeners = bind_loopback("localhost", 0)
        for listener in listeners:
            listener.close()
            assert listener.fileno() == -1
        assert len(listeners) == 2
        assert next(picks, None) is None


@pytest.mark.parametrize("code", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_localhost_needs_no_ipv6(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Where [::1] does not exist, nobody can listen on it."""
    listen = sockets._listen

    def without_ipv6(family: Any, host: str, port: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(code, "no IPv6 here")
        return listen(family, host, port)

    monkeypatch.setattr(sockets, "_listen", without_ipv6)
    (listener,) = bind_loopback("localhost", 0)
    with listener:
        assert listener.family == socket.AF_INET


@pytest.mark.parametrize("option", ["SO_REUSEADDR", "SO_REUSEPORT"])
def test_a_bound_port_cannot_be_taken_over(option: str) -> None:
    """Not even by a process that asks to share it."""
    if not hasattr(socket, option):
        pytest.skip(f"no {option} on this system")
    (listener,) = bind_loopback("127.0.0.1", 0)
    port = listener.getsockname()[1]
    listener.close()
    (listener,) = bind_loopback("127.0.0.1", port)  # now as a fixed port
    with listener, socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)

        def steal() -> None:
            thief.bind(("127.0.0.1", port))
            thief.listen()

        with pytest.raises(OSError, match="in use"):
            steal()


def test_a_fixed_port_can_be_bound_while_a_connection_lingers() -> None:
    """TIME_WAIT of an earlier sign-in does not keep it."""
    (listener,) = bind_loopback("127.0.0.1", 0)
    address = listener.getsockname()
    with listener, socket.create_connection(address, timeout=20) as client:
        served, _ = listener.accept()
        served.close()  # the side that closes first has the TIME_WAIT
        assert client.recv(1) == b""
    for again in bind_loopback(*address):
        again.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "127.0.0.2", "evil.example"])  # noqa: S104 - refused
def test_nothing_but_loopback_is_bound(host: str) -> None:
    """A name or a wildcard could be reached from elsewhere (RFC 8252 §8.3)."""
    with pytest.raises(ValueError, match=r"127\.0\.0\.1, ::1 or localhost"):
        bind_loopback(host, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="sockets are not files there")
def test_no_child_inherits_the_port() -> None:
    """The browser does not keep the port open after us."""
    (listener,) = bind_loopback("127.0.0.1", 0)
    with listener:
        assert not listener.get_inheritable()
