"""Which URLs may be used, and what they have in common.

One strict expression reads the origin. Whatever two URL parsers could read
differently (user information, backslashes, control characters, other scripts)
does not match it, so no second parser is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from harbor_oauth.errors import InsecureEndpointError

__all__ = [
    "canonical_resource",
    "covers",
    "is_loopback",
    "origin",
    "require_endpoint",
    "with_query",
]

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_LAST_PORT: Final = 65535

# ASCII: with IGNORECASE alone `[a-z]` also matches U+017F and U+212A.
_ORIGIN: Final = re.compile(
    r"""
    (?P<scheme> https? ) ://
    (?P<host> \[ [0-9a-f:.]+ \] | [a-z0-9_-]+ (?: \. [a-z0-9_-]+ )* \.? )
    (?: : (?P<port> [1-9][0-9]{0,4} ) )?
    (?= [/?\#] | \Z )
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# RFC 3986 §2: reserved, unreserved and complete percent-encoded characters.
_URI: Final = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
# A server may read these as other segments than we do.
_AMBIGUOUS_PATH: Final = re.compile(
    r"/\.{1,2}(?:/|\Z)|%2e|%2f|%5c|[\x00-\x20\\\x7f]", re.IGNORECASE
)


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine, by literal or by the name ``localhost``.

    Only exact spellings count: ``127.1``, ``0x7f000001`` and
    ``[::ffff:127.0.0.1]`` are for a resolver to judge, not for us.

    Args:
        host: A host in lower case, an IPv6 literal with or without brackets.
    """
    return host in _LOOPBACK


def require_endpoint(url: str, what: str) -> str:
    """Return a URL if requests with secrets may go there.

    That is an absolute https URL, or http on a loopback host, without user
    information and fragment (RFC 6749 §3.1, §3.2; RFC 8252 §8.3).

    Args:
        url: The URL, from anywhere.
        what: What it is, for the error: ``"token endpoint"``.

    Raises:
        InsecureEndpointError: It is anything else; the text names no more of
            the URL than its origin.
    """
    fault = _fault(url)
    if fault:
        raise InsecureEndpointError(f"The {what} {fault}.", requirement="RFC 6749 §3.1, §3.2")
    return url


def with_query(endpoint: str, parameters: Mapping[str, str]) -> str:
    """Return an endpoint's URL with parameters; its own query stays (RFC 6749 §3.1).

    A space becomes %20, which is read alike by servers that decode a form and by
    those that decode a URL.
    """
    mark = "" if endpoint.endswith(("?", "&")) else "&" if "?" in endpoint else "?"
    return f"{endpoint}{mark}{urlencode(parameters, quote_via=quote)}"


def _fault(url: str) -> str:
    """Say what keeps a URL from being an endpoint; empty when nothing does."""
    match = _match(url)
    if match is None or not _URI.fullmatch(url):
        return "is not a plain absolute https URL"
    if "#" in url:
        return f"at {origin(url)} has a fragment"
    if match["scheme"].lower() == "http" and not is_loopback(match["host"].lower()):
        return f"{origin(url)} is http and not on this machine"
    return ""


def _match(url: str) -> re.Match[str] | None:
    match = _ORIGIN.match(url)
    if match and match["port"] and int(match["port"]) > _LAST_PORT:
        return None
    return match


def _split(url: str) -> tuple[str, str, str]:
    """Return origin, path and query (with its question mark); the fragment goes."""
    match = _match(url)
    if match is None:
        raise InsecureEndpointError(
            "A URL is not http or https with a plain host.", requirement="RFC 6454 §4"
        )
    scheme, host = match["scheme"].lower(), match["host"].lower()
    port = match["port"]
    suffix = f":{port}" if port and port != _DEFAULT_PORTS[scheme] else ""
    rest = url[match.end() :].partition("#")[0]
    path, mark, query = rest.partition("?")
    return f"{scheme}://{host}{suffix}", path, mark + query


def origin(url: str) -> str:
    """Return ``scheme://host[:port]`` in lower case, without a default port.

    The form of RFC 6454 §6.2, so that origins can be compared as strings.

    Raises:
        InsecureEndpointError: The URL has no http or https origin, or one
            that URL parsers read differently.
    """
    return _split(url)[0]


def canonical_resource(url: str) -> str:
    """Return a server's URL as the resource identifier to ask for.

    Scheme and host in lower case, no default port, no fragment; path and query
    as they are: a trailing slash is neither added nor removed (RFC 8707 §2).

    Raises:
        InsecureEndpointError: The URL has no http or https origin.
    """
    return "".join(_split(url))


def covers(resource: str, url: str) -> bool:
    """Say whether a URL belongs to a protected resource.

    It does with the same origin, below the resource's path segment by segment:
    ``/mcp`` covers ``/mcp`` and ``/mcp/x``, not ``/mcp2``. A resource with a
    query covers nothing but itself. Paths with dot segments or encoded
    slashes belong to nothing.
    """
    try:
        resource_origin, resource_path, resource_query = _split(resource)
        url_origin, url_path, url_query = _split(url)
    except InsecureEndpointError:
        return False
    if resource_origin != url_origin:
        return False
    if _AMBIGUOUS_PATH.search(resource_path) or _AMBIGUOUS_PATH.search(url_path):
        return False
    if resource_query:
        return (resource_path, resource_query) == (url_path, url_query)
    prefix = resource_path.removesuffix("/") + "/"
    return f"{url_path}/".startswith(prefix)
