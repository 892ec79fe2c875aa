"""Pushing an authorization request."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from harbor_oauth.errors import (
    AuthorizationResponseError,
    ConfigurationError,
    InsecureEndpointError,
    TransportError,
)
from harbor_oauth.flows import push_authorization_request
from harbor_oauth.protocol.authorization import AuthorizationRequest
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.metadata import ServerMetadata
from harbor_oauth.protocol.pkce import PKCE
from harbor_oauth.secret import Secret

METADATA = ServerMetadata(
    "https://as.example.com",
    authorization_endpoint="https://as.example.com/authorize",
    pushed_authorization_request_endpoint="https://as.example.com/par",
)
REQUEST = AuthorizationRequest(
    authorization_endpoint="https://as.example.com/authorize",
    client_id="id",
    redirect_uri="http://127.0.0.1:4711/callback",
    scope=None,
    state=Secret("cnry-state"),
    pkce=PKCE.generate(lambda count: b"\x07" * count),
    issuer="https://as.example.com",
    iss_required=False,
)
SIGNING = ClientCredentials(
    "id", token_endpoint_auth_method="private_key_jwt", private_key=Secret("cnry-pem")
)


class Server:
    """A transport with scripted answers that keeps its requests."""

    def __init__(self, *answers: tuple[int, dict[str, str], object]) -> None:
        self.answers = list(answers)
        self.requests: list[HttpRequest] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        status, headers, body = self.answers.pop(0)
        return HttpResponse(status, headers, json.dumps(body).encode(), request.url)


PUSHED: tuple[int, dict[str, str], object] = (201, {}, {"request_uri": "urn:x", "expires_in": 60})


def push(
    server: Server,
    metadata: ServerMetadata = METADATA,
    client: ClientCredentials | None = None,
    client_assertion: Callable[[], Secret] | None = None,
) -> str:
    return push_authorization_request(
        server,
        metadata,
        client or ClientCredentials("id"),
        REQUEST,
        clock=lambda: 1000.0,
        client_assertion=client_assertion,
    )


def test_the_url_stands_for_what_was_pushed() -> None:
    """RFC 9126 §4: one push, and a URL without the state, the challenge and the redirect URI."""
    server = Server(PUSHED)
    url = push(server)
    (request,) = server.requests
    assert request.url == "https://as.example.com/par"
    assert parse_qs((request.body or b"").decode())["state"] == ["cnry-state"]
    assert parse_qs(urlsplit(url).query) == {"client_id": ["id"], "request_uri": ["urn:x"]}
    assert url.startswith("https://as.example.com/authorize?")


def test_each_push_signs_an_assertion_of_its_own() -> None:
    """Also when the server wants a nonce in the proof first (RFC 7523 §3, RFC 9449 §8)."""
    made: list[str] = []

    def sign() -> Secret:
        made.append(f"assertion-{len(made)}")
        return Secret(made[-1])

    server = Server((400, {"dpop-nonce": "n1"}, {"error": "use_dpop_nonce"}), PUSHED)
    push(server, client=SIGNING, client_assertion=sign)
    sent = [parse_qs((r.body or b"").decode())["client_assertion"] for r in server.requests]
    assert sent == [["assertion-0"], ["assertion-1"]]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((400, {}, {"error": "invalid_request"}), AuthorizationResponseError),
        ((503, {}, {}), TransportError),
        ((307, {"location": "https://evil.example.com/"}, {}), InsecureEndpointError),
    ],
)
def test_a_refusal_is_told(
    answer: tuple[int, dict[str, str], object], error: type[Exception]
) -> None:
    """By its class, after one request: what is pushed never goes anywhere else."""
    server = Server(answer)
    with pytest.raises(error):
        push(server)
    assert len(server.requests) == 1


def test_without_an_endpoint_nothing_is_pushed() -> None:
    """The caller looks first; a mistake is told."""
    server = Server()
    with pytest.raises(ConfigurationError, match="pushed"):
        push(server, attrs.evolve(METADATA, pushed_authorization_request_endpoint=None))
    assert server.requests == []
