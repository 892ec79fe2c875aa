"""The device authorization grant (RFC 8628): the codes, and one poll."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harbor_oauth.errors import TokenResponseError
from harbor_oauth.flows.tokens import TokenEndpoint
from harbor_oauth.protocol.device import (
    DeviceAuthorization,
    Waiting,
    device_authorization_request,
    device_token_request,
    parse_device_authorization,
    waiting,
)
from harbor_oauth.protocol.http import HttpRequest, Transport
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.secret import Secret

__all__ = ["authorize_device", "poll_device_token"]


def authorize_device(
    transport: Transport,
    device_authorization_endpoint: str,
    endpoint: TokenEndpoint,
    *,
    scopes: Sequence[str],
    clock: Callable[[], float],
    parameters: Mapping[str, str] | None = None,
) -> DeviceAuthorization:
    """Ask for a device code and a user code.

    Args:
        transport: How requests are sent.
        device_authorization_endpoint: Where to ask.
        endpoint: The token endpoint that will be polled; the client and the
            resource are its.
        scopes: What to ask for; empty leaves it to the server.
        clock: Unix seconds, UTC.
        parameters: Constant extra parameters of the provider.

    Raises:
        AuthorizationResponseError: The server refused.
        ProtocolError: The answer breaks a rule.
        TransportError: The server is down.
    """

    def build(client_assertion: Secret | None) -> HttpRequest:
        return device_authorization_request(
            device_authorization_endpoint,
            endpoint.client,
            scope=endpoint.scope_separator.join(scopes) or None,
            resource=endpoint.resource,
            parameters=parameters,
            client_assertion=client_assertion,
        )

    return parse_device_authorization(endpoint.ask(transport, build), now=clock())


def poll_device_token(
    transport: Transport,
    endpoint: TokenEndpoint,
    *,
    device_code: Secret,
    requested_scopes: Sequence[str],
    clock: Callable[[], float],
) -> TokenResponse | Waiting:
    """Ask once whether the person has decided.

    Args:
        transport: How requests are sent.
        endpoint: The token endpoint.
        device_code: The device code.
        requested_scopes: What was asked for; granted if the answer is silent.
        clock: Unix seconds, UTC.

    Returns:
        The tokens, or why there are none yet.

    Raises:
        AuthorizationResponseError: The person said no.
        FlowTimeoutError: The codes have ended.
        TokenResponseError: The server refused for another reason.
        ProtocolError: The answer breaks a rule.
        TransportError: The server is down.
    """

    def build(client_assertion: Secret | None) -> HttpRequest:
        return device_token_request(
            endpoint.url,
            endpoint.client,
            device_code=device_code,
            resource=endpoint.resource,
            parameters=endpoint.parameters,
            encoding=endpoint.encoding,
            client_assertion=client_assertion,
        )

    try:
        return endpoint.judged(endpoint.ask(transport, build), requested_scopes, clock)
    except TokenResponseError as error:
        return waiting(error)
