"""Protected resource metadata."""

from __future__ import annotations

import json

import pytest

from harbor_oauth.errors import (
    InsecureEndpointError,
    MalformedResponseError,
    ResourceMismatchError,
    TransportError,
)
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.protocol.resource_metadata import (
    ProtectedResourceMetadata,
    parse_resource_metadata,
    resource_metadata_urls,
)

WELL_KNOWN = "/.well-known/oauth-protected-resource"
SERVER = "https://resource.example.com/mcp"


def answer(body: object, status: int = 200) -> HttpResponse:
    """Return a metadata answer; bytes as they are, else as JSON."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status, {}, octets, f"https://resource.example.com{WELL_KNOWN}/mcp")


@pytest.mark.parametrize(
    ("url", "urls"),
    [
        # RFC 9728 §3.1's examples.
        ("https://resource.example.com", (f"https://resource.example.com{WELL_KNOWN}",)),
        (
            "https://resource.example.com/resource1",
            (
                f"https://resource.example.com{WELL_KNOWN}/resource1",
                f"https://resource.example.com{WELL_KNOWN}",
            ),
        ),
        ("https://h/", (f"https://h{WELL_KNOWN}",)),
        ("https://h/mcp/", (f"https://h{WELL_KNOWN}/mcp", f"https://h{WELL_KNOWN}")),
        ("https://h/a/b?c=d", (f"https://h{WELL_KNOWN}/a/b?c=d", f"https://h{WELL_KNOWN}")),
        (
            "http://127.0.0.1:3/mcp",
            (f"http://127.0.0.1:3{WELL_KNOWN}/mcp", f"http://127.0.0.1:3{WELL_KNOWN}"),
        ),
    ],
)
def test_urls(url: str, urls: tuple[str, ...]) -> None:
    """The well-known path is inserted first, and asked at the root next."""
    assert resource_metadata_urls(url) == urls


def test_urls_of_an_insecure_server() -> None:
    """A server that is not https has no metadata to ask for."""
    with pytest.raises(InsecureEndpointError, match="server URL"):
        resource_metadata_urls("http://resource.example.com/mcp")


def test_example() -> None:
    """A document in the shape of RFC 9728 §3.2's example is read."""
    body = {
        "resource": SERVER,
        "authorization_servers": ["https://as1.example.com", "https://as2.example.net/"],
        "bearer_methods_supported": ["header", "body"],
        "scopes_supported": ["profile", "email", "phone"],
        "resource_documentation": "https://resource.example.com/resource_documentation.html",
    }
    assert parse_resource_metadata(answer(body), server_url=SERVER) == ProtectedResourceMetadata(
        resource=SERVER,
        authorization_servers=("https://as1.example.com", "https://as2.example.net/"),
        scopes_supported=("profile", "email", "phone"),
        resource_documentation="https://resource.example.com/resource_documentation.html",
    )


def test_only_the_resource_is_required() -> None:
    """Everything else may be absent."""
    metadata = parse_resource_metadata(answer({"resource": SERVER}), server_url=SERVER)
    assert metadata == ProtectedResourceMetadata(SERVER)
    assert metadata.scopes_supported is None


@pytest.mark.parametrize(
    "resource",
    [
        SERVER,
        "HTTPS://Resource.Example.com:443/mcp",
        "https://resource.example.com/mcp/",
        "https://resource.example.com",
        "https://resource.example.com/",
    ],
)
def test_resource(resource: str) -> None:
    """The resource is the server, or a parent of it, and its spelling is kept."""
    metadata = parse_resource_metadata(answer({"resource": resource}), server_url=SERVER)
    assert metadata.resource == resource


@pytest.mark.parametrize(
    "resource",
    [
        "https://evil.example/mcp",
        "http://resource.example.com/mcp",
        "https://resource.example.com:444/mcp",
        "https://resource.example.com/mc",
        "https://resource.example.com/mcp/x",
        "https://resource.example.com/other/../mcp",
        "https://resource.example.com@evil.example/mcp",
        "https://sub.resource.example.com/mcp",
        "urn:mcp",
        "mcp",
    ],
)
def test_resource_mismatch(resource: str) -> None:
    """Any other resource makes the document another's (RFC 9728 §3.3)."""
    with pytest.raises(ResourceMismatchError, match="RFC 9728") as caught:
        parse_resource_metadata(answer({"resource": resource}), server_url=SERVER)
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize("issuer", ["http://as.example", "as.example", "file:///x", ""])
def test_insecure_authorization_server(issuer: str) -> None:
    """Each authorization server is an https URL."""
    body = {"resource": SERVER, "authorization_servers": ["https://as.example", issuer]}
    with pytest.raises(InsecureEndpointError, match="authorization server"):
        parse_resource_metadata(answer(body), server_url=SERVER)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>cnry</html>", b"[]", {}, {"resource": None}, {"resource": ["cnry"]}),
        {"resource": SERVER, "authorization_servers": "https://as.example"},
        {"resource": SERVER, "scopes_supported": "cnry"},
        {"resource": SERVER, "resource_name": 1},
    ],
)
def test_malformed(body: object) -> None:
    """A missing resource or a wrong type is refused, and nothing of it repeated."""
    with pytest.raises(MalformedResponseError) as caught:
        parse_resource_metadata(answer(body), server_url=SERVER)
    assert "cnry" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, InsecureEndpointError),
        (404, MalformedResponseError),
        (401, MalformedResponseError),
        (500, TransportError),
        (429, TransportError),
    ],
)
def test_status(status: int, error: type[Exception]) -> None:
    """4xx is no document, 5xx no answer, and a redirect is not followed."""
    with pytest.raises(error):
        parse_resource_metadata(answer({"resource": SERVER}, status), server_url=SERVER)
