"""Pytest fixtures: name this module in ``pytest_plugins`` to use them.

Example:
    >>> pytest_plugins = ["harbor_oauth.testing.fixtures"]
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harbor_oauth.testing.authorization_server import AuthorizationServer
from harbor_oauth.testing.mcp_server import McpServer

__all__ = ["authorization_server", "mcp_server"]


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
