"""HTTP messages as plain values.

No HTTP client's type is part of this library's public face: a transport is any
callable from `HttpRequest` to `HttpResponse`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import attrs

from harbor_oauth.errors import InsecureEndpointError
from harbor_oauth.protocol.limits import LARGEST_METADATA, LARGEST_TOKEN_ANSWER
from harbor_oauth.protocol.masking import NOTHING_SENT, Mask, secrets_of

__all__ = [
    "DISCOVERY_TIMEOUT",
    "METADATA_LIMIT",
    "TOKEN_LIMIT",
    "TOKEN_TIMEOUT",
    "HttpRequest",
    "HttpResponse",
    "Transport",
    "naming",
    "refuse_redirect",
    "send",
]

TOKEN_TIMEOUT: Final = 10.0
DISCOVERY_TIMEOUT: Final = 15.0
TOKEN_LIMIT: Final = LARGEST_TOKEN_ANSWER
METADATA_LIMIT: Final = LARGEST_METADATA


def _endpoint(url: str) -> str:
    """Return a URL without userinfo, query and fragment, for people to read."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@attrs.frozen(repr=False)
class HttpRequest:
    """One request, complete: nothing is added from the environment.

    Attributes:
        method: The method, upper case.
        url: An absolute URL.
        headers: Field names (any case) to values.
        body: The octets to send, or None.
        timeout: Seconds for the whole exchange.
        limit: The most bytes of body to accept in the answer, after decoding.
        named_by: The URL of the server that named this one, where one did: a
            transport then refuses private addresses, unless that server itself
            is at one (RFC 9728 §7.7). None for a URL from the set-up.
        single_use: Whether the body holds what a server takes once, such as a
            client assertion (RFC 7523 §3): sent again, it has to be built anew.
    """

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes | None = None
    timeout: float = TOKEN_TIMEOUT
    limit: int = TOKEN_LIMIT
    named_by: str | None = None
    single_use: bool = False

    def __repr__(self) -> str:
        """Show method and endpoint; headers, query and body may hold secrets."""
        return f"HttpRequest({self.method} {_endpoint(self.url)})"


@attrs.frozen(repr=False)
class HttpResponse:
    """One answer, read whole.

    Attributes:
        status: The status code.
        headers: Field names in lower case to values; repeated fields are
            joined with a comma and a space (RFC 9110 §5.3).
        body: The decoded octets.
        url: The URL that was asked.
        request: The request it answers, where that is known: no text of the
            answer is shown before the secrets of its request are masked.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    request: HttpRequest | None = attrs.field(default=None, kw_only=True, eq=False)

    def __repr__(self) -> str:
        """Show status and endpoint; headers and body may hold secrets."""
        return f"HttpResponse({self.status} from {_endpoint(self.url)})"

    @property
    def endpoint(self) -> str:
        """The URL that was asked, without query: fit for an error message."""
        return _endpoint(self.url)

    @property
    def mask(self) -> Mask:
        """Masks what was sent, in any text of this answer."""
        return NOTHING_SENT if self.request is None else secrets_of(self.request)


Transport: TypeAlias = Callable[[HttpRequest], HttpResponse]


def send(transport: Transport, request: HttpRequest) -> HttpResponse:
    """Send a request, and return an answer that knows what it answers.

    Args:
        transport: How requests are sent.
        request: The request.
    """
    response = transport(request)
    # A transport that adds fields, such as proofs, knows better what was sent.
    return response if response.request else attrs.evolve(response, request=request)


def refuse_redirect(response: HttpResponse) -> HttpResponse:
    """Return the answer unless it is a redirect.

    A redirected token request would carry its body, refresh token included, to
    wherever the answer says.

    Raises:
        InsecureEndpointError: The status is 3xx.
    """
    if 300 <= response.status < 400:  # noqa: PLR2004 - the 3xx class
        raise InsecureEndpointError(
            f"{response.endpoint} answered with a redirect, which is not followed.",
            requirement="RFC 9700 §4.12",
        )
    return response


def naming(transport: Transport, server: str | None) -> Transport:
    """Return a transport whose requests say which server named their URLs.

    Args:
        transport: How requests are sent.
        server: The URL of that server; None where the set-up names the URLs.
    """
    if server is None:
        return transport
    return lambda request: transport(attrs.evolve(request, named_by=server))
