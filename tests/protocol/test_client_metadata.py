"""The document behind a client id that is a URL."""

from __future__ import annotations

import json

import pytest

from harbor_oauth.protocol.client_metadata import (
    REDIRECT_URIS,
    client_id_fault,
    client_metadata_document,
    client_metadata_request,
    lint_client_metadata,
    lint_client_metadata_response,
)
from harbor_oauth.protocol.http import HttpResponse

URL = "https://app.example/oauth/client.json"


def body(**changed: object) -> bytes:
    """Return our document with members changed; None leaves one out."""
    document = client_metadata_document(URL, client_name="Acme") | changed
    return json.dumps(
        {name: value for name, value in document.items() if value is not None}
    ).encode()


# --- the URL ------------------------------------------------------------------
@pytest.mark.parametrize(
    "url",
    [
        URL,
        "https://app.example:8443/c",
        "https://app.example/a.b/..c/.d",
        "https://app.example/c?v=1",
        "http://127.0.0.1:3000/client.json",
    ],
)
def test_a_url_that_can_be_a_client_id(url: str) -> None:
    """Https with a path; loopback is for a server on the same machine."""
    assert client_id_fault(url) == ""


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://app.example/c", "plain absolute https"),
        ("https://user@app.example/c", "plain absolute https"),
        ("https://user:pw@app.example/c", "plain absolute https"),
        ("https://app.example/c#f", "plain absolute https"),
        ("https://app.example/c d", "plain absolute https"),
        ("https://app.example\\c/d", "plain absolute https"),
        ("ftp://app.example/c", "plain absolute https"),
        ("/client.json", "plain absolute https"),
        ("", "plain absolute https"),
        ("https://app.example", "has no path"),
        ("https://app.example/", "has no path"),
        ("https://app.example?x=/y", "has no path"),
        ("https://app.example/?x=/y", "has no path"),
        ("https://app.example/a/../c", "dot segment"),
        ("https://app.example/./c", "dot segment"),
        ("https://app.example/a/..", "dot segment"),
        ("https://app.example/a/%2E%2e/c", "dot segment"),
        ("https://app.example/a/.%2e?x", "dot segment"),
        ("https://[::1.2.3]/c/..", "dot segment"),
    ],
)
def test_a_url_that_cannot(url: str, fault: str) -> None:
    """What the draft forbids in a client id (§3), whoever wrote it."""
    assert fault in client_id_fault(url)
    with pytest.raises(ValueError, match=fault):
        client_metadata_document(url, client_name="Acme")


