"""Header fields: what is forwarded, what is handed on, and that ours win."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harbor_oauth.gateway.headers import (
    SECURITY_FIELDS,
    forwarded,
    is_passable,
    is_plain,
    passed_back,
)

FORWARDED = [
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Content-Encoding",
    "Content-Type",
    "Last-Event-ID",
    "MCP-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Param-Region",
    "Mcp-Session-Id",
    "User-Agent",
    "traceparent",
    "tracestate",
]

# Hop-by-hop (RFC 9110 §7.6.1), credentials, where a caller is, and how it wants to be seen.
KEPT_BACK = [
    "Authorization",
    "Baggage",
    "CF-Connecting-IP",
    "Client-IP",
    "Connection",
    "Content-Length",
    "Cookie",
    "DPoP",
    "Expect",
    "Forwarded",
    "Host",
    "Keep-Alive",
    "Mcp_Method",
    "Mcp-Other",
    "Origin",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Referer",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Via",
    "X-Api-Key",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Harbor-Key",
    "X-HTTP-Method-Override",
    "X-Original-URL",
    "X-Real-IP",
    "X_Api_Key",
]

PASSED_BACK = {
    "Content-Encoding": "gzip",
    "Content-Length": "12",
    "Content-Type": "application/json",
    "Mcp-Protocol-Version": "2025-11-25",
    "Mcp-Session-Id": "s",
    "Retry-After": "3",
}

DROPPED = [
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Origin",
    "Alt-Svc",
    "Cache-Control",
    "Clear-Site-Data",
    "Connection",
    "Content-Disposition",
    "Content-Location",
    "Content-Security-Policy",
    "Cross-Origin-Resource-Policy",
    "DPoP-Nonce",
    "Link",
    "Location",
    "NEL",
    "Proxy-Authenticate",
    "Public-Key-Pins",
    "Refresh",
    "Report-To",
    "Server",
    "Service-Worker-Allowed",
    "Set-Cookie",
    "SourceMap",
    "Strict-Transport-Security",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Via",
    "WWW-Authenticate",
    "X-Content-Type-Options",
    "X-Powered-By",
]

CONTROLS = ["\r", "\n", "\r\n", "\0", "\x1f", "\x7f", "\t", "é", "\udc80", "\u2028"]


@pytest.mark.parametrize("name", FORWARDED)
@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
def test_what_a_server_needs_is_forwarded(name: str, spell: type[str]) -> None:
    """Names pass in any case, and reach the server as they were written."""
    assert forwarded([(spell(name), "v w")], {}) == [(spell(name), "v w")]


@pytest.mark.parametrize("name", KEPT_BACK)
@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
def test_everything_else_is_kept_back(name: str, spell: type[str]) -> None:
    """Neither credentials nor hop-by-hop fields of the caller reach a server."""
    assert forwarded([(spell(name), "canary")], {}) == []


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_unknown_field_is_forwarded(name: str, value: str) -> None:
    """The list is of what passes, not of what does not."""
    known = {each.lower() for each in FORWARDED}
    if name.lower() not in known and not name.lower().startswith("mcp-param-"):
        assert forwarded([(name, value)], {}) == []


def test_repeated_fields_keep_their_order() -> None:
    """Two of a list-valued field are one list (RFC 9110 §5.3)."""
    fields = [("Accept", "a/b"), ("User-Agent", "x"), ("accept", "c/d")]
    assert forwarded(fields, {}) == fields


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Authorization", "authorization"),
        ("authorization", "AUTHORIZATION"),
        ("User-Agent", "user-agent"),
        ("User_Agent", "User-Agent"),
        ("Mcp-Param-Team", "mcp-param-team"),
        ("Mcp-Param-Team-Id", "Mcp-Param-Team_Id"),
        ("Mcp-Param-Team_Id", "mcp-param-team-id"),
        ("X-Api-Key", "X_Api_Key"),
        ("Accept", "ACCEPT"),
    ],
)
def test_ours_replace_the_callers(ours: str, theirs: str) -> None:
    """In any case, with `_` for `-`, however often: only ours is sent, and last."""
    fields = [(theirs, "canary"), ("Mcp-Name", "n"), (theirs, "canary")]
    assert forwarded(fields, {ours: "v"}) == [("Mcp-Name", "n"), (ours, "v")]


@pytest.mark.parametrize(
    "connection",
    ["close, Authorization, X-Api-Key", "authorization", "Accept,AUTHORIZATION ,x-api-key", "*"],
)
def test_connection_never_removes_ours(connection: str) -> None:
    """What a caller names in Connection is its own, not what we add (RFC 9110 §7.6.1)."""
    ours = {"Authorization": "Bearer t", "X-Api-Key": "k"}
    assert forwarded([("Connection", connection)], ours) == list(ours.items())


@pytest.mark.parametrize("first", [True, False])
def test_connection_removes_what_the_caller_names(first: bool) -> None:
    """A field that Connection names goes no further, before it or after it."""
    named = [("Accept", "a/b"), ("Mcp-Param-X", "v")]
    connection = [("Connection", "close,  mcp-param-X"), ("connection", "ACCEPT")]
    fields = [*connection, *named] if first else [*named, *connection]
    assert forwarded([*fields, ("User-Agent", "u")], {}) == [("User-Agent", "u")]


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("place", ["{}v", "v{}", "v{}w", "{}"])
def test_a_value_of_ours_that_could_split_a_request_is_an_error(control: str, place: str) -> None:
    """Injected values are visible ASCII with single lines, and the error does not repeat them."""
    value = place.format(control) + "canary"
    with pytest.raises(ValueError, match="X-Api-Key") as refused:
        forwarded([], {"X-Api-Key": value})
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("value", ["", " ", " v", "v ", "v\n"])
def test_a_value_of_ours_is_neither_empty_nor_padded(value: str) -> None:
    """A token that ends in a space is a mistake in the configuration, not a token."""
    with pytest.raises(ValueError, match="X-Api-Key"):
        forwarded([], {"X-Api-Key": value})


@pytest.mark.parametrize(
    "name",
    [
        *("", "X Y", "X:Y", "X\r\nY", "X\n", "é"),
        *("Host", "HOST", "Content-Length", "Content_Length", "transfer-encoding"),
        *("Transfer_Encoding", "Connection", "TE", "Trailer", "Upgrade", "Expect", "Keep-Alive"),
    ],
)
def test_a_name_of_ours_cannot_reframe_a_request(name: str) -> None:
    """Names are tokens, and neither framing nor the host is for a configuration to say."""
    with pytest.raises(ValueError, match="no header that can be added"):
        forwarded([], {name: "v"})


@pytest.mark.parametrize("control", CONTROLS)
def test_a_callers_value_outside_ascii_is_dropped(control: str) -> None:
    """A field the server can do without is left out."""
    assert forwarded([("User-Agent", f"a{control}b"), ("Accept", "*/*")], {}) == [("Accept", "*/*")]


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize(
    "name", ["Mcp-Method", "mcp-name", "MCP-Protocol-Version", "Mcp-Session-Id", "Mcp-Param-X"]
)
def test_an_mcp_value_outside_ascii_is_an_error(name: str, control: str) -> None:
    """A server compares these with the body, so none is dropped or mended in silence."""
    with pytest.raises(ValueError, match=name) as refused:
        forwarded([(name, f"canary{control}")], {})
    assert "canary" not in str(refused.value)


def test_mcp_values_are_forwarded_unchanged() -> None:
    """Not even a value that contradicts others is repaired."""
    fields = [("Mcp-Method", "tools/call"), ("Mcp-Name", "=?base64?w6k=?="), ("Mcp-Param-A", "")]
    assert forwarded(fields, {}) == fields


def test_what_a_caller_needs_is_passed_back() -> None:
    """The fields of an answer that mean something to an MCP client."""
    assert passed_back(list(PASSED_BACK.items())) == list(PASSED_BACK.items())


@pytest.mark.parametrize("name", DROPPED)
@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
def test_everything_else_is_dropped(name: str, spell: type[str]) -> None:
    """No cookie, challenge, redirect or policy of a server reaches a caller."""
    assert passed_back([(spell(name), "canary"), ("Retry-After", "1")]) == [("Retry-After", "1")]


def test_no_server_weakens_a_field_of_ours() -> None:
    """A server's own word for any of them never gets as far as to replace it."""
    assert passed_back([(name, "canary") for name in SECURITY_FIELDS]) == []


