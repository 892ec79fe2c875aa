"""Atlassian's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from harbor_oauth_atlassian import PROVIDER

from harbor_oauth.errors import IssuerMismatchError, LoginRequiredError, TokenResponseError
from harbor_oauth.providers import RedirectRule, Registration, Secret
from harbor_oauth.testing import ProviderConformance, Vendor

RESPONSES = Path(__file__).parent / "responses"
SCOPES = "read:me offline_access read:jira-work read:jira-user"
ISSUER = "https://auth.atlassian.com/0paque"
TOKEN = "https://auth.atlassian.com/oauth/token"
MCP = "https://mcp.atlassian.com/v1/mcp/authv2"


class TestAtlassian(ProviderConformance):
    """What every provider is held to."""

    provider = PROVIDER
    responses = RESPONSES


vendor = Vendor.fixture(PROVIDER, RESPONSES, client_id="app", client_secret="s3cret")


def test_the_default_server() -> None:
    """`harbor dock atlassian` is the hosted MCP server."""
    assert PROVIDER.native_servers[0].url == "https://mcp.atlassian.com/v1/mcp/authv2"


def test_the_mcp_server_needs_no_app() -> None:
    """A public client registers itself, at any loopback port."""
    mcp = PROVIDER.resource("mcp")
    assert mcp.registration == (Registration.METADATA_DOCUMENT, Registration.DYNAMIC)
    assert mcp.redirect == RedirectRule()


def test_the_api_has_one_callback() -> None:
    """The console takes one, so that a second port would not be registered."""
    redirect = PROVIDER.resource("api").redirect
    assert (redirect.host, redirect.ports) == ("localhost", (33418,))


def test_a_sign_in_to_the_api(vendor: Vendor) -> None:
    """Exactly this goes out: audience and prompt, then id and secret in a JSON body."""
    vendor.play("api-token", "api-account")
    endpoint, sent = vendor.sign_in("atlassian/api")
    assert endpoint == "https://auth.atlassian.com/authorize"
    redirect_uri = sent["redirect_uri"]
    assert redirect_uri.startswith("http://localhost:")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": redirect_uri,
        "scope": SCOPES,
        "audience": "api.atlassian.com",
        "prompt": "consent",
        "code_challenge_method": "S256",
    }
    token, account = vendor.requests
    assert token.headers["Content-Type"] == "application/json"
    assert "Authorization" not in token.headers
    assert vendor.posted(TOKEN)[0] == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
        "client_id": "app",
        "client_secret": "s3cret",
    }
    assert account.headers["Authorization"] == "Bearer recorded-access"
    assert vendor.harbor.status()[0].account == "ada@acme.example"


def test_a_refresh(vendor: Vendor) -> None:
    """JSON too; the next refresh token is kept."""
    vendor.play("api-token", "api-account", "api-refresh")
    vendor.sign_in("atlassian/api")
    vendor.harbor.rejected("atlassian/api", vendor.harbor.token("atlassian/api"))
    assert vendor.posted(TOKEN)[1] == {
        "grant_type": "refresh_token",
        "refresh_token": "recorded-refresh",
        "client_id": "app",
        "client_secret": "s3cret",
    }
    kept = vendor.harbor.vault.get("oauth:atlassian/api:refresh_token")
    assert kept == Secret("recorded-refresh-2")


@pytest.mark.parametrize("answer", ["api-error", "api-error-unauthorized"])
def test_a_dead_refresh_token_ends_the_grant(vendor: Vendor, answer: str) -> None:
    """HTTP 403, and two codes for the same."""
    vendor.play("api-token", "api-account", answer)
    vendor.sign_in("atlassian/api")
    with pytest.raises(LoginRequiredError):
        vendor.harbor.rejected("atlassian/api", vendor.harbor.token("atlassian/api"))
    assert vendor.harbor.status()[0].state == "dead"


def test_access_denied_ends_no_grant(vendor: Vendor) -> None:
    """It may mean a wrong secret, which no consent mends."""
    vendor.play("api-token", "api-account", "api-error-denied")
    vendor.sign_in("atlassian/api")
    with pytest.raises(TokenResponseError):
        vendor.harbor.rejected("atlassian/api", vendor.harbor.token("atlassian/api"))
    assert vendor.harbor.status()[0].state == "active"


def test_a_logout_names_the_page(vendor: Vendor) -> None:
    """Nothing is sent: no way to revoke is documented."""
    vendor.play("api-token", "api-account")
    vendor.sign_in("atlassian/api")
    result = vendor.harbor.logout("atlassian/api")
    assert not result.revoked
    assert result.manage_url == "https://id.atlassian.com/manage-profile/apps"
    assert len(vendor.requests) == 2


def publish(vendor: Vendor, registration_host: str = "auth.atlassian.com") -> None:
    """Let the MCP host answer as it does, with an issuer that has an opaque path."""
    vendor.answer(MCP, status=401)
    vendor.answer(
        "https://mcp.atlassian.com/.well-known/oauth-protected-resource/v1/mcp/authv2",
        {
            "resource": MCP,
            "authorization_servers": [ISSUER],
            "scopes_supported": ["read:jira-work", "offline_access"],
        },
    )
    vendor.answer(
        "https://auth.atlassian.com/.well-known/oauth-authorization-server/0paque",
        {
            "issuer": ISSUER,
            "authorization_endpoint": "https://auth.atlassian.com/authorize",
            "token_endpoint": TOKEN,
            "registration_endpoint": f"https://{registration_host}/0paque/dcr/register",
            "code_challenge_methods_supported": ["S256"],
        },
    )
    registered = {"client_id": "registered", "token_endpoint_auth_method": "none"}
    vendor.answer(f"{ISSUER}/dcr/register", registered, 201)


def test_a_sign_in_to_the_mcp_server(vendor: Vendor) -> None:
    """Discovered, registered with the exact redirect URI, for this server in both requests."""
    publish(vendor)
    vendor.play("mcp-token")
    endpoint, sent = vendor.sign_in("atlassian")
    assert endpoint == "https://auth.atlassian.com/authorize"
    assert sent["scope"] == "read:jira-work offline_access"
    assert sent["resource"] == MCP
    (registered,) = vendor.posted(f"{ISSUER}/dcr/register")
    assert registered["redirect_uris"] == [sent["redirect_uri"]]
    (form,) = vendor.posted(TOKEN)
    assert (form["client_id"], form["resource"]) == ("registered", MCP)
    assert "client_secret" not in form


def test_the_opaque_issuer_is_bound_to_its_host(vendor: Vendor) -> None:
    """A document with an endpoint elsewhere is not used, and nothing is sent there."""
    publish(vendor, registration_host="evil.example")
    with pytest.raises(IssuerMismatchError):
        vendor.sign_in("atlassian")
    assert vendor.requests
    assert not [each for each in vendor.requests if "evil.example" in each.url]
