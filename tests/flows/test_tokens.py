"""The code exchange and the refresh."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import attrs
import pytest

from harbor_oauth.errors import (
    InsecureEndpointError,
    MalformedResponseError,
    ProtocolError,
    TokenResponseError,
    TransportError,
)
from harbor_oauth.flows import exchange_code, refresh_access_token
from harbor_oauth.flows.tokens import TokenEndpoint
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.token import TokenResponse
from harbor_oauth.secret import Secret

URL = "https://as.example.com/token"
GRANTED = {"access_token": "cnry-new", "token_type": "Bearer", "expires_in": 60}
ENDPOINT = TokenEndpoint(URL, ClientCredentials("id"), resource="https://mcp.example.com/mcp")


class Server:
    """A transport with one answer that keeps its requests."""

    def __init__(self, body: object = None, status: int = 200) -> None:
        self.body = json.dumps(GRANTED if body is None else body).encode()
        self.status = status
        self.requests: list[HttpRequest] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        headers = {"content-type": "application/json", "location": "https://evil.example.com/"}
        return HttpResponse(self.status, headers, self.body, request.url)

    @property
    def form(self) -> dict[str, list[str]]:
        (request,) = self.requests
        return parse_qs((request.body or b"").decode())


def exchange(server: Server, endpoint: TokenEndpoint = ENDPOINT) -> TokenResponse:
    return exchange_code(
        server,
        endpoint,
        code=Secret("cnry-code"),
        code_verifier=Secret("cnry-verifier"),
        redirect_uri="http://127.0.0.1:4711/callback",
        requested_scopes=("read",),
        clock=lambda: 1000.0,
    )


def refresh(server: Server, endpoint: TokenEndpoint = ENDPOINT) -> TokenResponse:
    return refresh_access_token(
        server,
        endpoint,
        refresh_token=Secret("cnry-refresh"),
        granted_scopes=("read", "write"),
        clock=lambda: 1000.0,
    )


def test_the_code_is_redeemed_once() -> None:
    """RFC 6749 §4.1.3 and RFC 7636 §4.5, with the resource (RFC 8707 §2.2)."""
    server = Server()
    answer = exchange(server)
    assert server.form == {
        "grant_type": ["authorization_code"],
        "code": ["cnry-code"],
        "code_verifier": ["cnry-verifier"],
        "redirect_uri": ["http://127.0.0.1:4711/callback"],
        "resource": ["https://mcp.example.com/mcp"],
        "client_id": ["id"],
    }
    assert answer.access_token == Secret("cnry-new")
    assert (answer.expires_at, answer.scopes) == (1060.0, ("read",))


def test_a_refresh_asks_for_no_scope() -> None:
    """So none is widened; what was granted stays, and so does the old token."""
    server = Server()
    answer = refresh(server)
    assert server.form == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["cnry-refresh"],
        "resource": ["https://mcp.example.com/mcp"],
        "client_id": ["id"],
    }
    assert answer.refresh_token is None
    assert answer.scopes == ("read", "write")


@pytest.mark.parametrize("ask", [exchange, refresh])
def test_a_vendors_way_of_asking(ask: Any) -> None:
    """Extra parameters, JSON, another separator, a mended answer: all from data."""

    def mend(members: Mapping[str, object]) -> Mapping[str, object]:
        return {**members, "token_type": "Bearer"}

    endpoint = TokenEndpoint(
        URL,
        ClientCredentials("id", Secret("cnry-secret"), "client_secret_post"),
        parameters={"audience": "x"},
        encoding="json",
        scope_separator=",",
        mend=mend,
    )
    server = Server({"access_token": "cnry-new", "token_type": "user", "scope": "a,b"})
    answer = ask(server, endpoint)
    body = json.loads(server.requests[0].body or b"")
    assert body["audience"] == "x"
    assert body["client_secret"] == "cnry-secret"
    assert "resource" not in body
    assert answer.scopes == ("a", "b")


@pytest.mark.parametrize("ask", [exchange, refresh])
def test_nothing_secret_is_in_the_url(ask: Any) -> None:
    """RFC 6749 §2.3.1, §3.2: by POST, in the body; and no repr shows it."""
    server = Server()
    ask(server)
    assert (server.requests[0].method, server.requests[0].url) == ("POST", URL)
    assert "cnry" not in repr(server.requests)


@pytest.mark.parametrize("ask", [exchange, refresh])
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": "invalid_grant"}, TokenResponseError),
        (200, {"error": "bad_verification_code"}, TokenResponseError),
        (401, {"error": "invalid_client"}, TokenResponseError),
        (200, {"token_type": "Bearer", "refresh_token": "cnry-r"}, MalformedResponseError),
        (200, ["cnry-list"], MalformedResponseError),
        (503, {"message": "cnry-internal"}, TransportError),
        (429, {}, TransportError),
        (302, GRANTED, InsecureEndpointError),
        (307, GRANTED, InsecureEndpointError),
    ],
)
def test_errors_repeat_no_secret(
    ask: Any, status: int, body: object, error: type[Exception]
) -> None:
    """One request, one error of the right class, no word of what was sent."""
    server = Server(body, status)
    with pytest.raises(error) as caught:
        ask(server)
    assert len(server.requests) == 1
    assert "cnry" not in f"{caught.value} {caught.value!r} {caught.value.__context__!r}"


@pytest.mark.parametrize("ask", [exchange, refresh])
def test_a_type_that_nobody_can_use_ends_it(ask: Any) -> None:
    """A bound token is refused unless proofs are sent (RFC 6749 §7.1, RFC 9449 §5)."""
    bound = {**GRANTED, "token_type": "DPoP"}
    with pytest.raises(ProtocolError, match="supported type"):
        ask(Server(bound))
    proving = attrs.evolve(ENDPOINT, allowed_token_types=frozenset({"dpop"}))
    assert ask(Server(bound), proving).token_type == "dpop"
    with pytest.raises(ProtocolError, match="supported type"):
        ask(Server(GRANTED), proving)


@pytest.mark.parametrize("ask", [exchange, refresh])
def test_each_request_has_its_own_assertion(ask: Any) -> None:
    """An assertion is made when it is needed, and for one request (RFC 7523 §3)."""
    made = iter(("first", "second", "third"))
    client = ClientCredentials("id", None, "private_key_jwt", private_key=Secret("cnry-key"))
    endpoint = attrs.evolve(ENDPOINT, client=client, client_assertion=lambda: Secret(next(made)))
    for expected in ("first", "second"):
        server = Server()
        ask(server, endpoint)
        assert server.form["client_assertion"] == [expected]
        assert server.form["client_id"] == ["id"]
        assert "cnry-key" not in str(server.form)


def test_extra_header_fields_go_with_every_request() -> None:
    """They add to the request's own fields, and replace none."""
    endpoint = attrs.evolve(ENDPOINT, headers={"X-Version": "7", "Content-Type": "text/plain"})
    for ask in (exchange, refresh):
        server = Server()
        ask(server, endpoint)
        (request,) = server.requests
        assert request.headers["X-Version"] == "7"
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
