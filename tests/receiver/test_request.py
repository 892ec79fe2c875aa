"""Reading a request head, octet by octet if need be."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harbor_oauth.receiver.request import (
    HEAD_LIMIT,
    RefusedError,
    Request,
    check_navigation,
    is_prefetch,
    read_request,
)

HEAD = (
    b"GET /callback?code=a%20b&state=c?d HTTP/1.1\r\n"
    b"Host: 127.0.0.1:1\r\n"
    b"User-Agent:\t Browser \xff \r\n"
    b"Cookie: a=b\r\n"
    b"cookie: c=d\r\n"
    b"\r\n"
)


def test_a_head_is_read_as_sent() -> None:
    """Nothing is decoded but the fields' names and the space around their values."""
    request = read_request(HEAD)
    assert request is not None
    assert (request.method, request.path) == ("GET", "/callback")
    assert request.query == "code=a%20b&state=c?d"
    assert request.values("user-agent") == ["Browser \xff"]
    assert request.values("cookie") == ["a=b", "c=d"]
    assert request.values("origin") == []


def test_a_head_is_read_when_it_is_complete() -> None:
    """Every shorter part of a good head asks for more."""
    assert [read_request(HEAD[:size]) for size in range(len(HEAD))] == [None] * len(HEAD)


def test_a_head_may_fill_the_limit() -> None:
    """64 KiB pass, one octet more does not."""
    start = b"GET / HTTP/1.1\r\nA: "
    full = start + b"a" * (HEAD_LIMIT - len(start) - 4) + b"\r\n\r\n"
    assert read_request(full) is not None
    with pytest.raises(RefusedError):
        read_request(full.replace(b"aaa", b"aaaa", 1))


def test_what_a_browser_leaves_raw_in_a_query_is_accepted() -> None:
    """The URL standard encodes less than RFC 3986 does."""
    request = read_request(b"GET /callback?a=[b]|{c}^`\"'\\ HTTP/1.1\r\n\r\n")
    assert request is not None
    assert request.query == "a=[b]|{c}^`\"'\\"


def test_a_hundred_unknown_parameters_are_no_reason_to_refuse() -> None:
    """What they mean is the judge's to ignore (RFC 6749 §4.1.2)."""
    query = "&".join(f"extra{number}=x" for number in range(100))
    request = read_request(f"GET /callback?{query} HTTP/1.1\r\n\r\n".encode())
    assert request is not None
    assert request.query == query


@given(st.binary(max_size=200))
def test_any_octets_are_refused_or_wait(octets: bytes) -> None:
    """No input raises anything else."""
    for data in (octets, octets + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + octets + b"\r\n\r\n"):
        with suppress(RefusedError):
            assert read_request(data) is None or data.startswith(b"GET / HTTP/1.1\r\n")


def test_refusals_and_requests_show_no_query() -> None:
    """A request line holds the code, so a repr does not show it."""
    request = read_request(b"GET /callback?code=canary HTTP/1.1\r\nHost: canary\r\n\r\n")
    assert request is not None
    assert "canary" not in repr(request)
    with pytest.raises(RefusedError) as caught:
        check_navigation(request, "127.0.0.1:1")
    assert "canary" not in repr(caught.value)


def test_a_navigation_passes() -> None:
    """With the Fetch Metadata of a navigation, and without any."""
    host = ("host", "127.0.0.1:1")
    old = Request(method="GET", path="/", query="", fields=(host,))
    new = Request(
        method="GET",
        path="/",
        query="",
        fields=(
            host,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("referer", "https://as.example/"),
            ("content-length", "0"),
        ),
    )
    for request in (old, new):
        check_navigation(request, "127.0.0.1:1")
        assert not is_prefetch(request)
