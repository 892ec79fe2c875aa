"""Grants that need no person: RFC 6749 §4.4, RFC 7523 §2.1, and RFC 8693 for an ID-JAG.

An ID-JAG (draft-ietf-oauth-identity-assertion-authz-grant) is what an identity
provider gives in exchange for a person's identity token; the authorization
server of a resource takes it in place of that person's consent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harbor_oauth.errors import ProtocolError
from harbor_oauth.protocol.client_auth import ClientCredentials, authenticated_post
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.token import TokenResponse, parse_token_response
from harbor_oauth.secret import Secret

__all__ = [
    "CLIENT_CREDENTIALS",
    "ID_JAG",
    "ID_TOKEN",
    "JWT_BEARER",
    "TOKEN_EXCHANGE",
    "client_credentials_request",
    "jwt_bearer_request",
    "parse_token_exchange_response",
    "token_exchange_request",
]

CLIENT_CREDENTIALS: Final = "client_credentials"
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a grant type's name
ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a token type's name
ID_JAG: Final = "urn:ietf:params:oauth:token-type:id-jag"

_WHAT: Final = "token endpoint"
# RFC 8693 §2.2.1: the token type of what is no access token.
_NOT_APPLICABLE: Final = frozenset({"n_a"})


def client_credentials_request(
    token_endpoint: str,
    client: ClientCredentials,
    *,
    scope: str | None = None,
    resource: str | None = None,
    client_assertion: Secret | None = None,
) -> HttpRequest:
    """Build the request of a client that acts for itself (RFC 6749 §4.4.2).

    Args:
        token_endpoint: Where to.
        client: Who asks.
        scope: What to ask for; None leaves it to the server.
        resource: The resource indicator (RFC 8707 §2.2).
        client_assertion: A new assertion, for a client that signs them.

    Raises:
        InsecureEndpointError: The endpoint is not https or loopback http.
        ValueError: The client assertion does not fit the client.
    """
    own = {"grant_type": CLIENT_CREDENTIALS, **_narrowing(scope, resource)}
    return authenticated_post(token_endpoint, _WHAT, client, own, client_assertion=client_assertion)


def jwt_bearer_request(
    token_endpoint: str,
    client: ClientCredentials,
    *,
    assertion: Secret,
    scope: str | None = None,
    resource: str | None = None,
    client_assertion: Secret | None = None,
) -> HttpRequest:
    """Build the request that redeems an assertion (RFC 7523 §2.1).

    Args:
        token_endpoint: Where to.
        client: Who asks.
        assertion: A JWT that the server trusts, and that names whom the token is for.
        scope: What to ask for; None leaves it to the server.
        resource: The resource indicator (RFC 8707 §2.2).
        client_assertion: A new assertion, for a client that signs them.

    Raises:
        InsecureEndpointError: The endpoint is not https or loopback http.
        ValueError: The client assertion does not fit the client.
    """
    own = {
        "grant_type": JWT_BEARER,
        "assertion": assertion.reveal(),
        **_narrowing(scope, resource),
    }
    return authenticated_post(token_endpoint, _WHAT, client, own, client_assertion=client_assertion)


def token_exchange_request(  # noqa: PLR0913 - the parameters of RFC 8693 §2.1, by name
    token_endpoint: str,
    client: ClientCredentials,
    *,
    subject_token: Secret,
    subject_token_type: str,
    requested_token_type: str,
    audience: str,
    resource: str | None = None,
    scope: str | None = None,
    client_assertion: Secret | None = None,
) -> HttpRequest:
    """Build the request that exchanges one token for another (RFC 8693 §2.1).

    Args:
        token_endpoint: Where to.
        client: Who asks.
        subject_token: What stands for the person.
        subject_token_type: What kind of token that is, as a URN.
        requested_token_type: What is wanted, as a URN.
        audience: Who is to accept what is wanted.
        resource: The resource it is wanted for.
        scope: What to ask for; None leaves it to the server.
        client_assertion: A new assertion, for a client that signs them.

    Raises:
        InsecureEndpointError: The endpoint is not https or loopback http.
        ValueError: The client assertion does not fit the client.
    """
    own = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": subject_token.reveal(),
        "subject_token_type": subject_token_type,
        "requested_token_type": requested_token_type,
        "audience": audience,
        **_narrowing(scope, resource),
    }
    return authenticated_post(token_endpoint, _WHAT, client, own, client_assertion=client_assertion)


def _narrowing(scope: str | None, resource: str | None) -> dict[str, str]:
    asked = {"scope": scope, "resource": resource}
    return {name: value for name, value in asked.items() if value}


def parse_token_exchange_response(
    response: HttpResponse,
    *,
    now: float,
    requested_scopes: Sequence[str],
    issued_token_type: str,
) -> TokenResponse:
    """Judge the answer to an exchange for a token that is not an access token.

    Args:
        response: The answer.
        now: Seconds since the epoch (UTC) when it came.
        requested_scopes: What was asked, which is what was granted if the
            answer does not say.
        issued_token_type: The only type to accept, as a URN.

    Returns:
        The answer; its `access_token` is the issued token (RFC 8693 §2.2.1).

    Raises:
        InsecureEndpointError: The answer is a redirect.
        TokenResponseError: The endpoint said no (RFC 8693 §2.2.2).
        TransportError: It cannot answer now: 408, 429 or 5xx.
        MalformedResponseError: The answer is not what RFC 6749 §5 says.
        ProtocolError: The issued token is of another type.
    """
    answer = parse_token_response(
        response,
        now=now,
        requested_scopes=requested_scopes,
        allowed_token_types=_NOT_APPLICABLE,
    )
    if answer.extra.get("issued_token_type") != issued_token_type:
        # Passed on, another token would show the next server what only this one may see.
        raise ProtocolError(
            f"The {_WHAT} at {response.endpoint} issued a token of another type than asked.",
            requirement="RFC 8693 §2.2.1",
        )
    return answer
