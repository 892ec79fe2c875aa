"""Requests to the token endpoint: the code exchange and the refresh (RFC 6749 §4.1.3, §6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpResponse, Transport
from harbor_oauth.protocol.token import (
    TokenResponse,
    access_token_request,
    parse_token_response,
    refresh_request,
)
from harbor_oauth.secret import Secret

__all__ = ["TokenEndpoint", "exchange_code", "refresh_access_token"]


def _plain(mapping: Mapping[str, str]) -> Mapping[str, str]:
    return dict(mapping)


@attrs.frozen
class TokenEndpoint:
    """Where tokens come from, and how that server wants to be asked.

    Attributes:
        url: The token endpoint.
        client: Who asks.
        resource: The RFC 8707 indicator, or None.
        parameters: Constant extra parameters.
        encoding: ``form``, or ``json`` where the vendor demands it.
        scope_separator: How the server joins scopes.
        mend: The provider's quirk for the answer.
    """

    url: str
    client: ClientCredentials
    resource: str | None = None
    parameters: Mapping[str, str] = attrs.field(factory=dict, converter=_plain)
    encoding: str = "form"
    scope_separator: str = " "
    mend: Callable[[Mapping[str, object]], Mapping[str, object]] | None = None

    def judged(
        self, response: HttpResponse, scopes: Sequence[str], clock: Callable[[], float]
    ) -> TokenResponse:
        """Return what an answer of this endpoint gives.

        Args:
            response: The answer.
            scopes: What was asked for, or is held: granted if the answer is silent.
            clock: Unix seconds, UTC; read when the answer is there.
        """
        return parse_token_response(
            response,
            now=clock(),
            requested_scopes=scopes,
            scope_separator=self.scope_separator,
            mend=self.mend,
        )


def exchange_code(
    transport: Transport,
    endpoint: TokenEndpoint,
    *,
    code: Secret,
    code_verifier: Secret,
    redirect_uri: str,
    requested_scopes: Sequence[str],
    clock: Callable[[], float],
) -> TokenResponse:
    """Redeem an authorization code, once.

    Args:
        transport: How requests are sent.
        endpoint: The token endpoint recorded before the browser opened.
        code: The authorization code.
        code_verifier: The verifier of this one flow (RFC 7636 §4.5).
        redirect_uri: The redirect URI of the authorization request.
        requested_scopes: What was asked for; granted if the answer is silent.
        clock: Unix seconds, UTC.

    Raises:
        TokenResponseError: The server refused.
        ProtocolError: The answer breaks a rule.
        TransportError: The server is down.
    """
    request = access_token_request(
        endpoint.url,
        endpoint.client,
        code=code,
        code_verifier=code_verifier,
        redirect_uri=redirect_uri,
        resource=endpoint.resource,
        parameters=endpoint.parameters,
        encoding=endpoint.encoding,
    )
    return endpoint.judged(transport(request), requested_scopes, clock)


def refresh_access_token(
    transport: Transport,
    endpoint: TokenEndpoint,
    *,
    refresh_token: Secret,
    granted_scopes: Sequence[str],
    clock: Callable[[], float],
) -> TokenResponse:
    """Ask for a new access token; no scope is sent, so none is widened.

    Args:
        transport: How requests are sent.
        endpoint: The token endpoint of the grant record.
        refresh_token: The newest refresh token.
        granted_scopes: What the grant has; kept if the answer is silent.
        clock: Unix seconds, UTC.

    Returns:
        The answer; its `refresh_token` is None when the server kept the old
        one (RFC 6749 §6).

    Raises:
        TokenResponseError: The server refused.
        ProtocolError: The answer breaks a rule.
        TransportError: The server is down.
    """
    request = refresh_request(
        endpoint.url,
        endpoint.client,
        refresh_token=refresh_token,
        resource=endpoint.resource,
        parameters=endpoint.parameters,
        encoding=endpoint.encoding,
    )
    return endpoint.judged(transport(request), granted_scopes, clock)
