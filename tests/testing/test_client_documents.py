"""Clients that are the URL of their metadata document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from harbor_oauth.testing import AuthorizationServer
from harbor_oauth.testing._client_documents import is_document_url

REDIRECT_URI = "http://127.0.0.1/callback"


@pytest.fixture
def host() -> Any:
    """A web server for documents."""
    with HTTPServer("127.0.0.1") as server:
        yield server


def publish(host: HTTPServer, **changes: object) -> str:
    """Serve a document; None leaves a member out."""
    url = str(host.url_for("/client.json"))
    document = {"client_id": url, "client_name": "App", "redirect_uris": [REDIRECT_URI]} | changes
    present = {name: value for name, value in document.items() if value is not None}
    host.expect_request("/client.json").respond_with_json(present)
    return url


def test_a_client_is_its_document(host: HTTPServer, user: Any) -> None:
    """Fetched once; a listed redirect URI, at any loopback port; then a public client."""
    user.server.client_id_metadata_documents = True
    url = publish(host)
    code = user.authorize(client_id=url).sent_back["code"]
    assert user.redeem(code, client_id=url).status == 200
    assert user.authorize(client_id=url).status == 302
    assert len(host.log) == 1
    assert user.authorize(client_id=url, redirect_uri="http://127.0.0.1/other").status == 400
    user.server.forget_clients()
    assert user.authorize(client_id=url).status == 302
    assert len(host.log) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "https://evil.example/client.json"},
        {"client_id": None},
        {"redirect_uris": []},
        {"redirect_uris": None},
        {"client_secret": "s"},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"padding": "x" * 5120},
    ],
)
def test_a_bad_document_makes_no_client(host: HTTPServer, user: Any, changes: Any) -> None:
    """The person sees a page, the token endpoint says invalid_client."""
    user.server.client_id_metadata_documents = True
    url = publish(host, **changes)
    assert user.authorize(client_id=url).status == 400
    refused = user.redeem("x", client_id=url)
    assert (refused.status, refused.json["error"]) == (400, "invalid_client")


@pytest.mark.parametrize(
    "answer",
    [
        Response("{}", 404),
        Response("{", 200),
        Response("", 302, {"Location": "/elsewhere.json"}),
    ],
)
def test_what_is_not_served_makes_no_client(host: HTTPServer, user: Any, answer: Any) -> None:
    """No redirect is followed."""
    user.server.client_id_metadata_documents = True
    host.expect_request("/client.json").respond_with_response(answer)
    assert user.authorize(client_id=str(host.url_for("/client.json"))).status == 400
    assert len(host.log) == 1


def test_nothing_leaves_loopback(user: Any) -> None:
    """An https document is given to the double instead."""
    user.server.client_id_metadata_documents = True
    url = "https://app.example/oauth/client.json"
    page = user.authorize(client_id=url)
    assert (page.status, b"not on loopback" in page.body) == (400, True)
    user.server.client_documents[url] = {"client_id": url, "redirect_uris": [REDIRECT_URI]}
    assert "code" in user.authorize(client_id=url).sent_back


def test_a_document_may_hold_keys(user: Any, key: Any) -> None:
    """private_key_jwt is the only way such a client authenticates."""
    user.server.client_id_metadata_documents = True
    url = "https://app.example/client.json"
    user.server.client_documents[url] = {
        "client_id": url,
        "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key.jwk]},
    }
    code = user.authorize(client_id=url).sent_back["code"]
    assert user.redeem(code, client_id=url).json["error"] == "invalid_client"
    claims = {"iss": url, "sub": url, "aud": user.server.issuer, "jti": "1"}
    proof = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": key.jwt(claims | {"exp": user.server.clock() + 60}),
    }
    assert user.redeem(code, client_id=url, **proof).status == 200


def test_it_is_off_by_default(host: HTTPServer, user: Any) -> None:
    """Then the URL is a name like any other, and the metadata says nothing."""
    url = publish(host)
    assert user.server.metadata["client_id_metadata_document_supported"] is None
    assert user.authorize(client_id=url).status == 400
    assert host.log == []
    user.server.client_id_metadata_documents = True
    assert user.server.metadata["client_id_metadata_document_supported"] is True


def test_a_document_is_fetched_without_the_lock(ask: Any, new_user: Any) -> None:
    """Whoever serves it may ask the double something first."""
    with AuthorizationServer(client_id_metadata_documents=True) as server, HTTPServer() as host:
        url = str(host.url_for("/client.json"))
        seen: list[int] = []

        def serve(request: Any) -> Response:
            seen.append(ask(f"{server.origin}/.well-known/openid-configuration").status)
            document = {"client_id": url, "redirect_uris": [REDIRECT_URI]}
            return Response(json.dumps(document), content_type="application/json")

        host.expect_request("/client.json").respond_with_handler(serve)
        assert new_user(server).authorize(client_id=url).status == 302
        assert seen == [200]


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://app.example/client.json", True),
        ("https://app.example:8443/a/b/", True),
        ("http://127.0.0.1:80/client.json", True),
        ("http://[::1]/client", True),
        ("http://app.example/client.json", False),
        ("https://app.example", False),
        ("https://app.example/", False),
        ("https://app.example/a/../client.json", False),
        ("https://app.example/./client.json", False),
        ("https://user@app.example/client.json", False),
        ("https://app.example/client.json#x", False),
        ("urn:client", False),
        ("", False),
    ],
)
def test_which_identifiers_are_urls_of_documents(url: str, fits: bool) -> None:
    """The draft's §3; plain http on loopback only."""
    assert is_document_url(url) is fits
