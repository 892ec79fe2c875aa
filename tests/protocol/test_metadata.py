"""Authorization server metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs
import pytest

from harbor_oauth.errors import (
    InsecureEndpointError,
    IssuerMismatchError,
    MalformedResponseError,
    PKCEUnsupportedError,
    TransportError,
)
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.protocol.metadata import (
    ServerMetadata,
    metadata_request,
    parse_server_metadata,
    server_metadata_urls,
)

ISSUER = "https://server.example.com"
OAUTH = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


def answer(body: object, status: int = 200) -> HttpResponse:
    """Return a metadata answer; bytes as they are, else as JSON."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status, {}, octets, f"{ISSUER}{OAUTH}?key=cnry")


# RFC 8414 §3.2's example.
EXAMPLE: Mapping[str, object] = {
    "issuer": "https://server.example.com",
    "authorization_endpoint": "https://server.example.com/authorize",
    "token_endpoint": "https://server.example.com/token",
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
    "token_endpoint_auth_signing_alg_values_supported": ["RS256", "ES256"],
    "userinfo_endpoint": "https://server.example.com/userinfo",
    "jwks_uri": "https://server.example.com/jwks.json",
    "registration_endpoint": "https://server.example.com/register",
    "scopes_supported": ["openid", "profile", "email", "address", "phone", "offline_access"],
    "response_types_supported": ["code", "code token"],
    "service_documentation": "http://server.example.com/service_documentation.html",
    "ui_locales_supported": ["en-US", "en-GB", "en-CA", "fr-FR", "fr-CA"],
}


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        ("https://example.com", (f"https://example.com{OAUTH}", f"https://example.com{OPENID}")),
        ("https://example.com/", (f"https://example.com{OAUTH}", f"https://example.com{OPENID}")),
        (
            "https://example.com/issuer1",  # RFC 8414 §3.1's and §5's examples
            (
                f"https://example.com{OAUTH}/issuer1",
                f"https://example.com{OPENID}/issuer1",
                f"https://example.com/issuer1{OPENID}",
            ),
        ),
        (
            "https://Example.com:8443/a/b/",
            (
                f"https://example.com:8443{OAUTH}/a/b",
                f"https://example.com:8443{OPENID}/a/b",
                f"https://example.com:8443/a/b{OPENID}",
            ),
        ),
        ("http://127.0.0.1:9", (f"http://127.0.0.1:9{OAUTH}", f"http://127.0.0.1:9{OPENID}")),
    ],
)
def test_urls(issuer: str, urls: tuple[str, ...]) -> None:
    """The well-known path is inserted for RFC 8414, inserted and appended for OIDC."""
    assert server_metadata_urls(issuer) == urls


@pytest.mark.parametrize("issuer", ["http://as.example", "https://a/?x", "https://a/#x", "as"])
def test_urls_of_no_issuer(issuer: str) -> None:
    """An issuer is an https URL without query and fragment (RFC 8414 §2)."""
    with pytest.raises(InsecureEndpointError):
        server_metadata_urls(issuer)


def test_request() -> None:
    """The request is a plain GET without credentials."""
    request = metadata_request(f"{ISSUER}{OAUTH}")
    assert (request.method, request.body) == ("GET", None)
    assert request.headers == {"Accept": "application/json"}
    assert (request.timeout, request.limit) == (15.0, 1024 * 1024)
    request = metadata_request(f"{ISSUER}{OAUTH}", protocol_version="2025-11-25")
    assert request.headers["MCP-Protocol-Version"] == "2025-11-25"
    with pytest.raises(InsecureEndpointError):
        metadata_request("http://as.example/")


def test_example_of_the_rfc() -> None:
    """RFC 8414 §3.2's example is read, and absent members are None."""
    assert parse_server_metadata(answer(EXAMPLE), issuer=ISSUER) == ServerMetadata(
        issuer=ISSUER,
        authorization_endpoint="https://server.example.com/authorize",
        token_endpoint="https://server.example.com/token",
        registration_endpoint="https://server.example.com/register",
        scopes_supported=("openid", "profile", "email", "address", "phone", "offline_access"),
        token_endpoint_auth_methods_supported=("client_secret_basic", "private_key_jwt"),
    )


def test_every_member() -> None:
    """Each field of the class is read from the member of its name."""
    endpoints = {
        name: f"{ISSUER}/{name}"
        for name in (
            *("authorization_endpoint", "token_endpoint", "registration_endpoint"),
            *("revocation_endpoint", "introspection_endpoint", "device_authorization_endpoint"),
            "pushed_authorization_request_endpoint",
        )
    }
    arrays = {
        name: (name,)
        for name in (
            *("scopes_supported", "grant_types_supported", "code_challenge_methods_supported"),
            "token_endpoint_auth_methods_supported",
            "revocation_endpoint_auth_methods_supported",
            "dpop_signing_alg_values_supported",
        )
    }
    flags = {
        "require_pushed_authorization_requests": True,
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": True,
    }
    body = {"issuer": ISSUER, **endpoints, **arrays, **flags}
    metadata = parse_server_metadata(answer(body), issuer=ISSUER)
    assert {name: getattr(metadata, name) for name in body} == body
    assert set(body) == {field.name for field in attrs.fields(ServerMetadata)}


