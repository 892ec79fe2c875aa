"""Token requests that need no person: client credentials, assertions, token exchange.

A refusal is final: nothing here asks a second time, or another way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harbor_oauth.flows.tokens import TokenEndpoint
from harbor_oauth.protocol.http import HttpRequest, Transport
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.protocol.unattended import (
    ID_JAG,
    client_credentials_request,
    jwt_bearer_request,
    parse_token_exchange_response,
    token_exchange_request,
)
from harbor_oauth.secret import Secret

__all__ = ["exchange_for_id_jag", "obtain_as_client", "redeem_assertion"]


def obtain_as_client(
    transport: Transport,
    endpoint: TokenEndpoint,
    *,
    scopes: Sequence[str],
    clock: Callable[[], float],
) -> TokenResponse:
    """Obtain a token for the client itself (RFC 6749 §4.4).

    Args:
        transport: How requests are sent.
        endpoint: The token endpoint, and the resource the token is for.
        scopes: What to ask for; granted if the answer is silent.
        clock: Unix seconds, UTC.

    Raises:
        TokenResponseError: The server refused.
        ProtocolError: The answer breaks a rule.
        TransportError: The server is down.
    """

    def build(client_assertion: Secret | None) -> HttpRequest:
        return client_credentials_request(
            endpoint.url,
            endpoint.client,
            scope=_joined(endpoint, scopes),
            resource=endpoint.resource,
            client_assertion=client_assertion,
        )

    return endpoint.judged(endpoint.ask(transport, build), scopes, clock)


def redeem_assertion(
    transport: Transport,
    endpoint: TokenEndpoint,
    *,
    assertion: Secret,
    scopes: Sequence[str],
    clock: Callable[[], float],
) -> TokenResponse:
    """Redeem an assertion for a token (RFC 7523 §2.1).

    Args:
        transport: How requests are sent.
        endpoint: The token endpoint, and the resource the token is for.
        assertion: The assertion; its audience is this authorization server.
        scopes: What to ask for; granted if the answer is silent.
        clock: Unix seconds, UTC.

    Raises:
        TokenResponseError: The server refused.
        ProtocolError: The answer breaks a rule.
        TransportError: The server is down.
    """

    def build(client_assertion: Secret | None) -> HttpRequest:
        return jwt_bearer_request(
            endpoint.url,
            endpoint.client,
            assertion=assertion,
            scope=_joined(endpoint, scopes),
            resource=endpoint.resource,
            client_assertion=client_assertion,
        )

    return endpoint.judged(endpoint.ask(transport, build), scopes, clock)


def exchange_for_id_jag(
    transport: Transport,
    endpoint: TokenEndpoint,
    *,
    subject_token: Secret,
    subject_token_type: str,
    audience: str,
    scopes: Sequence[str],
    clock: Callable[[], float],
) -> TokenResponse:
    """Exchange a person's identity for an ID-JAG at their identity provider (RFC 8693).

    Args:
        transport: How requests are sent.
        endpoint: The identity provider's token endpoint, and the resource that
            the ID-JAG is for.
        subject_token: What stands for the person.
        subject_token_type: What kind of token that is, as a URN.
        audience: The issuer of the authorization server that is to accept it.
        scopes: What to ask for; granted if the answer is silent.
        clock: Unix seconds, UTC.

    Returns:
        The answer; its `access_token` is the ID-JAG, of no use at a resource.

    Raises:
        TokenResponseError: The identity provider refused.
        ProtocolError: The answer breaks a rule, or is another kind of token.
        TransportError: The identity provider is down.
    """

    def build(client_assertion: Secret | None) -> HttpRequest:
        return token_exchange_request(
            endpoint.url,
            endpoint.client,
            subject_token=subject_token,
            subject_token_type=subject_token_type,
            requested_token_type=ID_JAG,
            audience=audience,
            resource=endpoint.resource,
            scope=_joined(endpoint, scopes),
            client_assertion=client_assertion,
        )

    return parse_token_exchange_response(
        endpoint.ask(transport, build),
        now=clock(),
        requested_scopes=scopes,
        issued_token_type=ID_JAG,
    )


def _joined(endpoint: TokenEndpoint, scopes: Sequence[str]) -> str | None:
    return endpoint.scope_separator.join(scopes) or None
