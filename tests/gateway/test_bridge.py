"""The stdio bridge before a scripted server on loopback."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from harbor_oauth.client import Harbor
from tests.gateway.bridging import (
    INITIALIZE,
    INITIALIZED,
    META,
    PATIENCE,
    Host,
    bridged,
    event,
    events,
    result,
)


def test_a_session_of_2025(harbor: Harbor) -> None:
    """Its id and revision go with each message, and it is closed at the end."""
    seen: list[tuple[str, str, str | None, str | None]] = []

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        headers = request.headers
        method = message["method"] if message else ""
        seen.append(
            (
                request.method,
                method,
                headers.get("Mcp-Session-Id"),
                headers.get("MCP-Protocol-Version"),
            )
        )
        if method == "initialize":
            return result(message, {"protocolVersion": "2025-06-18"}, Mcp_Session_Id="s-1")
        if request.method == "GET":
            return web.Response(status=405)
        return result(message, {}) if message and "id" in message else web.Response(status=202)

    async def use() -> None:
        async with bridged(harbor, handler) as host:
            host.send(INITIALIZE, INITIALIZED, {"id": 1, "method": "ping"})
            assert [message["id"] for message in await host.until(2)] == [0, 1]

    asyncio.run(use())
    assert seen[:2] == [
        ("POST", "initialize", None, None),
        ("POST", "notifications/initialized", "s-1", "2025-06-18"),
    ]
    assert ("POST", "ping", "s-1", "2025-06-18") in seen
    assert seen[-1] == ("DELETE", "", "s-1", "2025-06-18")


def test_a_message_of_2026_says_what_it_is(harbor: Harbor) -> None:
    """No session; the header fields repeat the body, as the tool's list asks for."""
    seen: list[dict[str, str]] = []
    schema = {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        seen.append({name.lower(): value for name, value in request.headers.items()})
        tools = {"tools": [{"name": "deploy", "inputSchema": schema}]}
        return result(message, tools if message["method"] == "tools/list" else {})

    async def use() -> None:
        async with bridged(harbor, handler) as host:
            host.send({"id": 1, "method": "tools/list", "params": META})
            await host.until(1)
            arguments = {"name": "deploy", "arguments": {"region": "eu"}, **META}
            host.send({"id": 2, "method": "tools/call", "params": arguments})
            await host.until(2)

    asyncio.run(use())
    wanted = {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "deploy",
        "mcp-param-region": "eu",
    }
    assert wanted.items() <= seen[-1].items()
    assert len(seen) == 2, "there is no session to close"


def test_a_session_the_server_forgot_is_opened_again(harbor: Harbor) -> None:
    """The host does not notice, and the call runs once."""
    sessions, executed = ["s-1", "s-2"], []

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        method = message["method"] if message else ""
        if method == "initialize":
            return result(
                message, {"protocolVersion": "2025-11-25"}, Mcp_Session_Id=sessions.pop(0)
            )
        if request.method != "POST":
            return web.Response(status=405)
        if request.headers.get("Mcp-Session-Id") != "s-2" and method == "tools/call":
            return web.Response(status=404)
        if method == "tools/call":
            executed.append(message["id"])
            return result(message, {})
        return web.Response(status=202)

    async def use() -> list[Any]:
        async with bridged(harbor, handler) as host:
            host.send(INITIALIZE, INITIALIZED)
            host.send(*({"id": n, "method": "tools/call"} for n in (1, 2, 3)))
            return list(await host.until(4))

    got = asyncio.run(use())
    assert sorted(message["id"] for message in got) == [0, 1, 2, 3]
    assert all("result" in message for message in got)
    assert sorted(executed) == [1, 2, 3]
    assert sessions == []


def test_an_answer_that_broke_off_is_resumed(harbor: Harbor) -> None:
    """Where the server numbers its events; progress comes once, the call is sent once."""
    posts: list[Any] = []

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        if request.method == "GET":
            assert request.headers["Last-Event-ID"] == "e-1"
            return await events(request, event({"id": 1, "result": {"after": "e-1"}}, "e-2"))
        posts.append(message)
        response = await events(request, b"retry: 250\n", event({"method": "progress"}, "e-1"))
        assert request.transport is not None
        request.transport.abort()
        return response

    async def use() -> Host:
        async with bridged(harbor, handler) as host:
            host.send({"id": 1, "method": "tools/call"})
            await host.until(2)
            return host

    host = asyncio.run(use())
    assert host.got == [{"method": "progress"}, {"id": 1, "result": {"after": "e-1"}}]
    assert host.slept == [0.25]
    assert len(posts) == 1


@pytest.mark.parametrize("half", [b'id: e-2\ndata: {"id": 1, "res', b"id: e-2\ndata: 1\n"])
def test_half_an_event_is_forgotten_when_its_stream_is_resumed(harbor: Harbor, half: bytes) -> None:
    """The server sends it again, whole."""
    resumed_after: list[str] = []

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        if request.method == "GET":
            resumed_after.append(request.headers["Last-Event-ID"])
            return await events(request, event({"id": 1, "result": {}}, "e-2"))
        return await events(request, event({"method": "progress"}, "e-1"), half)

    async def use() -> list[Any]:
        async with bridged(harbor, handler) as host:
            host.send({"id": 1, "method": "tools/call"})
            return list(await host.until(2))

    assert asyncio.run(use())[-1] == {"id": 1, "result": {}}
    assert resumed_after == ["e-1"]


@pytest.mark.parametrize("begun", [b"", event({"method": "progress"})])
def test_what_cannot_be_resumed_is_an_error_and_not_sent_again(
    harbor: Harbor, begun: bytes
) -> None:
    """The server may have done it: who calls has to look."""
    posts: list[Any] = []

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        posts.append(message)
        return await events(request, begun)

    async def use() -> list[Any]:
        async with bridged(harbor, handler) as host:
            host.send({"id": 1, "method": "tools/call"})
            return list(await host.until(2 if begun else 1))

    last = asyncio.run(use())[-1]
    assert last["id"] == 1
    assert "nothing was sent again" in last["error"]["message"]
    assert len(posts) == 1


def test_cancelling_in_2026_closes_the_answer(harbor: Harbor) -> None:
    """The closed connection is the signal; the notification is not sent."""
    seen: list[str] = []
    begun, gone, never = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        seen.append(message["method"])
        if message["method"] == "tools/list":
            return result(message, {})
        begun.set()
        try:
            await never.wait()
        finally:
            gone.set()
        raise AssertionError("nobody left")

    async def use() -> None:
        async with bridged(harbor, handler) as host:
            host.send({"id": "a", "method": "tools/call", "params": {"name": "x", **META}})
            await begun.wait()
            host.send({"method": "notifications/cancelled", "params": {"requestId": "a"}})
            async with asyncio.timeout(PATIENCE):
                await gone.wait()
            host.send({"id": "b", "method": "tools/list", "params": META})
            assert [message["id"] for message in await host.until(1)] == ["b"]

    asyncio.run(use())
    assert seen == ["tools/call", "tools/list"]


def test_cancelling_in_2025_is_said(harbor: Harbor) -> None:
    """The notification is the signal, and the server may still answer."""
    cancelled = asyncio.Event()

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        if message["method"] == "notifications/cancelled":
            cancelled.set()
            return web.Response(status=202)
        await cancelled.wait()
        return result(message, {})

    async def use() -> list[Any]:
        async with bridged(harbor, handler) as host:
            host.send({"id": 1, "method": "tools/call"})
            host.send({"method": "notifications/cancelled", "params": {"requestId": 1}})
            return list(await host.until(1))

    assert asyncio.run(use())[0]["id"] == 1


def test_the_server_asks_and_the_host_answers(harbor: Harbor) -> None:
    """Its request comes by the stream that was opened for it, the answer goes back as a message."""
    answered: list[Any] = []
    over = asyncio.Event()

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        if request.method == "GET":
            asked = event({"id": "s", "method": "sampling/createMessage"}, "e-9")
            response = await events(request, asked)
            await over.wait()
            return response
        if request.method == "DELETE":
            return web.Response(status=405)
        if message.get("method") == "initialize":
            return result(message, {"protocolVersion": "2025-11-25"}, Mcp_Session_Id="s-1")
        if "result" in message:
            answered.append((message, request.headers["Mcp-Session-Id"]))
            over.set()
        return web.Response(status=202)

    async def use() -> None:
        async with bridged(harbor, handler) as host:
            host.send(INITIALIZE, INITIALIZED)
            assert (await host.until(2))[1]["method"] == "sampling/createMessage"
            host.send({"id": "s", "result": {"text": "hello"}})
            async with asyncio.timeout(PATIENCE):
                await over.wait()

    asyncio.run(use())
    assert answered == [({"id": "s", "result": {"text": "hello"}}, "s-1")]


@pytest.mark.parametrize(
    ("status", "media"), [(405, ""), (404, ""), (501, ""), (204, ""), (404, "text/event-stream")]
)
def test_a_stream_that_ends_at_once_is_asked_for_less_and_less(
    harbor: Harbor, status: int, media: str
) -> None:
    """As servers without sessions do; a message shortens the wait again, a refusal ends it."""
    asked: list[None] = []
    over = asyncio.Event()

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        if request.method == "GET":
            asked.append(None)
            if len(asked) == 11:
                over.set()
                return web.Response(status=status, headers={"Content-Type": media} if media else {})
            spoken = len(asked) == 9
            return await events(request, *[event({"method": "notifications/x"})] * spoken)
        if "id" in message and message["method"] == "initialize":
            return result(message, {"protocolVersion": "2025-11-25"})
        return result(message, {}) if "id" in message else web.Response(status=202)

    async def use() -> Host:
        async with bridged(harbor, handler) as host:
            host.send(INITIALIZE, INITIALIZED)
            async with asyncio.timeout(PATIENCE):
                await over.wait()
            host.send({"id": 1, "method": "ping"}, {"id": 2, "method": "ping"})
            await host.until(4)
        return host

    host = asyncio.run(use())
    assert host.slept == [1, 2, 4, 8, 16, 32, 60, 60, 1, 2]
    assert len(asked) == 11
    assert host.said == []


def test_a_retry_of_absurd_length_leaves_no_request_without_an_answer(harbor: Harbor) -> None:
    """It is waited for a minute, and what was broken off is resumed."""

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        if request.method == "GET":
            return await events(request, event({"id": 1, "result": {}}))
        return await events(request, b"id: e-1\nretry: " + b"9" * 5000 + b"\ndata:\n\n")

    async def use() -> Host:
        async with bridged(harbor, handler) as host:
            host.send({"id": 1, "method": "tools/call"})
            await host.until(1)
        return host

    host = asyncio.run(use())
    assert host.got == [{"id": 1, "result": {}}]
    assert host.slept == [60]


def test_an_answer_that_stays_away_is_asked_for_less_and_less(harbor: Harbor) -> None:
    """And then told as broken off."""

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        return await events(request, b"id: e-1\nretry: 20000\ndata:\n\n")

    async def use() -> Host:
        async with bridged(harbor, handler) as host:
            host.send({"id": 1, "method": "tools/call"})
            await host.until(1)
        return host

    host = asyncio.run(use())
    assert host.slept == [20, 40, 60, 60, 60]
    assert "broke off" in host.got[0]["error"]["message"]


def test_a_slow_call_holds_up_no_other(harbor: Harbor) -> None:
    """Answers come in the order in which they are there."""
    second = asyncio.Event()

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        if message["id"] == 1:
            await second.wait()
        return result(message, {})

    async def use() -> list[Any]:
        async with bridged(harbor, handler) as host:
            host.send({"id": 1, "method": "ping"}, {"id": 2, "method": "ping"})
            await host.until(1)
            second.set()
            return [message["id"] for message in await host.until(2)]

    assert asyncio.run(use()) == [2, 1]


@pytest.mark.parametrize(
    ("line", "code"),
    [(b"{", -32700), (b"\xff", -32700), (b"[]", -32600), (b"3", -32600), (b"x" * 2000, -32600)],
)
def test_a_broken_line_is_answered_and_the_next_one_works(
    harbor: Harbor, line: bytes, code: int
) -> None:
    """With no id, for there is none."""

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        return result(message, {})

    async def use() -> list[Any]:
        async with bridged(harbor, handler) as host:
            host.send(line, b"", {"id": 1, "method": "ping"})
            return list(await host.until(2))

    broken, answer = asyncio.run(use())
    assert (broken["id"], broken["error"]["code"]) == (None, code)
    assert answer["id"] == 1


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (400, {"error": {"code": -32602, "message": "no such tool"}, "id": None}, "no such tool"),
        (500, {"oops": "canary"}, "answered 500"),
        (202, None, "answered 202"),
        (404, None, "answered 404"),
    ],
)
def test_an_answer_that_is_none(harbor: Harbor, status: int, body: Any, text: str) -> None:
    """A JSON-RPC error is the server's own, with the host's id; the rest is told as a status."""

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        return web.json_response(body, status=status) if body else web.Response(status=status)

    async def use() -> list[Any]:
        async with bridged(harbor, handler) as host:
            host.send({"id": 5, "method": "tools/call"})
            return list(await host.until(1))

    (answer,) = asyncio.run(use())
    assert answer["id"] == 5
    assert text in answer["error"]["message"]
    assert "canary" not in str(answer)


def test_a_failed_notification_is_told_to_the_person(harbor: Harbor) -> None:
    """The host has no place for it."""

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        return result(message, {}) if "id" in message else web.Response(status=500)

    async def use() -> Host:
        async with bridged(harbor, handler) as host:
            host.send({"method": "notifications/progress"}, {"id": 1, "method": "ping"})
            await host.until(1)
        return host

    host = asyncio.run(use())
    assert [message["id"] for message in host.got] == [1]
    assert host.said == ["server answered 500 to notifications/progress."]
