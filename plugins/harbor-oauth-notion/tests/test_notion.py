"""Notion's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from harbor_oauth_notion import PROVIDER

from harbor_oauth.providers import RedirectRule, Registration
from harbor_oauth.testing import ProviderConformance, Vendor

RESPONSES = Path(__file__).parent / "responses"
TOKEN = "https://api.notion.com/v1/oauth/token"
REVOKE = "https://api.notion.com/v1/oauth/revoke"
BASIC = "Basic YXBwOnMzY3JldA=="  # app:s3cret


class TestNotion(ProviderConformance):
    """What every provider is held to."""

    provider = PROVIDER
    responses = RESPONSES


vendor = Vendor.fixture(PROVIDER, RESPONSES, client_id="app", client_secret="s3cret")


def test_the_default_server() -> None:
    """`harbor dock notion` is the hosted MCP server."""
    assert PROVIDER.native_servers[0].url == "https://mcp.notion.com/mcp"


def test_the_mcp_server_needs_no_app() -> None:
    """A public client registers itself, at any loopback port; the resource is the origin."""
    mcp = PROVIDER.resource("mcp")
    assert mcp.registration == (Registration.METADATA_DOCUMENT, Registration.DYNAMIC)
    assert mcp.redirect == RedirectRule()
    assert mcp.resource == "https://mcp.notion.com"


def test_a_sign_in_to_the_api(vendor: Vendor) -> None:
    """Exactly this goes out: no scope; then Basic, JSON and the API's version."""
    vendor.play("api-token", "api-account")
    endpoint, sent = vendor.sign_in("notion/api")
    assert endpoint == "https://api.notion.com/v1/oauth/authorize"
    redirect_uri = sent["redirect_uri"]
    assert redirect_uri.startswith("http://localhost:")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": redirect_uri,
        "owner": "user",
        "code_challenge_method": "S256",
    }
    token, account = vendor.requests
    assert dict(token.headers) == {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "Authorization": BASIC,
        "Notion-Version": "2025-09-03",
    }
    assert vendor.posted(TOKEN)[0] == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
    }
    assert account.headers["Authorization"] == "Bearer recorded-access"
    assert account.headers["Notion-Version"] == "2025-09-03"
    assert vendor.harbor.status()[0].account == "ada@acme.example (Acme)"


def test_a_token_without_an_end_is_not_refreshed(vendor: Vendor) -> None:
    """No `expires_in` is not "expired": it serves until somebody refuses it."""
    vendor.play("api-token", "api-account", "api-refresh")
    vendor.sign_in("notion/api")
    token = vendor.harbor.token("notion/api")
    assert (token.reveal(), token.expires_at) == ("recorded-access", None)
    assert len(vendor.requests) == 2
    vendor.harbor.rejected("notion/api", token)
    request = vendor.requests[2]
    assert request.headers["Authorization"] == BASIC
    assert request.headers["Notion-Version"] == "2025-09-03"
    assert vendor.posted(TOKEN)[1] == {
        "grant_type": "refresh_token",
        "refresh_token": "recorded-refresh",
    }
    assert vendor.harbor.token("notion/api").reveal() == "recorded-access-2"


def test_a_logout_revokes_the_access_token(vendor: Vendor) -> None:
    """Basic and JSON, once: the endpoint is documented for access tokens."""
    vendor.play("api-token", "api-account")
    vendor.answer(REVOKE, {"request_id": "recorded"})
    vendor.sign_in("notion/api")
    assert vendor.harbor.logout("notion/api").revoked
    assert vendor.posted(REVOKE) == [{"token": "recorded-access"}]
    request = vendor.requests[-1]
    assert request.headers["Authorization"] == BASIC
    assert request.headers["Notion-Version"] == "2025-09-03"


@pytest.mark.parametrize(
    ("members", "account"),
    [
        ({"workspace_id": "w", "owner": {"user": {"id": "u"}}}, "w/u"),
        ({"workspace_id": "w", "owner": {"workspace": True}}, "w"),
        ({"workspace_id": "w", "owner": {"user": None}}, "w"),
        ({"workspace_id": "w", "owner": "u"}, "w"),
        ({"owner": {"user": {"id": "u"}}}, None),
        ({}, None),
    ],
)
def test_the_token_answer_names_the_account(
    members: dict[str, object], account: str | None
) -> None:
    """By ids, which do not change as names do, so that a refresh of another's is noticed."""
    read = PROVIDER.resource("api").quirks.account
    assert read is not None
    assert read(members) == account


def test_an_error_in_either_style() -> None:
    """OAuth's own code wins over that of the API's style, and a success has neither."""
    mend = PROVIDER.resource("api").quirks.token_response
    assert mend is not None
    both = {"object": "error", "code": "validation_error", "error": "invalid_grant"}
    assert mend(both)["error"] == "invalid_grant"
    own = {"object": "error", "code": "invalid_grant", "message": "Invalid code."}
    assert mend(own) == {**own, "error": "invalid_grant", "error_description": "Invalid code."}
    assert "error" not in own
    assert mend({"access_token": "t"}) == {"access_token": "t"}