# --- the document -------------------------------------------------------------
def test_the_document() -> None:
    """A native public client with loopback addresses and no port, and no more than that."""
    assert client_metadata_document(URL, client_name="Acme") == {
        "client_id": URL,
        "client_name": "Acme",
        "redirect_uris": ["http://127.0.0.1/callback", "http://[::1]/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    }
    full = client_metadata_document(
        URL,
        client_name="Acme",
        client_uri="https://app.example/",
        logo_uri="https://app.example/logo.png",
    )
    assert (full["client_uri"], full["logo_uri"]) == (
        "https://app.example/",
        "https://app.example/logo.png",
    )


def test_our_own_document_has_no_finding() -> None:
    """As it is printed, on its own URL."""
    assert lint_client_metadata(URL, body()) == ()


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        ({"client_id": URL + "/"}, "client_id is not the URL"),
        ({"client_id": URL.replace("app", "APP")}, "client_id is not the URL"),
        ({"client_id": None}, "client_id is not the URL"),
        ({"client_name": None}, "no client_name"),
        ({"client_name": " "}, "no client_name"),
        ({"client_name": 1}, "no client_name"),
        ({"redirect_uris": None}, "not a list of strings"),
        ({"redirect_uris": [1]}, "not a list of strings"),
        ({"redirect_uris": "http://127.0.0.1/callback"}, "not a list of strings"),
        ({"redirect_uris": REDIRECT_URIS[:1]}, "lack http://[::1]/callback"),
        ({"redirect_uris": ["http://127.0.0.1:80/callback", REDIRECT_URIS[1]]}, "lack http://127"),
        ({"redirect_uris": [*REDIRECT_URIS, "http://a.example/c"]}, "neither https nor loopback"),
        ({"redirect_uris": [*REDIRECT_URIS, "//a.example/c"]}, "neither https nor loopback"),
        ({"redirect_uris": [*REDIRECT_URIS, "javascript:alert(1)"]}, "neither https nor"),
        ({"redirect_uris": [*REDIRECT_URIS, "http://[::zz]/c"]}, "neither https nor loopback"),
        ({"grant_types": None}, "grant_types lack refresh_token"),
        ({"grant_types": ["refresh_token"]}, "grant_types lack authorization_code"),
        ({"grant_types": ["authorization_code", 1]}, "grant_types lack refresh_token"),
        ({"response_types": ["token"]}, "response_types lack code"),
        ({"response_types": 1}, "response_types lack code"),
        ({"token_endpoint_auth_method": None}, "auth_method is 'client_secret_basic'"),
        ({"token_endpoint_auth_method": "client_secret_post"}, "there can be no secret"),
        ({"token_endpoint_auth_method": []}, "there can be no secret"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "neither jwks nor jwks_uri"),
        ({"client_secret": "cnry"}, "it has a client_secret"),
        ({"client_secret_expires_at": 0}, "it has a client_secret_expires_at"),
        ({"application_type": None}, "application_type is not native"),
        ({"application_type": "web"}, "application_type is not native"),
        ({"logo_uri": "https://app.example/" + "x" * 5120}, "read no more than 5120"),
    ],
)
def test_one_fault_is_one_finding(changed: dict[str, object], finding: str) -> None:
    """And no finding repeats a secret."""
    found = lint_client_metadata(URL, body(**changed))
    assert len(found) == 1
    assert finding in found[0]
    assert "cnry" not in found[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"response_types": None},
        {"redirect_uris": [*REDIRECT_URIS, "http://localhost/callback", "https://a.example/c"]},
        {"redirect_uris": [*REDIRECT_URIS, "com.example.app:/callback"]},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://a.example/k"},
        {"future": {"any": "thing"}},
    ],
)
def test_what_may_be_there(changed: dict[str, object]) -> None:
    """More ways for the answer to come back, a key, members of tomorrow."""
    assert lint_client_metadata(URL, body(**changed)) == ()


def test_a_member_of_the_wrong_type_lacks_everything() -> None:
    """Each grant is missed by name."""
    assert lint_client_metadata(URL, body(grant_types=1)) == (
        "its grant_types lack authorization_code",
        "its grant_types lack refresh_token",
    )


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_object(text: bytes) -> None:
    """It is said, whatever it is."""
    assert lint_client_metadata(URL, text)[-1] == "it is not a JSON object"


def test_the_url_is_judged_with_the_document() -> None:
    """A query is allowed, and unwise."""
    url = URL + "?v=1"
    (finding,) = lint_client_metadata(url, body(client_id=url))
    assert "query" in finding
    (finding, *_) = lint_client_metadata("https://app.example/", body())
    assert finding == "its URL has no path"


# --- how it is served ---------------------------------------------------------
def served(status: int = 200, content_type: str | None = "application/json") -> tuple[str, ...]:
    headers = {} if content_type is None else {"content-type": content_type}
    return lint_client_metadata_response(URL, HttpResponse(status, headers, body(), URL))


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"]
)
def test_served_well(content_type: str) -> None:
    """As JSON, or as a kind of it."""
    assert served(content_type=content_type) == ()


@pytest.mark.parametrize("content_type", [None, "text/html", "text/json", "text/x+json"])
def test_served_as_something_else(content_type: str | None) -> None:
    """A server need not read it then."""
    (finding,) = served(content_type=content_type)
    assert finding.startswith("it is served as ")


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 404, 500])
def test_only_200_will_do(status: int) -> None:
    """A redirect is not followed, and its body is not looked at."""
    (finding,) = served(status)
    assert f"status {status}" in finding


def test_the_request() -> None:
    """It asks as a server would."""
    request = client_metadata_request(URL)
    assert (request.method, request.url, request.body) == ("GET", URL, None)
    assert request.headers == {"Accept": "application/json"}
