"""An MCP server on loopback that demands its authorization server's tokens.

Streamable HTTP with JSON answers and two tools, `echo` and `add`; what the
messages mean is in `_mcp_messages`.
"""

from __future__ import annotations

import json
from typing import ClassVar

import attrs
from werkzeug import Request, Response

from harbor_oauth.testing._loopback import LoopbackServer
from harbor_oauth.testing._mcp_messages import Reply, ToolCall, reply_to
from harbor_oauth.testing.authorization_server import AuthorizationServer

__all__ = ["McpServer", "ToolCall"]


@attrs.define(eq=False, slots=False, repr=False)
class McpServer(LoopbackServer):
    """A protected resource (RFC 9728); every attribute may change while it runs.

    Endpoints, for `script` and `count`: ``mcp``, ``metadata`` (all of
    ``/.well-known/``), ``unknown``.

    Example:
        >>> with AuthorizationServer() as issuer, McpServer(issuer) as server:  # doctest: +SKIP
        ...     harbor.dock("practice", server.url)
        ...     assert server.calls == []

    Attributes:
        authorization_server: Whose tokens it takes.
        path: Where it answers.
        require_auth: Ask for a token at all.
        require_audience: Take only tokens whose resource (RFC 8707) is this server.
        always_401: Refuse every token.
        scope: What a token needs, also named in the challenge; None for nothing.
        advertise: Name the metadata's URL in the challenge (RFC 9728 §5.1).
        challenges: `WWW-Authenticate` field values to send as they are; None for its own.
        metadata: The resource metadata, to edit; a None member is left out.
        metadata_path: Where it is served; None for nowhere.
    """

    endpoints: ClassVar[frozenset[str]] = frozenset({"mcp", "metadata", "unknown"})

    authorization_server: AuthorizationServer
    path: str = attrs.field(default="/mcp", kw_only=True)
    require_auth: bool = attrs.field(default=True, kw_only=True)
    require_audience: bool = attrs.field(default=True, kw_only=True)
    always_401: bool = attrs.field(default=False, kw_only=True)
    scope: str | None = attrs.field(default=None, kw_only=True)
    advertise: bool = attrs.field(default=True, kw_only=True)
    challenges: list[str] | None = attrs.field(default=None, kw_only=True)
    metadata: dict[str, object] = attrs.field(factory=dict, init=False)
    metadata_path: str | None = attrs.field(default=None, init=False)
    _calls: list[ToolCall] = attrs.field(factory=list, init=False)

    @property
    def url(self) -> str:
        """The MCP endpoint, which is also the resource identifier."""
        return f"{self.origin}{self.path}"

    @property
    def metadata_url(self) -> str | None:
        """The URL of the resource metadata."""
        return None if self.metadata_path is None else f"{self.origin}{self.metadata_path}"

    @property
    def calls(self) -> list[ToolCall]:
        """The tools that were executed, in order; a copy."""
        with self._state:
            return list(self._calls)

    def start(self) -> None:
        """Listen on a free port and write the metadata."""
        super().start()
        self.metadata_path = f"/.well-known/oauth-protected-resource{self.path.rstrip('/')}"
        self.metadata = {
            "resource": self.url,
            "authorization_servers": [self.authorization_server.issuer],
            "scopes_supported": list(self.authorization_server.scopes) or None,
            "bearer_methods_supported": ["header"],
            "resource_name": "Practice server",
        }

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
        refusal = self._refusal(request) if self.require_auth else None
        return refusal if refusal is not None else self._message(request)

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request whose token does not do (RFC 6750 §3)."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return self._challenge(401)
        info = self.authorization_server.valid(token.strip())
        foreign = info is not None and self.require_audience and self.url not in info.resource
        if info is None or foreign or self.always_401:
            return self._challenge(401, error="invalid_token")
        if not set((self.scope or "").split()) <= set(info.scopes):
            return self._challenge(403, error="insufficient_scope")
        return None

    def _challenge(self, status: int, error: str | None = None) -> Response:
        response = Response(b"", status)
        parameters = {
            "error": error,
            "resource_metadata": self.metadata_url if self.advertise else None,
            "scope": self.scope,
        }
        own = ", ".join(f'{name}="{value}"' for name, value in parameters.items() if value)
        for challenge in [f"Bearer {own}".rstrip()] if self.challenges is None else self.challenges:
            response.headers.add("WWW-Authenticate", challenge)
        return response

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
