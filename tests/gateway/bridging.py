"""A host, and a scripted server on loopback, with the stdio bridge between them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
from aiohttp import web

from harbor_oauth.client import Harbor
from harbor_oauth.fleet.config import add_server
from harbor_oauth.gateway.bridge import Bridge
from harbor_oauth.gateway.stdio import split_lines
from harbor_oauth.gateway.upstream import Upstream
from harbor_oauth.protocol.limits import LARGEST_HELD
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
