"""A real MCP server for the end-to-end tests, made with the `mcp` package.

It demands access tokens that are issued for it and introspects each of them, so a revoked
one is refused at once; with the setting `dpop` they must be bound to a key, too. Prints one JSON
line when it listens; ends when its standard input ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Final

import anyio
import httpx2
import uvicorn
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import Context, MCPServer
from starlette.types import ASGIApp

from tests.e2e.dpop_guard import PROVED, Guard

SCOPE: Final = "mcp:use"


class Introspection(TokenVerifier):
    """Asks the authorization server about each token (RFC 7662)."""

    def __init__(
        self, endpoint: str, client_id: str, client_secret: str, ended: Path | None
    ) -> None:
        """Keep the endpoint, this server's own credentials there, and where it reads of ends."""
        self._endpoint = endpoint
        self._ended = ended
        self._auth = httpx2.BasicAuth(client_id, client_secret)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return what the authorization server says about a token that is alive."""
        async with httpx2.AsyncClient(trust_env=False, auth=self._auth) as client:
            response = await client.post(self._endpoint, data={"token": token})
        if self._is_ended(token):
            return None
        answer = response.raise_for_status().json()
        if not answer["active"] or answer.get("cnf", {}).get("jkt") != PROVED.get(None):
            return None
        return AccessToken(
            token=token,
            client_id=answer["client_id"],
            scopes=answer.get("scope", "").split(),
            expires_at=answer["exp"],
            resource=answer.get("aud"),
            subject=answer.get("sub"),
        )

    def _is_ended(self, token: str) -> bool:
        """Say whether a test has let this token end, which the authorization server knows not."""
        if self._ended is None or not self._ended.exists():
            return False
        return hashlib.sha256(token.encode()).hexdigest() in self._ended.read_text()


def build(url: str, settings: dict[str, str]) -> MCPServer[None]:
    """Return the server with its two tools."""
    server: MCPServer[None] = MCPServer(
        "harbor-e2e",
        token_verifier=Introspection(
            settings["introspection_endpoint"],
            settings["client_id"],
            settings["client_secret"],
            Path(settings["gates"]) / "ended" if settings["gates"] else None,
        ),
        auth=AuthSettings.model_validate(
            {
                "issuer_url": settings["issuer"],
                "resource_server_url": url,
                "required_scopes": [SCOPE],
                "validate_token_resource": True,
            }
        ),
    )

    @server.tool()
    def echo(text: str) -> str:
        """Return the text."""
        return text

    @server.tool()
    def add(a: int, b: int) -> int:
        """Return the sum."""
        return a + b

    if gates := settings["gates"]:
        add_gated(server, Path(gates))
    return server


def add_gated(server: MCPServer[None], gates: Path) -> None:
    """Add the tools that show what a proxy does to a call that takes its time."""

    @server.tool()
    async def climb(steps: int, ctx: Context) -> str:
        """Report each step, and go on only once the client has shown that it saw it."""
        for step in range(1, steps + 1):
            await ctx.report_progress(step, steps)
            while not (gates / f"step-{step}").exists():  # noqa: ASYNC110 - another process makes it
                await anyio.sleep(0.01)
        return f"climbed {steps}"

    @server.tool()
    def count(name: str) -> str:
        """Write down that it ran, under the caller's name for the call."""
        with (gates / "executed").open("a") as executed:
            executed.write(f"{name}\n")
        return name


def main() -> None:
    """Serve on a free loopback port until standard input ends."""
    settings = json.loads(os.environ["HARBOR_E2E_MCP_SERVER"])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        app: ASGIApp = build(url, settings).streamable_http_app()
        if dpop := settings["dpop"]:
            app = Guard(app, url, settings["issuer"], wants_nonce=dpop == "nonce")
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)

        def end_with_input() -> None:
            sys.stdin.read()
            server.should_exit = True

        threading.Thread(target=end_with_input, daemon=True).start()
        # Listening already: a request sent from now on waits for the server's loop.
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()
        server.run(sockets=[listening])


if __name__ == "__main__":
    main()
