"""Pytest fixtures: name this module in ``pytest_plugins`` to use them.

Example:
    >>> pytest_plugins = ["harbor_oauth.testing.fixtures"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.providers import Provider
from harbor_oauth.testing.authorization_server import AuthorizationServer
from harbor_oauth.testing.mcp_server import McpServer

__all__ = ["authorization_server", "harbor_with_tokens", "mcp_server"]


@pytest.fixture
def authorization_server() -> Iterator[AuthorizationServer]:
    """Give a running authorization server."""
    with AuthorizationServer() as server:
        yield server


@pytest.fixture
def mcp_server(authorization_server: AuthorizationServer) -> Iterator[McpServer]:
    """Give a running MCP server that takes the authorization server's tokens."""
    with McpServer(authorization_server) as server:
        yield server


@pytest.fixture
def harbor_with_tokens(tmp_path: Path) -> Iterator[Callable[..., Harbor]]:
    """Make a Harbor that answers with given tokens: no server, keychain, file or browser.

    Example:
        >>> def test_ours(harbor_with_tokens):
        ...     harbor = harbor_with_tokens(linear="t0k3n")
        ...     assert our_code(harbor) == "Bearer t0k3n"

    Names that are no Python names go in a dictionary:
    ``harbor_with_tokens({"linear/api": "t0k3n"})``; ``providers=`` adds
    providers that are not installed.
    """
    made: list[Harbor] = []

    def refuse(url: str) -> bool:  # noqa: ARG001 - a browser's signature
        pytest.fail("A test with given tokens tried to sign in.")

    def make(
        given: dict[str, str] | None = None,
        /,
        *,
        providers: dict[str, Provider] | None = None,
        **tokens: str,
    ) -> Harbor:
        # An empty environment: whatever the machine sets, the test is the same.
        harbor = Harbor(
            tokens={**(given or {}), **tokens},
            environ={"HARBOR_VAULT": "memory"},
            home=tmp_path / "harbor",
            browser=refuse,
            providers=providers,
        )
        made.append(harbor)
        return harbor

    yield make
    for harbor in made:
        harbor.close()
