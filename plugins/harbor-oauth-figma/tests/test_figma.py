"""Figma's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import attrs
import pytest
from harbor_oauth_figma import PROVIDER

from harbor_oauth import Harbor, ProtocolError
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import Flow, OAuthProvider, Registration, Secret
from harbor_oauth.registry import Registry
from harbor_oauth.testing import (
    AuthorizationServer,
    McpServer,
    ProviderConformance,
    answers,
    rewritten,
)

RESPONSES = Path(__file__).parent / "responses"


class Vendor:
    """Stands at Figma's own URLs: recorded answers go out, requests are kept."""

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
            providers={"figma": on_free_ports(PROVIDER)},
        )
        harbor.vault.set("oauth:figma/api:client_id", "app")
        harbor.vault.set("oauth:figma/api:client_secret", "s3cret")
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
    """`figma` is PROVIDER; the documented row of the table; the REST API is the default."""
    assert Registry().provider("figma") is PROVIDER
    row = (PROVIDER.display_name, PROVIDER.servers_label, PROVIDER.flow)
    assert row == ("Figma", "Figma", Flow.CODE_PKCE)
    assert PROVIDER.resource().name == "api"
    assert PROVIDER.native_servers[0].url == "https://mcp.figma.com/mcp"


def test_a_sign_in_to_the_api(harbor_at: Callable[[Vendor], Harbor]) -> None:
    """Exactly this goes out: PKCE in the URL, the secret in the Basic header and nowhere else."""
    vendor = Vendor("api-token", "api-account")
    harbor = harbor_at(vendor)
    endpoint, sent = sign_in(harbor, "figma")
    assert endpoint == "https://www.figma.com/oauth"
    assert len(sent.pop("state")) >= 43
    assert len(sent.pop("code_challenge")) == 43
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
    form = vendor.form(0)
    assert len(form.pop("code_verifier")) >= 43
    assert form == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
    }
    status = harbor.status()[0]
    assert status.account == "Ada (ada@acme.example)"
    harbor.close()


def test_a_refresh_goes_to_the_endpoint_of_its_own_and_keeps_the_token(
    harbor_at: Callable[[Vendor], Harbor],
) -> None:
    """Figma returns no refresh token then; the old one serves a second time."""
    vendor = Vendor("api-token", "api-account", "api-refresh", "api-refresh")
    harbor = harbor_at(vendor)
    sign_in(harbor, "figma")
    for number in (2, 3):
        vendor.now += 90 * 24 * 60 * 60
        assert harbor.token("figma").reveal() == "recorded-access-2"
        assert vendor.requests[number].url == "https://api.figma.com/v1/oauth/refresh"
        assert vendor.form(number)["refresh_token"] == "recorded-refresh"
    harbor.close()


def test_nothing_is_revoked(harbor_at: Callable[[Vendor], Harbor]) -> None:
    """There is no endpoint: the page to do it by hand is named, and nothing is sent."""
    vendor = Vendor("api-token", "api-account")
    harbor = harbor_at(vendor)
    sign_in(harbor, "figma")
    result = harbor.logout("figma")
    assert (result.revoked, result.manage_url) == (False, "https://www.figma.com/settings")
    assert len(vendor.requests) == 2
    harbor.close()


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


def test_the_account_request_carries_the_token_in_the_header_only() -> None:
    """The token is in `Authorization`, not in the URL."""
    lookup = PROVIDER.resource("api").account
    assert lookup is not None
    request = lookup.request(Secret("t0k"))
    assert (request.method, request.url) == ("GET", "https://api.figma.com/v1/me")
    assert request.headers["Authorization"] == "Bearer t0k"


class TestFigma(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = Path(__file__).parent / "responses"
