"""Ending a grant at the authorization server (RFC 7009)."""

from __future__ import annotations

from collections.abc import Callable

from harbor_oauth.errors import RevocationResponseError
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest, HttpResponse, Transport, refuse_redirect, send
from harbor_oauth.protocol.oauth_error import clean
from harbor_oauth.protocol.revocation import parse_revocation_response, revocation_request
from harbor_oauth.providers import IssuedToken, Revocation
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
        Whether the server took all of them; False when there was nothing it
        could be sent.

    Raises:
        RevocationResponseError: The server refused.
        TransportError: The server is down.
    """
    url, sent = revocation.endpoint or endpoint, False
    for token, kind in ((refresh_token, "refresh_token"), (access_token, "access_token")):
        if token is None:
            continue
        request = _request(revocation, url, client, token, kind, client_assertion)
        if request is None:
            continue
        sent = True
        try:
            _judge(revocation, send(transport, request))
        except RevocationResponseError as error:
            # A server need not be able to revoke access tokens (RFC 7009 §2.2.1).
            if error.error != "unsupported_token_type" or kind != "access_token":
                raise
    return sent


def _request(
    revocation: Revocation,
    url: str | None,
    client: ClientCredentials,
    token: Secret,
    kind: str,
    client_assertion: Callable[[], Secret] | None,
) -> HttpRequest | None:
    """Build the vendor's request, or RFC 7009's; None where the token cannot be revoked."""
    if not revocation.possible:
        return None
    if revocation.own_api is not None:
        return revocation.own_api(IssuedToken(token, kind, client.client_id, client.client_secret))
    if revocation.request is not None:
        return revocation.request(token, kind, client.client_id)
    if url is None:
        return None
    return revocation_request(
        url,
        client,
        token=token,
        token_type_hint=kind,
        client_assertion=client_assertion() if client_assertion else None,
    )


def _judge(revocation: Revocation, response: HttpResponse) -> None:
    if refuse_redirect(response).status in revocation.accepted:
        return
    parse_revocation_response(response)
    error = revocation.refusal(response) if revocation.refusal else None
    if error is not None:
        error = clean(error, 64, mask=response.mask)
        raise RevocationResponseError(
            f"The revocation endpoint at {response.endpoint} refused: {error}.",
            error=error,
            status=response.status,
        )
