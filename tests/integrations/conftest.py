"""What the adapters' tests share: a grant, and the request they all send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.testing import AuthorizationServer, McpServer, RecordedRequest


@pytest.fixture
def signed_in(harbor: Harbor) -> Harbor:
    """A Harbor with the grant ``practice``."""
    harbor.login("practice")
    return harbor


@pytest.fixture
def call() -> dict[str, Any]:
    """What a client takes besides the URL, to list the server's tools."""
    return {
        "json": {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}},
        "headers": {"Accept": "application/json, text/event-stream"},
    }


@pytest.fixture
def refreshes(issuer: AuthorizationServer) -> Callable[[], int]:
    return lambda: issuer.count("token", grant_type="refresh_token")


@pytest.fixture
def carried(mcp: McpServer) -> Callable[[], list[RecordedRequest]]:
    """Return the requests to the server that carried a token; a sign-in's own carry none."""
    return lambda: [each for each in mcp.requests if "authorization" in each.headers]


@pytest.fixture
def bound(harbor: Harbor, issuer: AuthorizationServer, mcp: McpServer) -> Harbor:
    """A Harbor whose grant ``practice`` is bound to a key (RFC 9449)."""
    issuer.dpop, mcp.require_dpop, mcp.clock = "required", True, issuer.clock
    harbor.login("practice")
    return harbor
