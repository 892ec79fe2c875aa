"""A provider from a URL alone."""

from __future__ import annotations

import pytest

from harbor_oauth.errors import InsecureEndpointError, InvalidNameError
from harbor_oauth.providers import Provider, discovered_provider
from harbor_oauth.providers.names import RESERVED_NAMES


def test_everything_comes_from_name_and_url() -> None:
    """One resource, one server, one origin, and the server's URL as indicator."""
    provider = discovered_provider("acme", "HTTPS://MCP.Example.com:443/Mcp?a=b")
    url = "https://mcp.example.com/Mcp?a=b"
    assert isinstance(provider, Provider)
    assert (provider.name, provider.display_name) == ("acme", "acme")
    (resource,) = provider.resources
    assert (resource.name, resource.servers, resource.resource) == ("mcp", (url,), url)
    assert resource.allowed_origins == ("https://mcp.example.com",)
    assert (resource.issuer, resource.metadata, resource.scopes) == (None, None, None)
    assert resource.discover
    (native,) = provider.native_servers
    assert (native.name, native.resource, native.url) == ("acme", "mcp", url)


@pytest.mark.parametrize("url", ["https://h.example", "https://h.example/", "https://h.example/a/"])
def test_a_slash_is_neither_added_nor_removed(url: str) -> None:
    """RFC 8707 §2: servers compare the indicator as a string."""
    assert discovered_provider("x", url).resource().resource == url


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_http_is_for_this_machine(host: str) -> None:
    """With its port."""
    provider = discovered_provider("x", f"http://{host}:8080/mcp")
    assert provider.resource().allowed_origins == (f"http://{host}:8080",)


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_a_reserved_name_is_refused(name: str) -> None:
    """What is called `slack` must be Slack."""
    with pytest.raises(InvalidNameError, match="different name"):
        discovered_provider(name, "https://evil.example.com/mcp")


@pytest.mark.parametrize("name", ["", "Slack", "\u0455lack", ".well-known", "../x", "a b"])
def test_a_name_that_breaks_the_rule_is_refused(name: str) -> None:
    """Look-alikes of reserved ones among them."""
    with pytest.raises(InvalidNameError):
        discovered_provider(name, "https://evil.example.com/mcp")


@pytest.mark.parametrize(
    "url",
    [
        *("http://mcp.example.com/mcp", "http://127.0.0.1.example.com/", "http://127.1/mcp"),
        *("https://user:pass@mcp.example.com/", "https://mcp.example.com/#x", "ftp://h/", "mcp"),
        *("https://mcp.example.com\\@evil.example.com/", "https://h.example/a b", ""),
    ],
)
def test_an_insecure_url_is_refused(url: str) -> None:
    """Before anything is asked for."""
    with pytest.raises(InsecureEndpointError):
        discovered_provider("x", url)
