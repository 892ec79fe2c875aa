"""Ending a grant at the authorization server (RFC 7009)."""

from __future__ import annotations

from collections.abc import Callable

from harbor_oauth.errors import RevocationResponseError
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import Transport, refuse_redirect
from harbor_oauth.protocol.revocation import parse_revocation_response, revocation_request
from harbor_oauth.providers import Revocation
from harbor_oauth.secret import Secret

__all__ = ["revoke"]


def revoke(
    transport: Transport,
    revocation: Revocation,
    *,
    endpoint: str | None,
    client: ClientCredentials,
    refresh_token: Secret | None,
    access_token: Secret | None,
    client_assertion: Callable[[], Secret] | None = None,
) -> bool:
    """Revoke a grant's tokens: the refresh token first, then the access token.

    A server may or may not end the access token with the refresh token
    (RFC 7009 §2.1), so both are sent.

    Args:
        transport: How requests are sent.
        revocation: The provider's way.
        endpoint: The `revocation_endpoint` of the grant record.
        client: The client the tokens were issued to.
        refresh_token: The newest refresh token, if there is one.
        access_token: The newest access token, if there is one.
        client_assertion: Makes an assertion for a client that signs them,
            anew for each request.

    Returns:
        Whether the server took all of them; False when it has no way at all.

    Raises:
        RevocationResponseError: The server refused.
        TransportError: The server is down.
    """
    url = revocation.endpoint or endpoint
    if not revocation.possible or (url is None and revocation.request is None):
        return False
    for token, kind in ((refresh_token, "refresh_token"), (access_token, "access_token")):
        if token is None:
            continue
        if revocation.request is not None:
            request = revocation.request(token, kind, client.client_id)
        else:
            request = revocation_request(
                url or "",
                client,
                token=token,
                token_type_hint=kind,
                client_assertion=client_assertion() if client_assertion else None,
            )
        response = refuse_redirect(transport(request))
        if response.status in revocation.accepted:
            continue
        try:
            parse_revocation_response(response)
        except RevocationResponseError as error:
            # A server need not be able to revoke access tokens (RFC 7009 §2.2.1).
            if error.error != "unsupported_token_type" or kind != "access_token":
                raise
    return True
