"""Pushed authorization requests (RFC 9126)."""

from __future__ import annotations

from collections.abc import Callable

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.flows.tokens import ask_as
from harbor_oauth.protocol.authorization import AuthorizationRequest
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest, Transport
from harbor_oauth.protocol.metadata import ServerMetadata
from harbor_oauth.protocol.pushed import (
    front_channel_url,
    parse_pushed_response,
    pushed_authorization_request,
)
from harbor_oauth.secret import Secret

__all__ = ["push_authorization_request"]


def push_authorization_request(
    transport: Transport,
    metadata: ServerMetadata,
    client: ClientCredentials,
    request: AuthorizationRequest,
    *,
    clock: Callable[[], float],
    client_assertion: Callable[[], Secret] | None = None,
) -> str:
    """Push an authorization request and return the URL for the browser.

    The URL works once, and for as long as the server says, often a minute: it
    is made when a person is there, and made anew for another try.

    Args:
        transport: How requests are sent.
        metadata: The authorization server.
        client: Who asks.
        request: What is asked, and what the answer is judged by.
        clock: Unix seconds, UTC.
        client_assertion: Makes assertions, for a client that signs them.

    Raises:
        ConfigurationError: The server has no endpoint for it.
        AuthorizationResponseError: The server refused.
        ProtocolError: The answer breaks a rule.
        TransportError: The server is down.
    """
    endpoint = metadata.pushed_authorization_request_endpoint
    if endpoint is None:
        raise ConfigurationError(
            f"{metadata.issuer} names no endpoint for pushed authorization requests."
        )

    def build(assertion: Secret | None) -> HttpRequest:
        return pushed_authorization_request(endpoint, client, request, assertion)

    response = ask_as(client_assertion, transport, build)
    pushed = parse_pushed_response(response, now=clock())
    return front_channel_url(request.authorization_endpoint, request.client_id, pushed.request_uri)
