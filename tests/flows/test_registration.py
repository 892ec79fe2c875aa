"""Dynamic registration, sent."""

from __future__ import annotations

import json

import pytest

from harbor_oauth.errors import InsecureEndpointError, RegistrationResponseError, TransportError
from harbor_oauth.flows import register_client
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.protocol.registration import ClientInformation
from harbor_oauth.secret import Secret

URL = "https://as.example.com/register"


def register(
    status: int, body: object, requests: list[HttpRequest] | None = None
) -> ClientInformation:
    def transport(request: HttpRequest) -> HttpResponse:
        (requests if requests is not None else []).append(request)
        headers = {"location": "https://evil.example.com/"}
        return HttpResponse(status, headers, json.dumps(body).encode(), request.url)

    return register_client(
        transport,
        URL,
        redirect_uri="http://127.0.0.1:4711/callback",
        client_name="Harbor",
    )


def test_a_native_public_client_is_registered() -> None:
    """With as little about the user as RFC 7591 §2 allows."""
    requests: list[HttpRequest] = []
    client = register(201, {"client_id": "made"}, requests)
    (request,) = requests
    assert json.loads(request.body or b"") == {
        "redirect_uris": ["http://127.0.0.1:4711/callback"],
        "client_name": "Harbor",
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "native",
    }
    assert (client.client_id, client.client_secret) == ("made", None)


def test_what_the_server_returns_counts() -> None:
    """RFC 7591 §3.2.1: also a secret that was not asked for."""
    made = {"client_id": "made", "client_secret": "s", "client_secret_expires_at": 0}
    assert register(201, made).client_secret == Secret("s")


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, RegistrationResponseError), (503, TransportError), (307, InsecureEndpointError)],
)
def test_a_refusal_is_told(status: int, error: type[Exception]) -> None:
    """By its class."""
    with pytest.raises(error):
        register(status, {"error": "invalid_redirect_uri"})


@pytest.mark.parametrize(
    ("supported", "method"),
    [
        (None, "none"),
        ((), "none"),
        (("none", "client_secret_basic"), "none"),
        (("client_secret_post", "client_secret_basic"), "client_secret_basic"),
        (("client_secret_post",), "client_secret_post"),
        (("private_key_jwt",), "none"),
    ],
)
def test_a_server_that_lists_no_public_clients_is_not_asked_for_one(
    supported: tuple[str, ...] | None, method: str
) -> None:
    """Some refuse `none` where their metadata leaves it out (RFC 8414 §2)."""
    asked: list[HttpRequest] = []

    def transport(request: HttpRequest) -> HttpResponse:
        asked.append(request)
        body = json.dumps({"client_id": "c", "client_secret": "s"}).encode()
        return HttpResponse(201, {}, body, request.url)

    found = register_client(
        transport,
        "https://as.example/register",
        redirect_uri="http://127.0.0.1:1/callback",
        client_name="x",
        auth_methods=supported,
    )
    assert json.loads(asked[0].body or b"")["token_endpoint_auth_method"] == method
    assert found.token_endpoint_auth_method == (
        method if method != "none" else "client_secret_post"
    )
