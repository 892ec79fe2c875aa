"""Which requests are looked at: by host, by origin, by method, by type, by key."""

from __future__ import annotations

import pytest

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.gateway.admission import (
    Door,
    DuplicateKeyError,
    allowed_hosts,
    presented_key,
)

DOOR = Door(allowed_hosts("127.0.0.1", 3100, ()))
HOST = ("Host", "127.0.0.1:3100")
JSON = ("Content-Type", "application/json")


def status(*fields: tuple[str, str], method: str = "POST", door: Door = DOOR) -> int:
    """Return the status of a refusal; 0 for none."""
    refusal = door.refusal(method, fields)
    return refusal.status if refusal else 0


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:3100", "localhost:3100", "LocalHost:3100", "[::1]:3100"],
)
def test_the_gateways_own_names_are_let_in(host: str) -> None:
    """Address, loopback name and either family, in any case."""
    assert status(("Host", host), JSON) == 0


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:3100",
        "127.0.0.1.evil.example:3100",
        "localhost.evil.example:3100",
        "evil.example:3100@127.0.0.1:3100",
        "127.0.0.1:3100@evil.example",
        "127.0.0.1",
        "localhost",
        "localhost:3101",
        "localhost:03100",
        "localhost:3100.",
        "localhost.:3100",
        "127.0.0.1:3100 ",
        "127.0.0.1:3100, evil.example",
        "127.1:3100",
        "2130706433:3100",
        "0.0.0.0:3100",
        "::1:3100",
        "[::ffff:127.0.0.1]:3100",
        "127.0.0.2:3100",
        "http://127.0.0.1:3100",
    ],
)
def test_any_other_name_is_misdirected(host: str) -> None:
    """A name that someone else's DNS points here is not ours (RFC 9110 §15.5.20)."""
    assert status(("Host", host), JSON) == 421


def test_a_request_needs_one_host() -> None:
    """None and two are refused alike (RFC 9112 §3.2), even if both are good."""
    assert status(JSON) == 400
    assert status(HOST, HOST, JSON) == 400
    assert status(HOST, ("host", "evil.example"), JSON) == 400


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://127.0.0.1:3100",
        "http://localhost:5173",
        "http://127.0.0.1:3100.evil.example",
        "https://evil.example",
        "vscode-webview://x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_origin_is_refused(origin: str, method: str) -> None:
    """Whatever sends one is a page, and none is listed."""
    assert status(HOST, ("Origin", origin), JSON, method=method) == 403


def test_only_a_listed_origin_is_let_in() -> None:
    """A listed origin counts exactly, and once."""
    door = Door(DOOR.hosts, frozenset({"https://app.example"}))
    listed = ("Origin", "https://app.example")
    assert status(HOST, listed, JSON, door=door) == 0
    assert status(HOST, listed, ("Sec-Fetch-Site", "cross-site"), JSON, door=door) == 0
    assert status(HOST, listed, listed, JSON, door=door) == 400
    assert status(HOST, ("Origin", "https://app.example.evil"), JSON, door=door) == 403
    assert status(HOST, ("Origin", "null"), JSON, door=door) == 403


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ("cross-site", 403),
        ("same-site", 403),
        ("Cross-Site", 403),
        ("", 403),
        ("anything", 403),
        ("none", 0),
        ("same-origin", 0),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_a_browser_calls_another_site_is_refused(
    site: str, expected: int, method: str
) -> None:
    """Fetch Metadata tells a page's request from a person's."""
    assert status(HOST, ("Sec-Fetch-Site", site), JSON, method=method) == expected


