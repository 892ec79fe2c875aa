"""A session of the `mcp` package that learns a server's revision from its first answer.

Over HTTP a client need not ask for it: it attempts a request of the newest
revision, and falls back to the ``initialize`` handshake if the answer is not one
of that revision's (MCP 2026-07-28, "Versioning and Compatibility"). That saves
the round trip that only asks.
"""

from __future__ import annotations

from typing import Any, Final

import anyio
from mcp import ClientSession, MCPError
from mcp_types import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    UNSUPPORTED_PROTOCOL_VERSION,
    DiscoverResult,
    ServerCapabilities,
)
from mcp_types.version import LATEST_MODERN_VERSION

__all__ = ["Session"]

# An older server might do what it is told and misread the rest: only what
# changes nothing is sent to find out.
_HARMLESS: Final = frozenset(
    {"tools/list", "resources/list", "resources/templates/list", "prompts/list"}
)
_NEGOTIATING: Final = frozenset({"initialize", "server/discover"})

# What a server of the newest revision says of such a request too.
_UNDECIDED: Final = frozenset(
    {HEADER_MISMATCH, INVALID_PARAMS, METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION}
)

_ASSUMED: Final = DiscoverResult(
    supported_versions=[LATEST_MODERN_VERSION],
    capabilities=ServerCapabilities(),
    result_type="complete",
    ttl_ms=0,
    cache_scope="private",
)


class Session(ClientSession):
    """A session that is negotiated by its first request.

    `protocol_version` is None until then. What a server of the newest revision
    says about itself (`server_info`, `server_capabilities`, `instructions`) is
    None until `discover` asks for it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the package's own
        """Take what `ClientSession` takes."""
        super().__init__(*args, **kwargs)
        self._first = anyio.Lock()
        self._settled = False

    @property
    def settled(self) -> bool:
        """Whether it is known which revision the server speaks."""
        return self._settled

    @property
    def discover_result(self) -> DiscoverResult | None:
        """What the server said of itself; None if it was not asked."""
        known = super().discover_result
        return None if known is _ASSUMED else known

    @property
    def server_capabilities(self) -> ServerCapabilities | None:
        """What the server can do; None if it was not asked."""
        known = super().server_capabilities
        return None if known is _ASSUMED.capabilities else known

    async def discover(self) -> DiscoverResult:
        """Ask the server about itself, once."""
        if super().discover_result is _ASSUMED:
            raw = await self.send_discover(LATEST_MODERN_VERSION)
            self.adopt(DiscoverResult.model_validate(raw))
        return await super().discover()

    async def send_request(self, request: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the package's own
        """Send a request; the first one settles the revision."""
        if self.settled or request.method in _NEGOTIATING:
            return await super().send_request(request, *args, **kwargs)
        async with self._first:
            if not self.settled:  # by whoever was first
                if request.method in _HARMLESS:
                    return await self._attempt(request, *args, **kwargs)
                await self._negotiate()
        return await super().send_request(request, *args, **kwargs)

    async def _attempt(self, request: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
        """Send a request of the newest revision; negotiate and send it again if it is refused."""
        before = dict(vars(self))
        self.adopt(_ASSUMED)
        try:
            result = await super().send_request(request, *args, **kwargs)
        except MCPError as error:
            vars(self).update(before)  # the package has no way back from what was adopted
            await self._negotiate(old=error.code not in _UNDECIDED)
            return await super().send_request(request, *args, **kwargs)
        self._settled = True
        return result

    async def _negotiate(self, *, old: bool = False) -> None:
        """Ask a server what it speaks, unless it is known to be old; shake hands if it is."""
        if not old:
            try:
                raw = await self.send_discover(LATEST_MODERN_VERSION)
                self.adopt(DiscoverResult.model_validate(raw))
            except (MCPError, RuntimeError, ValueError):  # refused; in none of ours; no such result
                old = True
        if old:
            await self.initialize()
        self._settled = True
