"""The clients that `login.py` compares, each set up by its public parameters alone.

Each begins with nothing stored, signs in to one MCP server and lists its tools. Those of other
projects keep what they get in memory, which is their default; ours stores it in a new sealed vault.

- MCP Python SDK: `Client` with an `OAuthClientProvider`, and the shortest callback listener that
  asyncio makes.
- FastMCP: `Client(url, auth="oauth")`, with `webbrowser.open` replaced.
- harbor_oauth: `integrations.mcp.connect`, with a key file vault.

    python mcp_clients.py CLIENT

answers each line of standard input, `URL HOME`, with one line of JSON.
"""

# ruff: noqa: ANN401, PLC0415 - the SDK's types, and what each client costs to import is its own

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, urljoin, urlsplit

__all__ = ["CLIENTS", "SignIn"]

SignIn: TypeAlias = Callable[[str, Path], Coroutine[Any, Any, int]]
"""Signs in to the server with that URL, with a directory to store in; counts its tools."""


# --- the person ---------------------------------------------------------------
def browse(url: str) -> bool:
    """Follow redirects at once, in the background, as a person who consents before being asked."""
    threading.Thread(target=_follow, args=(url,), daemon=True).start()
    return True


def _follow(url: str) -> None:
    while url:
        try:
            url = _redirect(url)
        except ConnectionRefusedError:
            time.sleep(0.001)  # FastMCP opens the browser before it listens


def _redirect(url: str) -> str:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"Accept": "text/html"})
        answer = connection.getresponse()
        answer.read()
        location = answer.headers.get("Location")
        return urljoin(url, location) if location else ""
    finally:
        connection.close()


# --- the clients --------------------------------------------------------------
async def harbor(url: str, home: Path) -> int:
    """Keep nothing after the process, as the others do here."""
    return await signed_in(url, home, {"HARBOR_VAULT": "memory"})


async def harbor_on_disk(url: str, home: Path) -> int:
    """Make a sealed vault for each sign-in, and keep the grant in it."""
    environ = {"HARBOR_VAULT": "keyfile", "HARBOR_VAULT_KEY_FILE": str(home / "vault.key")}
    return await signed_in(url, home, environ)


async def signed_in(url: str, home: Path, environ: Mapping[str, str]) -> int:
    from harbor_oauth import Harbor
    from harbor_oauth.integrations.mcp import connect
    from harbor_oauth.providers import discovered_provider

    providers = {"bench": discovered_provider("bench", url)}
    ours = Harbor(home=home, environ=environ, browser=browse, providers=providers)
    try:
        async with connect("bench", harbor=ours, interactive=True) as session:
            return len((await session.list_tools()).tools)
    finally:
        ours.close()


class Memory:
    """The storage of the SDK's own examples."""

    def __init__(self) -> None:
        self._tokens: Any = None
        self._client: Any = None

    async def get_tokens(self) -> Any:
        return self._tokens

    async def set_tokens(self, tokens: Any) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> Any:
        return self._client

    async def set_client_info(self, client_info: Any) -> None:
        self._client = client_info


async def sdk(url: str, _home: Path) -> int:
    import httpx2
    from mcp import Client
    from mcp.client.auth import OAuthClientProvider
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
    from pydantic import AnyUrl

    answer: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        answer.set_result(dict(parse_qsl(urlsplit(request.split()[1].decode()).query)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async def redirect(authorization_url: str) -> None:
        browse(authorization_url)

    async def callback() -> AuthorizationCodeResult:
        query = await answer
        return AuthorizationCodeResult(
            code=query["code"], state=query.get("state"), iss=query.get("iss")
        )

    async with await asyncio.start_server(listen, "127.0.0.1") as listener:
        port = listener.sockets[0].getsockname()[1]
        metadata = OAuthClientMetadata(
            client_name="bench",
            redirect_uris=[AnyUrl(f"http://127.0.0.1:{port}/callback")],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method="none",  # noqa: S106 - a method's name
        )
        auth = OAuthClientProvider(url, metadata, Memory(), redirect, callback)
        async with (
            httpx2.AsyncClient(auth=auth, follow_redirects=True) as connection,
            Client(streamable_http_client(url, http_client=connection)) as client,
        ):
            return len((await client.list_tools()).tools)


async def fastmcp(url: str, _home: Path) -> int:
    import logging
    import webbrowser

    from fastmcp import Client

    webbrowser.open = lambda url, *_: browse(url)
    logging.disable(logging.INFO)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that its storage is in memory
        async with Client(url, auth="oauth") as client:
            return len(await client.list_tools())


CLIENTS: Final[Mapping[str, tuple[str, SignIn]]] = {
    "harbor_oauth": ("harbor-oauth", harbor),
    "harbor_oauth, on disk": ("harbor-oauth", harbor_on_disk),
    "MCP Python SDK": ("mcp", sdk),
    "FastMCP": ("fastmcp", fastmcp),
}
"""What is compared: a name, the distribution it comes from, and how it signs in."""


def main(client: str) -> None:
    """Sign in for each line; say how many tools there are, how long it took and when it ended."""
    sign_in = CLIENTS[client][1]
    for line in sys.stdin:
        url, home = line.split()
        start = time.monotonic()
        tools = asyncio.run(sign_in(url, Path(home)))
        done = time.monotonic()
        print(json.dumps({"tools": tools, "seconds": done - start, "done": done}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