@pytest.mark.parametrize(
    ("method", "expected"),
    [("GET", 0), ("POST", 0), ("DELETE", 0), ("OPTIONS", 403)]
    + [
        (each, 405) for each in ("PUT", "PATCH", "HEAD", "TRACE", "CONNECT", "get", "Post", "X", "")
    ],
)
def test_three_methods_are_served(method: str, expected: int) -> None:
    """Those that MCP uses; a preflight is refused."""
    assert status(HOST, JSON, method=method) == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", 0),
        ("Application/Json", 0),
        ("application/json; charset=utf-8", 0),
        ("application/json;charset=utf-8", 0),
        ("application/json ; charset=utf-8", 0),
        ("", 415),
        ("text/plain", 415),
        ("text/plain; application/json", 415),
        ("text/plain;a=application/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/json-patch+json", 415),
        ("application/jsonx", 415),
        ("application/json, text/plain", 415),
        ("text/plain, application/json", 415),
    ],
)
def test_a_post_is_of_a_type_no_form_can_send(content_type: str, expected: int) -> None:
    """A simple cross-site POST has one of three types (Fetch, "CORS-safelisted")."""
    assert status(HOST, ("Content-Type", content_type)) == expected


def test_a_post_without_a_type_is_refused() -> None:
    """So is one that names no type at all; other methods need none."""
    assert status(HOST) == 415
    assert status(HOST, method="GET") == 0
    assert status(HOST, method="DELETE") == 0


@pytest.mark.parametrize(
    "name",
    [
        "Content-Type",
        "Content-Length",
        "Sec-Fetch-Site",
        "Mcp-Session-Id",
        "Mcp-Method",
        "Mcp-Name",
        "MCP-Protocol-Version",
        "Mcp-Param-X",
    ],
)
def test_what_may_be_there_once_is_not_there_twice(name: str) -> None:
    """Two readers could each take another one."""
    value = {"Content-Type": "application/json", "Sec-Fetch-Site": "none"}.get(name, "1")
    others = [HOST] if name == "Content-Type" else [HOST, JSON]
    assert status(*others, (name, value)) == 0
    assert status(*others, (name, value), (name.upper(), value)) == 400


@pytest.mark.parametrize("control", ["\r", "\n", "\0", "\x1f", "\x7f", "\t", "é", "\udc80"])
@pytest.mark.parametrize("name", ["Mcp-Name", "mcp-method", "MCP-Param-Q", "Mcp-Session-Id"])
def test_an_mcp_field_is_visible_ascii(name: str, control: str) -> None:
    """What a server compares with the body reaches it as it is, or not at all."""
    assert status(HOST, JSON, (name, f"a{control}b")) == 400


def test_other_fields_may_be_repeated_and_hold_anything() -> None:
    """The door judges what it knows; the rest is left out later."""
    assert status(HOST, JSON, ("Accept", "a"), ("Accept", "b"), ("User-Agent", "é")) == 0


def test_all_fields_together_have_a_limit() -> None:
    """64 KiB of names and values, however many fields they are in."""
    fields = [HOST, JSON, *((f"X-{number}", "x" * 8000) for number in range(5))]
    used = sum(len(name) + len(value) for name, value in fields)
    assert status(*fields, ("Y", "y" * (64 * 1024 - used - 1))) == 0
    assert status(*fields, ("Y", "y" * (64 * 1024 - used))) == 431


def test_a_refusal_repeats_nothing_of_the_request() -> None:
    """Its text is fixed, so that no page reads what it wrote."""
    for fields in ([("Host", "canary")], [HOST, ("Origin", "canary")], [HOST, ("Mcp-Name", "é")]):
        refusal = DOOR.refusal("POST", fields)
        assert refusal is not None
        assert "canary" not in f"{refusal.error} {refusal.description}"


