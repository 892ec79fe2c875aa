"""Stripe's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from harbor_oauth_stripe import PROVIDER

from harbor_oauth.providers import RedirectRule, Registration
from harbor_oauth.testing import ProviderConformance, Vendor

RESPONSES = Path(__file__).parent / "responses"
TOKEN = "https://connect.stripe.com/oauth/token"


vendor = Vendor.fixture(PROVIDER, RESPONSES, client_id="app", client_secret="s3cret")


def test_the_default_server() -> None:
    """`harbor dock stripe` is the hosted MCP server."""
    assert PROVIDER.native_servers[0].url == "https://mcp.stripe.com"


def test_the_mcp_server_needs_no_app() -> None:
    """A public client registers itself, at any loopback port."""
    mcp = PROVIDER.resource("mcp")
    assert mcp.registration == (Registration.METADATA_DOCUMENT, Registration.DYNAMIC)
    assert mcp.redirect == RedirectRule()


def test_a_sign_in_to_connect(vendor: Vendor) -> None:
    """Exactly this goes out: one scope, the https redirect, the secret key in the form."""
    vendor.play("api-token", "api-account")
    endpoint, sent = vendor.sign_in("stripe/api")
    assert endpoint == "https://connect.stripe.com/oauth/authorize"
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": "https://localhost/callback",
        "scope": "read_only",
        "code_challenge_method": "S256",
    }
    token, account = vendor.requests
    assert "Authorization" not in token.headers
    assert account.headers["Authorization"] == "Bearer recorded-access"
    assert vendor.posted(TOKEN)[0] == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": "https://localhost/callback",
        "client_id": "app",
        "client_secret": "s3cret",
    }


def test_a_token_without_an_end_is_not_refreshed(vendor: Vendor) -> None:
    """Connect names no `expires_in`: the token serves until somebody refuses it."""
    vendor.play("api-token", "api-account", "api-refresh")
    vendor.sign_in("stripe/api")
    token = vendor.harbor.token("stripe/api")
    assert (token.reveal(), token.expires_at) == ("recorded-access", None)
    assert len(vendor.requests) == 2
    vendor.harbor.rejected("stripe/api", token)
    assert vendor.posted(TOKEN)[1] == {
        "grant_type": "refresh_token",
        "refresh_token": "recorded-refresh",
        "client_id": "app",
        "client_secret": "s3cret",
    }
    assert vendor.harbor.token("stripe/api").reveal() == "recorded-access-2"


def test_a_logout_disconnects_no_account(vendor: Vendor) -> None:
    """Stripe's deauthorize would end the platform's tie for everybody; it is not called."""
    vendor.play("api-token", "api-account")
    vendor.sign_in("stripe/api")
    result = vendor.harbor.logout("stripe/api")
    assert not result.revoked
    assert result.manage_url == "https://dashboard.stripe.com/connect/accounts/overview"
    assert len(vendor.requests) == 2


@pytest.mark.parametrize(
    ("members", "account"),
    [({"stripe_user_id": "acct_1"}, "acct_1"), ({"stripe_user_id": None}, None), ({}, None)],
)
def test_the_token_answer_names_the_account(
    members: dict[str, object], account: str | None
) -> None:
    """So that a refresh that names another is noticed."""
    read = PROVIDER.resource("api").quirks.account
    assert read is not None
    assert read(members) == account


class TestStripe(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = RESPONSES
