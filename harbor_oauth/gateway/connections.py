"""How the gateway connects to docked servers: whose certificates count, and which addresses."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import aiohttp
import truststore
from aiohttp.abc import AbstractResolver, ResolveResult

from harbor_oauth.errors import TransportError, UpstreamError
from harbor_oauth.gateway.limits import KIB, Limits
from harbor_oauth.protocol.limits import LONGEST_FIELD, LONGEST_TARGET, MOST_FIELDS
from harbor_oauth.transport.guard import Reach, reach

__all__ = ["as_transport_errors", "excess_of", "open_session"]

_READ_BUFFER: Final = 256 * KIB
_MOST_HOSTS: Final = 1024
# What aiohttp adds of its own to a request that does not have it.
_OWN_FIELDS: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class _SteadyResolver(AbstractResolver):
    """A resolver that takes no private address for a host that had public ones.

    A name whose owner lets it point into this network next would be given a
    token there, or make the gateway ask what only this machine can reach.
    """

    def __init__(self, resolver: AbstractResolver) -> None:
        """Know no host yet."""
        self._resolver = resolver
        self._public: set[str] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host.

        Raises:
            OSError: There are none, or they moved to where a public host is not.
        """
        found = await self._resolver.resolve(host, port, family)
        if all(reach(result["host"]) is Reach.GLOBAL for result in found):
            if len(self._public) < _MOST_HOSTS:
                self._public.add(host)
        elif host in self._public:
            raise OSError(
                f"{host} was on the public internet and now points into a private network"
            )
        return found

    async def close(self) -> None:
        """Close what it asks."""
        await self._resolver.close()


def open_session(limits: Limits) -> aiohttp.ClientSession:
    """Return a client session that keeps nothing, follows nothing and adds nothing.

    Args:
        limits: How long to wait for a connection.
    """
    connector = aiohttp.TCPConnector(
        ssl=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        limit=0,  # the gateway counts requests, not connections
        resolver=_SteadyResolver(aiohttp.ThreadedResolver()),
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=_OWN_FIELDS,
        read_bufsize=_READ_BUFFER,
        # Above ours, which are looked at when the head is there.
        max_line_size=2 * LONGEST_TARGET,
        max_field_size=2 * LONGEST_FIELD,
        max_headers=2 * MOST_FIELDS,
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=limits.connect_seconds, sock_read=None
        ),
        trust_env=False,  # it would read .netrc; proxies are given with each request
    )


def excess_of(error: BaseException) -> str | None:
    """Say what aiohttp found too much of in a head; None where that is not the fault."""
    seen: list[BaseException | None] = [error, error.__cause__, error.__context__]
    texts = [str(each) for each in seen if each is not None]
    if any("Too many headers" in text for text in texts):
        return f"more than {MOST_FIELDS} header fields"
    if any("Got more than" in text for text in texts):
        return f"a header field of more than {LONGEST_FIELD} bytes"
    return None


@contextlib.contextmanager
def as_transport_errors(what: str, server: str = "The server") -> Iterator[None]:
    """Turn the HTTP client's errors, whose texts may hold what was sent, into ours.

    Args:
        what: What the server did, for the error's text.
        server: Its name.

    Raises:
        TransportError: The server could not be reached, broke off, or fell silent.
        UpstreamError: Its head is above a limit.
    """
    reached, too_much = True, None
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        fault, reached = f"could not be reached ({type(error).__name__})", False
    except TimeoutError:
        fault = "did not go on in time"
    except (aiohttp.ClientError, OSError) as error:
        fault, too_much = f"{what} ({type(error).__name__})", excess_of(error)
    else:
        return
    # Raised out here: as a context, the client's error would bring its frames
    # along, whose variables are the header fields.
    if too_much is not None:
        raise UpstreamError(f"{server} sent {too_much}.")
    if not reached:
        raise TransportError(
            f"{server} {fault}.", next_step="Try again: nothing was sent.", ambiguous=False
        )
    # It may have acted on the request, so nobody sends that again by itself
    # (RFC 9110 §9.2.2).
    raise TransportError(
        f"{server} {fault}; whether it acted on the request is not known.",
        next_step="Look before you send it again.",
    )