def test_absent_null_and_empty() -> None:
    """Null is absent; an empty array is an empty array."""
    body = {**EXAMPLE, "scopes_supported": [], "registration_endpoint": None}
    metadata = parse_server_metadata(answer(body), issuer=ISSUER)
    assert metadata.scopes_supported == ()
    assert metadata.registration_endpoint is None
    assert metadata.code_challenge_methods_supported is None


@pytest.mark.parametrize(
    ("found", "asked"),
    [
        ("https://h", "https://h"),
        ("https://h/", "https://h"),
        ("https://h", "https://h/"),
        ("https://h/t", "https://h/t"),
        ("https://h:443", "https://h:443/"),
    ],
)
def test_issuer(found: str, asked: str) -> None:
    """Only a root slash may differ, and the document's own spelling is kept."""
    metadata = parse_server_metadata(answer({"issuer": found}), issuer=asked)
    assert metadata.issuer == found


@pytest.mark.parametrize(
    ("found", "asked"),
    [
        ("https://evil.example", "https://h"),
        ("https://h/t/", "https://h/t"),
        ("https://h/t", "https://h/t/"),
        ("https://h//", "https://h"),
        ("https://H", "https://h"),
        ("HTTPS://h", "https://h"),
        ("https://h:443", "https://h"),
        ("https://h/%74", "https://h/t"),
        ("https://h/t", "https://h"),
        ("https://h", "https://h/t"),
        ("http://h", "https://h"),
        ("https://h?", "https://h"),
        (" https://h", "https://h"),
        ("https://h\u200b", "https://h"),
    ],
)
def test_issuer_mismatch(found: str, asked: str) -> None:
    """Any other difference makes the document another issuer's (RFC 8414 §3.3)."""
    with pytest.raises(IssuerMismatchError, match="RFC 8414") as caught:
        parse_server_metadata(answer({"issuer": found}), issuer=asked)
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *("authorization_endpoint", "token_endpoint", "registration_endpoint"),
        *("revocation_endpoint", "introspection_endpoint", "device_authorization_endpoint"),
        "pushed_authorization_request_endpoint",
    ],
)
@pytest.mark.parametrize("url", ["http://as.example/x", "javascript:x", "https://a@b/", "", "/x"])
def test_insecure_endpoint(name: str, url: str) -> None:
    """An endpoint that is no plain https URL makes the document unusable."""
    with pytest.raises(InsecureEndpointError, match=name.replace("_", " ")):
        parse_server_metadata(answer({**EXAMPLE, name: url}), issuer=ISSUER)


NOT_TEXT: tuple[object, ...] = (None, 1, ["https://as.example/"], {}, False)
NOT_TEXTS: tuple[object, ...] = ("cnry", [1], {}, [None], 1)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>cnry</html>", b"[]", b"{}", b"\xff", b"[" * 100_000),
        *({"issuer": value} for value in NOT_TEXT),
        *({**EXAMPLE, "token_endpoint": value} for value in NOT_TEXT[1:]),
        *({**EXAMPLE, "scopes_supported": value} for value in NOT_TEXTS),
        {**EXAMPLE, "code_challenge_methods_supported": "S256"},
        {**EXAMPLE, "authorization_response_iss_parameter_supported": "true"},
        {**EXAMPLE, "require_pushed_authorization_requests": 1},
    ],
)
def test_malformed(body: object) -> None:
    """A wrong type is refused, not guessed at, and nothing of it is repeated."""
    with pytest.raises(MalformedResponseError) as caught:
        parse_server_metadata(answer(body), issuer=ISSUER)
    assert "cnry" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
@pytest.mark.parametrize("body", [b"", EXAMPLE])
def test_absent_document(status: int, body: object) -> None:
    """4xx means that there is no such document, so the next URL can be asked."""
    with pytest.raises(MalformedResponseError):
        parse_server_metadata(answer(body, status), issuer=ISSUER)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_unavailable(status: int) -> None:
    """5xx says nothing about the document."""
    with pytest.raises(TransportError):
        parse_server_metadata(answer(EXAMPLE, status), issuer=ISSUER)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(status: int) -> None:
    """A redirect is not followed."""
    with pytest.raises(InsecureEndpointError, match="redirect"):
        parse_server_metadata(answer(EXAMPLE, status), issuer=ISSUER)


@pytest.mark.parametrize("methods", [("S256",), ("plain", "S256")])
def test_s256(methods: tuple[str, ...]) -> None:
    """A server that lists S256 is accepted."""
    ServerMetadata(ISSUER, code_challenge_methods_supported=methods).require_s256()


def test_s256_absent() -> None:
    """A server that says nothing is refused, naming the exception a user can store."""
    with pytest.raises(PKCEUnsupportedError) as caught:
        ServerMetadata(ISSUER).require_s256()
    assert f'[issuers."{ISSUER}"]' in caught.value.next_step
    assert "allow_missing_s256 = true" in caught.value.next_step


@pytest.mark.parametrize("methods", [(), ("plain",), ("s256",)])
def test_s256_denied(methods: tuple[str, ...]) -> None:
    """A list without S256 is refused, and no exception is offered."""
    with pytest.raises(PKCEUnsupportedError) as caught:
        ServerMetadata(ISSUER, code_challenge_methods_supported=methods).require_s256()
    assert "allow_missing_s256" not in str(caught.value)
