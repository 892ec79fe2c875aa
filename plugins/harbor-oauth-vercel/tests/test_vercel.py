"""Vercel's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from harbor_oauth_vercel import PROVIDER

from harbor_oauth.providers import Registration
from harbor_oauth.testing import ProviderConformance, Vendor

RESPONSES = Path(__file__).parent / "responses"
TOKEN = "https://api.vercel.com/login/oauth/token"


vendor = Vendor.fixture(PROVIDER, RESPONSES, client_id="app", client_secret="s3cret")


def test_the_default_server() -> None:
    """`harbor dock vercel` is the hosted MCP server."""
    assert PROVIDER.native_servers[0].url == "https://mcp.vercel.com"


def test_a_sign_in_to_the_api(vendor: Vendor) -> None:
    """Exactly this goes out: PKCE, the four scopes, the secret in the Basic header."""
    vendor.play("api-token", "api-account")
    endpoint, sent = vendor.sign_in("vercel/api")
    assert endpoint == "https://vercel.com/oauth/authorize"
    redirect_uri = sent.pop("redirect_uri")
    assert redirect_uri.startswith("http://localhost:")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "scope": "openid email profile offline_access",
        "code_challenge_method": "S256",
    }
    assert vendor.requests[0].headers["Authorization"] == "Basic YXBwOnMzY3JldA=="  # app:s3cret
    assert vendor.posted(TOKEN)[0] == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
    }
    assert vendor.requests[1].headers["Authorization"] == "Bearer recorded-access"
    assert vendor.harbor.status()[0].account == "ada@acme.example"


def test_a_secret_is_optional(vendor: Vendor) -> None:
    """An app may choose the method `none`: its id is sent, and nothing else."""
    vendor.play("api-token", "api-account")
    vendor.harbor.vault.set("oauth:vercel:client_id", "public")  # a new id drops the old secret
    vendor.sign_in("vercel/api")
    assert "Authorization" not in vendor.requests[0].headers
    (form,) = vendor.posted(TOKEN)
    assert form["client_id"] == "public"
    assert "client_secret" not in form


def test_refresh_tokens_rotate(vendor: Vendor) -> None:
    """The newest one is sent, each time."""
    vendor.play("api-token", "api-account", "api-refresh")
    vendor.sign_in("vercel/api")
    for _ in range(2):
        vendor.clock.now += 60 * 60
        assert vendor.harbor.token("vercel/api").reveal() == "recorded-access-2"
    assert vendor.posted(TOKEN)[1:] == [
        {"grant_type": "refresh_token", "refresh_token": each}
        for each in ("recorded-refresh", "recorded-refresh-2")
    ]


def test_the_mcp_server_asks_for_a_refresh_token() -> None:
    """The resource's own metadata names `openid` alone, which would give none."""
    assert PROVIDER.resource("mcp").scopes == ("openid", "offline_access")


def test_the_mcp_server_says_who_is_admitted() -> None:
    """A registration is tried under one's own name; its refusal has a sentence and a way out."""
    mcp = PROVIDER.resource("mcp")
    assert Registration.DYNAMIC in mcp.registration
    assert mcp.reviewed_only is not None
    for words in ("reviewed", "oauth:vercel/mcp:client_id", "vercel/api"):
        assert words in mcp.reviewed_only


def test_both_spellings_of_the_endpoints_are_allowed() -> None:
    """The issuer's document and the MCP server's differ in the host."""
    mcp, api = PROVIDER.resource("mcp"), PROVIDER.resource("api")
    for metadata in (mcp.metadata, api.metadata):
        assert metadata is not None
        assert urlsplit(metadata.token_endpoint or "").hostname in mcp.issuer_hosts


class TestVercel(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = RESPONSES