@pytest.mark.parametrize(
    ("bind_host", "port", "extra", "expected"),
    [
        ("127.0.0.1", 3100, (), {"127.0.0.1:3100", "[::1]:3100", "localhost:3100"}),
        ("localhost", 3100, (), {"127.0.0.1:3100", "[::1]:3100", "localhost:3100"}),
        ("::1", 3100, (), {"127.0.0.1:3100", "[::1]:3100", "localhost:3100"}),
        ("0.0.0.0", 9, (), {"127.0.0.1:9", "[::1]:9", "localhost:9"}),  # noqa: S104 - not bound
        ("::", 9, (), {"127.0.0.1:9", "[::1]:9", "localhost:9"}),
        ("192.0.2.7", 9, (), {"127.0.0.1:9", "[::1]:9", "localhost:9", "192.0.2.7:9"}),
        ("2001:DB8::7", 9, (), {"127.0.0.1:9", "[::1]:9", "localhost:9", "[2001:db8::7]:9"}),
        (
            "127.0.0.1",
            80,
            (),
            {"127.0.0.1", "[::1]", "localhost", "127.0.0.1:80", "[::1]:80", "localhost:80"},
        ),
        ("127.0.0.1", 0, (), {"127.0.0.1", "[::1]", "localhost"}),
    ],
)
def test_the_gateway_goes_by_these_names(
    bind_host: str, port: int, extra: tuple[str, ...], expected: set[str]
) -> None:
    """Loopback always, its own address if it is one; the default port may be left out."""
    assert allowed_hosts(bind_host, port, extra) == expected


def test_further_names_are_exact() -> None:
    """A name with a port counts with that port; one without, bare and with the gateway's."""
    hosts = allowed_hosts(
        "127.0.0.1", 3100, ["Host.Docker.Internal", "dev.example:8443", "[fd00::1]"]
    )
    assert hosts - allowed_hosts("127.0.0.1", 3100, ()) == {
        "host.docker.internal",
        "host.docker.internal:3100",
        "dev.example:8443",
        "[fd00::1]",
        "[fd00::1]:3100",
    }


@pytest.mark.parametrize(
    "name",
    ["", "*", "*.example", "http://x", "x/y", "x:", "x:y", "x y", "fd00::1", ".x", "x\n", "é"],
)
def test_a_further_name_is_a_name(name: str) -> None:
    """A pattern would look as if it worked."""
    with pytest.raises(ConfigurationError):
        allowed_hosts("127.0.0.1", 3100, [name])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], None),
        ([("X-Harbor-Key", "k")], "k"),
        ([("x-harbor-key", " k ")], "k"),
        ([("Authorization", "Bearer k")], "k"),
        ([("AUTHORIZATION", "bEARER  k")], "k"),
        ([("Authorization", "Basic k")], None),
        ([("Authorization", "k")], None),
        ([("Authorization", "Bearer")], None),
        ([("Authorization", "Bearer ")], None),
        ([("Authorization", "Bearerk")], None),
        ([("X-Harbor-Key", "")], None),
        ([("X-Harbor-Key", "ké")], None),
        ([("X-Harbor-Key", "\udc80")], None),
        ([("X_Harbor_Key", "k")], None),
        ([("Proxy-Authorization", "Bearer k")], None),
        ([("Cookie", "k")], None),
    ],
)
def test_a_key_is_presented_in_one_of_two_ways(
    fields: list[tuple[str, str]], expected: str | None
) -> None:
    """In our own field, or as a bearer token whose scheme has any case (RFC 9110 §11.1)."""
    assert presented_key([HOST, *fields]) == expected


@pytest.mark.parametrize(
    "fields",
    [
        [("X-Harbor-Key", "k"), ("Authorization", "Bearer k")],
        [("X-Harbor-Key", "k"), ("Authorization", "Basic k")],
        [("X-Harbor-Key", "k"), ("Authorization", "")],
        [("X-Harbor-Key", "k"), ("x-harbor-key", "k")],
        [("Authorization", "Bearer k"), ("authorization", "Bearer k")],
        [("Authorization", "Bearer k"), ("authorization", "Bearer other")],
        [("X-Harbor-Key", "k"), ("X-Harbor-Key", "")],
    ],
)
def test_more_than_one_credential_is_an_error(fields: list[tuple[str, str]]) -> None:
    """Even two that say the same: whoever added the second did not know of the first."""
    with pytest.raises(DuplicateKeyError) as refused:
        presented_key([HOST, *fields])
    assert str(refused.value) == "more than one credential"
