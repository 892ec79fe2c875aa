"""A real MCP client, `harbor lighthouse`, a real MCP server, and `oidc-provider` before it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from harbor_oauth.client import Harbor
from tests.e2e.shell import HARBOR, ROOT, Shell

if TYPE_CHECKING:
    from mcp import Client

    from tests.e2e.conftest import McpServer, OidcProvider

pytestmark = pytest.mark.e2e

ROUNDS: Final = 10
TWENTY = tuple(f"call-{number}" for number in range(20))
PATIENCE = 60.0  # seconds; a proxy that buffers would wait for ever


@attrs.frozen
class Lighthouse:
    """A running `harbor lighthouse` with one docked server, ``real``."""

    address: str
    key: str = attrs.field(repr=False)
    shell: Shell

    @property
    def url(self) -> str:
        return f"{self.address}/real"

    def connect(self) -> AbstractAsyncContextManager[Client]:
        """Return the `mcp` package's own client, connected through the gateway."""
        return connect(self.url, {"X-Harbor-Key": self.key})


def refreshes(shell: Shell) -> int:
    """Return how often the grant was refreshed, as its history has it."""
    with contextlib.closing(harbor_of(shell)) as harbor:
        return sum(event.event == "refresh" for event in harbor.history("real"))


def harbor_of(shell: Shell) -> Harbor:
    """Return a Harbor that works with a shell's vault."""
    return Harbor(environ=shell.environment)


@contextlib.asynccontextmanager
async def connect(url: str, headers: dict[str, str]) -> AsyncIterator[Client]:
    from httpx2 import AsyncClient
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async with (
        AsyncClient(headers=headers, trust_env=False, timeout=PATIENCE) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


@contextlib.contextmanager
def lit(shell: Shell, harbor: tuple[str, ...] = HARBOR) -> Iterator[Lighthouse]:
    """Run `harbor lighthouse` on a free port until the block ends."""
    with subprocess.Popen(
        [*harbor, "lighthouse", "--port", "0"],
        cwd=ROOT,
        env=dict(shell.environment),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = []
        try:
            for line in process.stderr:
                said.append(line)
                found = [word for word in line.split() if word.startswith("http://127.0.0.1:")]
                if found and found[0].endswith("/real"):
                    break
            else:
                pytest.fail("".join(said))
            address = found[0].removesuffix("/real")
            yield Lighthouse(address, shell.must("lighthouse", "key").strip(), shell)
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert process.returncode == 0, "it drains and ends well"


def end_access_token(shell: Shell, gates: Path) -> None:
    """Let the server refuse the access token from now on; nobody here is told."""
    with contextlib.closing(harbor_of(shell)) as harbor:
        token = harbor.token("real").reveal()
    (gates / "ended").write_text(hashlib.sha256(token.encode()).hexdigest())


def text_of(result: Any) -> str:
    assert not result.is_error, result
    return str(result.content[0].text)


def test_tools_are_listed_and_called_and_progress_is_seen_at_once(
    key_file_shell: Shell,
    oidc_provider: OidcProvider,
    docked: Callable[[OidcProvider], McpServer],
    gates: Path,
) -> None:
    """The tool goes on only when the client has shown that it saw the step before."""
    docked(oidc_provider)

    async def use(lighthouse: Lighthouse) -> tuple[list[str], str, list[float]]:
        seen: list[float] = []

        async def saw(progress: float, total: float | None, message: str | None) -> None:
            seen.append(progress)
            (gates / f"step-{progress:.0f}").touch()

        async with lighthouse.connect() as client:
            names = sorted(tool.name for tool in (await client.list_tools()).tools)
            async with asyncio.timeout(PATIENCE):
                result = await client.call_tool("climb", {"steps": 3}, progress_callback=saw)
            return names, text_of(result), seen

    with lit(key_file_shell) as lighthouse:
        names, climbed, seen = asyncio.run(use(lighthouse))
    assert names == ["add", "climb", "count", "echo"]
    assert (climbed, seen) == ("climbed 3", [1, 2, 3])


def test_a_session_outlives_its_tokens(
    key_file_shell: Shell,
    start_oidc_provider: Callable[..., OidcProvider],
    docked: Callable[[OidcProvider], McpServer],
) -> None:
    """Tokens of two seconds: one session goes on through three refreshes, and no call fails."""
    docked(start_oidc_provider(access_token_seconds=2))

    async def use(lighthouse: Lighthouse) -> int:
        calls = 0
        async with lighthouse.connect() as client:
            while refreshes(lighthouse.shell) < 3:
                assert text_of(await client.call_tool("echo", {"text": f"{calls}"})) == f"{calls}"
                calls += 1
        return calls

    with lit(key_file_shell) as lighthouse:
        assert asyncio.run(use(lighthouse)) >= 3


async def twenty_calls(lighthouse: Lighthouse, gates: Path) -> list[str]:
    """Let the token end in the middle of a session, then call twenty times at once."""
    async with lighthouse.connect() as client:
        await client.list_tools()
        await asyncio.to_thread(end_access_token, lighthouse.shell, gates)
        calls = (client.call_tool("count", {"name": name}) for name in TWENTY)
        return [text_of(result) for result in await asyncio.gather(*calls)]


def test_twenty_calls_at_once_cost_one_refresh(
    key_file_shell: Shell,
    oidc_provider: OidcProvider,
    docked: Callable[[OidcProvider], McpServer],
    gates: Path,
) -> None:
    """All succeed after the token ended in the middle of the session, and each ran once."""
    docked(oidc_provider)
    with lit(key_file_shell) as lighthouse:
        assert asyncio.run(twenty_calls(lighthouse, gates)) == list(TWENTY)
        assert refreshes(lighthouse.shell) == 1
    assert sorted((gates / "executed").read_text().split()) == sorted(TWENTY)


def rounds_of_twenty_calls(lighthouse: Lighthouse, gates: Path) -> None:
    """Again and again: a busy machine may do the twenty one after another."""
    for _ in range(ROUNDS):
        asyncio.run(twenty_calls(lighthouse, gates))


def test_without_single_flight_the_same_calls_lose_the_grant(
    key_file_shell: Shell,
    oidc_provider: OidcProvider,
    docked: Callable[[OidcProvider], McpServer],
    gates: Path,
) -> None:
    """So the test above bites: this server ends a grant whose refresh token comes twice."""
    docked(oidc_provider)
    unguarded = (sys.executable, "-m", "tests.e2e.without_single_flight")
    with lit(key_file_shell, unguarded) as lighthouse, pytest.raises(BaseExceptionGroup) as failed:
        rounds_of_twenty_calls(lighthouse, gates)
    assert "harbor charter real" in "".join(traceback.format_exception(failed.value))
