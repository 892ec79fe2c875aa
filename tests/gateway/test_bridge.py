"""The stdio bridge before a scripted server on loopback."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from aiohttp import web

from harbor_oauth.client import Harbor
from harbor_oauth.fleet.config import add_server
from harbor_oauth.gateway.bridge import Bridge
from harbor_oauth.gateway.stdio import split_lines
from harbor_oauth.gateway.upstream import Upstream
from harbor_oauth.protocol.limits import KIB, LARGEST_HELD
from harbor_oauth.settings import ServerEntry

PATIENCE = 60.0
AT_ONCE = 64
MANY = AT_ONCE + 6
META = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}
INITIALIZE = {"id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
INITIALIZED = {"method": "notifications/initialized"}

Handler = Callable[[web.BaseRequest, Any], Awaitable[web.StreamResponse]]


@attrs.define
class Host:
    """What starts a bridge: it writes lines, and reads what comes.

    Attributes:
        got: The messages that came, in order.
        said: What a person was told.
        slept: How long the bridge waited, each time.
    """

    bridge: Bridge = attrs.field(init=False)
    got: list[Any] = attrs.field(factory=list)
    said: list[str] = attrs.field(factory=list)
    slept: list[float] = attrs.field(factory=list)
    _lines: asyncio.Queue[bytes | None] = attrs.field(factory=asyncio.Queue)
    _came: asyncio.Condition = attrs.field(factory=asyncio.Condition)

    def send(self, *messages: object) -> None:
        for message in messages:
            line = message if isinstance(message, bytes) else json.dumps(message).encode()
            self._lines.put_nowait(line + b"\n")

    def close(self) -> None:
        self._lines.put_nowait(b"")

    async def until(self, count: int) -> list[Any]:
        """Wait until so many messages came."""
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: len(self.got) >= count)
        return self.got

    async def read(self) -> bytes:
        return await self._lines.get() or b""

    async def write(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        async with self._came:
            self.got.append(json.loads(line))
            self._came.notify_all()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@asynccontextmanager
async def bridged(
    harbor: Harbor, handler: Handler, *, most_held: int = LARGEST_HELD
) -> AsyncIterator[Host]:
    """Run a server and a bridge to it; the host closes its end with the block."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        return await handler(request, json.loads(body) if body else None)

    server = web.Server(handle, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    add_server(harbor.settings, ServerEntry(name="server", url=f"http://127.0.0.1:{port}/mcp"))
    harbor.reload_settings()
    upstream, host = Upstream(harbor), Host()
    await upstream.open()
    host.bridge = Bridge(
        upstream,
        "server",
        write=host.write,
        say=host.said.append,
        sleep=host.sleep,
        monotonic=lambda: 0.0,
        most_held=most_held,
    )
    running = asyncio.create_task(host.bridge.run(split_lines(host.read, limit=1000)))
    try:
        yield host
        host.close()
        async with asyncio.timeout(PATIENCE):
            await running
    finally:
        running.cancel()
        await upstream.close()
        await runner.cleanup()


def result(message: Any, value: object, **headers: str) -> web.Response:
    body = {"jsonrpc": "2.0", "id": message["id"], "result": value}
    return web.json_response(
        body, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )


async def events(request: web.BaseRequest, *written: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for each in written:
        await response.write(each)
    return response


def event(message: object, identifier: str = "") -> bytes:
    prefix = f"id: {identifier}\n" if identifier else ""
    return f"{prefix}data: {json.dumps(message)}\n\n".encode()


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


@pytest.mark.parametrize("while_it_answers", ["initialize", "notifications/initialized"])
def test_the_host_is_asked_while_a_session_opens(harbor: Harbor, while_it_answers: str) -> None:
    """Its answer goes to the session at once; its requests wait until that is open."""
    seen: list[tuple[str, str | None]] = []
    answered = asyncio.Event()

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405)
        method = message.get("method", "answer")
        seen.append((method, request.headers.get("Mcp-Session-Id")))
        if method == "answer":
            answered.set()
        if method == "initialize":
            headers = {"Content-Type": "text/event-stream", "Mcp-Session-Id": "s-1"}
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            await response.write(event({"id": "p", "method": "ping"}))
            if method == while_it_answers:
                await answered.wait()
            opened = {"id": 0, "result": {"protocolVersion": "2025-11-25"}}
            await response.write(event(opened))
            return response
        if method == while_it_answers:
            await answered.wait()
        return result(message, {}) if "id" in message else web.Response(status=202)

    async def use() -> list[Any]:
        async with bridged(harbor, handler) as host:
            host.send(INITIALIZE, INITIALIZED, {"id": 1, "method": "tools/list"})
            await host.until(1)
            host.send({"id": "p", "result": {}})
            return list(await host.until(3))

    assert [message["id"] for message in asyncio.run(use())] == ["p", 0, 1]
    assert {session for _, session in seen[1:]} == {"s-1"}
    order = [method for method, _ in seen if method != "answer"]
    assert order == ["initialize", "notifications/initialized", "tools/list"]


def test_more_calls_than_are_sent_at_once_all_ask_the_host(harbor: Harbor) -> None:
    """The answers that free them pass, however many calls are before them in the input."""
    answered: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
    at_once: list[int] = []
    running: set[str] = set()

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        if "result" in message:
            answered[message["id"]].set()
            return web.Response(status=202)
        name = f"ask-{message['id']}"
        running.add(name)
        at_once.append(len(running))
        response = await events(request, event({"id": name, "method": "elicitation/create"}))
        await answered[name].wait()
        running.discard(name)
        await response.write(event({"id": message["id"], "result": {}}))
        return response

    async def use() -> list[Any]:
        async with bridged(harbor, handler) as host:
            host.send(*({"id": n, "method": "tools/call"} for n in range(MANY)))
            for count in range(2 * MANY):
                message = (await host.until(count + 1))[count]
                if "method" in message:
                    host.send({"id": message["id"], "result": {"action": "decline"}})
            return host.got

    got = asyncio.run(use())
    assert {message["id"] for message in got if "result" in message} == set(range(MANY))
    assert max(at_once) == AT_ONCE


@pytest.mark.parametrize("params", [{}, META])
def test_what_is_cancelled_before_its_turn_is_never_sent(
    harbor: Harbor, params: dict[str, object]
) -> None:
    """The server, which never saw the request, is not told either; one that it has is cancelled."""
    seen: list[tuple[str, object]] = []
    all_sent, cancelled, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        if message["method"] == "notifications/cancelled":
            seen.append((message["method"], message["params"]["requestId"]))
            cancelled.set()
            return web.Response(status=202)
        seen.append((message["method"], message["id"]))
        if len(seen) == AT_ONCE:
            all_sent.set()
        try:
            await over.wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return result(message, {})

    async def use() -> list[Any]:
        async with bridged(harbor, handler) as host:
            calls = [{"id": n, "method": "tools/call", "params": params} for n in range(AT_ONCE)]
            host.send(*calls)
            async with asyncio.timeout(PATIENCE):
                await all_sent.wait()
            host.send({"id": "late", "method": "tools/call", "params": params})
            for each in ("late", 0):
                host.send({"method": "notifications/cancelled", "params": {"requestId": each}})
            async with asyncio.timeout(PATIENCE):
                await cancelled.wait()
            over.set()
            host.send({"id": "last", "method": "tools/call", "params": params})
            return list(await host.until(AT_ONCE if params else AT_ONCE + 1))

    got = asyncio.run(use())
    assert "late" not in {message["id"] for message in got}
    assert ("tools/call", "late") not in seen
    assert ("tools/call", "last") in seen
    told = [each for each in seen if each[0] == "notifications/cancelled"]
    assert told == ([] if params else [("notifications/cancelled", 0)])


def test_what_was_held_back_is_sent_after_the_host_closed_its_end(harbor: Harbor) -> None:
    """As from a file, which is at its end before the first answer."""
    sent: list[int] = []
    over = asyncio.Event()

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        sent.append(message["id"])
        if len(sent) == AT_ONCE:
            over.set()
        await over.wait()
        return result(message, {})

    async def use() -> Host:
        async with bridged(harbor, handler) as host:
            host.send(*({"id": n, "method": "tools/call"} for n in range(4 * AT_ONCE)))
        return host

    host = asyncio.run(use())
    assert sorted(sent) == list(range(4 * AT_ONCE))
    assert sorted(message["id"] for message in host.got) == list(range(4 * AT_ONCE))


def test_what_is_held_back_has_a_limit(harbor: Harbor) -> None:
    """What is above it is answered at once, and may be sent again."""
    sent: list[object] = []
    all_sent, over = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest, message: Any) -> web.StreamResponse:
        sent.append(message["id"])
        if len(sent) == AT_ONCE:
            all_sent.set()
        await over.wait()
        return result(message, {})

    async def use() -> list[Any]:
        async with bridged(harbor, handler, most_held=12 * KIB) as host:
            for n in range(AT_ONCE):
                host.send({"id": n, "method": "tools/call"})
            async with asyncio.timeout(PATIENCE):
                await all_sent.wait()
            host.send(*({"id": f"held-{n}", "method": "tools/call"} for n in range(5)))
            refused = list(await host.until(2))
            over.set()
            await host.until(AT_ONCE + 5)
            host.send({"id": "next", "method": "tools/call"})
            await host.until(AT_ONCE + 6)
            return refused

    refused = asyncio.run(use())
    assert [message["id"] for message in refused] == ["held-3", "held-4"]
    assert all(message["error"]["data"]["retryable"] for message in refused)
    assert {"held-0", "held-1", "held-2", "next"} < set(sent)
    assert not {"held-3", "held-4"} & set(sent)


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
