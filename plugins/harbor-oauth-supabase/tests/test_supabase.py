"""Supabase's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from harbor_oauth_supabase import PROVIDER

from harbor_oauth import LoginRequiredError
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.providers import IssuedToken, Registration, Secret
from harbor_oauth.testing import ProviderConformance, Vendor

RESPONSES = Path(__file__).parent / "responses"
TOKEN = "https://api.supabase.com/v1/oauth/token"
REVOKE = "https://api.supabase.com/v1/oauth/revoke"


vendor = Vendor.fixture(PROVIDER, RESPONSES, client_id="app", client_secret="s3cret")


def test_the_servers() -> None:
    """`harbor dock supabase`, and the same that only reads."""
    assert [each.url for each in PROVIDER.native_servers] == [
        "https://mcp.supabase.com/mcp",
        "https://mcp.supabase.com/mcp?read_only=true",
    ]


def test_the_mcp_server_asks_for_what_a_registration_takes() -> None:
    """Thirteen scopes, the reading ones among them; no app is needed."""
    mcp = PROVIDER.resource("mcp")
    assert Registration.OWN_PAPERS not in mcp.registration
    assert len(mcp.scopes or ()) == 13
    reading = {each for each in mcp.scopes or () if each.endswith(":read")}
    # What hands out keys is no reading.
    assert reading - {"secrets:read"} == set(mcp.read_only_scopes or ())


def test_a_sign_in_to_the_api(vendor: Vendor) -> None:
    """Exactly this goes out: no scope, the secret in the Basic header; 201 is a success."""
    vendor.play("api-token", "api-account")
    endpoint, sent = vendor.sign_in("supabase/api")
    assert endpoint == "https://api.supabase.com/v1/oauth/authorize"
    redirect_uri = sent.pop("redirect_uri")
    assert redirect_uri.startswith("http://localhost:")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "code_challenge_method": "S256",
    }
    assert vendor.requests[0].headers["Authorization"] == "Basic YXBwOnMzY3JldA=="  # app:s3cret
    assert vendor.posted(TOKEN)[0] == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
    }
    assert vendor.requests[1].headers["Authorization"] == "Bearer recorded-access"
    assert vendor.harbor.status()[0].account == "Acme (recorded-slug)"


def test_a_refused_refresh_asks_for_a_person(vendor: Vendor) -> None:
    """A message without a code is the end of the grant, as far as 400 says it."""
    vendor.play("api-token", "api-account", "api-refresh", "api-error")
    vendor.sign_in("supabase/api")
    vendor.clock.now += 60 * 60
    assert vendor.harbor.token("supabase/api").reveal() == "recorded-access-2"
    vendor.clock.now += 60 * 60
    with pytest.raises(LoginRequiredError):
        vendor.harbor.token("supabase/api")
    assert vendor.posted(TOKEN)[2]["refresh_token"] == "recorded-refresh-2"


def test_revocation_is_json_with_the_secret(vendor: Vendor) -> None:
    """One request, for the refresh token: it ends the access token too."""
    vendor.play("api-token", "api-account")
    vendor.answer(REVOKE, b"", 204)
    vendor.sign_in("supabase/api")
    assert vendor.harbor.logout("supabase/api").revoked
    (request,) = vendor.requests[2:]
    assert request.headers["Content-Type"] == "application/json"
    assert vendor.posted(REVOKE) == [
        {"client_id": "app", "client_secret": "s3cret", "refresh_token": "recorded-refresh"}
    ]


@pytest.mark.parametrize(
    ("kind", "secret"), [("access_token", Secret("s3cret")), ("refresh_token", None)]
)
def test_what_cannot_be_revoked_is_not_sent(kind: str, secret: Secret | None) -> None:
    """Supabase takes no access token, and nothing without the secret."""
    build = PROVIDER.resource("api").revocation.own_api
    assert build is not None
    assert build(IssuedToken(Secret("t0k"), kind, "app", secret)) is None


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"message": "no"}', "invalid_grant"),
        (401, b'{"message": "no"}', "invalid_grant"),
        (400, b'{"message": "Unrecognized client_id"}', "invalid_client"),
        (403, b'{"message": "no"}', None),
        (400, b'{"message": 1}', None),
        (400, b"<html>", None),
        (400, b"\xff", None),
        (400, b"[]", None),
        (400, b"", None),
    ],
)
def test_only_words_of_supabase_s_end_a_grant(status: int, body: bytes, error: str | None) -> None:
    """The page of a proxy in between must not cost anybody a sign-in."""
    judge = PROVIDER.resource("api").quirks.token_error
    assert judge is not None
    assert judge(HttpResponse(status, {}, body, "https://api.supabase.com/")) == error


class TestSupabase(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = RESPONSES
