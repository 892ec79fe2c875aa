"""Vercel's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs
import pytest
from harbor_oauth_vercel import PROVIDER

from harbor_oauth import Harbor
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import Flow, OAuthProvider, Registration, Secret
from harbor_oauth.registry import Registry
from harbor_oauth.testing import ProviderConformance

RESPONSES = Path(__file__).parent / "responses"


class Vendor:
    """Stands at Vercel's own URLs: recorded answers go out, requests are kept."""

    def __init__(self, *names: str) -> None:
        self.now = 1_800_000_000.0
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
            clock=lambda: vendor.now,
            providers={"vercel": on_free_ports(PROVIDER)},
        )
        harbor.vault.set("oauth:vercel/api:client_id", "app")
        harbor.vault.set("oauth:vercel/api:client_secret", "s3cret")
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
    """`vercel` is PROVIDER; the documented row of the table; the MCP server is the default."""
    assert Registry().provider("vercel") is PROVIDER
    row = (PROVIDER.display_name, PROVIDER.servers_label, PROVIDER.flow)
    assert row == ("Vercel", "Vercel", Flow.CODE)
    assert PROVIDER.resource().name == "mcp"
    assert PROVIDER.native_servers[0].url == "https://mcp.vercel.com"


def test_a_sign_in_to_the_api(harbor_at: Callable[[Vendor], Harbor]) -> None:
    """Exactly this goes out: PKCE, the four scopes, the secret in the Basic header."""
    vendor = Vendor("api-token", "api-account")
    harbor = harbor_at(vendor)
    endpoint, sent = sign_in(harbor, "vercel/api")
    assert endpoint == "https://vercel.com/oauth/authorize"
    assert len(sent.pop("state")) >= 43
    assert len(sent.pop("code_challenge")) == 43
    redirect_uri = sent.pop("redirect_uri")
    assert redirect_uri.startswith("http://localhost:")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "scope": "openid email profile offline_access",
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
    assert harbor.status()[0].account == "ada@acme.example"
    harbor.close()


def test_a_secret_is_optional(harbor_at: Callable[[Vendor], Harbor]) -> None:
    """An app may choose the method `none`: its id is sent, and nothing else."""
    vendor = Vendor("api-token", "api-account")
    harbor = harbor_at(vendor)
    harbor.vault.set("oauth:vercel/api:client_id", "public")  # a new id drops the old secret
    sign_in(harbor, "vercel/api")
    assert "Authorization" not in vendor.requests[0].headers
    assert vendor.form(0)["client_id"] == "public"
    assert "client_secret" not in vendor.form(0)
    harbor.close()


def test_refresh_tokens_rotate(harbor_at: Callable[[Vendor], Harbor]) -> None:
    """The newest one is sent, each time."""
    vendor = Vendor("api-token", "api-account", "api-refresh", "api-refresh")
    harbor = harbor_at(vendor)
    sign_in(harbor, "vercel/api")
    for number, refresh_token in ((2, "recorded-refresh"), (3, "recorded-refresh-2")):
        vendor.now += 60 * 60
        assert harbor.token("vercel/api").reveal() == "recorded-access-2"
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        assert vendor.form(number) == form
    harbor.close()


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


def test_the_account_request_carries_the_token_in_the_header_only() -> None:
    """The token is in `Authorization`, not in the URL."""
    lookup = PROVIDER.resource("api").account
    assert lookup is not None
    request = lookup.request(Secret("t0k"))
    assert (request.method, request.url) == ("GET", "https://api.vercel.com/login/oauth/userinfo")
    assert request.headers["Authorization"] == "Bearer t0k"


class TestVercel(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = Path(__file__).parent / "responses"
