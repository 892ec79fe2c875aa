"""Pushed authorization requests: RFC 9126.

The request goes to the authorization server directly; the browser carries no
more than a reference to it.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from harbor_oauth.protocol._answer import read_authorization
from harbor_oauth.protocol.authorization import AuthorizationRequest
from harbor_oauth.protocol.client_auth import ClientCredentials, authenticated_post
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.urls import require_endpoint, with_query
from harbor_oauth.secret import Secret

__all__ = [
    "PushedRequest",
    "front_channel_url",
    "parse_pushed_response",
    "pushed_authorization_request",
]

_WHAT: Final = "pushed authorization request endpoint"
_REQUEST_URI: Final = re.compile(r"[\x21-\x7e]{1,2048}")


def pushed_authorization_request(
    endpoint: str,
    client: ClientCredentials,
    request: AuthorizationRequest,
    client_assertion: Secret | None = None,
) -> HttpRequest:
    """Build the request that pushes an authorization request (RFC 9126 §2.1).

    Args:
        endpoint: The pushed authorization request endpoint.
        client: Who asks, and authenticates as at the token endpoint.
        request: All that the browser would have carried.
        client_assertion: A new assertion, for a client that signs them.

    Raises:
        InsecureEndpointError: The endpoint is not https or loopback http.
        ValueError: The assertion does not fit the client.
    """
    return authenticated_post(
        endpoint, _WHAT, client, request.parameters_sent(), client_assertion=client_assertion
    )


@attrs.frozen
class PushedRequest:
    """A request that waits at the authorization server for its browser.

    Attributes:
        request_uri: The reference to it, good for one use (RFC 9126 §7.3).
        expires_at: When it ends, seconds since the epoch (UTC).
    """

    request_uri: Secret
    expires_at: float


def parse_pushed_response(response: HttpResponse, *, now: float) -> PushedRequest:
    """Judge the answer to a pushed request (RFC 9126 §2.2, §2.3).

    Args:
        response: The answer.
        now: Seconds since the epoch (UTC) when it came.

    Raises:
        InsecureEndpointError: The answer is a redirect.
        AuthorizationResponseError: The server said no.
        TransportError: It cannot answer now: 408, 429 or 5xx.
        MalformedResponseError: The answer is not what RFC 9126 §2.2 says.
    """
    members = read_authorization(response, _WHAT, "RFC 9126 §2.2", now=now)
    request_uri = members.given("request_uri") or members.refuse("has no request_uri")
    if not _REQUEST_URI.fullmatch(request_uri):
        members.refuse("has a request_uri that is too long or has impossible characters")
    expires_in = members.seconds("expires_in")
    if expires_in is None or expires_in <= 0:
        members.refuse("has no positive expires_in")
    return PushedRequest(Secret(request_uri), now + expires_in)


def front_channel_url(authorization_endpoint: str, client_id: str, request_uri: Secret) -> str:
    """Return the URL for the browser: two parameters and no more (RFC 9126 §4).

    Args:
        authorization_endpoint: Where the person's browser goes.
        client_id: The client identifier.
        request_uri: The reference to the pushed request.

    Raises:
        InsecureEndpointError: The endpoint is not https or loopback http.
    """
    return with_query(
        require_endpoint(authorization_endpoint, "authorization endpoint"),
        {"client_id": client_id, "request_uri": request_uri.reveal()},
    )
