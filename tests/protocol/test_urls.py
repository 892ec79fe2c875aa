"""Which URLs may be used."""

from __future__ import annotations

import pytest

from harbor_oauth.errors import InsecureEndpointError
from harbor_oauth.protocol.urls import (
    canonical_resource,
    covers,
    is_loopback,
    origin,
    require_endpoint,
)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "[::1]"])
def test_loopback(host: str) -> None:
    """The name and the two literals are this machine."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        *("127.1", "127.0.0.2", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1.", "::"),
        *("[::ffff:127.0.0.1]", "::ffff:7f00:1", "[0:0:0:0:0:0:0:1]", "[::1%25lo]"),
        *("localhost.evil.com", "127.0.0.1.evil.com", "localhost.", "notlocalhost", ""),
    ],
)
def test_not_loopback(host: str) -> None:
    """No other spelling, prefix or range counts as this machine."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "url",
    [
        "https://as.example/token",
        "https://as.example:8443/token?tenant=a%20b",
        "https://as.example",
        "HTTPS://AS.example/",
        "https://[2001:db8::1]/token",
        "https://xn--bcher-kva.example/authorize",
        "https://as_1.example./token",
        "https://as.example/~a/b;c=1/(d)/*'!$&+,=:@?x=/?",
        "http://127.0.0.1:8080/token",
        "http://localhost/token",
        "http://LOCALHOST:1/token",
        "http://[::1]:9/token",
    ],
)
def test_endpoint(url: str) -> None:
    """An https URL, or loopback http, comes back unchanged."""
    assert require_endpoint(url, "token endpoint") is url


@pytest.mark.parametrize(
    "url",
    [
        *("", "token", "/token", "//as.example/token", "https:", "https:/as.example", "https://"),
        *("https:///token", "https://?x", "https://:443/", "https:as.example", "://as.example"),
        *("http://as.example/token", "http://127.1/", "http://0x7f000001/", "http://2130706433/"),
        *("http://[::ffff:127.0.0.1]/", "http://localhost.evil.com/", "http://127.0.0.1.evil.com/"),
        *("http://127.0.0.1@evil.com/", "http://localhost:80@evil.com/", "http://0.0.0.0/"),
        *("javascript:alert(1)", "javascript://as.example/%0aalert(1)", "data:text/html,x"),
        *("file:///etc/passwd", "vbscript:x", "ftp://as.example/", "\\\\evil\\share", "ws://a/"),
        *("com.example.app:/cb", "ms-msdt:/id", "blob:https://as.example/x", "httpss://a/"),
        *("https://user@as.example/", "https://user:pass@as.example/", "https://@as.example/"),
        *("https://as.example#x", "https://as.example/#", "https://as.example/a?b#c"),
        *(" https://as.example/", "https://as.example/ ", "https://as.example/a b", "\nhttps://a/"),
        *("https://as.exa\tmple/", "https://as.example/\x00", "https://as.example/\r\nX: y"),
        *("https://as.example/\x7f", "https://as.example/\x1b[0m", "https://as.example\n"),
        *("https://good.example\\@evil.example/", "https:\\\\as.example/", "https://a/\\evil"),
        *("https://ex\u00e4mple.com/", "https://a\u3002b/", "https://\u212a.example/"),
        *("https://\u017f.example/", "https://as.example/\u2028", "https://as.example/\u202e"),
        *(
            "https://as%2eexample/",
            "https://%31/",
            "https://as.example/%",
            "https://as.example/%zz",
        ),
        *("https://a..b/", "https://.a/", "https://a:0/", "https://a:65536/", "https://a:/"),
        *("https://a:99999999/", "https://a:8x/", "https://a:-1/", "https://[::1/", "https://::1/"),
        *("https://[v1.x]/", "https://[::1]x/", "https://[fe80::1%25eth0]/", "https://a,b/"),
        *('https://a/"&calc&"', "https://a/`id`", "https://a/<x>", "https://a/{x}", "https://a/^|"),
        *("-https://a/", "--help", "https://$(id)/", "https://a;b/", "https://a&b/"),
    ],
)
def test_not_an_endpoint(url: str) -> None:
    """Whatever else a URL can be is refused by name, and is not repeated."""
    with pytest.raises(InsecureEndpointError, match="token endpoint") as caught:
        require_endpoint(url, "token endpoint")
    assert caught.value.requirement == "RFC 6749 §3.1, §3.2"


