"""A stand-in for a browser: follows redirects on loopback, and nothing else.

It has no cookies, runs no script and fills in no form.
"""

from __future__ import annotations

import http.client
from typing import Final
from urllib.parse import urljoin, urlsplit

__all__ = ["follow"]

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


def follow(url: str, *, hops: int = 10, timeout: float = 10.0) -> int:
    """Get a URL and whatever it redirects to.

    Args:
        url: An http URL of a loopback host.
        hops: The most requests to make.
        timeout: Seconds for each connection.

    Returns:
        The last answer's status.

    Raises:
        ValueError: The way leads off loopback, or is longer than `hops`.
    """
    for _ in range(hops):
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
            raise ValueError(f"refused to leave loopback for {parts.scheme}://{parts.hostname}")
        # http.client, because it reads no proxy from the environment.
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers={"Accept": "text/html"})
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        location = answer.headers.get("Location")
        if answer.status not in _REDIRECTS or location is None:
            return answer.status
        url = urljoin(url, location)
    raise ValueError(f"more than {hops} redirects")
