"""What the stdio bridge holds back, and what passes it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import pytest
from aiohttp import web

from harbor_oauth.client import Harbor
from harbor_oauth.protocol.limits import KIB
from tests.gateway.bridging import (
    AT_ONCE,
    INITIALIZE,
    INITIALIZED,
    MANY,
    META,
    PATIENCE,
    Host,
    bridged,
    event,
    events,
    result,
)


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
