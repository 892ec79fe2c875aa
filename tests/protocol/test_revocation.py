"""Token revocation."""

from __future__ import annotations

import json

import pytest

from harbor_oauth.errors import (
    InsecureEndpointError,
    MalformedResponseError,
    RevocationResponseError,
    TransportError,
)
from harbor_oauth.protocol.client_auth import ClientCredentials
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.protocol.revocation import parse_revocation_response, revocation_request
from harbor_oauth.secret import Secret

ENDPOINT = "https://server.example.com/revoke"


def answer(status: int, body: object = b"", **headers: str) -> HttpResponse:
    """Return a revocation answer; bytes as they are, else as JSON."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, fields, octets, ENDPOINT)


def test_request_of_the_rfc() -> None:
    """RFC 7009 §2.1's example."""
    client = ClientCredentials("s6BhdRkqt3", Secret("gX1fBat3bV"), "client_secret_basic")
    request = revocation_request(
        ENDPOINT,
        client,
        token=Secret("45ghiukldjahdnhzdauz"),
        token_type_hint="refresh_token",
    )
    assert request.body == b"token=45ghiukldjahdnhzdauz&token_type_hint=refresh_token"
    assert request.headers["Authorization"] == "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "45ghiukldjahdnhzdauz" not in f"{request!r} {request.url}"


def test_request_of_a_public_client() -> None:
    """A public client names itself; the hint may be left out."""
    request = revocation_request(ENDPOINT, ClientCredentials("id"), token=Secret("t"))
    assert request.body == b"token=t&client_id=id"


def test_request_of_a_client_that_signs() -> None:
    """RFC 7009 §2.1 lets a client authenticate as at the token endpoint."""
    client = ClientCredentials("id", None, "private_key_jwt", private_key=Secret("cnry-key"))
    request = revocation_request(
        ENDPOINT, client, token=Secret("t"), client_assertion=Secret("the.assertion")
    )
    assert b"&client_assertion=the.assertion" in (request.body or b"")
    assert b"cnry" not in (request.body or b"")


def test_insecure_endpoint() -> None:
    """A token is not revoked over http."""
    with pytest.raises(InsecureEndpointError, match="revocation endpoint"):
        revocation_request("http://as.example/", ClientCredentials("id"), token=Secret("cnry"))


@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize("body", [b"", b"OK", b"<html>", {"error": "whatever"}])
def test_success(status: int, body: object) -> None:
    """Any 2xx is success, whatever its body (RFC 7009 §2.2)."""
    parse_revocation_response(answer(status, body))


def test_refusal() -> None:
    """An error keeps its code (RFC 7009 §2.2.1)."""
    body = {"error": "unsupported_token_type", "error_description": "no\x07"}
    with pytest.raises(RevocationResponseError) as caught:
        parse_revocation_response(answer(400, body))
    assert caught.value.error == "unsupported_token_type"
    assert caught.value.error_description == "no"
    assert caught.value.status == 400


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_unavailable(status: int) -> None:
    """With 503 the token still lives, and the server says when to try again."""
    with pytest.raises(TransportError) as caught:
        parse_revocation_response(answer(status, b"cnry", retry_after="120"))
    assert caught.value.retry_after == 120
    assert "cnry" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>cnry</html>", {"message": "cnry"}, [1]])
def test_malformed(body: object) -> None:
    """A refusal without a code is named by its status or its shape."""
    with pytest.raises(MalformedResponseError, match="RFC 7009") as caught:
        parse_revocation_response(answer(404, body))
    assert "cnry" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(status: int) -> None:
    """A redirect would carry the token on and is not followed."""
    with pytest.raises(InsecureEndpointError, match="redirect"):
        parse_revocation_response(answer(status, location="https://evil.example/"))
