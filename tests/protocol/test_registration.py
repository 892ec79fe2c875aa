"""Dynamic client registration."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from harbor_oauth.errors import (
    InsecureEndpointError,
    MalformedResponseError,
    RegistrationResponseError,
    TransportError,
)
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.protocol.registration import (
    ClientInformation,
    parse_registration_response,
    registration_request,
)
from harbor_oauth.secret import Secret

ENDPOINT = "https://server.example.com/connect/register"


def answer(body: object, status: int = 201, **headers: str) -> HttpResponse:
    """Return a registration answer; bytes as they are, else as JSON."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, fields, octets, ENDPOINT)


def judge(response: HttpResponse, requested: str = "none") -> ClientInformation:
    """Parse as the answer to a request that asked for that method."""
    return parse_registration_response(
        response, registration_endpoint=ENDPOINT, requested_auth_method=requested
    )


def test_request() -> None:
    """A native public client asks for the two grants, and says no more than that."""
    request = registration_request(
        ENDPOINT, redirect_uris=["http://127.0.0.1/callback"], client_name="Harbor"
    )
    assert (request.method, request.url) == ("POST", ENDPOINT)
    assert request.headers == {"Accept": "application/json", "Content-Type": "application/json"}
    assert json.loads(request.body or b"") == {
        "redirect_uris": ["http://127.0.0.1/callback"],
        "client_name": "Harbor",
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "native",
    }


def test_request_with_everything() -> None:
    """What is given is sent, the initial access token in its header (RFC 7591 §3)."""
    request = registration_request(
        ENDPOINT,
        redirect_uris=("http://127.0.0.1/callback", "http://[::1]/callback"),
        client_name="Häfen",
        token_endpoint_auth_method="client_secret_basic",
        scope="read write",
        software_id="4NRB1-0XZABZI9E6-5SM3R",
        software_version="1",
        client_uri="https://client.example.net",
        initial_access_token=Secret("cnry"),
    )
    body = json.loads(request.body or b"")
    assert body["client_name"] == "Häfen"
    assert body["scope"] == "read write"
    assert body["software_id"] == "4NRB1-0XZABZI9E6-5SM3R"
    assert body["client_uri"] == "https://client.example.net"
    assert body["token_endpoint_auth_method"] == "client_secret_basic"
    assert request.headers["Authorization"] == "Bearer cnry"
    assert "cnry" not in repr(request)


def test_insecure_endpoint() -> None:
    """Nothing is registered over http."""
    with pytest.raises(InsecureEndpointError, match="registration endpoint"):
        registration_request("http://as.example/", redirect_uris=(), client_name="x")


def test_answer_of_the_rfc() -> None:
    """RFC 7591 §3.2.1's example, with RFC 7592 §3's two members."""
    body = {
        "client_id": "s6BhdRkqt3",
        "client_secret": "cf136dc3c1fc93f31185e5885805d",
        "client_id_issued_at": 2893256800,
        "client_secret_expires_at": 2893276800,
        "redirect_uris": [
            "https://client.example.org/callback",
            "https://client.example.org/callback2",
        ],
        "grant_types": ["authorization_code", "refresh_token"],
        "client_name": "My Example Client",
        "token_endpoint_auth_method": "client_secret_basic",
        "example_extension_parameter": "example_value",
        "registration_access_token": "this.is.an.access.token.value.ffx83",
        "registration_client_uri": f"{ENDPOINT}?client_id=s6BhdRkqt3",
    }
    client = judge(answer(body), "client_secret_basic")
    assert client == ClientInformation(
        client_id="s6BhdRkqt3",
        client_secret=Secret("cf136dc3c1fc93f31185e5885805d"),
        client_secret_expires_at=2893276800,
        token_endpoint_auth_method="client_secret_basic",
        redirect_uris=(
            "https://client.example.org/callback",
            "https://client.example.org/callback2",
        ),
        registration_access_token=Secret("this.is.an.access.token.value.ffx83"),
        registration_client_uri=f"{ENDPOINT}?client_id=s6BhdRkqt3",
        client_id_issued_at=2893256800,
    )
    assert client.credentials().token_endpoint_auth_method == "client_secret_basic"


