"""Pushed authorization requests."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from harbor_oauth.errors import (
    AuthorizationResponseError,
    InsecureEndpointError,
    MalformedResponseError,
    TransportError,
)
from harbor_oauth.protocol.authorization import AuthorizationRequest
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.protocol.pkce import PKCE
from harbor_oauth.protocol.pushed import (
    PushedRequest,
    front_channel_url,
    parse_pushed_response,
    pushed_authorization_request,
)
from harbor_oauth.secret import Secret

ENDPOINT = "https://as.example.com/as/par"
URN = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"
REQUEST = AuthorizationRequest(
    authorization_endpoint="https://as.example.com/authorize?tenant=1",
    client_id="s6BhdRkqt3",
    redirect_uri="http://127.0.0.1:4711/callback",
    scope="read write",
    state=Secret("cnry-state"),
    pkce=PKCE.generate(lambda count: b"\x07" * count),
    issuer="https://as.example.com",
    iss_required=True,
    resource="https://mcp.example.com/mcp",
    parameters={"prompt": "consent"},
)


def answer(status: int, body: object = b"", **headers: str) -> HttpResponse:
    """Return an answer; bytes as they are, else as JSON."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, fields, octets, ENDPOINT)


def test_all_that_the_browser_would_carry_is_pushed() -> None:
    """RFC 9126 §2.1: the parameters of the authorization request, in a form body."""
    request = pushed_authorization_request(ENDPOINT, ClientCredentials("s6BhdRkqt3"), REQUEST)
    assert (request.method, request.url) == ("POST", ENDPOINT)
    pushed = dict(parse_qsl((request.body or b"").decode(), strict_parsing=True))
    in_the_url = dict(parse_qsl(urlsplit(REQUEST.url()).query))
    assert pushed == {name: value for name, value in in_the_url.items() if name != "tenant"}
    assert pushed["state"] == "cnry-state"
    assert pushed["prompt"] == "consent"
    assert "cnry" not in repr(request)


def test_the_client_authenticates_as_at_the_token_endpoint() -> None:
    """RFC 9126 §2: and `client_id` stays a parameter of the request it pushes."""
    client = ClientCredentials("s6BhdRkqt3", Secret("gX1fBat3bV"), "client_secret_basic")
    request = pushed_authorization_request(ENDPOINT, client, REQUEST)
    assert request.headers["Authorization"] == "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"
    form = parse_qs((request.body or b"").decode())
    assert form["client_id"] == ["s6BhdRkqt3"]
    assert "client_secret" not in form


def test_a_signing_client_sends_its_assertion() -> None:
    """RFC 7523 §2.2."""
    client = ClientCredentials(
        "s6BhdRkqt3",
        token_endpoint_auth_method="private_key_jwt",
        private_key=Secret("cnry-pem"),
    )
    request = pushed_authorization_request(ENDPOINT, client, REQUEST, Secret("a.b.c"))
    assert parse_qs((request.body or b"").decode())["client_assertion"] == ["a.b.c"]
    assert request.single_use


def test_an_insecure_endpoint_is_refused() -> None:
    """The state is not pushed over http."""
    with pytest.raises(InsecureEndpointError, match="pushed authorization request"):
        pushed_authorization_request("http://as.example/par", ClientCredentials("id"), REQUEST)


@pytest.mark.parametrize("status", [200, 201])
def test_answer_of_the_rfc(status: int) -> None:
    """RFC 9126 §2.2's example; 200 has been seen where 201 is written."""
    body = {"request_uri": URN, "expires_in": 60}
    pushed = parse_pushed_response(answer(status, body), now=1000.0)
    assert pushed == PushedRequest(Secret(URN), 1060.0)
    assert URN not in repr(pushed)


@pytest.mark.parametrize(
    "body",
    [
        {"expires_in": 60},
        {"request_uri": "", "expires_in": 60},
        {"request_uri": 1, "expires_in": 60},
        {"request_uri": "urn:x y", "expires_in": 60},
        {"request_uri": "urn:\x1b[31m", "expires_in": 60},
        {"request_uri": "u" * 2049, "expires_in": 60},
        {"request_uri": URN},
        {"request_uri": URN, "expires_in": 0},
        {"request_uri": URN, "expires_in": -1},
        {"request_uri": URN, "expires_in": "soon"},
        {"request_uri": URN, "expires_in": True},
        b"<html>cnry</html>",
        [],
    ],
)
def test_malformed_answer(body: object) -> None:
    """What is not RFC 9126 §2.2's answer is refused, and not repeated."""
    with pytest.raises(MalformedResponseError) as caught:
        parse_pushed_response(answer(201, body), now=0.0)
    assert caught.value.requirement == "RFC 9126 §2.2"
    assert "cnry" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 400, 401, 503])
def test_refusal(status: int) -> None:
    """RFC 9126 §2.3: an error keeps its code, whatever the status."""
    body = {"error": "invalid_request", "error_description": "no\x1b[31m redirect"}
    with pytest.raises(AuthorizationResponseError) as caught:
        parse_pushed_response(answer(status, body), now=0.0)
    assert caught.value.error == "invalid_request"
    assert caught.value.error_description == "no redirect"
    assert caught.value.status == status


@pytest.mark.parametrize("status", [408, 429, 500, 503])
@pytest.mark.parametrize("body", [b"cnry", {"error": "busy"}])
def test_unavailable(status: int, body: object) -> None:
    """A server that cannot answer now refuses nothing."""
    with pytest.raises(TransportError) as caught:
        parse_pushed_response(answer(status, body, retry_after="7"), now=0.0)
    assert caught.value.retry_after == 7
    assert "cnry" not in str(caught.value)


def test_a_status_without_an_error_code_is_malformed() -> None:
    """RFC 9126 §2.3 wants one."""
    with pytest.raises(MalformedResponseError, match="405"):
        parse_pushed_response(answer(405, {}), now=0.0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused(status: int) -> None:
    """It would carry the request elsewhere."""
    with pytest.raises(InsecureEndpointError):
        parse_pushed_response(
            answer(status, {"request_uri": URN, "expires_in": 60}, location="https://evil.example"),
            now=0.0,
        )


def test_the_browser_carries_two_parameters() -> None:
    """RFC 9126 §4: nothing of the request itself; the endpoint's own query stays."""
    url = front_channel_url(REQUEST.authorization_endpoint, "s6BhdRkqt3", Secret(URN))
    assert url.partition("?")[0] == "https://as.example.com/authorize"
    assert parse_qs(urlsplit(url).query) == {
        "tenant": ["1"],
        "client_id": ["s6BhdRkqt3"],
        "request_uri": [URN],
    }


def test_the_browser_goes_nowhere_insecure() -> None:
    """As with any authorization request."""
    with pytest.raises(InsecureEndpointError):
        front_channel_url("http://as.example/authorize", "id", Secret(URN))
