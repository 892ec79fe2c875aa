"""How connections are made: whose certificates count, and which addresses.

Imports requests and urllib3, which `client` and `adapters` do late.
"""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs
import truststore
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family, create_connection

__all__ = ["Route", "RoutedAdapter", "SystemTrustAdapter", "resolve"]


def _context() -> ssl.SSLContext:
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class SystemTrustAdapter(HTTPAdapter):
    """A requests adapter that trusts what the operating system trusts."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as its base
        """Give every direct connection the system's trust."""
        super().init_poolmanager(*args, **kwargs, ssl_context=_context())

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - as its base
        """Give every tunnel the system's trust, and a proxy that speaks TLS too."""
        if proxy.lower().startswith("https:"):
            kwargs["proxy_ssl_context"] = _context()
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=_context())

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401, ARG002 - as its base
        """Verify, whatever a session says."""
        super().cert_verify(conn, url, True, cert)  # type: ignore[no-untyped-call]  # noqa: FBT003 - as its base
        conn.ca_certs = conn.ca_cert_dir = None  # the base adds a bundle of its own


def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of a host, in the order to try them.

    Raises:
        OSError: It knows none.
    """
    found = socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


@attrs.define
class Route:
    """The way of one request: the name is resolved once, and judged then.

    Attributes:
        addresses: Returns the addresses to try, or raises.
        reached: The address that took the connection, once one did.
    """

    addresses: Callable[[], Sequence[str]]
    reached: str | None = None

    def connect(self, connection: HTTPConnection) -> socket.socket:
        """Open the socket of a connection to the first address that answers.

        Raises:
            OSError: The host has no address, or none answers.
        """
        failure = OSError("no address")
        for address in self.addresses():
            try:
                opened = create_connection(
                    (address, connection.port),
                    connection.timeout,
                    socket_options=connection.socket_options,
                )
            except OSError as error:
                failure = error
            else:
                self.reached = address
                return opened
        raise failure


class _RoutedConnection(HTTPConnection):
    """A connection that asks a route for its socket.

    Its host stays the name: the Host field, the TLS server name and the check
    of the certificate are about that.
    """

    def __init__(self, *args: Any, route: Route, **kwargs: Any) -> None:  # noqa: ANN401 - as its base
        """Make no connection yet."""
        super().__init__(*args, **kwargs)
        self._route = route

    def _new_conn(self) -> socket.socket:
        """Replace how the base resolves and connects; its errors stay the same."""
        try:
            opened = self._route.connect(self)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "the connection timed out") from error
        except OSError as error:
            raise NewConnectionError(self, "no connection came about") from error
        sys.audit("http.client.connect", self, self.host, self.port)
        return opened


class _RoutedTLSConnection(_RoutedConnection, HTTPSConnection):
    """The same, over TLS."""


class RoutedAdapter(SystemTrustAdapter):
    """An adapter for one request, whose direct connection follows its route.

    Through a proxy the connection is the proxy's to make, and stays the base's.
    """

    def __init__(self, route: Route) -> None:
        """Make no connection yet."""
        super().__init__()
        self._route = route

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as its base
        """Let the pool of a direct connection follow the route."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if pool.proxy is None:
            kind = _RoutedTLSConnection if pool.scheme == "https" else _RoutedConnection
            pool.ConnectionCls = partial(kind, route=self._route)
        return pool
