"""Ending a grant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from harbor_oauth.errors import InsecureEndpointError, RevocationResponseError, TransportError
from harbor_oauth.flows import revoke
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import IssuedToken, Revocation
from harbor_oauth.secret import Secret

URL = "https://as.example.com/revoke"
UNSUPPORTED = b'{"error": "unsupported_token_type"}'


class Server:
    """A transport that gives its answers in turn and keeps the forms it was sent."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.requests: list[HttpRequest] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        status, body = self.answers.pop(0) if self.answers else (200, b"")
        return HttpResponse(status, {"location": "https://evil.example.com/"}, body, request.url)

    @property
    def forms(self) -> list[dict[str, list[str]]]:
        return [parse_qs((request.body or b"").decode()) for request in self.requests]


def end(server: Callable[[HttpRequest], HttpResponse], **changes: Any) -> bool:
    arguments: dict[str, Any] = {
        "revocation": Revocation(),
        "endpoint": URL,
        "client": ClientCredentials("id"),
        "refresh_token": Secret("cnry-refresh"),
        "access_token": Secret("cnry-access"),
        **changes,
    }
    return revoke(server, arguments.pop("revocation"), **arguments)


def test_the_refresh_token_comes_first() -> None:
    """Each by POST, its kind as hint, and nothing secret in the URL."""
    server = Server()
    assert end(server) is True
    assert server.forms == [
        {"token": ["cnry-refresh"], "token_type_hint": ["refresh_token"], "client_id": ["id"]},
        {"token": ["cnry-access"], "token_type_hint": ["access_token"], "client_id": ["id"]},
    ]
    assert {(request.method, request.url) for request in server.requests} == {("POST", URL)}


@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_a_token_that_is_not_there_is_left_out(kind: str) -> None:
    """No request is made for it."""
    server = Server()
    assert end(server, **{kind: None}) is True
    assert len(server.requests) == 1
    assert server.forms[0]["token_type_hint"] != [kind]


def test_each_request_has_its_own_assertion() -> None:
    """A client that signs does so for each token (RFC 7523 §3)."""
    server = Server()
    made = iter(("first", "second"))
    client = ClientCredentials("id", None, "private_key_jwt", private_key=Secret("cnry-key"))
    assert end(server, client=client, client_assertion=lambda: Secret(next(made))) is True
    assert [form["client_assertion"] for form in server.forms] == [["first"], ["second"]]


def test_a_server_may_revoke_refresh_tokens_only() -> None:
    """RFC 7009 §2.2.1 lets it say so for access tokens."""
    assert end(Server((200, b""), (400, UNSUPPORTED))) is True
    with pytest.raises(RevocationResponseError) as caught:
        end(Server((400, UNSUPPORTED)))
    assert caught.value.error == "unsupported_token_type"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((400, b'{"error": "invalid_client"}'), RevocationResponseError),
        ((503, b"cnry"), TransportError),
        ((429, b"cnry"), TransportError),
        ((307, b"cnry"), InsecureEndpointError),
    ],
)
@pytest.mark.parametrize("position", [0, 1])
def test_a_refusal_is_told(
    answer: tuple[int, bytes], error: type[Exception], position: int
) -> None:
    """For either token; the text repeats no token and no body."""
    server = Server(*[(200, b"")] * position, answer)
    with pytest.raises(error) as caught:
        end(server)
    assert "cnry" not in str(caught.value)
    assert len(server.requests) == position + 1


def test_a_declared_endpoint_wins() -> None:
    """What the provider declares is pinned."""
    server = Server()
    end(server, revocation=Revocation(endpoint="https://other.example.com/revoke"))
    assert {request.url for request in server.requests} == {"https://other.example.com/revoke"}


def test_other_statuses_may_mean_that_it_is_dead() -> None:
    """Where the provider declares them; a redirect never does."""
    revocation = Revocation(accepted=(400, 307))
    assert end(Server((400, b"no"), (400, b"no")), revocation=revocation) is True
    with pytest.raises(InsecureEndpointError):
        end(Server((307, b"")), revocation=revocation)


def test_a_provider_may_have_its_own_way() -> None:
    """Its function builds the request, with each token, its kind and the client."""
    seen = []

    def request(token: Secret, kind: str, client_id: str) -> HttpRequest:
        seen.append((token.reveal(), kind, client_id))
        return HttpRequest("DELETE", f"{URL}/{kind}")

    server = Server()
    assert end(server, revocation=Revocation(request=request), endpoint=None) is True
    assert seen == [("cnry-refresh", "refresh_token", "id"), ("cnry-access", "access_token", "id")]
    assert [each.url for each in server.requests] == [f"{URL}/refresh_token", f"{URL}/access_token"]


def test_an_api_of_the_vendor_s_own_gets_the_client_too() -> None:
    """A token that it does not take is left out."""
    seen: list[IssuedToken] = []

    def request(issued: IssuedToken) -> HttpRequest | None:
        seen.append(issued)
        return HttpRequest("POST", f"{URL}/own") if issued.kind == "access_token" else None

    server = Server()
    client = ClientCredentials("id", Secret("cnry-secret"), "client_secret_basic")
    assert end(server, revocation=Revocation(own_api=request), client=client) is True
    assert [each.url for each in server.requests] == [f"{URL}/own"]
    assert seen == [
        IssuedToken(Secret("cnry-refresh"), "refresh_token", "id", Secret("cnry-secret")),
        IssuedToken(Secret("cnry-access"), "access_token", "id", Secret("cnry-secret")),
    ]


def test_a_vendor_may_refuse_in_the_body() -> None:
    """Its function reads the code from an answer with HTTP status 200; None is a dead token."""
    refusal = Revocation(refusal=lambda response: response.body.decode() or None)
    assert end(Server(), revocation=refusal) is True
    with pytest.raises(RevocationResponseError) as caught:
        end(Server((200, b""), (200, b"no\x1b[1m_permission")), revocation=refusal)
    assert caught.value.error == "no_permission"


@pytest.mark.parametrize(
    ("revocation", "endpoint"),
    [
        (Revocation(), None),
        (Revocation(possible=False), URL),
        (Revocation(own_api=lambda _: None), URL),
    ],
)
def test_some_servers_have_no_way(revocation: Revocation, endpoint: str | None) -> None:
    """That is said, and nothing is sent."""
    server = Server()
    assert end(server, revocation=revocation, endpoint=endpoint) is False
    assert server.requests == []
