"""Reads a callback's request head and says which requests are no callback; pure.

The standard library's server is not used: it accepts a request with two Host
fields or none. Here what RFC 9112 does not allow is refused, and so is what no
browser sends when it follows a redirect to the callback.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

import attrs

from harbor_oauth.protocol.limits import LARGEST_HEAD, MOST_FIELDS

__all__ = [
    "HEAD_LIMIT",
    "RefusedError",
    "Request",
    "check_navigation",
    "is_prefetch",
    "read_request",
]

# Octets of request line and fields together.
HEAD_LIMIT: Final = LARGEST_HEAD

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"

# Origin-form only (RFC 9112 §3.2.1). Browsers leave some characters raw in a
# query that RFC 3986 would have encoded, so any visible one passes but "#".
_REQUEST_LINE: Final = re.compile(
    rb"(?P<method>" + _TOKEN + rb") (?P<path>/[!-\"$->@-~]*)(?:\?(?P<query>[!-\"$-~]*))?"
    rb" HTTP/1\.[01]"
)

# Neither space before the colon (RFC 9112 §5.1) nor folded lines (§5.2) match.
_FIELD_LINE: Final = re.compile(
    rb"(?P<name>" + _TOKEN + rb"):[ \t]*(?P<value>[\t -~\x80-\xff]*?)[ \t]*"
)

_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


class RefusedError(Exception):
    """A request that is answered with a fixed error and has no other effect."""

    def __init__(self, status: HTTPStatus) -> None:
        """Keep the status alone: a request may hold a code."""
        super().__init__(status.phrase)
        self.status = status


@attrs.frozen(repr=False)
class Request:
    """A request head in order.

    Attributes:
        method: As sent; methods are case-sensitive.
        path: Without the query, not decoded.
        query: What follows the first "?", not decoded.
        fields: Names in lower case with values, in order.
    """

    method: str
    path: str
    query: str
    fields: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return every value of a field, by its name in lower case."""
        return [value for key, value in self.fields if key == name]


def read_request(data: bytes) -> Request | None:
    """Read a request head from what a peer has sent so far.

    Args:
        data: Every octet received on the connection.

    Returns:
        The request, or None while the head is incomplete.

    Raises:
        RefusedError: It is too large or not HTTP/1.x as RFC 9112 has it.
    """
    head, end, _ = data.partition(b"\r\n\r\n")
    if len(head) + len(end) > HEAD_LIMIT:
        raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    if _BARE_LF.search(head):
        raise RefusedError(HTTPStatus.BAD_REQUEST)
    first, *lines = head.split(b"\r\n")
    if len(lines) > MOST_FIELDS:
        raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    if not end and not lines:
        return None
    # Judged before the head is complete: an HTTP/0.9 request never gets an end.
    request_line = _REQUEST_LINE.fullmatch(first)
    if request_line is None:
        raise RefusedError(HTTPStatus.BAD_REQUEST)
    if not end:
        return None
    return Request(
        method=request_line["method"].decode("ascii"),
        path=request_line["path"].decode("ascii"),
        query=(request_line["query"] or b"").decode("ascii"),
        fields=tuple(_read_field(line) for line in lines),
    )


def _read_field(line: bytes) -> tuple[str, str]:
    field = _FIELD_LINE.fullmatch(line)
    if field is None:
        raise RefusedError(HTTPStatus.BAD_REQUEST)
    return field["name"].decode("ascii").lower(), field["value"].decode("latin-1")


def check_navigation(request: Request, authority: str) -> None:
    """Refuse what is not a person's browser going to this very port.

    A request without Fetch Metadata passes, since older browsers send none.

    Args:
        request: The request.
        authority: The advertised `host:port`.

    Raises:
        RefusedError: The request is for another authority (DNS rebinding), has
            a body, or was made by a page rather than by navigation.
    """
    hosts = request.values("host")
    if len(hosts) != 1:  # RFC 9112 §3.2
        raise RefusedError(HTTPStatus.BAD_REQUEST)
    if hosts[0] != authority:  # RFC 9110 §7.4
        raise RefusedError(HTTPStatus.MISDIRECTED_REQUEST)
    if request.values("origin"):
        raise RefusedError(HTTPStatus.FORBIDDEN)
    if request.values("transfer-encoding") or any(
        length != "0" for length in request.values("content-length")
    ):
        raise RefusedError(HTTPStatus.BAD_REQUEST)
    if any(mode != "navigate" for mode in request.values("sec-fetch-mode")):
        raise RefusedError(HTTPStatus.FORBIDDEN)
    if any(dest != "document" for dest in request.values("sec-fetch-dest")):
        raise RefusedError(HTTPStatus.FORBIDDEN)


def is_prefetch(request: Request) -> bool:
    """Say whether a browser asks ahead, before a person went there.

    A code spent on a prefetch is lost to the real navigation (streamlit
    PR #15589).
    """
    return any(
        "prefetch" in purpose.lower()
        for name in ("sec-purpose", "purpose", "x-moz", "x-purpose")
        for purpose in request.values(name)
    )
