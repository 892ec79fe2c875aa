"""A real MCP client starts `harbor bridge` before a real MCP server and `oidc-provider`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.shell import HARBOR, Shell
from tests.e2e.test_gateway import PATIENCE, TWENTY, end_access_token, refreshes, text_of

if TYPE_CHECKING:
    from mcp import Client

    from tests.e2e.conftest import McpServer, OidcProvider

pytestmark = pytest.mark.e2e


@contextlib.asynccontextmanager
async def bridged(shell: Shell, mode: str) -> AsyncIterator[Client]:
    """Connect the `mcp` package's own client to `harbor bridge real`, as a host does."""
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    program, *arguments = (*HARBOR, "bridge", "real")
    parameters = StdioServerParameters(command=program, args=arguments, env=dict(shell.environment))
    async with Client(stdio_client(parameters, errlog=sys.stderr), mode=mode) as client:
        yield client


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_tools_progress_and_a_token_that_ends(
    key_file_shell: Shell,
    oidc_provider: OidcProvider,
    docked: Callable[[OidcProvider], McpServer],
    gates: Path,
    mode: str,
) -> None:
    """In both ages of MCP: calls, progress while it happens, one refresh for twenty calls."""
    docked(oidc_provider)

    async def use() -> tuple[list[str], str, list[float], list[str]]:
        seen: list[float] = []

        async def saw(progress: float, total: float | None, message: str | None) -> None:
            seen.append(progress)
            (gates / f"step-{progress:.0f}").touch()

        async with bridged(key_file_shell, mode) as client, asyncio.timeout(PATIENCE):
            names = sorted(tool.name for tool in (await client.list_tools()).tools)
            climbed = await client.call_tool("climb", {"steps": 3}, progress_callback=saw)
            await asyncio.to_thread(end_access_token, key_file_shell, gates)
            calls = (client.call_tool("count", {"name": name}) for name in TWENTY)
            counted = [text_of(result) for result in await asyncio.gather(*calls)]
            return names, text_of(climbed), seen, counted

    names, climbed, seen, counted = asyncio.run(use())
    assert names == ["add", "climb", "count", "echo"]
    assert (climbed, seen) == ("climbed 3", [1, 2, 3])
    assert counted == list(TWENTY)
    assert sorted((gates / "executed").read_text().split()) == sorted(TWENTY)
    assert refreshes(key_file_shell) == 1


def test_a_missing_grant_is_told_as_the_answer_to_the_first_request(
    key_file_shell: Shell,
    oidc_provider: OidcProvider,
    docked: Callable[[OidcProvider], McpServer],
) -> None:
    """The host shows the command to run; the bridge does not die of it."""
    docked(oidc_provider)
    key_file_shell.must("revoke", "real")

    async def use() -> None:
        async with bridged(key_file_shell, "legacy"):
            pass

    with pytest.raises(BaseExceptionGroup) as failed:
        asyncio.run(use())
    assert "Nobody has signed in to real. Run: harbor dock real" in described(failed.value)


def described(error: BaseException) -> str:
    """Return the texts of an error and of all that it groups."""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return " ".join([str(error), *(described(each) for each in inner)])
