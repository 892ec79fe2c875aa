"""Sentry's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from harbor_oauth_sentry import PROVIDER

from harbor_oauth.providers import RedirectRule, Registration, Secret
from harbor_oauth.testing import ProviderConformance, Vendor

RESPONSES = Path(__file__).parent / "responses"
OAUTH = "https://sentry.io/oauth"
SCOPES = "org:read project:read team:read member:read event:read"


class TestSentry(ProviderConformance):
    """What every provider is held to."""

    provider = PROVIDER
    responses = RESPONSES


vendor = Vendor.fixture(PROVIDER, RESPONSES, client_id="app", client_secret="s3cret")


def test_the_default_server() -> None:
    """`harbor dock sentry` is the hosted MCP server."""
    assert PROVIDER.native_servers[0].url == "https://mcp.sentry.dev/mcp"


def test_scopes_do_not_keep_the_mcp_server_to_reading() -> None:
    """What is ticked on its page decides, and the advice says so in place of a promise."""
    mcp = PROVIDER.resource("mcp")
    assert mcp.read_only_scopes is None
    assert "ticked" in (mcp.read_only_advice or "")


def test_the_mcp_server_needs_no_app() -> None:
    """A public client registers itself, at any loopback port."""
    mcp = PROVIDER.resource("mcp")
    assert mcp.registration == (Registration.METADATA_DOCUMENT, Registration.DYNAMIC)
    assert mcp.redirect == RedirectRule()


def test_every_oauth_address_of_the_main_host_ends_in_a_slash() -> None:
    """Without it a POST becomes a redirect; a region's host signs nobody in."""
    metadata = PROVIDER.resource("api").metadata
    assert metadata is not None
    endpoints = [
        value for name, value in attrs.asdict(metadata).items() if name.endswith("_endpoint")
    ]
    named = [value for value in endpoints if value]
    assert len(named) == 4
    assert all(each.startswith("https://sentry.io/") and each.endswith("/") for each in named)


def test_a_sign_in_to_the_api(vendor: Vendor) -> None:
    """Exactly this goes out; the secret once, in the form, never as Basic too."""
    vendor.play("api-token", "api-account")
    endpoint, sent = vendor.sign_in("sentry/api")
    assert endpoint == "https://sentry.io/oauth/authorize/"
    redirect_uri = sent["redirect_uri"]
    assert redirect_uri.startswith("http://127.0.0.1:")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": redirect_uri,
        "scope": SCOPES,
        "code_challenge_method": "S256",
    }
    token, account = vendor.requests
    assert "Authorization" not in token.headers
    assert vendor.posted(f"{OAUTH}/token/")[0] == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
        "client_id": "app",
        "client_secret": "s3cret",
    }
    assert account.headers["Authorization"] == "Bearer recorded-access"
    assert vendor.harbor.status()[0].account == "ada@acme.example"


def test_a_refresh_names_no_scope(vendor: Vendor) -> None:
    """Sentry refuses one with it; the next refresh token is kept."""
    vendor.play("api-token", "api-account", "api-refresh")
    vendor.sign_in("sentry/api")
    vendor.harbor.rejected("sentry/api", vendor.harbor.token("sentry/api"))
    assert vendor.posted(f"{OAUTH}/token/")[1] == {
        "grant_type": "refresh_token",
        "refresh_token": "recorded-refresh",
        "client_id": "app",
        "client_secret": "s3cret",
    }
    kept = vendor.harbor.vault.get("oauth:sentry/api:refresh_token")
    assert kept == Secret("recorded-refresh-2")


def test_a_public_application_signs_in_with_a_device_code(vendor: Vendor) -> None:
    """No secret, no redirect: the code is confirmed in a browser anywhere."""
    vendor.play("api-token", "api-account")
    vendor.answer(
        f"{OAUTH}/device/code/",
        {
            "device_code": "recorded-device",
            "user_code": "ABCD-EFGH",
            "verification_uri": f"{OAUTH}/device/",
            "expires_in": 600,
            "interval": 5,
        },
    )
    vendor.harbor.vault.delete("oauth:sentry:client_secret")
    shown: list[str] = []
    vendor.harbor.device_login("sentry/api", lambda session: shown.append(session.user_code))
    assert shown == ["ABCD-EFGH"]
    assert vendor.posted(f"{OAUTH}/device/code/") == [{"client_id": "app", "scope": SCOPES}]
    (form,) = vendor.posted(f"{OAUTH}/token/")
    assert form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "recorded-device",
        "client_id": "app",
    }


def test_a_logout_revokes_as_rfc_7009_has_it(vendor: Vendor) -> None:
    """The refresh token first; the client authenticates as it does for tokens."""
    vendor.play("api-token", "api-account")
    vendor.answer(f"{OAUTH}/revoke/", b"")
    vendor.sign_in("sentry/api")
    assert vendor.harbor.logout("sentry/api").revoked
    forms = vendor.posted(f"{OAUTH}/revoke/")
    assert [form["token"] for form in forms] == ["recorded-refresh", "recorded-access"]
    assert {form["client_secret"] for form in forms} == {"s3cret"}


@pytest.mark.parametrize(
    ("members", "account"),
    [({"user": {"id": "1"}}, "1"), ({"user": {"id": 1}}, None), ({"user": None}, None), ({}, None)],
)
def test_the_token_answer_names_the_account(
    members: dict[str, object], account: str | None
) -> None:
    """So that a refresh that names another is noticed."""
    read = PROVIDER.resource("api").quirks.account
    assert read is not None
    assert read(members) == account
