"""The device grant's two requests."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import attrs
import pytest

from harbor_oauth.errors import (
    AuthorizationResponseError,
    FlowTimeoutError,
    InsecureEndpointError,
    MalformedResponseError,
    TokenResponseError,
    TransportError,
)
from harbor_oauth.flows import authorize_device, poll_device_token
from harbor_oauth.flows.tokens import TokenEndpoint
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.device import DEVICE_CODE, DeviceAuthorization, Waiting
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.secret import Secret

ENDPOINT = TokenEndpoint(
    "https://as.example.com/token",
    ClientCredentials("id"),
    resource="https://mcp.example.com/mcp",
    parameters={"audience": "x"},
    scope_separator=",",
)
CODES = {
    "device_code": "cnry-code",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://as.example.com/device",
    "expires_in": 600,
}
GRANTED = {"access_token": "cnry-new", "token_type": "Bearer", "expires_in": 60}


class Server:
    """A transport with one answer that keeps its requests."""

    def __init__(self, body: object, status: int = 200) -> None:
        self.body = json.dumps(body).encode()
        self.status = status
        self.requests: list[HttpRequest] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        headers = {"location": "https://evil.example.com/"}
        return HttpResponse(self.status, headers, self.body, request.url)

    @property
    def form(self) -> dict[str, list[str]]:
        return parse_qs((self.requests[-1].body or b"").decode())


def authorize(server: Server, endpoint: TokenEndpoint = ENDPOINT) -> DeviceAuthorization:
    return authorize_device(
        server,
        "https://as.example.com/device_authorization",
        endpoint,
        scopes=("read", "write"),
        clock=lambda: 1000.0,
        parameters={"prompt": "consent"},
    )


def poll(server: Server, endpoint: TokenEndpoint = ENDPOINT) -> TokenResponse | Waiting:
    return poll_device_token(
        server,
        endpoint,
        device_code=Secret("cnry-code"),
        requested_scopes=("read",),
        clock=lambda: 1000.0,
    )


def test_the_codes_are_asked_for() -> None:
    """With the scopes as this server joins them, and the resource (RFC 8707)."""
    server = Server(CODES)
    codes = authorize(server)
    assert server.requests[0].url == "https://as.example.com/device_authorization"
    assert server.form == {
        "client_id": ["id"],
        "scope": ["read,write"],
        "resource": ["https://mcp.example.com/mcp"],
        "prompt": ["consent"],
    }
    assert (codes.user_code, codes.expires_at) == ("WDJB-MJHT", 1600.0)


def test_one_poll() -> None:
    """One request, which names the grant, the code, the client and the resource."""
    server = Server(GRANTED)
    answer = poll(server)
    assert isinstance(answer, TokenResponse)
    assert answer.access_token == Secret("cnry-new")
    assert (answer.expires_at, answer.scopes) == (1060.0, ("read",))
    assert len(server.requests) == 1
    assert server.form == {
        "grant_type": [DEVICE_CODE],
        "device_code": ["cnry-code"],
        "client_id": ["id"],
        "resource": ["https://mcp.example.com/mcp"],
        "audience": ["x"],
    }


@pytest.mark.parametrize("status", [200, 400, 403, 428])
@pytest.mark.parametrize("why", list(Waiting))
def test_a_poll_that_says_wait(status: int, why: Waiting) -> None:
    """Whatever the status: GitHub answers 200, Google 428 and 403."""
    assert poll(Server({"error": why.value}, status)) is why


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "access_denied", AuthorizationResponseError),
        (400, "expired_token", FlowTimeoutError),
        (400, "invalid_grant", TokenResponseError),
        (503, "busy", TransportError),
        (429, "slow_down", TransportError),
        (302, "slow_down", InsecureEndpointError),
        (404, "", MalformedResponseError),
    ],
)
def test_a_poll_that_says_no(status: int, code: str, error: type[Exception]) -> None:
    """By its class; what a proxy says of itself is not the server's word."""
    with pytest.raises(error) as caught:
        poll(Server({"error": code}, status))
    assert "cnry" not in str(caught.value)


def test_each_request_signs_an_assertion_of_its_own() -> None:
    """A server takes an assertion once (RFC 7523 §3)."""
    made: list[str] = []

    def sign() -> Secret:
        made.append(f"assertion-{len(made)}")
        return Secret(made[-1])

    client = ClientCredentials(
        "id", token_endpoint_auth_method="private_key_jwt", private_key=Secret("cnry-pem")
    )
    endpoint = attrs.evolve(ENDPOINT, client=client, client_assertion=sign)
    authorizing, polling = Server(CODES), Server({"error": "authorization_pending"}, 400)
    authorize(authorizing, endpoint)
    poll(polling, endpoint)
    poll(polling, endpoint)
    sent = [*authorizing.requests, *polling.requests]
    assert [parse_qs((r.body or b"").decode())["client_assertion"] for r in sent] == [
        ["assertion-0"],
        ["assertion-1"],
        ["assertion-2"],
    ]
