"""Request targets: which are taken, where they lead, and that none leads elsewhere."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harbor_oauth.gateway.routing import Route, RoutingError, join, route

TAKEN = {
    "/linear": Route("linear", "", ""),
    "/a": Route("a", "", ""),
    "/9-b-": Route("9-b-", "", ""),
    "/" + "a" * 64: Route("a" * 64, "", ""),
    "/linear/": Route("linear", "/", ""),
    "/linear?": Route("linear", "", ""),
    "/linear?y=1&z": Route("linear", "", "y=1&z"),
    "/linear/?y": Route("linear", "/", "y"),
    "/linear/x?y": Route("linear", "/x", "y"),
    "/linear/x/y/": Route("linear", "/x/y/", ""),
    "/linear/x?a?b/../c": Route("linear", "/x", "a?b/../c"),
    "/linear/.hidden": Route("linear", "/.hidden", ""),
    "/linear/...": Route("linear", "/...", ""),
    "/linear/a..b/a.": Route("linear", "/a..b/a.", ""),
    "/linear/%2ehidden": Route("linear", "/%2ehidden", ""),
    "/linear/@evil.example": Route("linear", "/@evil.example", ""),
    "/linear/a:b@c;d=e": Route("linear", "/a:b@c;d=e", ""),
    "/linear/%E2%82%AC%20x": Route("linear", "/%E2%82%AC%20x", ""),
    "/linear?q=%2f%5c%25": Route("linear", "", "q=%2f%5c%25"),
    "/linear?filter[name]={a|b}": Route("linear", "", "filter[name]={a|b}"),
}

REFUSED = [
    # other forms than origin form (RFC 9112 §3.2)
    "",
    "*",
    "linear",
    "http://evil.example/linear",
    "https://127.0.0.1:3100/linear",
    "HTTP://evil.example",
    "evil.example:443",
    # names
    "/",
    "/?x",
    "//",
    "//linear",
    "//evil.example/linear",
    "/Linear",
    "/LINEAR",
    "/-linear",
    "/" + "a" * 65,
    "/lin_ear",
    "/lin.ear",
    "/.well-known",
    "/.well-known/oauth-protected-resource/linear",
    "/.",
    "/..",
    "/../linear",
    "/linear@evil.example",
    "/linear:443",
    "/linear:443/x",
    "/linear;x",
    "/linear%00",
    "/linear%2f..",
    "/l%69near",
    "/@evil.example",
    "/user:pass@evil.example/",
    "/http://evil.example/",
    "/\u0131inear",  # a dotless i
    # dot segments, however they are spelled (RFC 3986 §5.2.4, §6.2.2.1)
    "/linear/.",
    "/linear/..",
    "/linear/./x",
    "/linear/../x",
    "/linear/x/..",
    "/linear/x/../../notion",
    "/linear/..?x",
    "/linear/%2e",
    "/linear/%2E%2e/x",
    "/linear/.%2e/x",
    "/linear/%2e./x",
    "/linear/..;/x",
    "/linear/..;a=b/x",
    "/linear/.;/x",
    "/linear/..%3b/x",
    "/linear/%2e%2e%3B",
    # empty segments, and separators that are not what they seem
    "/linear//",
    "/linear//x",
    "/linear/x//y",
    "/linear/x//",
    "/linear//evil.example/x",
    "/linear/a%2fb",
    "/linear/a%2Fb",
    "/linear/a%5cb",
    "/linear/a%5Cb",
    "/linear/a\\b",
    "/linear\\..\\x",
    "\\linear",
    "/linear/%252e%252e/x",
    "/linear/a%252fb",
    # controls, and what is no URL
    "/linear/%00",
    "/linear/x%0d%0aHost:%20evil.example",
    "/linear/%7F",
    "/linear?%00",
    "/linear?x%0Ay",
    "/linear/\x00",
    "/linear/a b",
    "/linear/a\tb",
    "/linear/a\r\nb",
    "/linear\n",
    "/linear?x\n",
    "/linear/\x7f",
    "/linear/é",
    "/linear?é",
    "/linear/\udc80",
    "/linear/%",
    "/linear/%4",
    "/linear/%zz",
    "/linear/%u002e",
    "/linear?%",
    "/linear?a%2",
    "/linear#x",
    "/linear/x#y",
    "/linear?x#y",
    '/linear/"',
    "/linear/<x>",
    "/linear/^",
    "/linear/[x]",
    "/linear?\\",
    '/linear?"',
    "/linear?<",
    " /linear",
    "/linear ",
]

JOINED = [
    ("https://h.example/mcp", "/n", "https://h.example/mcp"),
    ("https://h.example/mcp", "/n?", "https://h.example/mcp"),
    ("https://h.example/mcp/", "/n", "https://h.example/mcp/"),
    ("https://h.example", "/n", "https://h.example"),
    ("https://h.example/mcp", "/n/x?y=1", "https://h.example/mcp/x?y=1"),
    ("https://h.example/mcp/", "/n/x", "https://h.example/mcp/x"),
    ("https://h.example/mcp//", "/n/x", "https://h.example/mcp//x"),
    ("https://h.example/mcp", "/n/", "https://h.example/mcp/"),
    ("https://h.example/mcp/", "/n/", "https://h.example/mcp/"),
    ("https://h.example", "/n/x/y", "https://h.example/x/y"),
    ("https://h.example", "/n?y", "https://h.example/?y"),
    ("https://h.example?a=b", "/n?y", "https://h.example/?a=b&y"),
    ("https://h.example/mcp?a=b", "/n", "https://h.example/mcp?a=b"),
    ("https://h.example/mcp?a=b", "/n/x", "https://h.example/mcp/x?a=b"),
    ("https://h.example/mcp?a=b", "/n/x?c=d", "https://h.example/mcp/x?a=b&c=d"),
    ("https://h.example/mcp?u=//x/", "/n/y", "https://h.example/mcp/y?u=//x/"),
    ("http://[::1]:8080/mcp", "/n/@evil.example", "http://[::1]:8080/mcp/@evil.example"),
]


@pytest.mark.parametrize(("target", "expected"), TAKEN.items())
def test_a_target_in_origin_form_is_read(target: str, expected: Route) -> None:
    """A name, what follows it in the path, and the query."""
    assert route(target) == expected


@pytest.mark.parametrize("target", REFUSED)
def test_anything_ambiguous_is_refused(target: str) -> None:
    """Whatever two readers could read in two ways is refused."""
    with pytest.raises(RoutingError):
        route(target)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://evil.example/", "the request target is not a path"),
        ("/Canary", "the path does not begin with a server's name"),
        ("/linear/../canary", "the path or the query is ambiguous"),
    ],
)
def test_a_refusal_says_why_without_the_target(target: str, reason: str) -> None:
    """The text names the rule, and repeats nothing a caller wrote."""
    with pytest.raises(RoutingError) as refused:
        route(target)
    assert str(refused.value) == reason


@pytest.mark.parametrize(("url", "target", "expected"), JOINED)
def test_a_url_is_continued(url: str, target: str, expected: str) -> None:
    """Path is appended to path with one slash, query to query with one ampersand."""
    assert join(url, route(target)) == expected


# What hostile targets are made of, in any order.
_PIECES = ["/", "//", ".", "..", "%2e", "%2f", "%5c", "\\", "@", ":", ";", "?", "#", "%00", "%0d"]
_PIECES += [
    "%25",
    "%",
    "x",
    "evil.example",
    "user:pass@",
    "http://",
    "é",
    " ",
    "\n",
    "[::1]",
    "443",
]


@pytest.mark.parametrize(
    "target",
    [
        "/n?read_only=false",
        "/n?READ_ONLY=0",
        "/n?read%5Fonly=0",
        "/n?a=1;read_only=0",
        "/n?read_only",
    ],
)
def test_a_caller_does_not_undo_what_the_server_s_url_says(target: str) -> None:
    """Which of two a server believes is its own; one is sent."""
    url = "https://h.example/mcp?read_only=true"
    assert join(url, route(target)) == url
    assert join(url, route(f"{target}&page=2")) == f"{url}&page=2"


_TAILS = st.lists(st.sampled_from(_PIECES), max_size=8).map("".join) | st.text(max_size=20)
_URLS = st.sampled_from(sorted({url for url, _, _ in JOINED}))


@given(url=_URLS, tail=_TAILS)
@example(url="https://h.example", tail="@evil.example")
@example(url="https://h.example", tail=".evil.example")
@example(url="https://h.example", tail=":443/")
@example(url="https://h.example", tail="//evil.example")
@example(url="https://h.example/mcp", tail="/x/../../y")
def test_no_target_changes_the_origin_or_leaves_the_path(url: str, tail: str) -> None:
    """For every target that is taken: same scheme, authority and path prefix, same query first."""
    try:
        taken = route(f"/n{tail}")
    except RoutingError:
        return
    before, after = urlsplit(url), urlsplit(join(url, taken))
    assert (after.scheme, after.netloc, after.fragment) == (before.scheme, before.netloc, "")
    prefix = before.path.removesuffix("/")
    assert after.path == before.path or after.path.startswith(f"{prefix}/")
    assert after.query.startswith(before.query)
    assert not {".", ".."} & set(after.path.lower().replace("%2e", ".").split("/"))


@given(url=_URLS, suffix=_TAILS)
def test_not_even_a_suffix_that_was_never_read_reaches_the_authority(url: str, suffix: str) -> None:
    """A route made by hand stays behind the authority's slash as well."""
    joined = join(url, Route("n", suffix.replace("?", ""), ""))
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0]
    assert joined.partition("://")[2].startswith((f"{authority}/", f"{authority}?")) or (
        joined == url
    )


def test_a_hostile_target_takes_no_time_to_be_refused() -> None:
    """Eight kilobytes of almost anything are read once, not over and over."""
    for piece in ("/x", "/.", "%41", "/x;", "a=b&", "/%2", "/%2e."):
        with pytest.raises(RoutingError):
            route("/linear/" + piece * 1000 + "/x\n")