@pytest.mark.parametrize(
    ("returned", "requested", "method"),
    [
        ({}, "none", "none"),
        ({"token_endpoint_auth_method": "none"}, "client_secret_basic", "none"),
        ({"token_endpoint_auth_method": "client_secret_basic"}, "none", "none"),
        ({"client_secret": "", "token_endpoint_auth_method": "none"}, "none", "none"),
        ({"client_secret": None}, "none", "none"),
        ({"client_secret": "s"}, "none", "client_secret_post"),
        (
            {"client_secret": "s", "token_endpoint_auth_method": "none"},
            "none",
            "client_secret_post",
        ),
        ({"client_secret": "s"}, "client_secret_basic", "client_secret_basic"),
        (
            {"client_secret": "s", "token_endpoint_auth_method": "client_secret_basic"},
            "none",
            "client_secret_basic",
        ),
        (
            {"client_secret": "s", "token_endpoint_auth_method": "client_secret_post"},
            "client_secret_basic",
            "client_secret_post",
        ),
    ],
)
def test_auth_method(returned: Mapping[str, object], requested: str, method: str) -> None:
    """What the server returns wins; a secret it handed out is used."""
    client = judge(answer({"client_id": "id", **returned}), requested)
    assert client.token_endpoint_auth_method == method
    assert client.credentials().token_endpoint_auth_method == method


@pytest.mark.parametrize(
    ("value", "expected"), [(0, None), (None, None), (5, 5), (5.0, 5), (2**40, 2**40)]
)
def test_secret_expiry(value: object, expected: int | None) -> None:
    """Zero means that the secret never expires (RFC 7591 §3.2.1)."""
    body = {"client_id": "id", "client_secret": "s", "client_secret_expires_at": value}
    assert judge(answer(body)).client_secret_expires_at == expected


@pytest.mark.parametrize(
    "uri",
    [
        *("https://evil.example/register/id", "http://server.example.com/connect/register/id"),
        *("https://server.example.com:444/x", "https://server.example.com@evil.example/", "/x", ""),
        "https://server.example.com/x#y",
    ],
)
def test_foreign_client_uri_is_dropped(uri: str) -> None:
    """A management URI of another origin is never called (RFC 7592 §4)."""
    body = {"client_id": "id", "registration_client_uri": uri, "registration_access_token": "t"}
    client = judge(answer(body))
    assert client.registration_client_uri is None
    assert client.registration_access_token == Secret("t")


@pytest.mark.parametrize(
    "client_id", ["https://client.example/metadata.json", "a b:c%", "x" * 2048]
)
def test_client_id(client_id: str) -> None:
    """Any printable client id is kept as it is."""
    assert judge(answer({"client_id": client_id}, 200)).credentials().client_id == client_id


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>cnry</html>", b"[]", b"\xff", {}),
        *({"client_id": value} for value in ("", None, 1, "a\r\nb", "a\x00", "é", "x" * 2049)),
        *({"client_id": "id", "client_secret": value} for value in (1, "cnry\n", ["cnry"])),
        *({"client_id": "id", "redirect_uris": value} for value in ("cnry", [1])),
        *({"client_id": "id", "client_secret_expires_at": value} for value in ("1", True, 1.5)),
        *({"client_id": "id", "client_secret_expires_at": value} for value in (1e300, -(10**400))),
        {"client_id": "id", "client_secret": "s", "token_endpoint_auth_method": "private_key_jwt"},
        {"client_id": "id", "client_secret": "s", "token_endpoint_auth_method": 1},
        {"client_id": "id", "registration_access_token": 1},
        {"client_id": "id", "registration_client_uri": 1},
    ],
)
def test_malformed(body: object) -> None:
    """A wrong type or an impossible id is refused, and nothing of it repeated."""
    with pytest.raises(MalformedResponseError) as caught:
        judge(answer(body))
    assert "cnry" not in str(caught.value)


def test_error_of_the_rfc() -> None:
    """RFC 7591 §3.2.2's example."""
    body = {
        "error": "invalid_redirect_uri",
        "error_description": "The redirection URI http://sketchy.example.com is not allowed\x1b[0m",
    }
    with pytest.raises(RegistrationResponseError) as caught:
        judge(answer(body, 400))
    assert caught.value.error == "invalid_redirect_uri"
    assert caught.value.error_description == (
        "The redirection URI http://sketchy.example.com is not allowed"
    )
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, {"error": "access_denied", "client_id": "id"}, RegistrationResponseError),
        (403, {"message": "cnry"}, MalformedResponseError),
        (404, b"<html>cnry</html>", MalformedResponseError),
        (429, {"error": "too_many"}, TransportError),
        (500, b"cnry", TransportError),
        (307, {"client_id": "id"}, InsecureEndpointError),
    ],
)
def test_status(status: int, body: object, error: type[Exception]) -> None:
    """Each kind of failure has its own class."""
    with pytest.raises(error) as caught:
        judge(answer(body, status))
    assert "cnry" not in str(caught.value)


def test_retry_after() -> None:
    """A server that is busy says for how long."""
    with pytest.raises(TransportError) as caught:
        judge(answer(b"", 429, retry_after="5"))
    assert caught.value.retry_after == 5


def test_repr_is_masked() -> None:
    """Neither secret is in the repr."""
    body = {"client_id": "id", "client_secret": "cnry-s", "registration_access_token": "cnry-r"}
    assert "cnry" not in repr(judge(answer(body)))
