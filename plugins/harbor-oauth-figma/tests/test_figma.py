"""Figma's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from harbor_oauth_figma import PROVIDER

from harbor_oauth import Harbor, ProtocolError
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.providers import Registration
from harbor_oauth.testing import (
    AuthorizationServer,
    McpServer,
    ProviderConformance,
    Vendor,
    answers,
    on_free_ports,
    rewritten,
)

RESPONSES = Path(__file__).parent / "responses"
TOKEN = "https://api.figma.com/v1/oauth/token"


vendor = Vendor.fixture(PROVIDER, RESPONSES, client_id="app", client_secret="s3cret")


def test_the_default_server() -> None:
    """`harbor dock figma` is the hosted MCP server."""
    assert PROVIDER.native_servers[0].url == "https://mcp.figma.com/mcp"


def test_a_sign_in_to_the_api(vendor: Vendor) -> None:
    """Exactly this goes out: PKCE in the URL, the secret in the Basic header and nowhere else."""
    vendor.play("api-token", "api-account")
    endpoint, sent = vendor.sign_in("figma")
    assert endpoint == "https://www.figma.com/oauth"
    redirect_uri = sent.pop("redirect_uri")
    assert redirect_uri.startswith("http://127.0.0.1:")
    assert redirect_uri.endswith("/callback")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "scope": "current_user:read file_content:read file_metadata:read",
        "code_challenge_method": "S256",
    }
    assert vendor.requests[0].headers["Authorization"] == "Basic YXBwOnMzY3JldA=="  # app:s3cret
    assert vendor.posted(TOKEN) == [
        {
            "grant_type": "authorization_code",
            "code": "c0de",
            "redirect_uri": redirect_uri,
        }
    ]
    assert vendor.requests[1].headers["Authorization"] == "Bearer recorded-access"
    assert vendor.harbor.status()[0].account == "Ada (ada@acme.example)"


def test_a_refresh_goes_to_the_endpoint_of_its_own_and_keeps_the_token(vendor: Vendor) -> None:
    """Figma returns no refresh token then; the old one serves a second time."""
    vendor.play("api-token", "api-account", "api-refresh")
    vendor.sign_in("figma")
    for _ in range(2):
        vendor.clock.now += 90 * 24 * 60 * 60
        assert vendor.harbor.token("figma").reveal() == "recorded-access-2"
    sent = vendor.posted("https://api.figma.com/v1/oauth/refresh")
    assert [each["refresh_token"] for each in sent] == ["recorded-refresh"] * 2


def test_nothing_is_revoked(vendor: Vendor) -> None:
    """There is no endpoint: the page to do it by hand is named, and nothing is sent."""
    vendor.play("api-token", "api-account")
    vendor.sign_in("figma")
    result = vendor.harbor.logout("figma")
    assert (result.revoked, result.manage_url) == (False, "https://www.figma.com/settings")
    assert len(vendor.requests) == 2


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"status": 400, "err": "no"}', "invalid_grant"),
        (401, b'{"error": true, "status": 401, "message": "no"}', "invalid_grant"),
        (403, b'{"status": 403, "err": "no"}', "invalid_grant"),
        (404, b'{"status": 404, "err": "no"}', None),
        (403, b"<html>", None),
        (403, b"\xff", None),
        (403, b'{"err": 1}', None),
        (403, b"[]", None),
        (403, b"", None),
    ],
)
def test_only_words_of_figma_s_end_a_grant(status: int, body: bytes, error: str | None) -> None:
    """The page of a proxy in between must not cost anybody a sign-in."""
    judge = PROVIDER.resource().quirks.token_error
    assert judge is not None
    assert judge(HttpResponse(status, {}, body, "https://api.figma.com/")) == error


@pytest.mark.parametrize(
    ("members", "account"),
    [
        ({"user_id_string": "12"}, "12"),
        ({"user_id": 12}, None),
        ({"user_id_string": 12}, None),
        ({}, None),
    ],
)
def test_the_account_is_read_as_text(members: dict[str, object], account: str | None) -> None:
    """The number has lost digits by the time it is read."""
    read = PROVIDER.resource().quirks.account
    assert read is not None
    assert read(members) == account


def test_the_mcp_server_says_who_is_admitted() -> None:
    """A registration is tried under one's own name; its refusal has a sentence and a way out."""
    mcp = PROVIDER.resource("mcp")
    assert mcp.registration == (Registration.OWN_PAPERS, Registration.DYNAMIC)
    assert mcp.reviewed_only is not None
    for words in ("catalog", "oauth:figma/mcp:client_id", "figma/api"):
        assert words in mcp.reviewed_only


def test_a_client_that_is_not_admitted_is_told_so(tmp_path: Path) -> None:
    """Figma says no with a bare word that calls itself JSON; the error says what to do."""
    key = {"HARBOR_VAULT": "keyfile", "HARBOR_VAULT_KEY_FILE": str(tmp_path / "vault.key")}
    with AuthorizationServer() as issuer, McpServer(issuer) as server:
        issuer.script("register", answers.json(b"Forbidden", 403))
        providers = {"figma": on_free_ports(rewritten(PROVIDER, server))}
        harbor = Harbor(home=tmp_path / "home", environ=key, providers=providers)
        with pytest.raises(ProtocolError, match="catalog"):
            harbor.login("figma/mcp")
        assert issuer.count("authorize") == 0
        harbor.close()


class TestFigma(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = RESPONSES
