"""Which docked server a request is for, read from its request target alone.

`/NAME` is exactly that server's URL; what follows the name is appended to the
URL's path and query. Scheme, host and port are the configuration's: nothing a
caller writes can change them. Pure: text in, values out.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_plus

import attrs

__all__ = ["Route", "RoutingError", "join", "route"]

# An octet that is neither a control (%00-%1F, %7F) nor one that servers disagree about.
_ENCODED: Final = r"%(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e]|[89A-Fa-f][0-9A-Fa-f])"

# RFC 3986 §3.3. An encoded slash, backslash or percent sign means one thing to a server that
# decodes before it splits the path, and another to one that decodes after.
_SEGMENT: Final = rf"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|(?!%2[Ff]|%5[Cc]|%25){_ENCODED})++"

# RFC 3986 §3.3 and §5.2.4; some servers drop what follows a semicolon before they look for dots.
_DOTS: Final = r"(?:\.|%2[Ee]){1,2}(?:[/;?]|%3[Bb]|\Z)"

# RFC 3986 §3.4, and what browsers leave as it is (WHATWG URL, "query percent-encode set").
_QUERY: Final = rf"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?\[\]^`{{|}}]|{_ENCODED})*+"

_NAME: Final = re.compile(r"/[a-z0-9][a-z0-9-]{0,63}(?=[/?]|\Z)")
_TARGET: Final = re.compile(
    rf"/([a-z0-9][a-z0-9-]{{0,63}})((?:/(?!{_DOTS}){_SEGMENT})*+/?)(?:\?({_QUERY}))?"
)


class RoutingError(ValueError):
    """A request target that names no server, or says something ambiguous."""


@attrs.frozen
class Route:
    """Where a request goes.

    Attributes:
        server: The server's name.
        suffix: What is appended to its path: empty, or from a slash on.
        query: What is appended to its query, without a question mark.
    """

    server: str
    suffix: str
    query: str


def route(target: str) -> Route:
    """Read a request target.

    Args:
        target: The target as it stands on the request line (RFC 9112 §3.2),
            in origin form; no other form is taken.

    Raises:
        RoutingError: There is no server's name in it, or its path has dot
            segments, empty segments, encoded separators or controls.
    """
    match = _TARGET.fullmatch(target)
    if match is None:
        raise RoutingError(_reason(target))
    server, suffix, query = match.groups("")
    return Route(server, suffix, query)


def join(url: str, route: Route) -> str:
    """Return a server's URL with a route's path and query appended.

    A parameter that the server's own URL sets is the person's: where a caller
    sends it too, which of the two a server believes is not known, so the
    caller's is left out.

    Args:
        url: The server's URL, absolute and without a fragment.
        route: The route to that server.
    """
    if not route.suffix and not route.query:
        return url
    base, _, query = url.partition("?")
    if route.suffix or _has_no_path(base):
        # The slash is ours, so that no suffix can ever reach into the authority.
        base = f"{base.removesuffix('/')}/{route.suffix.removeprefix('/')}"
    own = {_parameter(pair) for pair in query.split("&")}
    added = [
        pair
        for pair in route.query.split("&")
        if not own & {_parameter(part) for part in pair.split(";")}
    ]
    query = "&".join(filter(None, (query, *added)))
    return f"{base}?{query}" if query else base


def _parameter(pair: str) -> str:
    """Return a parameter's name as a server reads it, in any case and encoding."""
    return unquote_plus(pair.partition("=")[0]).casefold()


def _has_no_path(base: str) -> bool:
    return "/" not in base.partition("://")[2]


def _reason(target: str) -> str:
    """Say what is wrong, without a word of the target."""
    if not target.startswith("/"):
        return "the request target is not a path"
    if _NAME.match(target) is None:
        return "the path does not begin with a server's name"
    return "the path or the query is ambiguous"
