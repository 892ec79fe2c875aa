"""Notion's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import attrs
import pytest
from harbor_oauth_notion import PROVIDER

from harbor_oauth import Harbor
from harbor_oauth.protocol.http import HttpRequest, HttpResponse, Transport
from harbor_oauth.providers import Flow, OAuthProvider, Registration
from harbor_oauth.registry import Registry
from harbor_oauth.testing.provider_conformance import ProviderConformance

RESPONSES = Path(__file__).parent / "responses"
BASIC = "Basic YXBwOnMzY3JldA=="  # app:s3cret


class TestNotion(ProviderConformance):
    """What every provider is held to."""

    provider = PROVIDER
    responses = RESPONSES


class Vendor:
    """Stands at Notion's own URLs: recorded answers go out, requests are kept."""

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

    def make(vendor: Transport) -> Harbor:
        key = {"HARBOR_VAULT": "keyfile", "HARBOR_VAULT_KEY_FILE": str(tmp_path / "vault.key")}
        harbor = Harbor(
            home=tmp_path / "home",
            environ=key,
            transport=vendor,
            clock=lambda: 1_800_000_000.0,
            providers={"notion": on_free_ports(PROVIDER)},
        )
        harbor.vault.set("oauth:notion:client_id", "app")
        harbor.vault.set("oauth:notion:client_secret", "s3cret")
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
    """`notion` is PROVIDER; the documented row of the table; the MCP server is the default."""
    assert Registry().provider("notion") is PROVIDER
    row = (PROVIDER.display_name, PROVIDER.servers_label, PROVIDER.flow)
    assert row == ("Notion", "Notion", Flow.CODE)
    assert PROVIDER.resource().name == "mcp"
    assert PROVIDER.native_servers[0].url == "https://mcp.notion.com/mcp"


def test_the_mcp_server_needs_no_app() -> None:
    """A public client registers itself, at any loopback port; the resource is the origin."""
    mcp = PROVIDER.resource("mcp")
    assert Registration.OWN_PAPERS not in mcp.registration
    assert Registration.DYNAMIC in mcp.registration
    assert (mcp.redirect.host, mcp.redirect.ports) == ("127.0.0.1", (0,))
    assert mcp.resource == "https://mcp.notion.com"


def test_a_sign_in_to_the_api(harbor_at: Callable[[Transport], Harbor]) -> None:
    """Exactly this goes out: no scope; then Basic, JSON and the API's version."""
    vendor = Vendor("api-token", "api-account")
    harbor = harbor_at(vendor)
    endpoint, sent = sign_in(harbor, "notion/api")
    assert endpoint == "https://api.notion.com/v1/oauth/authorize"
    assert len(sent.pop("state")) >= 43
    assert len(sent.pop("code_challenge")) == 43
    redirect_uri = sent["redirect_uri"]
    assert redirect_uri.startswith("http://localhost:")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": redirect_uri,
        "owner": "user",
        "code_challenge_method": "S256",
    }
    token, account = vendor.requests
    assert dict(token.headers) == {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "Authorization": BASIC,
        "Notion-Version": "2025-09-03",
    }
    body = json.loads(token.body or b"")
    assert len(body.pop("code_verifier")) >= 43
    assert body == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
    }
    assert account.headers["Authorization"] == "Bearer recorded-access"
    assert account.headers["Notion-Version"] == "2025-09-03"
    assert harbor.status()[0].account == "ada@acme.example (Acme)"
    harbor.close()


def test_a_token_without_an_end_is_not_refreshed(harbor_at: Callable[[Transport], Harbor]) -> None:
    """No `expires_in` is not "expired": it serves until somebody refuses it."""
    vendor = Vendor("api-token", "api-account", "api-refresh")
    harbor = harbor_at(vendor)
    sign_in(harbor, "notion/api")
    token = harbor.token("notion/api")
    assert (token.reveal(), token.expires_at) == ("recorded-access", None)
    assert len(vendor.requests) == 2
    harbor.rejected("notion/api", token)
    request = vendor.requests[2]
    assert request.headers["Authorization"] == BASIC
    assert request.headers["Notion-Version"] == "2025-09-03"
    assert json.loads(request.body or b"") == {
        "grant_type": "refresh_token",
        "refresh_token": "recorded-refresh",
    }
    assert harbor.token("notion/api").reveal() == "recorded-access-2"
    harbor.close()


def test_a_logout_revokes_the_access_token(harbor_at: Callable[[Transport], Harbor]) -> None:
    """Basic and JSON, once: the endpoint is documented for access tokens."""
    vendor = Vendor("api-token", "api-account")
    seen: list[HttpRequest] = []

    def host(request: HttpRequest) -> HttpResponse:
        if not request.url.endswith("/revoke"):
            return vendor(request)
        seen.append(request)
        return HttpResponse(200, {}, b'{"request_id": "recorded"}', request.url)

    harbor = harbor_at(host)
    sign_in(harbor, "notion/api")
    assert harbor.logout("notion/api").revoked
    (request,) = seen
    assert (request.method, request.url) == ("POST", "https://api.notion.com/v1/oauth/revoke")
    assert json.loads(request.body or b"") == {"token": "recorded-access"}
    assert request.headers["Authorization"] == BASIC
    assert request.headers["Notion-Version"] == "2025-09-03"
    harbor.close()


@pytest.mark.parametrize(
    ("members", "account"),
    [
        ({"workspace_id": "w", "owner": {"user": {"id": "u"}}}, "w/u"),
        ({"workspace_id": "w", "owner": {"workspace": True}}, "w"),
        ({"workspace_id": "w", "owner": {"user": None}}, "w"),
        ({"workspace_id": "w", "owner": "u"}, "w"),
        ({"owner": {"user": {"id": "u"}}}, None),
        ({}, None),
    ],
)
def test_the_token_answer_names_the_account(
    members: dict[str, object], account: str | None
) -> None:
    """By ids, which do not change as names do, so that a refresh of another's is noticed."""
    read = PROVIDER.resource("api").quirks.account
    assert read is not None
    assert read(members) == account


def test_an_error_in_either_style() -> None:
    """OAuth's own code wins over that of the API's style, and a success has neither."""
    mend = PROVIDER.resource("api").quirks.token_response
    assert mend is not None
    both = {"object": "error", "code": "validation_error", "error": "invalid_grant"}
    assert mend(both)["error"] == "invalid_grant"
    own = {"object": "error", "code": "invalid_grant", "message": "Invalid code."}
    assert mend(own) == {**own, "error": "invalid_grant", "error_description": "Invalid code."}
    assert "error" not in own
    assert mend({"access_token": "t"}) == {"access_token": "t"}
