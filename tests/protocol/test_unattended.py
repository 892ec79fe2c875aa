"""Requests that need no person, and what an identity provider may answer."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from harbor_oauth.errors import (
    InsecureEndpointError,
    MalformedResponseError,
    ProtocolError,
    TokenResponseError,
    TransportError,
)
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.protocol.unattended import (
    ID_JAG,
    ID_TOKEN,
    client_credentials_request,
    jwt_bearer_request,
    parse_token_exchange_response,
    token_exchange_request,
)
from harbor_oauth.secret import Secret

URL = "https://server.example.com/token"
PUBLIC = ClientCredentials("id")
# The client of RFC 6749's examples.
BASIC = ClientCredentials("s6BhdRkqt3", Secret("7Fjfp0ZBr1KtDRbnfVdmIw"), "client_secret_basic")
POST = ClientCredentials("id", Secret("cnry-secret"), "client_secret_post")
KEY = ClientCredentials(
    "id", token_endpoint_auth_method="private_key_jwt", private_key=Secret("cnry-key")
)


def form(request: HttpRequest) -> dict[str, list[str]]:
    return parse_qs((request.body or b"").decode(), strict_parsing=True)


def test_client_credentials_request_of_the_rfc() -> None:
    """RFC 6749 §4.4.2's example."""
    request = client_credentials_request(URL, BASIC)
    assert (request.method, request.url) == ("POST", URL)
    assert request.body == b"grant_type=client_credentials"
    assert request.headers["Authorization"] == (
        "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"
    )


def test_scope_and_resource_are_sent_where_there_are_any() -> None:
    """RFC 6749 §4.4.2 and RFC 8707 §2.2; an empty scope is not sent at all."""
    request = client_credentials_request(URL, POST, scope="a b", resource="https://mcp.example/m")
    assert form(request) == {
        "grant_type": ["client_credentials"],
        "scope": ["a b"],
        "resource": ["https://mcp.example/m"],
        "client_id": ["id"],
        "client_secret": ["cnry-secret"],
    }
    assert "scope" not in form(client_credentials_request(URL, POST, scope=""))


def test_a_signing_client_sends_its_assertion() -> None:
    """RFC 7523 §2.2, beside the assertion that is the grant (§2.1)."""
    request = jwt_bearer_request(
        URL, KEY, assertion=Secret("cnry-grant"), client_assertion=Secret("cnry-client")
    )
    assert form(request) == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:jwt-bearer"],
        "assertion": ["cnry-grant"],
        "client_id": ["id"],
        "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
        "client_assertion": ["cnry-client"],
    }


def test_token_exchange_request() -> None:
    """RFC 8693 §2.1, every parameter by its name."""
    request = token_exchange_request(
        URL,
        PUBLIC,
        subject_token=Secret("cnry-id-token"),
        subject_token_type=ID_TOKEN,
        requested_token_type=ID_JAG,
        audience="https://as.example/",
        resource="https://mcp.example/m",
        scope="a",
    )
    assert form(request) == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
        "subject_token": ["cnry-id-token"],
        "subject_token_type": ["urn:ietf:params:oauth:token-type:id_token"],
        "requested_token_type": ["urn:ietf:params:oauth:token-type:id-jag"],
        "audience": ["https://as.example/"],
        "resource": ["https://mcp.example/m"],
        "scope": ["a"],
        "client_id": ["id"],
    }


def test_no_secret_leaves_for_an_insecure_endpoint_or_shows() -> None:
    """RFC 6749 §3.2: https, or http on this machine; a request's repr is no leak."""
    with pytest.raises(InsecureEndpointError):
        jwt_bearer_request("http://as.example/token", PUBLIC, assertion=Secret("cnry-grant"))
    assert "cnry" not in repr(jwt_bearer_request(URL, PUBLIC, assertion=Secret("cnry-grant")))


# --- the answer to an exchange --------------------------------------------------
ISSUED = {
    "access_token": "cnry.id.jag",
    "issued_token_type": ID_JAG,
    "token_type": "N_A",
    "expires_in": 300,
}


def judge(body: Any, status: int = 200) -> TokenResponse:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = HttpResponse(status, {"content-type": "application/json"}, octets, URL)
    return parse_token_exchange_response(
        response, now=1000.0, requested_scopes=("a",), issued_token_type=ID_JAG
    )


def test_an_id_jag_is_taken() -> None:
    """RFC 8693 §2.2.1; the token type is compared without case."""
    answer = judge({**ISSUED, "token_type": "n_A"})
    assert answer.access_token == Secret("cnry.id.jag")
    assert (answer.expires_at, answer.scopes) == (1300.0, ("a",))
    assert judge({**ISSUED, "scope": "b c"}).scopes == ("b", "c")


@pytest.mark.parametrize(
    "change",
    [
        {"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"},
        {"issued_token_type": "URN:ietf:params:oauth:token-type:id-jag"},
        {"issued_token_type": None},
        {"issued_token_type": [ID_JAG]},
        {"token_type": "Bearer"},
        {"token_type": None},
    ],
)
def test_another_kind_of_token_is_not_passed_on(change: dict[str, object]) -> None:
    """It might be an access token of the person at the identity provider."""
    with pytest.raises(ProtocolError) as caught:
        judge({**ISSUED, **change})
    assert "cnry" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"error": "invalid_grant"}, 400, TokenResponseError),
        ({"error": "invalid_target"}, 400, TokenResponseError),
        ({}, 503, TransportError),
        (b"<html>", 200, MalformedResponseError),
        ({**ISSUED, "access_token": ""}, 200, MalformedResponseError),
        (ISSUED, 307, InsecureEndpointError),
    ],
)
def test_what_is_no_token_is_judged_as_everywhere(
    body: Any, status: int, error: type[Exception]
) -> None:
    """RFC 8693 §2.2.2 takes the errors of RFC 6749 §5.2."""
    with pytest.raises(error):
        judge(body, status)
