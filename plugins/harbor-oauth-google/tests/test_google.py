"""Google's data, and what goes over the wire."""

from __future__ import annotations

from pathlib import Path

import pytest
from harbor_oauth_google import PROVIDER

from harbor_oauth import ClientRequiredError, LoginRequiredError
from harbor_oauth.testing import ProviderConformance, Vendor

AUTHORIZE = "https://accounts.google.com/o/oauth2/v2/auth"
TOKEN = "https://oauth2.googleapis.com/token"
REVOKE = "https://oauth2.googleapis.com/revoke"
USERINFO = "https://openidconnect.googleapis.com/v1/userinfo"
RESPONSES = Path(__file__).parent / "responses"


vendor = Vendor.fixture(PROVIDER, RESPONSES, client_id="app", client_secret="s3cret")


def test_the_default_server_is_a_command_with_a_token_in_its_environment() -> None:
    """`@googleworkspace/cli mcp`, of a version before 0.8.0, and no token on its command line."""
    default = PROVIDER.native_servers[0]
    assert (default.name, default.resource, default.url) == ("google", "api", None)
    assert default.command[:4] == ("npx", "-y", "@googleworkspace/cli@0.7.0", "mcp")
    assert default.env == {"GOOGLE_WORKSPACE_CLI_TOKEN": "vault:oauth:google:access_token"}


def test_the_hosted_servers_take_both_resources_tokens() -> None:
    """One sign-in serves all: each URL is within the origins of `mcp` and of `api`."""
    hosted = PROVIDER.native_servers[1:]
    assert [each.name for each in hosted] == [
        *("google-gmail", "google-drive", "google-calendar", "google-chat", "google-people")
    ]
    for each in hosted:
        assert (each.resource, each.other_resources) == ("mcp", ("api",))
        origin = (each.url or "").removesuffix("/mcp/v1")
        for name in ("mcp", "api"):
            assert origin in PROVIDER.resource(name).allowed_origins


def test_nobody_asks_for_the_whole_mailbox() -> None:
    """The scopes that the servers' own metadata would have asked for are never asked."""
    asked = {scope for each in PROVIDER.native_servers for scope in each.scopes}
    for resource in PROVIDER.resources:
        asked |= {*(resource.scopes or ()), *(resource.read_only_scopes or ())}
    assert "https://mail.google.com/" not in asked
    assert all(scope.count("https://") <= 1 for scope in asked)


def test_the_authorization_url(vendor: Vendor) -> None:
    """Exactly these parameters: any loopback port, offline, consent, S256, no `resource`."""
    vendor.play("api-token", "api-account")
    url, sent = vendor.sign_in("google")
    assert url == AUTHORIZE
    scopes = sent.pop("scope").split(" ")
    assert scopes == [
        "openid",
        *(
            f"https://www.googleapis.com/auth/{name}"
            for name in (
                *("userinfo.email", "drive", "gmail.modify", "calendar", "documents"),
                *("spreadsheets", "presentations", "tasks"),
            )
        ),
    ]
    assert sent.pop("redirect_uri").startswith("http://127.0.0.1:")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "code_challenge_method": "S256",
        "access_type": "offline",
        "prompt": "consent",
    }


def test_the_token_requests(vendor: Vendor) -> None:
    """The secret is in the body, once; a refresh without a new refresh token keeps the old."""
    vendor.play("api-token", "api-account", "api-refresh")
    _, sent = vendor.sign_in("google")
    for _ in range(2):
        vendor.clock.now += 3600
        assert vendor.harbor.token("google").reveal() == "ya29.recorded-access-2"
    code, *refreshes = vendor.posted(TOKEN)
    assert code.pop("redirect_uri") == sent["redirect_uri"]
    assert code == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "client_id": "app",
        "client_secret": "s3cret",
    }
    expected = {
        "grant_type": "refresh_token",
        "refresh_token": "1//recorded-refresh",
        "client_id": "app",
        "client_secret": "s3cret",
    }
    assert refreshes == [expected, expected]
    assert all("Authorization" not in each.headers for each in vendor.requests if each.url == TOKEN)


def test_what_was_granted_is_what_the_answer_says(vendor: Vendor) -> None:
    """A person may untick scopes, and Google writes them in another order."""
    vendor.play("api-token", "api-account")
    vendor.sign_in("google")
    account = vendor.requests[-1]
    assert account.url == USERINFO
    assert account.headers["Authorization"] == "Bearer ya29.recorded-access"
    (status,) = vendor.harbor.status()
    assert "https://www.googleapis.com/auth/drive" in status.scopes
    assert "https://www.googleapis.com/auth/tasks" not in status.scopes
    assert status.account == "ada@example.com"


def test_an_ended_session_wants_a_sign_in(vendor: Vendor) -> None:
    """`invalid_grant`, whatever its subtype, ends the grant."""
    vendor.play("api-token", "api-account", "api-session-error")
    vendor.sign_in("google")
    token = vendor.harbor.token("google")
    with pytest.raises(LoginRequiredError):
        vendor.harbor.rejected("google", token)


def test_revocation_counts_although_it_has_ended_the_second_token(vendor: Vendor) -> None:
    """The access token dies with the refresh token, so that its own revocation gets a 400."""
    vendor.play("api-token", "api-account")
    vendor.answer(REVOKE)
    vendor.answer(REVOKE, {"error": "invalid_token"}, 400)
    vendor.sign_in("google")
    assert vendor.harbor.logout("google").revoked is True
    assert [each["token_type_hint"] for each in vendor.posted(REVOKE)] == [
        *("refresh_token", "access_token")
    ]


def test_a_secret_is_needed(vendor: Vendor) -> None:
    """Without the papers nothing is sent, and the steps say how to get them."""
    vendor.harbor.vault.delete("oauth:google:client_secret")
    with pytest.raises(ClientRequiredError, match="oauth:google:client_secret"):
        vendor.sign_in("google")
    vendor.harbor.vault.delete("oauth:google:client_id")
    with pytest.raises(ClientRequiredError, match="Desktop app"):
        vendor.sign_in("google")
    assert vendor.requests == []


def test_the_same_papers_serve_both_resources(vendor: Vendor) -> None:
    """One client at one issuer; `google/mcp` alone asks for no more than who it is."""
    vendor.play("mcp-token", "api-account")
    _, sent = vendor.sign_in("google/mcp")
    assert sent["scope"] == "openid https://www.googleapis.com/auth/userinfo.email"
    assert "resource" not in sent


class TestGoogle(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = RESPONSES
