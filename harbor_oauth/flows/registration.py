"""Dynamic client registration (RFC 7591)."""

from __future__ import annotations

from harbor_oauth.protocol.device import DEVICE_CODE
from harbor_oauth.protocol.http import Transport
from harbor_oauth.protocol.registration import (
    ClientInformation,
    parse_registration_response,
    registration_request,
)

__all__ = ["register_client"]


def register_client(
    transport: Transport,
    registration_endpoint: str,
    *,
    redirect_uri: str | None,
    client_name: str,
) -> ClientInformation:
    """Register a public native client.

    No scope is named: a resource's scopes need not be the authorization
    server's own, and oidc-provider refuses a registration that names others.

    Args:
        transport: How requests are sent.
        registration_endpoint: Where to register.
        redirect_uri: The loopback URI that a receiver already holds; None
            registers for the device grant (RFC 8628), which redirects nobody.
        client_name: What the consent page shows.

    Raises:
        RegistrationResponseError: The server refused.
        TransportError: The server is down.
    """
    if redirect_uri is None:
        request = registration_request(
            registration_endpoint,
            redirect_uris=(),
            client_name=client_name,
            grant_types=(DEVICE_CODE, "refresh_token"),
        )
    else:
        request = registration_request(
            registration_endpoint, redirect_uris=(redirect_uri,), client_name=client_name
        )
    return parse_registration_response(
        transport(request), registration_endpoint=registration_endpoint
    )
