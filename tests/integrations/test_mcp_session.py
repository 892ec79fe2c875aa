"""The session that learns a server's revision from its first answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from mcp import ClientSession, MCPError

from harbor_oauth.client import Harbor
from harbor_oauth.integrations.mcp import connect
from harbor_oauth.testing import McpServer, answers

OLD = "Bad Request: Unsupported protocol version"


def during(harbor: Harbor, scene: Callable[[ClientSession], Awaitable[Any]]) -> Any:
    """Run a scene with a session."""

    async def whole() -> Any:
        async with connect("practice", harbor=harbor) as session:
            return await scene(session)

    return asyncio.run(whole())


@pytest.fixture
def methods(mcp: McpServer) -> Callable[[], list[str]]:
    """Return the methods the server was sent since the test began."""
    before = mcp.count("mcp")

    def sent() -> list[str]:
        asked = [each for each in mcp.requests if each.endpoint == "mcp" and each.method == "POST"]
        return [str(each.parameters["method"]) for each in asked[before:]]

    return sent


def refuse(mcp: McpServer, code: int, status: int = 400) -> None:
    """Let the next request be answered with an error."""
    error = {"code": code, "message": "no"}
    mcp.script("mcp", answers.json({"jsonrpc": "2.0", "id": 1, "error": error}, status))


def test_a_harmless_request_is_the_negotiation(
    signed_in: Harbor, methods: Callable[[], list[str]]
) -> None:
    """The newest revision is spoken at once; what the server can do is known when it is asked."""

    async def scene(session: ClientSession) -> None:
        assert session.protocol_version is None
        await session.list_tools()
        assert session.protocol_version == "2026-07-28"
        assert session.server_capabilities is None
        assert session.discover_result is None
        found = await session.discover()
        assert found.capabilities.tools is not None
        assert session.server_capabilities == found.capabilities
        assert await session.discover() is found

    during(signed_in, scene)
    assert methods() == ["tools/list", "server/discover"]


def test_a_request_with_effects_asks_first(
    signed_in: Harbor, methods: Callable[[], list[str]], mcp: McpServer
) -> None:
    """An older server might execute it."""
    during(signed_in, lambda session: session.call_tool("add", {"a": 1, "b": 2}))
    assert methods()[:2] == ["server/discover", "tools/call"]
    assert len(mcp.calls) == 1


@pytest.mark.parametrize(
    "answer",
    [
        answers.status(400),
        answers.html(OLD, 400),
        answers.json({"jsonrpc": "2.0", "id": 1, "error": {"code": -32600, "message": OLD}}, 400),
        answers.json({"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": OLD}}, 400),
    ],
)
def test_an_old_server_gets_the_handshake(
    signed_in: Harbor, methods: Callable[[], list[str]], mcp: McpServer, answer: Any
) -> None:
    """Without being asked what it speaks; then the request is sent again."""
    mcp.script("mcp", answer)

    async def scene(session: ClientSession) -> str | None:
        assert len((await session.list_tools()).tools) == 2
        await session.list_tools()
        return session.protocol_version

    assert during(signed_in, scene) == "2025-11-25"
    assert methods() == [
        *("tools/list", "initialize", "notifications/initialized"),
        *("tools/list", "tools/list"),
    ]


@pytest.mark.parametrize("code", [-32601, -32602, -32020, -32022])
def test_what_both_ages_say_is_asked_about(
    signed_in: Harbor, methods: Callable[[], list[str]], mcp: McpServer, code: int
) -> None:
    """A new server without such a list is not taken for an old one."""
    refuse(mcp, code)

    async def scene(session: ClientSession) -> str | None:
        await session.list_tools()
        return session.protocol_version

    assert during(signed_in, scene) == "2026-07-28"
    assert methods() == ["tools/list", "server/discover", "tools/list"]


def test_an_old_server_that_must_be_asked(
    signed_in: Harbor, methods: Callable[[], list[str]], mcp: McpServer
) -> None:
    """It knows nothing of the question, and gets the handshake."""
    refuse(mcp, -32601, 404)

    async def scene(session: ClientSession) -> str | None:
        await session.call_tool("add", {"a": 1, "b": 2})
        return session.protocol_version

    assert during(signed_in, scene) == "2025-11-25"
    assert methods()[:3] == ["server/discover", "initialize", "notifications/initialized"]


def test_a_refused_handshake_is_tried_again(
    signed_in: Harbor, methods: Callable[[], list[str]], mcp: McpServer
) -> None:
    """The error is the caller's; the next request begins anew."""

    async def scene(session: ClientSession) -> None:
        refuse(mcp, -32600)
        refuse(mcp, -32603)
        with pytest.raises(MCPError):
            await session.list_tools()
        assert len((await session.list_tools()).tools) == 2

    during(signed_in, scene)
    assert methods() == ["tools/list", "initialize", "tools/list"]


def test_one_request_negotiates_for_all(
    signed_in: Harbor, methods: Callable[[], list[str]]
) -> None:
    """Those that come at the same time wait for it."""

    async def scene(session: ClientSession) -> None:
        await asyncio.gather(*[session.call_tool("add", {"a": 1, "b": n}) for n in range(3)])

    during(signed_in, scene)
    assert methods().count("server/discover") == 1
