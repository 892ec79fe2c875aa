"""A fast MCP server for `benchmarks/gateway.py`: what is measured stands before it.

One asyncio protocol, answers made ahead. Below its path: the path itself speaks JSON-RPC,
`/events` begins a stream of events, `/large` is 100 MiB of JSON. Started with a port; ends with
its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final, cast

TEXT: Final = "x" * 900
LARGE: Final = 100 * 1024 * 1024
_PIECE: Final = b" " * (256 * 1024)
_TOOL: Final = {"name": "echo", "inputSchema": {"type": "object"}}


def answer_to(message: dict[str, object]) -> object:
    """Return the result of a request."""
    match message.get("method"):
        case "initialize":
            params = message.get("params")
            asked = params.get("protocolVersion") if isinstance(params, dict) else None
            return {
                "protocolVersion": asked if asked in {"2025-06-18", "2025-11-25"} else "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "bench", "version": "1"},
            }
        case "tools/list":
            return {"tools": [_TOOL]}
        case "tools/call":
            return {"content": [{"type": "text", "text": TEXT}], "isError": False}
        case "ping":
            return {}
    return None


def head(status: str, content_type: str = "application/json", length: int | None = None) -> bytes:
    """Return an answer's status line and fields."""
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{size}\r\n".encode()


class Connection(asyncio.Protocol):
    """One connection: requests in, answers out."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._buffer = b""
        self._skip = 0
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not one by name

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        if self._skip:
            cut = min(self._skip, len(data))
            self._skip -= cut
            data = data[cut:]
            if not self._skip:
                self._transport.write(head("200 OK", length=2) + b"{}")
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            fields = self._buffer[:end].lower()
            at = fields.find(b"content-length: ")
            length = int(fields[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            line = self._buffer[: self._buffer.find(b"\r\n")]
            if length > 1024 * 1024:  # nobody looks at it
                self._skip = length - (len(self._buffer) - end - 4)
                self._buffer = b""
                return
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self._answer(line, body)

    def _answer(self, line: bytes, body: bytes) -> None:
        path = line.split(b" ")[1]
        if path.endswith(b"/events"):
            self._transport.write(head("200 OK", "text/event-stream") + b"data: {}\n\n")
        elif path.endswith(b"/large"):
            self._sending = asyncio.get_running_loop().create_task(self._send_large())
        elif not line.startswith(b"POST"):
            self._transport.write(head("405 Method Not Allowed", length=0))
        else:
            self._transport.write(self._message(body))

    def _message(self, body: bytes) -> bytes:
        message = json.loads(body)
        if message.get("id") is None:
            return head("202 Accepted", length=0)
        said: dict[str, object] = {"jsonrpc": "2.0", "id": message["id"]}
        result = answer_to(message)
        unknown = {"code": -32601, "message": "Method not found"}
        said |= {"error": unknown} if result is None else {"result": result}
        text = json.dumps(said).encode()
        return head("200 OK", length=len(text)) + text

    async def _send_large(self) -> None:
        self._transport.write(head("200 OK", length=LARGE))
        for _ in range(LARGE // len(_PIECE)):
            await self._writable.wait()
            self._transport.write(_PIECE)


async def main(port: int) -> None:
    """Serve until standard input ends."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    async with server:
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.run(main(int(sys.argv[1])))
    except ModuleNotFoundError:
        asyncio.run(main(int(sys.argv[1])))
