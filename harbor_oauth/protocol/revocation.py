"""Token revocation: RFC 7009."""

from __future__ import annotations

from typing import Final

from harbor_oauth.errors import MalformedResponseError, RevocationResponseError
from harbor_oauth.protocol._answer import (
    is_success,
    oauth_error,
    read_members,
    refuse_unavailable,
    retry_after,
)
from harbor_oauth.protocol.client_auth import ClientCredentials, authenticated_post
from harbor_oauth.protocol.http import HttpRequest, HttpResponse, refuse_redirect
from harbor_oauth.secret import Secret

__all__ = ["parse_revocation_response", "revocation_request"]

_WHAT: Final = "revocation endpoint"


def revocation_request(
    revocation_endpoint: str,
    client: ClientCredentials,
    *,
    token: Secret,
    token_type_hint: str | None = None,
    client_assertion: Secret | None = None,
) -> HttpRequest:
    """Build a revocation request (RFC 7009 §2.1).

    Args:
        revocation_endpoint: Where to.
        client: The client the token was issued to.
        token: The token to revoke.
        token_type_hint: ``refresh_token`` or ``access_token``.
        client_assertion: A new assertion, for a client that signs them.

    Raises:
        InsecureEndpointError: The endpoint is not https or loopback http.
        ValueError: The assertion does not fit the client.
    """
    hint = {"token_type_hint": token_type_hint} if token_type_hint else {}
    parameters = {"token": token.reveal(), **hint}
    return authenticated_post(
        revocation_endpoint, _WHAT, client, parameters, client_assertion=client_assertion
    )


def parse_revocation_response(response: HttpResponse) -> None:
    """Judge the answer of a revocation endpoint.

    Any 2xx is success, also for a token the server does not know; the body
    means nothing then (RFC 7009 §2.2).

    Raises:
        InsecureEndpointError: The answer is a redirect.
        RevocationResponseError: The server said no (RFC 7009 §2.2.1).
        TransportError: It cannot answer now: 408, 429 or 5xx; the token still lives.
        MalformedResponseError: It refused without an error code.
    """
    refuse_redirect(response)
    if is_success(response):
        return
    refuse_unavailable(response, _WHAT)
    members = read_members(response, _WHAT, "RFC 7009 §2.2.1")
    found = oauth_error(response, members)
    if found is None:
        raise MalformedResponseError(
            f"The {_WHAT} at {response.endpoint} answered with HTTP status {response.status}.",
            requirement="RFC 7009 §2.2.1",
        )
    error, description = found
    detail = f"{error} ({description})" if description else error
    raise RevocationResponseError(
        f"The {_WHAT} at {response.endpoint} refused: {detail}.",
        error=error,
        error_description=description,
        status=response.status,
        retry_after=retry_after(response),
    )
