"""A refused token that is not called so: providers know their vendors' ways."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.protocol.http import HttpRequest
from harbor_oauth.providers import OAuthProvider, Quirks
from harbor_oauth.testing import AuthorizationServer, McpServer, answers


@pytest.mark.parametrize("knows", [True, False])
def test_an_error_inside_200_costs_one_refresh(
    harbor: Harbor,
    make_harbor: Callable[..., Harbor],
    issuer: AuthorizationServer,
    mcp: McpServer,
    knows: bool,
) -> None:
    """Only where the provider says what it looks like."""
    provider = harbor.provider("practice")
    assert isinstance(provider, OAuthProvider)
    quirks = Quirks(is_auth_error=lambda response: b"invalid_auth" in response.body)
    resources = [attrs.evolve(each, quirks=quirks) for each in provider.resources]
    mine = attrs.evolve(provider, resources=tuple(resources) if knows else provider.resources)
    harbor = make_harbor(providers={"practice": mine})
    harbor.login("practice")
    mcp.script("mcp", answers.json({"ok": False, "error": "invalid_auth"}))
    request = HttpRequest("POST", mcp.url, {"Accept": "application/json"}, b"{}")
    answer = harbor.request("practice", request)
    assert (b"invalid_auth" in answer.body) is not knows
    assert issuer.count("token", grant_type="refresh_token") == int(knows)
