"""Counting a server's tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest
from pytest_httpserver import HTTPServer

from harbor_oauth.client import Harbor
from harbor_oauth.errors import TransportError
from harbor_oauth.fleet.tools import ask_for_tools, count_tools
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.settings import ServerEntry
from harbor_oauth.testing import McpServer

URL = "https://open.example/mcp"
Answer = tuple[int, Mapping[str, str], str]


def result(request_id: int, value: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "result": value})


INITIALIZED: Answer = (
    200,
    {"content-type": "application/json", "mcp-session-id": "s-1"},
    result(1, {"protocolVersion": "2025-06-18", "capabilities": {}}),
)
ACCEPTED: Answer = (202, {}, "")


class Script:
    """A transport that gives scripted answers in order and keeps the requests."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[HttpRequest] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        answer = self._answers.pop(0) if self._answers else (405, {}, "")
        if isinstance(answer, Exception):
            raise answer
        status, headers, body = answer
        return HttpResponse(status, headers, body.encode(), request.url)


@pytest.fixture
def count(make_harbor: Callable[..., Harbor]) -> Callable[[Script], int | None]:
    def ask(script: Script) -> int | None:
        return count_tools(make_harbor(transport=script), ServerEntry(name="open", url=URL))

    return ask


def test_the_tools_of_a_real_server_are_counted(harbor: Harbor, mcp: McpServer) -> None:
    """With the grant's token."""
    harbor.login("practice")
    entry = ServerEntry(name="practice", url=mcp.url, grant="practice")
    assert count_tools(harbor, entry) == 2


def test_the_conversation_is_an_mcp_clients(count: Callable[[Script], int | None]) -> None:
    """Session and version are repeated, pages are followed, the session is given back."""
    script = Script(
        INITIALIZED,
        ACCEPTED,
        (
            200,
            {"content-type": "application/json; charset=utf-8"},
            result(2, {"tools": [{}, {}], "nextCursor": "p2"}),
        ),
        (200, {"content-type": "application/json"}, result(3, {"tools": [{}]})),
    )
    assert count(script) == 3
    messages = [json.loads(request.body) for request in script.requests if request.body]
    assert [message["method"] for message in messages] == [
        "initialize",
        "notifications/initialized",
        "tools/list",
        "tools/list",
    ]
    assert messages[3]["params"] == {"cursor": "p2"}
    assert script.requests[-1].method == "DELETE"
    for request in script.requests[1:]:
        assert request.headers["Mcp-Session-Id"] == "s-1"
        assert request.headers["MCP-Protocol-Version"] == "2025-06-18"


def test_an_event_stream_is_read(count: Callable[[Script], int | None]) -> None:
    """Comments, ids, data over several lines and messages of others are passed over."""
    stream = (
        ": hello\r\n\r\n"
        "id: 1\r\ndata:\r\n\r\n"
        'event: message\r\ndata: {"jsonrpc":"2.0","method":"notifications/message"}\r\n\r\n'
        'data: {"jsonrpc":"2.0","id":2,\r\ndata:  "result":{"tools":[{}]}}\r\n'
    )
    script = Script(INITIALIZED, ACCEPTED, (200, {"content-type": "text/event-stream"}, stream))
    assert count(script) == 1


@pytest.mark.parametrize(
    "answers",
    [
        [TransportError("down")],
        [(500, {}, "oops")],
        [(401, {}, "")],
        [(302, {"location": "https://evil.example/"}, "")],
        [(200, {"content-type": "application/json"}, "<html>")],
        [(200, {"content-type": "application/json"}, "[" * 100_000)],
        [(200, {"content-type": "application/json"}, "[]")],
        [(200, {"content-type": "application/json"}, result(7, {}))],
        [INITIALIZED, (500, {}, "")],
        [INITIALIZED, ACCEPTED, (200, {}, result(2, {"tools": "many"}))],
        [INITIALIZED, ACCEPTED, (200, {}, '{"jsonrpc":"2.0","id":2,"error":{"code":-1}}')],
    ],
)
def test_a_server_that_does_not_say_is_none(
    count: Callable[[Script], int | None], answers: list[Answer | Exception]
) -> None:
    """Whatever is wrong with it, docking goes on."""
    assert count(Script(*answers)) is None


_JSON = {"content-type": "application/json"}
_NO = (
    '{"jsonrpc":"2.0","id":%s,"error":'
    '{"code":-32600,"message":"Not enabled.\\u001b[31m See\\nthe console."}}'
)


@pytest.mark.parametrize(
    ("answers", "trouble"),
    [
        ([TransportError("example is down.")], "example is down"),
        ([(401, {}, "")], "it refuses the token (status 401)"),
        ([(403, {}, "")], "it refuses access (status 403)"),
        ([(503, {}, "")], "it answers with status 503"),
        ([(405, {"allow": "GET"}, "")], "HTTP+SSE transport of 2024-11-05"),
        ([(200, _JSON, _NO % "null")], "it answers: Not enabled. [31m See the console"),
        ([(200, _JSON, _NO % "1")], "it answers: Not enabled. [31m See the console"),
        ([INITIALIZED, ACCEPTED, (200, _JSON, _NO % "2")], "it answers: Not enabled."),
        ([(200, _JSON, "<html>")], "its answer is not one of MCP"),
        ([(200, _JSON, result(7, {}))], "its answer is not one of MCP"),
    ],
)
def test_what_a_server_says_instead_is_told(
    make_harbor: Callable[..., Harbor], answers: list[Answer | Exception], trouble: str
) -> None:
    """Each way to fail differs from success, and the server's own words are one plain line."""
    harbor = make_harbor(transport=Script(*answers))
    told = ask_for_tools(harbor, ServerEntry(name="open", url=URL))
    assert told.count is None
    assert trouble in told.trouble


def test_a_server_that_repeats_the_token_does_not_show_it(
    harbor: Harbor, mcp: McpServer, httpserver: HTTPServer
) -> None:
    """What it was sent is masked in its words."""
    harbor.login("practice")
    token = harbor.token("practice").reveal()
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": f"bad token {token}"}}
    httpserver.expect_request("/mcp").respond_with_json(error)
    headers = {"Authorization": f"Bearer {token}"}
    entry = ServerEntry(name="echo", url=httpserver.url_for("/mcp"), headers=headers)
    told = ask_for_tools(harbor, entry)
    assert told.trouble.startswith("it answers: bad token")
    assert token not in told.trouble


def test_endless_pages_end(count: Callable[[Script], int | None]) -> None:
    """A server that always has one more page is not followed for ever."""
    pages: list[Answer] = [
        (200, {}, result(number, {"tools": [{}], "nextCursor": "more"})) for number in range(2, 99)
    ]
    script = Script(INITIALIZED, ACCEPTED, *pages)
    assert count(script) is None
    assert len(script.requests) < 60
