"""Dynamic client registration (RFC 7591), and its end (RFC 7592)."""

from __future__ import annotations

from collections.abc import Sequence

from harbor_oauth.protocol.client_auth import SECRET_METHODS
from harbor_oauth.protocol.device import DEVICE_CODE
from harbor_oauth.protocol.http import HttpRequest, Transport, refuse_redirect, send
from harbor_oauth.protocol.registration import (
    ClientInformation,
    parse_registration_response,
    registration_request,
)
from harbor_oauth.protocol.urls import require_endpoint
from harbor_oauth.secret import Secret

__all__ = ["delete_registration", "register_client"]


def delete_registration(transport: Transport, client_uri: str, token: Secret) -> bool:
    """Delete a registration at its server (RFC 7592 §2.3).

    Args:
        transport: How requests are sent.
        client_uri: The `registration_client_uri` that came with it.
        token: Its `registration_access_token`.

    Returns:
        Whether the server deleted it; it need not offer this.

    Raises:
        InsecureEndpointError: The URL is neither https nor loopback http, or
            it redirects.
        TransportError: The server is down.
    """
    require_endpoint(client_uri, "registration's URL")
    headers = {"Authorization": f"Bearer {token.reveal()}", "Accept": "application/json"}
    answer = refuse_redirect(send(transport, HttpRequest("DELETE", client_uri, headers)))
    # 401: it is gone already (RFC 7592 §2.3: the token ends with the client).
    return answer.status in {204, 200, 401, 404}


def register_client(
    transport: Transport,
    registration_endpoint: str,
    *,
    redirect_uri: str | None,
    client_name: str,
    auth_methods: Sequence[str] | None = None,
) -> ClientInformation:
    """Register a native client: a public one, unless the server wants a secret of every client.

    No scope is named: a resource's scopes need not be the authorization
    server's own, and oidc-provider refuses a registration that names others.

    Args:
        transport: How requests are sent.
        registration_endpoint: Where to register.
        redirect_uri: The loopback URI that a receiver already holds; None
            registers for the device grant (RFC 8628), which redirects nobody.
        client_name: What the consent page shows.
        auth_methods: `token_endpoint_auth_methods_supported` of the server's
            metadata; ``none`` is asked for unless it lists others only.

    Raises:
        RegistrationResponseError: The server refused.
        TransportError: The server is down.
    """
    listed = [method for method in SECRET_METHODS if method in (auth_methods or ())]
    method = listed[0] if listed and "none" not in (auth_methods or ()) else "none"
    device = redirect_uri is None
    request = registration_request(
        registration_endpoint,
        redirect_uris=() if redirect_uri is None else (redirect_uri,),
        client_name=client_name,
        token_endpoint_auth_method=method,
        grant_types=(DEVICE_CODE if device else "authorization_code", "refresh_token"),
    )
    return parse_registration_response(
        send(transport, request),
        registration_endpoint=registration_endpoint,
        requested_auth_method=method,
    )
