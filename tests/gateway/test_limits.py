"""Each size is ours: at the limit it passes on every way, and above it the error names it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from werkzeug import Request, Response

from harbor_oauth.client import Harbor
from harbor_oauth.errors import (
    ConfigurationError,
    HarborError,
    MalformedResponseError,
    UpstreamError,
)
from harbor_oauth.fleet.config import add_server
from harbor_oauth.gateway.limits import Limits
from harbor_oauth.gateway.sse import EventReader
from harbor_oauth.gateway.stdio import split_lines
from harbor_oauth.integrations.httpx import Auth
from harbor_oauth.protocol.authorization import AuthorizationRequest, parse_authorization_response
from harbor_oauth.protocol.http import HttpRequest
from harbor_oauth.protocol.limits import (
    KIB,
    LARGEST_HEAD,
    LARGEST_HELD,
    LARGEST_INPUT,
    LARGEST_MESSAGE,
    LARGEST_METADATA,
    LARGEST_TOKEN_ANSWER,
    LONGEST_CODE,
    LONGEST_FIELD,
    LONGEST_TARGET,
    LONGEST_TOKEN,
    MIB,
    MOST_FIELDS,
)
from harbor_oauth.protocol.pkce import PKCE
from harbor_oauth.receiver.request import RefusedError, read_request
from harbor_oauth.secret import Secret
from harbor_oauth.settings import ServerEntry
from harbor_oauth.testing import AuthorizationServer, McpServer, answers
from harbor_oauth.transport import RequestsTransport
from tests.gateway.conftest import ACCEPT, RunningGateway, call_echo

ABOVE = (1, 40_000)
"""One above the limit, and above those of the HTTP libraries, too."""
FIELD_FAULT = f"a header field of more than {LONGEST_FIELD} bytes"
COUNT_FAULT = f"more than {MOST_FIELDS} header fields"


def long_field(request: Request, length: int) -> Response:
    del request
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {}})
    return Response(body, 200, {"X-Long": "a" * length}, content_type="application/json")


def many_fields(request: Request, count: int) -> Response:
    response = long_field(request, 1)
    own = len(response.headers) + 3  # Server, Date and Connection are added
    for number in range(count - own):
        response.headers[f"X-{number}"] = "a"
    return response


@pytest.fixture
def transport() -> RequestsTransport:
    return RequestsTransport(environ={})


def ask(mcp: McpServer, **fields: str) -> HttpRequest:
    return HttpRequest("POST", mcp.url, {**ACCEPT, **fields}, b"{}")


def test_a_field_of_an_answer(transport: RequestsTransport, mcp: McpServer) -> None:
    """The transport takes one at the limit; above it, the error says which limit."""
    mcp.script("mcp", lambda request: long_field(request, LONGEST_FIELD))
    assert len(transport(ask(mcp)).headers["x-long"]) == LONGEST_FIELD
    for more in ABOVE:
        mcp.script("mcp", lambda request, more=more: long_field(request, LONGEST_FIELD + more))  # type: ignore[misc]
        with pytest.raises(MalformedResponseError, match=FIELD_FAULT):
            transport(ask(mcp))


def test_the_fields_of_an_answer_are_counted(transport: RequestsTransport, mcp: McpServer) -> None:
    """Many pass, more than the limit do not."""
    mcp.script("mcp", lambda request: many_fields(request, MOST_FIELDS))
    assert transport(ask(mcp)).status == 200
    for count in (MOST_FIELDS + 4, 300):
        mcp.script("mcp", lambda request, count=count: many_fields(request, count))  # type: ignore[misc]
        with pytest.raises(MalformedResponseError, match=COUNT_FAULT):
            transport(ask(mcp))


def test_what_the_transport_sends(transport: RequestsTransport, mcp: McpServer) -> None:
    """A token at its limit fits; what is above a limit is not sent, and named."""
    transport(ask(mcp, Authorization="Bearer " + "a" * LONGEST_TOKEN))
    assert len(mcp.requests[-1].headers["authorization"]) == LONGEST_TOKEN + 7
    sent = len(mcp.requests)
    for request, fault in (
        (ask(mcp, X="a" * (LONGEST_FIELD + 1)), FIELD_FAULT),
        (ask(mcp, **{f"X-{number}": "a" for number in range(MOST_FIELDS)}), COUNT_FAULT),
        (HttpRequest("GET", f"{mcp.url}?{'a' * LONGEST_TARGET}"), "a URL of more than"),
    ):
        with pytest.raises(ConfigurationError, match=fault):
            transport(request)
    assert len(mcp.requests) == sent


@contextmanager
def long_tokens(issuer: AuthorizationServer, length: int) -> Iterator[str]:
    """Let the double issue access tokens of a length."""
    new = issuer._grants.new_secret

    def padded(kind: str) -> str:
        return new(kind).ljust(length, "x") if kind == "access" else new(kind)

    issuer._grants.new_secret = padded
    try:
        yield "a token"
    finally:
        issuer._grants.new_secret = new


def test_a_token_at_the_limit_works_on_every_way(
    harbor: Harbor,
    issuer: AuthorizationServer,
    mcp: McpServer,
    start_gateway: Callable[..., RunningGateway],
) -> None:
    """It is stored, and sent by the transport, the session, httpx and the gateway."""
    with long_tokens(issuer, LONGEST_TOKEN):
        harbor.login("practice")
    assert len(harbor.token("practice").reveal()) == LONGEST_TOKEN
    add_server(harbor.settings, ServerEntry(name="practice", url=mcp.url, grant="practice"))
    harbor.reload_settings()
    message = call_echo("hello")
    body = json.dumps(message).encode()
    request = HttpRequest("POST", mcp.url, ACCEPT, body)
    assert harbor.request("practice", request).status == 200
    with harbor.session("practice") as session:
        assert session.post(mcp.url, data=body, headers=ACCEPT, timeout=30).status_code == 200
    with httpx.Client(auth=Auth("practice", harbor=harbor), trust_env=False) as client:
        assert client.post(mcp.url, content=body, headers=ACCEPT).status_code == 200
    assert "hello" in start_gateway(harbor).post("/practice", message).text


def test_a_token_above_the_limit_is_named(harbor: Harbor, issuer: AuthorizationServer) -> None:
    """The sign-in fails, and the error says why."""
    with (
        long_tokens(issuer, LONGEST_TOKEN + 1),
        pytest.raises(MalformedResponseError, match=f"more than {LONGEST_TOKEN} characters"),
    ):
        harbor.login("practice")


@pytest.mark.parametrize("more", [0, *ABOVE])
def test_what_callers_send_to_the_gateway(gateway: RunningGateway, more: int) -> None:
    """A field, the URL and the number of fields: 431 says what there is too much of."""
    message = call_echo("hello")
    long = gateway.post("/practice", message, {"X-Long": "a" * (LONGEST_FIELD + more)})
    target = f"/practice?{'a' * (LONGEST_TARGET + more - len('/practice?'))}"
    far = gateway.send("GET", target)
    if not more:
        assert long.status_code == 200
        assert far.status_code != 431
        return
    assert long.status_code == far.status_code == 431
    assert FIELD_FAULT in long.json()["error_description"]
    if more == 1:
        assert "a URL of more than" in far.json()["error_description"]
    fields = {f"X-{number}": "a" for number in range(MOST_FIELDS + min(more, 200))}
    many = gateway.post("/practice", message, fields)
    assert COUNT_FAULT in many.json()["error_description"]


@pytest.mark.parametrize("more", [0, *ABOVE])
def test_what_servers_send_to_the_gateway(
    gateway: RunningGateway, mcp: McpServer, more: int
) -> None:
    """The caller is told which limit the server is above, not of a broken connection."""
    mcp.script("mcp", lambda request: long_field(request, LONGEST_FIELD + more))
    answer = gateway.post("/practice", call_echo("hello")).json()
    assert ("result" in answer) == (more == 0)
    if more:
        assert FIELD_FAULT in answer["error"]["message"]
        mcp.script("mcp", lambda request: many_fields(request, MOST_FIELDS + 3 + min(more, 200)))
        answer = gateway.post("/practice", call_echo("hello")).json()
        assert COUNT_FAULT in answer["error"]["message"]


def test_a_code_at_the_limit() -> None:
    """It passes the receiver and the parser; one more character is named."""
    request = AuthorizationRequest(
        authorization_endpoint="https://a.example/authorize",
        client_id="client",
        redirect_uri="http://127.0.0.1/callback",
        scope=None,
        state=Secret("state"),
        pkce=PKCE(Secret("v" * 43)),
        issuer="https://a.example",
        iss_required=False,
    )
    code = "c" * LONGEST_CODE
    head = f"GET /callback?state=state&code={quote(code)} HTTP/1.1\r\nHost: a\r\n\r\n"
    read = read_request(head.encode())
    assert read is not None
    assert parse_authorization_response(read.query, request).reveal() == code
    with pytest.raises(MalformedResponseError, match=f"more than {LONGEST_CODE} characters"):
        parse_authorization_response(f"{read.query}c", request)


def test_a_callbacks_head() -> None:
    """The cookies of other programs on this host fit; one byte above the limit is refused."""
    start = b"GET /callback?code=c HTTP/1.1\r\nHost: a\r\nCookie: "
    full = start + b"c" * (LARGEST_HEAD - len(start) - 4)
    assert read_request(full + b"\r\n\r\n") is not None
    with pytest.raises(RefusedError):
        read_request(full + b"c\r\n\r\n")


def test_a_line_of_a_host() -> None:
    """One at the limit is whole; the end of a longer one is no line of its own."""

    async def lines(*chunks: bytes) -> list[bytes | None]:
        waiting = [*chunks, b""]

        async def read() -> bytes:
            return waiting.pop(0)

        found: AsyncIterator[bytes | None] = split_lines(read, limit=10)
        return [line async for line in found]

    assert asyncio.run(lines(b"a" * 10 + b"\n")) == [b"a" * 10]
    assert asyncio.run(lines(b"a" * 6, b"a" * 5 + b"\n", b"b\n")) == [None, b"b"]
    assert asyncio.run(lines(b"a" * 11, b"aaa")) == [None]


def test_an_event_of_a_server() -> None:
    """One at the limit is read; a longer one is named."""
    reader = EventReader(limit=100)
    assert [event.data for event in reader.feed(b"data: " + b"a" * 94 + b"\n\n")] == ["a" * 94]
    with pytest.raises(UpstreamError, match="more than 100 characters"):
        list(reader.feed(b"data: " + b"a" * 95))


def test_an_answers_body(transport: RequestsTransport, mcp: McpServer) -> None:
    """At the limit it is read; above it, the error names the limit."""
    for more in (0, 1):
        mcp.script("mcp", answers.oversized(1000 + more))
        request = HttpRequest("POST", mcp.url, body=b"{}", limit=1000)
        if not more:
            assert len(transport(request).body) == 1000
            continue
        with pytest.raises(HarborError, match="more than 1000 bytes"):
            transport(request)


def test_the_documented_limits() -> None:
    """docs/reference/limits.md states each limit as it is."""
    text = (Path(__file__).parents[2] / "docs" / "reference" / "limits.md").read_text("utf-8")
    rows = [row.split("|")[2].strip() for row in text.splitlines() if row.startswith("|")][2:]
    sizes = [
        *(LONGEST_TOKEN, LONGEST_CODE, LARGEST_HEAD, LONGEST_FIELD, LONGEST_TARGET, MOST_FIELDS),
        *(LARGEST_HEAD, LARGEST_TOKEN_ANSWER, LARGEST_METADATA, LARGEST_MESSAGE),
        *(LARGEST_HELD, Limits().held_bytes, LARGEST_INPUT),
    ]
    units = {"": 1, "KiB": KIB, "MiB": MIB}
    stated = [
        int(number) * units[unit] for number, _, unit in (r.partition(" ") for r in rows[:-1])
    ]
    assert stated == sizes
