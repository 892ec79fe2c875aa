"""What a small MCP server answers to one JSON-RPC message; no HTTP server, no token.

Two ages share the endpoint, as the specification of 2026-07-28 lets a server
do ("Versioning: Backward Compatibility"): revisions up to 2025-11-25 begin
with `initialize`; 2026-07-28 has no handshake, names its revision in each
message and repeats the method and the tool's name in header fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs

__all__ = ["Reply", "ToolCall", "reply_to"]

_HANDSHAKE_REVISIONS: Final = ("2025-11-25", "2025-06-18")
_STATELESS_REVISION: Final = "2026-07-28"
_SUPPORTED: Final = (_STATELESS_REVISION, *_HANDSHAKE_REVISIONS)
_REVISION_MEMBER: Final = "io.modelcontextprotocol/protocolVersion"
_SERVER: Final = {"name": "harbor-practice-server", "version": "1"}
_CAPABILITIES: Final[Mapping[str, object]] = {"tools": {}}

_INVALID_REQUEST: Final = -32600
_METHOD_NOT_FOUND: Final = -32601
_INVALID_PARAMS: Final = -32602
_HEADER_MISMATCH: Final = -32020
_UNSUPPORTED_REVISION: Final = -32022

_TOOLS: Final = (
    {
        "name": "echo",
        "description": "Gives the text back.",
        "inputSchema": {
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
        },
    },
    {
        "name": "add",
        "description": "Adds two numbers.",
        "inputSchema": {
            "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
            "required": ["a", "b"],
        },
    },
)


@attrs.frozen
class ToolCall:
    """One tool that was executed."""

    name: str
    arguments: Mapping[str, object]


@attrs.frozen
class Reply:
    """An HTTP status and the JSON to send with it; None for no body."""

    status: int
    body: Mapping[str, object] | None = None


class _RpcError(Exception):
    def __init__(self, code: int, text: str, status: int = 200, data: object = None) -> None:
        super().__init__(text)
        self.status = status
        self.error: dict[str, object] = {"code": code, "message": text}
        if data is not None:
            self.error["data"] = data


def reply_to(
    message: object, headers: Mapping[str, str], executed: Callable[[ToolCall], None]
) -> Reply:
    """Answer one message.

    Args:
        message: The parsed body.
        headers: The request's fields, names in lower case.
        executed: Told of each tool that runs.
    """
    identifier = message.get("id") if isinstance(message, dict) else None
    try:
        method, params = _read(message)
        stateless = _check_revision(method, params, headers)
        if method.startswith("notifications/"):
            return Reply(202)
        result = (_stateless if stateless else _handshake)(method, params, executed)
    except _RpcError as wrong:
        return Reply(wrong.status, {"jsonrpc": "2.0", "id": identifier, "error": wrong.error})
    return Reply(200, {"jsonrpc": "2.0", "id": identifier, "result": result})


def _read(message: object) -> tuple[str, Mapping[str, object]]:
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise _RpcError(_INVALID_REQUEST, "not one JSON-RPC 2.0 message", 400)
    method, params = message.get("method"), message.get("params", {})
    if not isinstance(method, str) or not isinstance(params, dict):
        raise _RpcError(_INVALID_REQUEST, "method or params has the wrong type", 400)
    if ("id" in message) == method.startswith("notifications/"):
        raise _RpcError(_INVALID_REQUEST, "requests have an id, notifications have none", 400)
    return method, params


def _check_revision(method: str, params: Mapping[str, object], headers: Mapping[str, str]) -> bool:
    """Say whether the message is of the stateless revision, and hold it to its rules."""
    meta = params.get("_meta")
    named = meta.get(_REVISION_MEMBER) if isinstance(meta, dict) else None
    asked = headers.get("mcp-protocol-version", named)
    if asked not in (None, *_SUPPORTED):
        data = {"supported": list(_SUPPORTED), "requested": asked}
        raise _RpcError(_UNSUPPORTED_REVISION, "Unsupported protocol version", 400, data)
    if asked != _STATELESS_REVISION:
        return False
    expected = {"mcp-protocol-version": named, "mcp-method": method}
    if method == "tools/call":
        expected["mcp-name"] = params.get("name")
    for name, value in expected.items():
        if headers.get(name) != value:
            raise _RpcError(_HEADER_MISMATCH, f"{name} does not match the body", 400)
    return True


def _handshake(
    method: str, params: Mapping[str, object], executed: Callable[[ToolCall], None]
) -> dict[str, object]:
    match method:
        case "initialize":
            asked = params.get("protocolVersion")
            return {
                "protocolVersion": asked
                if asked in _HANDSHAKE_REVISIONS
                else _HANDSHAKE_REVISIONS[0],
                "capabilities": _CAPABILITIES,
                "serverInfo": _SERVER,
            }
        case "ping":
            return {}
        case "tools/list":
            return {"tools": _TOOLS}
        case "tools/call":
            return _call(params, executed)
    raise _RpcError(_METHOD_NOT_FOUND, "Method not found")


def _stateless(
    method: str, params: Mapping[str, object], executed: Callable[[ToolCall], None]
) -> dict[str, object]:
    cacheable: dict[str, object] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    match method:
        case "server/discover":
            return cacheable | {
                "supportedVersions": _SUPPORTED,
                "capabilities": _CAPABILITIES,
                "serverInfo": _SERVER,
            }
        case "tools/list":
            return cacheable | {"tools": _TOOLS}
        case "tools/call":
            return {"resultType": "complete"} | _call(params, executed)
    raise _RpcError(_METHOD_NOT_FOUND, "Method not found", 404)


def _call(params: Mapping[str, object], executed: Callable[[ToolCall], None]) -> dict[str, object]:
    arguments = params.get("arguments", {})
    match params.get("name"), arguments:
        case "echo", {"text": str(text)}:
            answer = text
        case "add", {"a": int() | float() as a, "b": int() | float() as b}:
            answer = str(a + b)
        case "echo" | "add", _:
            return {"content": [_text("The arguments do not fit.")], "isError": True}
        case _:
            raise _RpcError(_INVALID_PARAMS, "Unknown tool")
    assert isinstance(arguments, dict), "the patterns above take mappings only"
    executed(ToolCall(str(params["name"]), arguments))
    return {"content": [_text(answer)], "isError": False}


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
