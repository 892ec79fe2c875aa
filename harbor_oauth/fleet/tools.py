"""Asks a remote server for its tools, as a first proof that it accepts its token.

The least of an MCP client: initialize, then tools/list, over streamable HTTP.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import attrs

from harbor_oauth.errors import HarborError
from harbor_oauth.fleet.references import resolve_headers
from harbor_oauth.protocol.http import HttpRequest, HttpResponse, send
from harbor_oauth.protocol.limits import LARGEST_MESSAGE
from harbor_oauth.protocol.masking import secrets_of

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from harbor_oauth.settings import ServerEntry

__all__ = ["ToolsAnswer", "ask_for_tools", "count_tools"]

_VERSION: Final = "2025-11-25"
_PAGES: Final = 50
_LONGEST_SENTENCE: Final = 300
_NOT_MCP: Final = "its answer is not one of MCP"
_SUCCESS: Final = range(200, 300)


class _NoAnswerError(Exception):
    """The server speaks, but not as this conversation needs; the text says how."""


@attrs.frozen
class ToolsAnswer:
    """What came of asking a server for its tools.

    Attributes:
        count: How many it offers; None if it did not say.
        trouble: Why it did not, as a clause; empty where it did.
    """

    count: int | None
    trouble: str = ""


def ask_for_tools(harbor: Harbor, entry: ServerEntry) -> ToolsAnswer:
    """Ask a remote server for its tools.

    Args:
        harbor: Gives the token and sends the requests.
        entry: A server with a URL.
    """
    try:
        conversation = _Conversation(harbor, entry)
        try:
            conversation.begin()
            return ToolsAnswer(sum(len(page) for page in conversation.tools()))
        finally:
            conversation.end()
    except HarborError as error:
        return ToolsAnswer(None, error.message.rstrip("."))
    except _NoAnswerError as error:
        return ToolsAnswer(None, str(error))


def count_tools(harbor: Harbor, entry: ServerEntry) -> int | None:
    """Return how many tools a remote server offers; None where it did not say."""
    return ask_for_tools(harbor, entry).count


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
                raise _NoAnswerError(_NOT_MCP)
            yield tools
            cursor = result.get("nextCursor")
            if not isinstance(cursor, str) or not cursor:
                return
            parameters = {"cursor": cursor}
        raise _NoAnswerError(f"its list of tools has more than {_PAGES} pages")

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
            if not isinstance(answer, dict):
                continue
            # A server that could not tell whose error it is gives no id (JSON-RPC 2.0 §5).
            if isinstance(answer.get("error"), dict) and answer.get("id") in {None, self._last_id}:
                raise _NoAnswerError(f"it answers: {_sentence(response, answer['error'])}")
            if answer.get("id") == self._last_id and isinstance(answer.get("result"), dict):
                return response, answer["result"]
        raise _NoAnswerError(_NOT_MCP)

    def _post(self, message: Mapping[str, object]) -> HttpResponse:
        response = self._send("POST", json.dumps(message).encode())
        if response.status not in _SUCCESS:
            raise _NoAnswerError(_refusal(response.status))
        return response

    def _send(self, method: str, body: bytes | None) -> HttpResponse:
        request = HttpRequest(
            method, self._entry.url or "", dict(self._headers), body, limit=LARGEST_MESSAGE
        )
        if self._entry.grant is not None:
            return self._harbor.request(self._entry.grant, request)
        return send(self._harbor.transport, request)


def _refusal(status: int) -> str:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return "it refuses the token (status 401)"
        case HTTPStatus.FORBIDDEN:
            return "it refuses access (status 403)"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return (
                "it takes no POST (status 405), as servers of the HTTP+SSE transport of 2024-11-05;"
                " Harbor speaks streamable HTTP only"
            )
        case _:
            return f"it answers with status {status}"


def _sentence(response: HttpResponse, error: Mapping[str, object]) -> str:
    """Return a server's own words: one line, no control characters, nothing that was sent."""
    said = str(error.get("message") or error.get("code") or "an error without a word")
    if response.request is not None:
        said = secrets_of(response.request)(said)
    plain = "".join(each if each.isprintable() else " " for each in said)
    return " ".join(plain.split())[:_LONGEST_SENTENCE].rstrip(".")


def _messages(response: HttpResponse) -> Iterator[object]:
    """Yield the JSON-RPC messages of an answer, in either of its two forms."""
    text = response.body.decode("utf-8", "replace")
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    parts = _events(text) if content_type == "text/event-stream" else [text]
    for part in parts:
        try:
            yield json.loads(part)
        except (ValueError, RecursionError):
            raise _NoAnswerError(_NOT_MCP) from None


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