def test_the_fields_of_ours_make_an_answer_inert() -> None:
    """No sniffing, no scripts, no use from another origin, no copy in a cache."""
    assert SECURITY_FIELDS == {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


@pytest.mark.parametrize("name", PASSED_BACK)
def test_the_first_of_repeated_answer_fields_counts(name: str) -> None:
    """A second Content-Type or session id cannot replace the one that was judged."""
    value = PASSED_BACK[name]
    second = {"Content-Type": "text/event-stream"}.get(name, "2")
    assert passed_back([(name, value), (name.lower(), second)]) == [(name, value)]


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("name", PASSED_BACK)
def test_an_answers_value_that_could_split_it_is_dropped(name: str, control: str) -> None:
    """Nothing a server sends can end a header field of ours."""
    assert passed_back([(name, f"{PASSED_BACK[name]}{control}X: y")]) == []


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", "json"),
        ("Application/JSON", "json"),
        ("application/json; charset=utf-8", "json"),
        ("application/json;charset=UTF-8;", "json"),
        ('application/json; a="b, c"', "json"),
        ("application/json ", "json"),
        ("text/event-stream", "stream"),
        ("TEXT/Event-Stream;charset=utf-8", "stream"),
        ("", None),
        ("text/html", None),
        ("text/plain", None),
        ("image/svg+xml", None),
        ("application/xhtml+xml", None),
        ("application/octet-stream", None),
        ("application/jsonp", None),
        ("application/json-seq", None),
        ("application/problem+json", None),
        ("text/json", None),
        (" application/json", None),
        ("application/json text/html", None),
        ("application/json, text/html", None),
        ("application/json;a=b, text/html", None),
        ('application/json;a="b', None),
        ("application/json\r\nX: y", None),
        ("application/json\n", None),
        ("application/json;a=é", None),
        ("application/json\0", None),
        ("text/event-stream, text/html", None),
        ("multipart/x-mixed-replace", None),
    ],
)
def test_only_json_and_event_streams_may_pass(content_type: str, expected: str | None) -> None:
    """Whatever a browser could take for a page, or for two types at once, is not handed on."""
    assert is_passable(content_type) == expected
    passes = passed_back([("Content-Type", content_type)])
    assert passes == ([("Content-Type", content_type)] if expected else [])


def test_a_hostile_content_type_takes_no_time_to_be_refused() -> None:
    """Eight kilobytes of separators are read once, not over and over."""
    assert is_passable("application/json" + "; " * 4000 + "!") is None
    assert is_passable("application/json" + " " * 8000 + "!") is None


@given(st.text(max_size=20))
def test_plain_means_visible_ascii(value: str) -> None:
    """Space to tilde, and nothing else."""
    assert is_plain(value) == all(" " <= character <= "~" for character in value)
