"""Supabase's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import attrs
import pytest
from harbor_oauth_supabase import PROVIDER

from harbor_oauth import Harbor, LoginRequiredError
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import Flow, IssuedToken, OAuthProvider, Registration, Secret
from harbor_oauth.registry import Registry
from harbor_oauth.testing import ProviderConformance

RESPONSES = Path(__file__).parent / "responses"


class Vendor:
    """Stands at Supabase's own URLs: recorded answers go out, requests are kept."""

    def __init__(self, *names: str | None) -> None:
        self.now = 1_800_000_000.0
        self.requests: list[HttpRequest] = []
        self.names = list(names)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        name = self.names.pop(0)
        if name is None:  # the answer to a revocation
            return HttpResponse(204, {}, b"", request.url)
        recorded = json.loads((RESPONSES / f"{name}.json").read_text())
        assert recorded["url"] == request.url
        body = json.dumps(recorded["body"]).encode()
        return HttpResponse(recorded["status"], recorded["headers"], body, request.url)

    def form(self, number: int) -> dict[str, str]:
        """Return the form of one of the requests."""
        return dict(parse_qsl((self.requests[number].body or b"").decode()))


def on_free_ports(provider: OAuthProvider) -> OAuthProvider:
    """Leave the fixed ports to programs that need them."""
    return attrs.evolve(
        provider,
        resources=tuple(
            attrs.evolve(each, redirect=attrs.evolve(each.redirect, ports=(0,)))
            for each in provider.resources
        ),
    )


@pytest.fixture
def harbor_at(tmp_path: Path) -> Callable[[Vendor], Harbor]:
    """Return what makes a Harbor that reaches the stand-in alone, with an app of one's own."""

    def make(vendor: Vendor) -> Harbor:
        key = {"HARBOR_VAULT": "keyfile", "HARBOR_VAULT_KEY_FILE": str(tmp_path / "vault.key")}
        harbor = Harbor(
            home=tmp_path / "home",
            environ=key,
            transport=vendor,
            clock=lambda: vendor.now,
            providers={"supabase": on_free_ports(PROVIDER)},
        )
        harbor.vault.set("oauth:supabase/api:client_id", "app")
        harbor.vault.set("oauth:supabase/api:client_secret", "s3cret")
        return harbor

    return make


def sign_in(harbor: Harbor, grant: str) -> tuple[str, dict[str, str]]:
    """Consent as a person would; return the authorization endpoint and its parameters."""
    with harbor.begin_login(grant) as session:
        endpoint, _, query = session.url.partition("?")
        sent = dict(parse_qsl(query))
        answer = urlencode({"code": "c0de", "state": sent["state"]})
        session.submit(f"{sent['redirect_uri']}?{answer}")
        session.wait(timeout=5)
    return endpoint, sent


def test_the_entry_point_and_the_labels() -> None:
    """`supabase` is PROVIDER; the documented row of the table; the MCP server is the default."""
    assert Registry().provider("supabase") is PROVIDER
    row = (PROVIDER.display_name, PROVIDER.servers_label, PROVIDER.flow)
    assert row == ("Supabase", "Supabase", Flow.CODE_PKCE)
    assert PROVIDER.resource().name == "mcp"
    assert [each.url for each in PROVIDER.native_servers] == [
        "https://mcp.supabase.com/mcp",
        "https://mcp.supabase.com/mcp?read_only=true",
    ]


def test_the_mcp_server_asks_for_what_a_registration_takes() -> None:
    """Thirteen scopes, the reading ones among them; no app is needed."""
    mcp = PROVIDER.resource("mcp")
    assert Registration.OWN_PAPERS not in mcp.registration
    assert len(mcp.scopes or ()) == 13
    assert {each for each in mcp.scopes or () if each.endswith(":read")} == set(
        mcp.read_only_scopes or ()
    )


def test_a_sign_in_to_the_api(harbor_at: Callable[[Vendor], Harbor]) -> None:
    """Exactly this goes out: no scope, the secret in the Basic header; 201 is a success."""
    vendor = Vendor("api-token", "api-account")
    harbor = harbor_at(vendor)
    endpoint, sent = sign_in(harbor, "supabase/api")
    assert endpoint == "https://api.supabase.com/v1/oauth/authorize"
    assert len(sent.pop("state")) >= 43
    assert len(sent.pop("code_challenge")) == 43
    redirect_uri = sent.pop("redirect_uri")
    assert redirect_uri.startswith("http://localhost:")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "code_challenge_method": "S256",
    }
    assert vendor.requests[0].headers["Authorization"] == "Basic YXBwOnMzY3JldA=="  # app:s3cret
    form = vendor.form(0)
    assert len(form.pop("code_verifier")) >= 43
    assert form == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
    }
    assert harbor.status()[0].account == "Acme (recorded-slug)"
    harbor.close()


def test_a_refused_refresh_asks_for_a_person(harbor_at: Callable[[Vendor], Harbor]) -> None:
    """A message without a code is the end of the grant, as far as 400 says it."""
    vendor = Vendor("api-token", "api-account", "api-refresh", "api-error")
    harbor = harbor_at(vendor)
    sign_in(harbor, "supabase/api")
    vendor.now += 60 * 60
    assert harbor.token("supabase/api").reveal() == "recorded-access-2"
    vendor.now += 60 * 60
    with pytest.raises(LoginRequiredError):
        harbor.token("supabase/api")
    assert vendor.form(3)["refresh_token"] == "recorded-refresh-2"
    harbor.close()


def test_revocation_is_json_with_the_secret(harbor_at: Callable[[Vendor], Harbor]) -> None:
    """One request, for the refresh token: it ends the access token too."""
    vendor = Vendor("api-token", "api-account", None)
    harbor = harbor_at(vendor)
    sign_in(harbor, "supabase/api")
    assert harbor.logout("supabase/api").revoked
    (request,) = vendor.requests[2:]
    assert (request.method, request.url) == ("POST", "https://api.supabase.com/v1/oauth/revoke")
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body or b"") == {
        "client_id": "app",
        "client_secret": "s3cret",
        "refresh_token": "recorded-refresh",
    }
    harbor.close()


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


def test_the_account_request_carries_the_token_in_the_header_only() -> None:
    """The token is in `Authorization`, not in the URL."""
    lookup = PROVIDER.resource("api").account
    assert lookup is not None
    request = lookup.request(Secret("t0k"))
    assert (request.method, request.url) == ("GET", "https://api.supabase.com/v1/organizations")
    assert request.headers["Authorization"] == "Bearer t0k"


class TestSupabase(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = Path(__file__).parent / "responses"
