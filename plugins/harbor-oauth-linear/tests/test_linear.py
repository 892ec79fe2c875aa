"""Linear's data, and the answers its functions read."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from harbor_oauth_linear import PROVIDER

from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.protocol.token import parse_token_response
from harbor_oauth.providers import Registration
from harbor_oauth.secret import Secret
from harbor_oauth.testing import ProviderConformance

URL = "https://api.linear.app/oauth/token"


def answer(body: object, status: int = 200) -> HttpResponse:
    return HttpResponse(
        status, {"content-type": "application/json"}, json.dumps(body).encode(), URL
    )


def test_the_default_is_the_mcp_server_and_needs_no_papers() -> None:
    """`harbor dock linear` means the hosted MCP server, with a client registered by itself."""
    resource = PROVIDER.resource()
    assert resource.name == "mcp"
    assert PROVIDER.native_servers[0].url == "https://mcp.linear.app/mcp"
    assert Registration.OWN_PAPERS not in resource.registration
    assert Registration.DYNAMIC in resource.registration


@pytest.mark.parametrize("scope", ["read write", "read,write", ["read", "write"]])
def test_scopes_are_read_in_each_documented_shape(scope: object) -> None:
    """Space, comma and array give the same scopes."""
    api = PROVIDER.resource("api")
    response = parse_token_response(
        answer(
            {"access_token": "lin", "token_type": "Bearer", "expires_in": 86399, "scope": scope}
        ),
        now=1000.0,
        requested_scopes=api.scopes or (),
        scope_separator=api.scope_separator,
        mend=api.quirks.token_response,
    )
    assert response.scopes == ("read", "write")
    assert response.expires_at == 1000.0 + 86399


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revocation_names_the_token_by_its_kind(kind: str) -> None:
    """The endpoint takes `access_token` or `refresh_token`, not RFC 7009's `token`."""
    revocation = PROVIDER.resource("api").revocation
    assert revocation.request is not None
    request = revocation.request(Secret("t0k"), kind, "client")
    assert request.url == "https://api.linear.app/oauth/revoke"
    assert parse_qs((request.body or b"").decode()) == {kind: ["t0k"]}


def test_the_account_is_the_mail_address_and_the_workspace() -> None:
    """A GraphQL answer becomes a name; one with errors raises, which the core takes for None."""
    lookup = PROVIDER.resource("api").account
    assert lookup is not None
    data = {"viewer": {"email": "a@b.example", "name": "A"}, "organization": {"urlKey": "acme"}}
    assert lookup.account(answer({"data": data})) == "a@b.example (acme)"
    with pytest.raises((KeyError, TypeError)):
        lookup.account(answer({"errors": [{"message": "no"}]}))


def test_the_account_request_carries_the_token_in_the_header_only() -> None:
    """The token is in `Authorization`, not in the URL or the body."""
    lookup = PROVIDER.resource("api").account
    assert lookup is not None
    request = lookup.request(Secret("t0k"))
    assert request.headers["Authorization"] == "Bearer t0k"
    assert "t0k" not in request.url
    assert b"t0k" not in (request.body or b"")


class TestLinear(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = Path(__file__).parent / "responses"
