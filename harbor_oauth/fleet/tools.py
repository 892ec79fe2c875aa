"""Counts the tools of a remote server, as a first proof that its token is accepted.

The least of an MCP client: initialize, then tools/list, over streamable HTTP.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from harbor_oauth.errors import HarborError
from harbor_oauth.fleet.references import resolve_headers
from harbor_oauth.protocol.http import HttpRequest, HttpResponse, send
from harbor_oauth.protocol.limits import LARGEST_MESSAGE

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from harbor_oauth.settings import ServerEntry

__all__ = ["count_tools"]

_VERSION: Final = "2025-11-25"
_PAGES: Final = 50
_SUCCESS: Final = range(200, 300)


class _NoAnswerError(Exception):
    """The server speaks, but not as this conversation needs."""


def count_tools(harbor: Harbor, entry: ServerEntry) -> int | None:
    """Ask a remote server for its tools.

    Args:
        harbor: Gives the token and sends the requests.
        entry: A server with a URL.

    Returns:
        Their number, or None where the server did not say.
    """
    try:
        conversation = _Conversation(harbor, entry)
        try:
            conversation.begin()
            return sum(len(page) for page in conversation.tools())
        finally:
            conversation.end()
    except (HarborError, _NoAnswerError):
        return None


@attrs.define
class _Conversation:
    """One MCP session with a server."""

    _harbor: Harbor
    _entry: ServerEntry
    _headers: dict[str, str] = attrs.field(factory=dict, init=False)
    _last_id: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        resolved = resolve_headers(self._harbor, self._entry.headers)
        self._headers = {
            **resolved,
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }

    def begin(self) -> None:
        """Initialize, and keep what the server wants to see again."""
        response, result = self._call(
            "initialize",
            {
                "protocolVersion": _VERSION,
                "capabilities": {},
                "clientInfo": {"name": "harbor-oauth", "version": "1"},
            },
        )
        version = result.get("protocolVersion")
        self._headers["MCP-Protocol-Version"] = version if isinstance(version, str) else _VERSION
        if session := response.headers.get("mcp-session-id"):
            self._headers["Mcp-Session-Id"] = session
        self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def tools(self) -> Iterator[list[object]]:
        """Yield the pages of tools/list."""
        parameters: dict[str, object] = {}
        for _ in range(_PAGES):
            _, result = self._call("tools/list", parameters)
            tools = result.get("tools")
            if not isinstance(tools, list):
                raise _NoAnswerError
            yield tools
            cursor = result.get("nextCursor")
            if not isinstance(cursor, str) or not cursor:
                return
            parameters = {"cursor": cursor}
        raise _NoAnswerError

    def end(self) -> None:
        """Give the session back; a server may refuse, and that is fine."""
        if "Mcp-Session-Id" in self._headers:
            with contextlib.suppress(HarborError):
                self._send("DELETE", None)

    def _call(
        self, method: str, parameters: Mapping[str, object]
    ) -> tuple[HttpResponse, Mapping[str, Any]]:
        self._last_id += 1
        message = {
            "jsonrpc": "2.0",
            "id": self._last_id,
            "method": method,
            "params": dict(parameters),
        }
        response = self._post(message)
        for answer in _messages(response):
            if isinstance(answer, dict) and answer.get("id") == self._last_id:
                result = answer.get("result")
                if isinstance(result, dict):
                    return response, result
        raise _NoAnswerError

    def _post(self, message: Mapping[str, object]) -> HttpResponse:
        response = self._send("POST", json.dumps(message).encode())
        if response.status not in _SUCCESS:
            raise _NoAnswerError
        return response

    def _send(self, method: str, body: bytes | None) -> HttpResponse:
        request = HttpRequest(
            method, self._entry.url or "", dict(self._headers), body, limit=LARGEST_MESSAGE
        )
        if self._entry.grant is not None:
            return self._harbor.request(self._entry.grant, request)
        return send(self._harbor.transport, request)


def _messages(response: HttpResponse) -> Iterator[object]:
    """Yield the JSON-RPC messages of an answer, in either of its two forms."""
    text = response.body.decode("utf-8", "replace")
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    parts = _events(text) if content_type == "text/event-stream" else [text]
    for part in parts:
        try:
            yield json.loads(part)
        except (ValueError, RecursionError):
            raise _NoAnswerError from None


def _events(text: str) -> Iterator[str]:
    """Yield the data of each event (WHATWG HTML §9.2.6)."""
    lines: list[str] = []
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        if not line and lines:
            if any(lines):  # an event may carry an id alone
                yield "\n".join(lines)
            lines = []
        elif line.startswith("data:"):
            lines.append(line.removeprefix("data:").removeprefix(" "))
