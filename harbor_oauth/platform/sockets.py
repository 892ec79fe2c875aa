"""Listening sockets on loopback that no other process can share."""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import Final

__all__ = ["bind_loopback"]

# Waiting connections the system keeps; browsers open a few ahead of need.
_BACKLOG: Final = 128

# The system's choice of a port for one address family may be taken in the other.
_ATTEMPTS: Final = 16

# A machine without IPv6 answers so; nobody can listen there either.
_NO_SUCH_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


def bind_loopback(host: str, port: int) -> list[socket.socket]:
    """Listen on one loopback port, exclusively.

    Args:
        host: ``"127.0.0.1"`` or ``"::1"``; or ``"localhost"`` for both on one
            port, because a browser picks either address for that name and
            another program on the other would receive the code.
        port: The port; 0 lets the system choose.

    Returns:
        The listening sockets, one for each address family.

    Raises:
        OSError: The port is taken, in either family, or may not be bound.
        ValueError: The host is not one of the three.
    """
    if host == "127.0.0.1":
        return [_listen(socket.AF_INET, host, port)]
    if host == "::1":
        return [_listen(socket.AF_INET6, host, port)]
    if host == "localhost":
        return _listen_on_both(port)
    message = "a receiver listens on 127.0.0.1, ::1 or localhost only"
    raise ValueError(message)


def _listen_on_both(port: int) -> list[socket.socket]:
    for remaining in reversed(range(1 if port else _ATTEMPTS)):
        ipv4 = _listen(socket.AF_INET, "127.0.0.1", port)
        try:
            return [ipv4, _listen(socket.AF_INET6, "::1", ipv4.getsockname()[1])]
        except OSError as error:
            if error.errno in _NO_SUCH_FAMILY:
                return [ipv4]
            ipv4.close()
            if not remaining:
                raise
    raise AssertionError  # the last attempt returns or raises


def _listen(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        _make_exclusive(listener)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _make_exclusive(listener: socket.socket) -> None:
    """Set what keeps another process off the port.

    On Windows that is SO_EXCLUSIVEADDRUSE; SO_REUSEADDR there lets any process
    take a port over (microsoft-authentication-library-for-python PR #418). On
    POSIX systems a port with a listener is never shared by SO_REUSEADDR; it
    only lets a registered port be bound again while connections of an earlier
    sign-in are in TIME_WAIT, and Linux asks that of both sockets. Cygwin has
    Windows' meaning.
    """
    if sys.platform == "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    elif os.name == "posix" and sys.platform != "cygwin":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
