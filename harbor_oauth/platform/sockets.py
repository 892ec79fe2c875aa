"""Listening sockets that no other process can share."""

from __future__ import annotations

import errno
import os
import socket
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Final

__all__ = ["bind", "bind_loopback", "bind_unix"]

# Waiting connections the system keeps; browsers open a few ahead of need.
_BACKLOG: Final = 128

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

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


def bind(host: str, port: int) -> list[socket.socket]:
    """Listen on one port of an address, exclusively.

    Args:
        host: An address, or ``"localhost"`` for both of that name's.
        port: The port; 0 lets the system choose.

    Raises:
        OSError: The port is taken or may not be bound, or the address is not
            this machine's.
        ValueError: The host is no address.
    """
    if host in _LOOPBACK:
        return bind_loopback(host, port)
    family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET  # noqa: PLR2004 - IPv6
    return [_listen(family, host, port)]


def bind_unix(path: Path) -> socket.socket:
    """Listen on a socket file that only this user can connect to.

    A file that a process left behind when it died is replaced; one that
    somebody listens on is not.

    Args:
        path: The file, in a directory of this user's own.

    Raises:
        OSError: Somebody listens there, something else is there, or the
            directory cannot be written.
    """
    if sys.platform == "win32":
        raise OSError(errno.EAFNOSUPPORT, "there are no socket files here")
    _remove_left_behind(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_left_behind(path: Path) -> None:
    if sys.platform == "win32" or not os.path.lexists(path):
        return
    if not path.is_socket():
        raise OSError(errno.EEXIST, "something else is there", str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, "somebody listens there", str(path))


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
