"""Sentry's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import attrs
import pytest
from harbor_oauth_sentry import PROVIDER

from harbor_oauth import Harbor
from harbor_oauth.protocol.http import HttpRequest, HttpResponse, Transport
from harbor_oauth.providers import Flow, OAuthProvider, Registration, Secret
from harbor_oauth.registry import Registry
from harbor_oauth.testing.provider_conformance import ProviderConformance

RESPONSES = Path(__file__).parent / "responses"
SCOPES = "org:read project:read team:read member:read event:read"


class TestSentry(ProviderConformance):
    """What every provider is held to."""

    provider = PROVIDER
    responses = RESPONSES


class Vendor:
    """Stands at Sentry's own URLs: recorded answers go out, requests are kept."""

    def __init__(self, *names: str) -> None:
        self.requests: list[HttpRequest] = []
        self.names = list(names)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        recorded = json.loads((RESPONSES / f"{self.names.pop(0)}.json").read_text())
        assert recorded["url"] == request.url
        body = json.dumps(recorded["body"]).encode()
        return HttpResponse(recorded["status"], recorded["headers"], body, request.url)


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
def harbor_at(tmp_path: Path) -> Callable[[Transport], Harbor]:
    """Return what makes a Harbor that reaches the stand-in alone, with an app of one's own."""

    slept = [0.0]  # time passes while somebody sleeps, and only then

    def make(vendor: Transport) -> Harbor:
        key = {"HARBOR_VAULT": "keyfile", "HARBOR_VAULT_KEY_FILE": str(tmp_path / "vault.key")}
        harbor = Harbor(
            home=tmp_path / "home",
            environ=key,
            transport=vendor,
            clock=lambda: 1_800_000_000.0,
            monotonic=lambda: sum(slept),
            sleep=slept.append,
            providers={"sentry": on_free_ports(PROVIDER)},
        )
        harbor.vault.set("oauth:sentry:client_id", "app")
        harbor.vault.set("oauth:sentry:client_secret", "s3cret")
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
    """`sentry` is PROVIDER; the documented row of the table; the MCP server is the default."""
    assert Registry().provider("sentry") is PROVIDER
    row = (PROVIDER.display_name, PROVIDER.servers_label, PROVIDER.flow)
    assert row == ("Sentry", "Sentry", Flow.CODE)
    assert PROVIDER.resource().name == "mcp"
    assert PROVIDER.native_servers[0].url == "https://mcp.sentry.dev/mcp"


def test_the_mcp_server_needs_no_app() -> None:
    """A public client registers itself, at any loopback port."""
    mcp = PROVIDER.resource("mcp")
    assert Registration.OWN_PAPERS not in mcp.registration
    assert Registration.DYNAMIC in mcp.registration
    assert (mcp.redirect.host, mcp.redirect.ports) == ("127.0.0.1", (0,))


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


def test_a_sign_in_to_the_api(harbor_at: Callable[[Transport], Harbor]) -> None:
    """Exactly this goes out; the secret once, in the form, never as Basic too."""
    vendor = Vendor("api-token", "api-account")
    harbor = harbor_at(vendor)
    endpoint, sent = sign_in(harbor, "sentry/api")
    assert endpoint == "https://sentry.io/oauth/authorize/"
    assert len(sent.pop("state")) >= 43
    assert len(sent.pop("code_challenge")) == 43
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
    form = dict(parse_qsl((token.body or b"").decode()))
    assert len(form.pop("code_verifier")) >= 43
    assert form == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
        "client_id": "app",
        "client_secret": "s3cret",
    }
    assert account.headers["Authorization"] == "Bearer recorded-access"
    assert harbor.status()[0].account == "ada@acme.example"
    harbor.close()


def test_a_refresh_names_no_scope(harbor_at: Callable[[Transport], Harbor]) -> None:
    """Sentry refuses one with it; the next refresh token is kept."""
    vendor = Vendor("api-token", "api-account", "api-refresh")
    harbor = harbor_at(vendor)
    sign_in(harbor, "sentry/api")
    harbor.rejected("sentry/api", harbor.token("sentry/api"))
    assert dict(parse_qsl((vendor.requests[2].body or b"").decode())) == {
        "grant_type": "refresh_token",
        "refresh_token": "recorded-refresh",
        "client_id": "app",
        "client_secret": "s3cret",
    }
    kept = harbor.vault.get("oauth:sentry/api:refresh_token")
    assert kept == Secret("recorded-refresh-2")
    harbor.close()


def test_a_public_application_signs_in_with_a_device_code(
    harbor_at: Callable[[Transport], Harbor],
) -> None:
    """No secret, no redirect: the code is confirmed in a browser anywhere."""
    vendor = Vendor("api-token", "api-account")
    seen: list[HttpRequest] = []

    def host(request: HttpRequest) -> HttpResponse:
        if not request.url.endswith("/oauth/device/code/"):
            return vendor(request)
        seen.append(request)
        codes = {
            "device_code": "recorded-device",
            "user_code": "ABCD-EFGH",
            "verification_uri": "https://sentry.io/oauth/device/",
            "expires_in": 600,
            "interval": 5,
        }
        return HttpResponse(200, {}, json.dumps(codes).encode(), request.url)

    harbor = harbor_at(host)
    harbor.vault.delete("oauth:sentry:client_secret")
    shown: list[str] = []
    harbor.device_login("sentry/api", lambda session: shown.append(session.user_code))
    assert shown == ["ABCD-EFGH"]
    (asked,) = seen
    assert asked.url == "https://sentry.io/oauth/device/code/"
    form = dict(parse_qsl((asked.body or b"").decode()))
    assert form == {"client_id": "app", "scope": SCOPES}
    form = dict(parse_qsl((vendor.requests[0].body or b"").decode()))
    assert form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "recorded-device",
        "client_id": "app",
    }
    harbor.close()


def test_a_logout_revokes_as_rfc_7009_has_it(harbor_at: Callable[[Transport], Harbor]) -> None:
    """The refresh token first; the client authenticates as it does for tokens."""
    vendor = Vendor("api-token", "api-account")
    seen: list[HttpRequest] = []

    def host(request: HttpRequest) -> HttpResponse:
        if request.url != "https://sentry.io/oauth/revoke/":
            return vendor(request)
        seen.append(request)
        return HttpResponse(200, {}, b"", request.url)

    harbor = harbor_at(host)
    sign_in(harbor, "sentry/api")
    assert harbor.logout("sentry/api").revoked
    forms = [dict(parse_qsl((each.body or b"").decode())) for each in seen]
    assert [form["token"] for form in forms] == ["recorded-refresh", "recorded-access"]
    assert {form["client_secret"] for form in forms} == {"s3cret"}
    harbor.close()


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
