"""The callers of `benchmarks/gateway.py`: bare sockets, one request at a time each."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import time
from collections.abc import Mapping
from typing import IO, Final

import attrs

_REVISION: Final = "2025-11-25"
_CLIENT: Final = {
    "protocolVersion": _REVISION,
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}


def message(method: str, identifier: int | None = None, **params: object) -> bytes:
    """Return a JSON-RPC message."""
    members: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(members | ({} if identifier is None else {"id": identifier})).encode()


CALL: Final = message("tools/call", 7, name="echo", arguments={"text": "y" * 900})


@attrs.frozen
class Target:
    """Where calls are sent.

    Attributes:
        port: On 127.0.0.1.
        path: The MCP endpoint.
        headers: What each request has besides.
        session: Whether a session has to be opened first.
    """

    port: int
    path: str
    headers: Mapping[str, str] = attrs.field(factory=dict)
    session: bool = False

    def head(self, method: str, path: str, length: int, **more: str) -> bytes:
        """Return a request's line and fields."""
        fields = {
            "Host": f"127.0.0.1:{self.port}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "Content-Length": str(length),
            **self.headers,
            **more,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


class Caller:
    """One keep-alive connection."""

    def __init__(self, target: Target) -> None:
        """Connect to nothing yet."""
        self._target = target
        self._session: dict[str, str] = {}

    async def open(self) -> None:
        """Connect, and open a session if there has to be one."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._target.port)
        if self._target.session:
            fields = await self.post(message("initialize", 1, **_CLIENT))
            if session := fields.get("mcp-session-id"):
                self._session = {"Mcp-Session-Id": session, "MCP-Protocol-Version": _REVISION}
            await self.post(message("notifications/initialized"))

    async def post(self, body: bytes) -> dict[str, str]:
        """Send a message and read its answer whole; return the answer's fields."""
        target = self._target
        self._writer.write(target.head("POST", target.path, len(body), **self._session) + body)
        fields = await self._fields()
        if "content-length" in fields:
            said = await self._reader.readexactly(int(fields["content-length"]))
            assert b'"error"' not in said, said
        elif fields.get("transfer-encoding") == "chunked":
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                await self._reader.readexactly(size + 2)
            await self._reader.readexactly(2)
        return fields

    async def _fields(self) -> dict[str, str]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        line, *fields = head.split("\r\n")[:-2]
        assert line.split(" ")[1] in {"200", "202"}, line
        return dict(field.split(": ", 1) for field in fields)

    async def first_event(self) -> float:
        """Open a stream; return the seconds until its first event."""
        target, begun = self._target, time.perf_counter()
        self._writer.write(target.head("GET", f"{target.path}/events", 0, **self._session))
        await self._reader.readuntil(b"data: {}")
        return time.perf_counter() - begun

    async def download(self, size: int) -> float:
        """Read the large answer; return the seconds it took."""
        target, begun = self._target, time.perf_counter()
        self._writer.write(target.head("GET", f"{target.path}/large", 0))
        fields = await self._fields()
        if "content-length" in fields:
            left = int(fields["content-length"])
            while left:
                left -= len(await self._reader.read(min(left, 256 * 1024)))
        else:
            while piece := int(await self._reader.readuntil(b"\r\n"), 16):
                await self._reader.readexactly(piece + 2)
        assert size
        return time.perf_counter() - begun

    async def upload(self, size: int) -> float:
        """Send a large body; return the seconds it took."""
        target, begun = self._target, time.perf_counter()
        self._writer.write(target.head("POST", target.path, size))
        piece = b" " * (256 * 1024)
        for _ in range(size // len(piece)):
            self._writer.write(piece)
            await self._writer.drain()
        await self._fields()
        return time.perf_counter() - begun

    def close(self) -> None:
        """Disconnect."""
        self._writer.close()


async def calls(target: Target, callers: int, seconds: float) -> tuple[float, float]:
    """Call for some seconds; return the calls per second and their median latency in seconds."""
    took: list[float] = []
    crew = [Caller(target) for _ in range(callers)]
    for caller in crew:
        await caller.open()
        await caller.post(CALL)
    until = time.perf_counter() + seconds

    async def work(caller: Caller) -> None:
        while (begun := time.perf_counter()) < until:
            await caller.post(CALL)
            took.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*map(work, crew))
    rate = len(took) / (time.perf_counter() - begun)
    for caller in crew:
        caller.close()
    return rate, statistics.median(took)


def stdio(
    command: list[str], environment: Mapping[str, str], seconds: float
) -> tuple[float, float]:
    """Talk to a bridge; return the calls per second and the seconds to the first result."""
    begun = time.perf_counter()
    with subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            _ask(process.stdin, process.stdout, message("initialize", 1, **_CLIENT))
            process.stdin.write(message("notifications/initialized") + b"\n")
            _ask(process.stdin, process.stdout, CALL)
            first = time.perf_counter() - begun
            count, since = 0, time.perf_counter()
            while time.perf_counter() - since < seconds:
                _ask(process.stdin, process.stdout, CALL)
                count += 1
            rate = count / (time.perf_counter() - since)
            process.stdin.close()
        finally:
            process.terminate()
    return rate, first


def _ask(to: IO[bytes], from_: IO[bytes], request: bytes) -> None:
    to.write(request + b"\n")
    to.flush()
    while line := from_.readline():
        if b'"result"' in line:
            return
    raise RuntimeError("the bridge ended")
