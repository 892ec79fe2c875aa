"""Stripe's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import attrs
import pytest
from harbor_oauth_stripe import PROVIDER

from harbor_oauth import Harbor
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import Flow, OAuthProvider, Registration, Secret
from harbor_oauth.registry import Registry
from harbor_oauth.testing import ProviderConformance

RESPONSES = Path(__file__).parent / "responses"


class Vendor:
    """Stands at Stripe's own URLs: recorded answers go out, requests are kept."""

    def __init__(self, *names: str) -> None:
        self.requests: list[HttpRequest] = []
        self.names = list(names)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        recorded = json.loads((RESPONSES / f"{self.names.pop(0)}.json").read_text())
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
            clock=lambda: 1_800_000_000.0,
            providers={"stripe": on_free_ports(PROVIDER)},
        )
        harbor.vault.set("oauth:stripe/api:client_id", "app")
        harbor.vault.set("oauth:stripe/api:client_secret", "s3cret")
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
    """`stripe` is PROVIDER; the documented row of the table; the MCP server is the default."""
    assert Registry().provider("stripe") is PROVIDER
    row = (PROVIDER.display_name, PROVIDER.servers_label, PROVIDER.flow)
    assert row == ("Stripe", "Stripe", Flow.CODE)
    assert PROVIDER.resource().name == "mcp"
    assert PROVIDER.native_servers[0].url == "https://mcp.stripe.com"


def test_the_mcp_server_needs_no_app() -> None:
    """A public client registers itself, at any loopback port."""
    mcp = PROVIDER.resource("mcp")
    assert Registration.OWN_PAPERS not in mcp.registration
    assert Registration.DYNAMIC in mcp.registration
    assert (mcp.redirect.host, mcp.redirect.ports) == ("127.0.0.1", (0,))


def test_a_sign_in_to_connect(harbor_at: Callable[[Vendor], Harbor]) -> None:
    """Exactly this goes out: one scope, the https redirect, the secret key in the form."""
    vendor = Vendor("api-token", "api-account")
    harbor = harbor_at(vendor)
    endpoint, sent = sign_in(harbor, "stripe/api")
    assert endpoint == "https://connect.stripe.com/oauth/authorize"
    assert len(sent.pop("state")) >= 43
    assert len(sent.pop("code_challenge")) == 43
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": "https://localhost/callback",
        "scope": "read_only",
        "code_challenge_method": "S256",
    }
    assert "Authorization" not in vendor.requests[0].headers
    form = vendor.form(0)
    assert len(form.pop("code_verifier")) >= 43
    assert form == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": "https://localhost/callback",
        "client_id": "app",
        "client_secret": "s3cret",
    }
    harbor.close()


def test_a_token_without_an_end_is_not_refreshed(harbor_at: Callable[[Vendor], Harbor]) -> None:
    """Connect names no `expires_in`: the token serves until somebody refuses it."""
    vendor = Vendor("api-token", "api-account", "api-refresh")
    harbor = harbor_at(vendor)
    sign_in(harbor, "stripe/api")
    token = harbor.token("stripe/api")
    assert (token.reveal(), token.expires_at) == ("recorded-access", None)
    assert len(vendor.requests) == 2
    harbor.rejected("stripe/api", token)
    assert vendor.form(2) == {
        "grant_type": "refresh_token",
        "refresh_token": "recorded-refresh",
        "client_id": "app",
        "client_secret": "s3cret",
    }
    assert harbor.token("stripe/api").reveal() == "recorded-access-2"
    harbor.close()


def test_a_logout_disconnects_no_account(harbor_at: Callable[[Vendor], Harbor]) -> None:
    """Stripe's deauthorize would end the platform's tie for everybody; it is not called."""
    vendor = Vendor("api-token", "api-account")
    harbor = harbor_at(vendor)
    sign_in(harbor, "stripe/api")
    result = harbor.logout("stripe/api")
    assert not result.revoked
    assert result.manage_url == "https://dashboard.stripe.com/connect/accounts/overview"
    assert len(vendor.requests) == 2
    harbor.close()


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


def test_the_account_request_carries_the_token_in_the_header_only() -> None:
    """The token is in `Authorization`, not in the URL."""
    lookup = PROVIDER.resource("api").account
    assert lookup is not None
    request = lookup.request(Secret("t0k"))
    assert (request.method, request.url) == ("GET", "https://api.stripe.com/v1/account")
    assert request.headers["Authorization"] == "Bearer t0k"


class TestStripe(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = Path(__file__).parent / "responses"
