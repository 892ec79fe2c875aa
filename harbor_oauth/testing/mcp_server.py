"""An MCP server on loopback that demands its authorization server's tokens.

Streamable HTTP with JSON answers and two tools, `echo` and `add`; what the
messages mean is in `_mcp_messages`, who may send them in `_protected_resource`.
"""

from __future__ import annotations

import json
from typing import ClassVar

import attrs
from werkzeug import Request, Response

from harbor_oauth.testing._mcp_messages import Reply, ToolCall, reply_to
from harbor_oauth.testing._protected_resource import ProtectedResource

__all__ = ["McpServer", "ToolCall"]


@attrs.define(eq=False, slots=False, repr=False)
class McpServer(ProtectedResource):
    """A protected resource (RFC 9728); every attribute may change while it runs.

    Endpoints, for `script` and `count`: ``mcp``, ``metadata`` (all of
    ``/.well-known/``), ``unknown``.

    Example:
        >>> with AuthorizationServer() as issuer, McpServer(issuer) as server:  # doctest: +SKIP
        ...     harbor.dock("practice", server.url)
        ...     assert server.calls == []

    Attributes:
        authorization_server: Whose tokens it takes; `authorization_servers` moves it.
        path: Where it answers.
        require_auth: Ask for a token at all.
        require_audience: Take only tokens whose resource (RFC 8707) is this server.
        always_401: Refuse every token.
        scope: What a token needs, also named in the challenge; None for nothing.
        tool_scopes: What a call of a tool needs besides, by the tool's name.
        open_methods: JSON-RPC methods that need no token, such as ``"initialize"``.
        require_dpop: Take only tokens that are bound to a key (RFC 9449); a token
            that is bound is never taken without a proof of its key.
        dpop_nonce: What proofs have to hold as `nonce`; empty for nothing.
        advertise: Name the metadata's URL in the challenge (RFC 9728 §5.1).
        challenges: `WWW-Authenticate` field values to send as they are; None for its own.
        echo: Repeat the credentials of each request in every text of its answer,
            scripted or not.
        metadata: The resource metadata, to edit; a None member is left out.
        metadata_path: Where it is served; None for nowhere.
    """

    endpoints: ClassVar[frozenset[str]] = frozenset({"mcp", "metadata", "unknown"})

    _calls: list[ToolCall] = attrs.field(factory=list, init=False)

    @property
    def calls(self) -> list[ToolCall]:
        """The tools that were executed, in order; a copy."""
        with self._state:
            return list(self._calls)

    def _endpoint(self, path: str) -> str:
        if "/.well-known/" in path:
            return "metadata"
        return "mcp" if path == self.path else "unknown"

    def _work(self, endpoint: str, request: Request) -> Response:
        if endpoint == "metadata" and request.path == self.metadata_path:
            members = {name: value for name, value in self.metadata.items() if value is not None}
            return _json(200, members)
        if endpoint != "mcp":
            return Response(b"", 404)
        needed = self._needed(request)
        refusal = None
        if self.require_auth and needed is not None:
            refusal = self._refusal(request, needed)
        response = self._message(request) if refusal is None else refusal
        if self.dpop_nonce:
            response.headers["DPoP-Nonce"] = self.dpop_nonce  # RFC 9449 §8.2, §9
        return response

    def _needed(self, request: Request) -> tuple[str, ...] | None:
        """Return the scopes a request needs; None when it needs no token at all."""
        try:
            message: object = json.loads(request.get_data())
        except (ValueError, RecursionError):
            message = None
        members = message if isinstance(message, dict) else {}
        method, params = members.get("method"), members.get("params")
        if method in self.open_methods:
            return None
        name = params.get("name") if isinstance(params, dict) else None
        of_tool = self.tool_scopes.get(str(name), ()) if method == "tools/call" else ()
        return (*(self.scope or "").split(), *of_tool)

    def _message(self, request: Request) -> Response:
        if request.method != "POST":
            return Response(b"", 405, {"Allow": "POST"})
        accepts = request.headers.get("Accept", "")
        if "application/json" not in accepts or "text/event-stream" not in accepts:
            return Response(b"", 406)  # a client has to take both
        try:
            message: object = json.loads(request.get_data())
        except (ValueError, RecursionError):
            return _json(400, {"jsonrpc": "2.0", "id": None, "error": _PARSE_ERROR})
        headers = {name.lower(): value for name, value in request.headers}
        reply: Reply = reply_to(message, headers, self._calls.append)
        return Response(b"", reply.status) if reply.body is None else _json(*attrs.astuple(reply))


_PARSE_ERROR = {"code": -32700, "message": "Parse error"}


def _json(status: int, body: object) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
