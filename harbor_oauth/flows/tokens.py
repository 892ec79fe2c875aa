"""Requests to the token endpoint: the code exchange and the refresh (RFC 6749 §4.1.3, §6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.dpop import wants_dpop_nonce
from harbor_oauth.protocol.http import HttpRequest, HttpResponse, Transport, send
from harbor_oauth.protocol.token import (
    TokenResponse,
    access_token_request,
    parse_token_response,
    refresh_request,
)
from harbor_oauth.secret import Secret

__all__ = ["TokenEndpoint", "ask_as", "exchange_code", "refresh_access_token"]


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
        headers: Constant extra header fields.
        scope_separator: How the server joins scopes.
        mend: The provider's quirk for the answer.
        token_error: The provider's quirk for a refusal without an error code.
        client_assertion: Makes an assertion for a client that signs them,
            anew for each request: a server takes one once (RFC 7523 §3).
        allowed_token_types: Token types that can be used, in lower case:
            ``dpop`` where requests carry proofs (RFC 9449 §5).
    """

    url: str
    client: ClientCredentials
    resource: str | None = None
    parameters: Mapping[str, str] = attrs.field(factory=dict, converter=_plain)
    encoding: str = "form"
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=_plain)
    scope_separator: str = " "
    mend: Callable[[Mapping[str, object]], Mapping[str, object]] | None = None
    token_error: Callable[[HttpResponse], str | None] | None = None
    client_assertion: Callable[[], Secret] | None = None
    allowed_token_types: frozenset[str] = frozenset({"bearer"})

    def ask(
        self, transport: Transport, build: Callable[[Secret | None], HttpRequest]
    ) -> HttpResponse:
        """Send a request to this endpoint, and return the answer.

        Args:
            transport: How requests are sent.
            build: Makes the request, with a client assertion or without one.
        """

        def with_headers(client_assertion: Secret | None) -> HttpRequest:
            request = build(client_assertion)
            return attrs.evolve(request, headers={**self.headers, **request.headers})

        return ask_as(self.client_assertion, transport, with_headers)

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
            token_error=self.token_error,
            allowed_token_types=self.allowed_token_types,
        )


def ask_as(
    client_assertion: Callable[[], Secret] | None,
    transport: Transport,
    build: Callable[[Secret | None], HttpRequest],
) -> HttpResponse:
    """Send a request that a client authenticates, with a new assertion each time.

    Args:
        client_assertion: Makes an assertion; None for a client that signs none.
        transport: How requests are sent.
        build: Makes the request, with a client assertion or without one.
    """
    if client_assertion is None:
        return send(transport, build(None))
    response = send(transport, build(client_assertion()))
    if wants_dpop_nonce(response):
        # The server may have looked at the assertion before it looked at the
        # proof, so what is sent again has a new one.
        response = send(transport, build(client_assertion()))
    return response


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

    def build(client_assertion: Secret | None) -> HttpRequest:
        return access_token_request(
            endpoint.url,
            endpoint.client,
            code=code,
            code_verifier=code_verifier,
            redirect_uri=redirect_uri,
            resource=endpoint.resource,
            parameters=endpoint.parameters,
            encoding=endpoint.encoding,
            client_assertion=client_assertion,
        )

    return endpoint.judged(endpoint.ask(transport, build), requested_scopes, clock)


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

    def build(client_assertion: Secret | None) -> HttpRequest:
        return refresh_request(
            endpoint.url,
            endpoint.client,
            refresh_token=refresh_token,
            resource=endpoint.resource,
            parameters=endpoint.parameters,
            encoding=endpoint.encoding,
            client_assertion=client_assertion,
        )

    return endpoint.judged(endpoint.ask(transport, build), granted_scopes, clock)