def test_error_names_no_more_than_the_origin() -> None:
    """Path, query and user information of a refused URL stay out of the error."""
    for url in (
        "http://as.example/cnry-path?key=cnry-query",
        "https://cnry-user:cnry-pass@as.example/",
        "https://as.example/cnry-path#cnry-fragment",
    ):
        with pytest.raises(InsecureEndpointError) as caught:
            require_endpoint(url, "endpoint")
        assert "cnry" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Example.COM/a?b#c", "https://example.com"),
        ("https://example.com:443/", "https://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("http://example.com:443", "http://example.com:443"),
        ("https://example.com:80", "https://example.com:80"),
        ("HTTP://[::1]:3100/x", "http://[::1]:3100"),
        ("https://example.com?x=https://evil.example", "https://example.com"),
        ("https://example.com/a b/\u00e9", "https://example.com"),
    ],
)
def test_origin(url: str, expected: str) -> None:
    """An origin is scheme, host and port in one comparable form."""
    assert origin(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        *("example.com", "ftp://example.com/", "https://u@example.com/", "https://a\\@b/", ""),
        *(" https://example.com", "https://exa\nmple.com", "https://a\t.evil.example/"),
        *("https://a:70000/", "https://\u212a.example/", "https://a\u2215b.evil.example/"),
    ],
)
def test_no_origin(url: str) -> None:
    """A URL that parsers could read differently has no origin."""
    with pytest.raises(InsecureEndpointError):
        origin(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://MCP.Example.com/Mcp", "https://mcp.example.com/Mcp"),
        ("https://mcp.example.com", "https://mcp.example.com"),
        ("https://mcp.example.com/", "https://mcp.example.com/"),
        ("https://mcp.example.com/mcp/", "https://mcp.example.com/mcp/"),
        ("https://mcp.example.com:8443/mcp?a=B#frag", "https://mcp.example.com:8443/mcp?a=B"),
        ("https://mcp.example.com:443/mcp", "https://mcp.example.com/mcp"),
    ],
)
def test_canonical_resource(url: str, expected: str) -> None:
    """Only scheme, host, default port and fragment are touched (RFC 8707 §2)."""
    assert canonical_resource(url) == expected
    assert canonical_resource(expected) == expected


@pytest.mark.parametrize(
    ("resource", "url"),
    [
        ("https://h/mcp", "https://h/mcp"),
        ("https://h/mcp", "https://H:443/mcp/x"),
        ("https://h/mcp", "https://h/mcp?x=1#y"),
        ("https://h/mcp/", "https://h/mcp/x"),
        ("https://h/mcp/", "https://h/mcp"),
        ("https://h", "https://h/anything/..x/x..y"),
        ("https://h/", "https://h"),
        ("https://h/mcp?t=1", "https://h/mcp?t=1"),
    ],
)
def test_covers(resource: str, url: str) -> None:
    """A resource covers itself and what is below it."""
    assert covers(resource, url)


@pytest.mark.parametrize(
    ("resource", "url"),
    [
        ("https://h/mcp", "https://h/mcp2"),
        ("https://h/mcp", "https://h/"),
        ("https://h/mcp", "https://h/MCP"),
        ("https://h/mcp/x", "https://h/mcp"),
        ("https://h/mcp", "http://h/mcp"),
        ("https://h/mcp", "https://h:444/mcp"),
        ("https://h/mcp", "https://h.evil.example/mcp"),
        ("https://h/mcp", "https://h/mcp/../admin"),
        ("https://h/mcp", "https://h/mcp/.."),
        ("https://h/mcp", "https://h/mcp/./x"),
        ("https://h/mcp", "https://h/mcp/%2e%2E/admin"),
        ("https://h/mcp", "https://h/mcp/..%2fadmin"),
        ("https://h/mcp", "https://h/mcp%2Fx"),
        ("https://h/mcp", "https://h/mcp/..%5cadmin"),
        ("https://h/mcp", "https://h/mcp/..\\admin"),
        ("https://h/mcp", "https://h/mcp/.\t./admin"),
        ("https://h/mcp/..", "https://h/mcp/../x"),
        ("https://h/mcp?t=1", "https://h/mcp"),
        ("https://h/mcp?t=1", "https://h/mcp/x?t=1"),
        ("https://h/mcp", "https://h@evil.example/mcp"),
        ("https://h/mcp", "nonsense"),
        ("nonsense", "nonsense"),
    ],
)
def test_does_not_cover(resource: str, url: str) -> None:
    """Another origin, a sibling, or a path that could climb belongs to nothing."""
    assert not covers(resource, url)
