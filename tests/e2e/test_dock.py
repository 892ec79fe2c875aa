"""`harbor dock` to `harbor undock`, with nothing in between that is not real."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.shell import Shell

if TYPE_CHECKING:
    from tests.e2e.conftest import Browser, McpServer, OidcProvider, SecretService

pytestmark = pytest.mark.e2e

HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
}
INITIALIZE = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
).encode()


def names_of_tools(url: str, token: str) -> list[str]:
    """List the tools with the `mcp` package's own client."""
    from httpx2 import AsyncClient
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async def listed() -> list[str]:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            AsyncClient(headers=headers, trust_env=False) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            return sorted(tool.name for tool in (await client.list_tools()).tools)

    return asyncio.run(listed())


def status_of(url: str, token: str) -> int:
    """Return what the server says to a token."""
    request = urllib.request.Request(  # noqa: S310 - a loopback URL of this test
        url, INITIALIZE, {**HEADERS, "Authorization": f"Bearer {token}"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def live_and_die(shell: Shell, server: McpServer, browser: Browser) -> str:
    """Dock, use, undock; return the token, which the server refuses by then."""
    said = shell.must("dock", "--name", "real", "--url", server.url)
    assert "real" in said
    visit = browser.visits()[-1]
    assert visit["url"].startswith("http://127.0.0.1:")
    assert visit["url"].endswith("/done")
    token = shell.must("token", "real").strip()
    assert names_of_tools(server.url, token) == ["add", "echo"]
    again = shell.must("dock", "--name", "real", "--url", server.url)
    assert "already" in again
    assert len(browser.visits()) == 1
    assert status_of(server.url, token) == 200
    shell.must("undock", "--name", "real")
    assert status_of(server.url, token) == 401
    assert shell.run("token", "real").returncode == 4
    return token


@pytest.mark.parametrize("slash_in_metadata", [False, True])
@pytest.mark.parametrize("slash_in_issuer", [False, True])
def test_dock_use_undock(
    key_file_shell: Shell,
    chromium_browser: Browser,
    start_oidc_provider: Callable[..., OidcProvider],
    start_mcp_server: Callable[..., McpServer],
    slash_in_issuer: bool,
    slash_in_metadata: bool,
) -> None:
    """With the root slash or without it, on either side, the server accepts and then refuses."""
    provider = start_oidc_provider(slash=slash_in_issuer)
    spelled = provider.origin + ("/" if slash_in_metadata else "")
    server = start_mcp_server(provider, issuer=spelled)
    token = live_and_die(key_file_shell, server, chromium_browser)
    home = Path(key_file_shell.environment["HARBOR_HOME"])
    for path in home.rglob("*"):
        if path.is_file():
            assert token.encode() not in path.read_bytes()
            assert path.stat().st_mode & 0o077 == 0


def test_the_key_is_in_a_real_keychain(
    tmp_path: Path,
    chromium_browser: Browser,
    secret_service: SecretService,
    mcp_resource_server: McpServer,
) -> None:
    """Without any setting, gnome-keyring keeps the vault's key; locked, it is a clear error."""
    shell = Shell(
        {
            **secret_service.environment,
            "HARBOR_HOME": str(tmp_path / "home"),
            **chromium_browser.environment,
        }
    )
    live_and_die(shell, mcp_resource_server, chromium_browser)
    shell.must("chest", "set", "plain", "kept")
    found = subprocess.run(
        ["secret-tool", "search", "--all", "service", "harbor-oauth"],  # noqa: S607 - on PATH
        env=dict(secret_service.environment),
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.count("attribute.username") + found.stderr.count("attribute.username") == 1
    assert "kept" not in found.stdout
    secret_service.lock()
    locked = shell.run("chest", "get", "plain")
    assert locked.returncode != 0
    assert "locked" in locked.stderr
    assert locked.stdout == ""


def test_an_expired_token_is_refreshed_by_a_new_process(
    key_file_shell: Shell,
    chromium_browser: Browser,
    start_oidc_provider: Callable[..., OidcProvider],
    start_mcp_server: Callable[..., McpServer],
) -> None:
    """Tokens of one second: `harbor token` gives fresh ones, and nobody sees the browser again."""
    server = start_mcp_server(start_oidc_provider(access_token_seconds=1))
    key_file_shell.must("dock", "--name", "real", "--url", server.url)
    tokens: set[str] = set()
    for _ in range(50):  # each run takes a part of a second
        tokens.add(key_file_shell.must("token", "real").strip())
        if len(tokens) == 3:
            break
    assert len(tokens) == 3
    assert len(chromium_browser.visits()) == 1


def test_a_denied_consent_docks_nothing(
    key_file_shell: Shell, mcp_resource_server: McpServer
) -> None:
    """The person says no: exit 1 with the server's word, and the fleet is empty."""
    shell = Shell({**key_file_shell.environment, "HARBOR_E2E_BROWSER_DECISION": "deny"})
    denied = shell.run("dock", "--name", "real", "--url", mcp_resource_server.url)
    assert denied.returncode == 1
    assert "access_denied" in denied.stderr
    assert json.loads(shell.must("fleet", "--json")) == []
