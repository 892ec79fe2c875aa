"""Neon's data, and what goes over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harbor_oauth_neon import PROVIDER
from hypothesis import given
from hypothesis import strategies as st

from harbor_oauth import ClientRequiredError, LoginRequiredError
from harbor_oauth.errors import TransportError
from harbor_oauth.testing import ProviderConformance, Vendor

MCP = "https://mcp.neon.tech"
TOKEN = f"{MCP}/api/token"
REGISTER = f"{MCP}/api/register"
API_AUTHORIZE = "https://oauth2.neon.tech/oauth2/auth"
API_TOKEN = "https://oauth2.neon.tech/oauth2/token"
WHO_AM_I = "https://console.neon.tech/api/v2/users/me"
RESPONSES = Path(__file__).parent / "responses"


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    """Give Neon as its sources describe it: a secret for everybody, 200 instead of 201."""
    with Vendor(PROVIDER, RESPONSES, tmp_path) as vendor:
        vendor.answer(f"{MCP}/mcp", status=401)
        vendor.answer(
            f"{MCP}/.well-known/oauth-protected-resource/mcp",
            {"resource": f"{MCP}/mcp", "authorization_servers": [MCP]},
        )
        vendor.answer(
            REGISTER,
            {
                "client_id": "made-client",
                "client_secret": "made-secret",
                "token_endpoint_auth_method": "none",
            },
        )
        yield vendor


def test_the_servers() -> None:
    """`harbor dock neon`, and the same that only reads."""
    assert [each.url for each in PROVIDER.native_servers] == [
        *(f"{MCP}/mcp", f"{MCP}/mcp?readonly=true")
    ]


def test_the_mcp_server_is_signed_in_to_without_papers(vendor: Vendor) -> None:
    """The registration holds all four members Neon wants, and the URL has exactly these."""
    vendor.play("mcp-token")
    url, sent = vendor.sign_in("neon")
    assert url == f"{MCP}/api/authorize"
    redirect_uri = sent.pop("redirect_uri")
    assert redirect_uri.startswith("http://127.0.0.1:")
    assert sent == {
        "response_type": "code",
        "client_id": "made-client",
        "scope": "read write",
        "resource": f"{MCP}/mcp",
        "code_challenge_method": "S256",
    }
    (registration,) = vendor.posted(REGISTER)
    assert registration["redirect_uris"] == [redirect_uri]
    assert registration["grant_types"] == ["authorization_code", "refresh_token"]
    assert registration["response_types"] == ["code"]
    assert registration["client_name"]


def test_the_redirect_uri_is_the_registered_one_to_the_letter(vendor: Vendor) -> None:
    """The token endpoint compares it as a string, and a later sign-in has the same port."""
    vendor.play("mcp-token")
    vendor.sign_in("neon")
    vendor.sign_in("neon")
    (registration,) = vendor.posted(REGISTER)
    codes = [each for each in vendor.posted(TOKEN) if each["grant_type"] == "authorization_code"]
    assert [each["redirect_uri"] for each in codes] == registration["redirect_uris"] * 2


def test_rotation_and_scopes_as_an_array(vendor: Vendor) -> None:
    """Each refresh sends the newest token; old records answer with an array of scopes."""
    vendor.play("mcp-token", "mcp-refresh")
    vendor.sign_in("neon")
    for _ in range(2):
        vendor.clock.now += 3600
        assert vendor.harbor.token("neon").scopes == ("read", "write")
    sent = [each["refresh_token"] for each in vendor.posted(TOKEN)[1:]]
    assert sent == ["recorded-refresh", "recorded-refresh-2"]


def test_a_busy_server_costs_no_grant(vendor: Vendor) -> None:
    """503 is tried again with the same refresh token, and is no sign-in."""
    vendor.play("mcp-token", "mcp-busy-error")
    vendor.sign_in("neon")
    vendor.clock.now += 3600
    with pytest.raises(TransportError):
        vendor.harbor.token("neon")
    vendor.play("mcp-refresh")
    assert vendor.harbor.token("neon").reveal() == "recorded-access-2"


def test_without_a_client_the_api_says_who_gets_one(vendor: Vendor) -> None:
    """Partners only, and what anybody can do instead; nothing is sent."""
    with pytest.raises(ClientRequiredError) as caught:
        vendor.sign_in("neon/api")
    assert "commercial partners" in str(caught.value)
    assert "neon/mcp" in str(caught.value)
    assert vendor.requests == []


def test_the_api_s_requests(vendor: Vendor) -> None:
    """A public client on any port; both words without which there is no refresh token."""
    vendor.harbor.vault.set("oauth:neon:client_id", "partner")
    vendor.play("api-token", "api-account")
    url, sent = vendor.sign_in("neon/api")
    assert vendor.requests[-1].headers["Authorization"] == "Bearer recorded-access"
    assert vendor.harbor.status()[0].account == "ada@example.com"
    assert url == API_AUTHORIZE
    redirect_uri = sent.pop("redirect_uri")
    assert sent == {
        "response_type": "code",
        "client_id": "partner",
        "scope": "offline offline_access urn:neoncloud:projects:create "
        "urn:neoncloud:projects:read urn:neoncloud:projects:update "
        "urn:neoncloud:projects:delete urn:neoncloud:orgs:read",
        "code_challenge_method": "S256",
    }
    (code,) = vendor.posted(API_TOKEN)
    assert code == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
        "client_id": "partner",
    }


def test_a_dead_refresh_token_wants_a_sign_in(vendor: Vendor) -> None:
    """`token_inactive` ends the grant as `invalid_grant` does."""
    vendor.play("api-token", "api-account", "api-error")
    vendor.harbor.vault.set("oauth:neon:client_id", "partner")
    vendor.sign_in("neon/api")
    token = vendor.harbor.token("neon/api")
    with pytest.raises(LoginRequiredError):
        vendor.harbor.rejected("neon/api", token)


@given(st.dictionaries(st.text(), st.none() | st.text() | st.integers()))
def test_the_quirk_changes_that_error_only(members: dict[str, object]) -> None:
    """Whatever else an answer holds comes out as it went in."""
    mend = PROVIDER.resource("api").quirks.token_response
    assert mend is not None
    assert mend(members) == members
    inactive = {**members, "error": "token_inactive"}
    assert mend(inactive) == {**members, "error": "invalid_grant"}
    assert inactive["error"] == "token_inactive"


class TestNeon(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = RESPONSES
