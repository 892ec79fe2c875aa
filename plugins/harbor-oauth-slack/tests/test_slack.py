"""Slack's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import attrs
import pytest
from harbor_oauth_slack import PROVIDER

from harbor_oauth import Harbor
from harbor_oauth.errors import ClientRequiredError, LoginRequiredError
from harbor_oauth.protocol.http import HttpRequest, HttpResponse, Transport
from harbor_oauth.providers import Flow, IssuedToken, OAuthProvider, Registration, Secret
from harbor_oauth.registry import Registry
from harbor_oauth.testing.provider_conformance import ProviderConformance

RESPONSES = Path(__file__).parent / "responses"
SCOPES = (
    "channels:read,channels:history,groups:read,groups:history,im:history,mpim:history,"
    "users:read,search:read.public,chat:write"
)


class TestSlack(ProviderConformance):
    """What every provider is held to."""

    provider = PROVIDER
    responses = RESPONSES


class Vendor:
    """Stands at Slack's own URLs: recorded answers go out, requests are kept."""

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
            providers={"slack": on_free_ports(PROVIDER)},
        )
        harbor.vault.set("oauth:slack:client_id", "app")
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
    """`slack` is PROVIDER; the documented row of the table; the MCP server is the default."""
    assert Registry().provider("slack") is PROVIDER
    row = (PROVIDER.display_name, PROVIDER.servers_label, PROVIDER.flow)
    assert row == ("Slack", "Slack", Flow.CODE)
    assert PROVIDER.resource().name == "mcp"
    assert PROVIDER.native_servers[0].url == "https://mcp.slack.com/mcp"


def test_two_registered_ports_of_localhost() -> None:
    """Slack knows loopback by this name only, and no client but registered ones."""
    for resource in PROVIDER.resources:
        assert resource.redirect.host == "localhost"
        assert resource.redirect.ports == (33418, 33419)
        assert resource.registration == (Registration.OWN_PAPERS,)


def test_the_steps_hold_a_manifest_that_fits() -> None:
    """What is pasted has the redirect URIs and scopes that are used, and PKCE."""
    for resource in PROVIDER.resources:
        step = resource.registration_steps[0]
        manifest = json.loads(step[step.index("{") :])["oauth_config"]
        assert manifest["pkce_enabled"] is True
        assert manifest["scopes"] == {"user": list(resource.scopes or ())}
        assert manifest["redirect_urls"] == [
            f"http://localhost:{port}/callback" for port in resource.redirect.ports
        ]


def test_without_an_app_the_way_to_one_is_told(harbor_at: Callable[[Transport], Harbor]) -> None:
    """Whom Slack admits, where to register, what to paste, and what to store."""
    harbor = harbor_at(McpHost(Vendor()))
    harbor.vault.delete("oauth:slack:client_id")
    with pytest.raises(ClientRequiredError) as caught:
        harbor.begin_login("slack")
    for part in ("Marketplace", "https://api.slack.com/apps", "pkce_enabled", "chest set"):
        assert part in caught.value.next_step
    harbor.close()


def test_a_sign_in_to_the_api(harbor_at: Callable[[Transport], Harbor]) -> None:
    """Exactly this goes out: user scopes in `scope`, commas, and no secret."""
    vendor = Vendor("api-token", "api-account")
    harbor = harbor_at(vendor)
    endpoint, sent = sign_in(harbor, "slack/api")
    assert endpoint == "https://slack.com/oauth/v2_user/authorize"
    assert len(sent.pop("state")) >= 43
    assert len(sent.pop("code_challenge")) == 43
    redirect_uri = sent["redirect_uri"]
    assert redirect_uri.startswith("http://localhost:")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": redirect_uri,
        "scope": SCOPES,
        "code_challenge_method": "S256",
    }
    assert "Authorization" not in vendor.requests[0].headers
    form = dict(parse_qsl((vendor.requests[0].body or b"").decode()))
    assert len(form.pop("code_verifier")) >= 43
    assert form == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
        "client_id": "app",
    }
    assert vendor.requests[1].headers["Authorization"] == "Bearer recorded-access"
    status = harbor.status()[0]
    assert (status.account, status.scopes) == ("ada (Acme)", tuple(SCOPES.split(",")))
    harbor.close()


def test_a_refresh_has_no_pkce(harbor_at: Callable[[Transport], Harbor]) -> None:
    """The client id alone; the answer is flat, and brings the next refresh token."""
    vendor = Vendor("api-token", "api-account", "api-refresh")
    harbor = harbor_at(vendor)
    sign_in(harbor, "slack/api")
    harbor.rejected("slack/api", harbor.token("slack/api"))
    assert dict(parse_qsl((vendor.requests[2].body or b"").decode())) == {
        "grant_type": "refresh_token",
        "refresh_token": "recorded-refresh",
        "client_id": "app",
    }
    assert harbor.token("slack/api").reveal() == "recorded-access-2"
    harbor.close()


def test_a_dead_refresh_token_ends_the_grant(harbor_at: Callable[[Transport], Harbor]) -> None:
    """HTTP 200 with `"ok": false` is no success."""
    harbor = harbor_at(Vendor("api-token", "api-account", "api-error"))
    sign_in(harbor, "slack/api")
    with pytest.raises(LoginRequiredError):
        harbor.rejected("slack/api", harbor.token("slack/api"))
    harbor.close()


class McpHost:
    """Adds what Slack's MCP host publishes: the issuer there has another name."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor

    def __call__(self, request: HttpRequest) -> HttpResponse:
        host, _, path = request.url.removeprefix("https://").partition("/")
        if host != "mcp.slack.com":
            return self.vendor(request)
        documents: dict[str, object] = {
            ".well-known/oauth-protected-resource": {
                "resource": "https://mcp.slack.com",
                "authorization_servers": ["https://mcp.slack.com"],
            },
            ".well-known/oauth-authorization-server": {
                "issuer": "https://slack.com",
                "authorization_endpoint": "https://slack.com/oauth/v2_user/authorize",
                "token_endpoint": "https://slack.com/api/oauth.v2.user.access",
                "code_challenge_methods_supported": ["S256"],
            },
        }
        status = 401 if request.method == "POST" else 200 if path in documents else 404
        return HttpResponse(status, {}, json.dumps(documents.get(path)).encode(), request.url)


def test_a_sign_in_to_the_mcp_server(harbor_at: Callable[[Transport], Harbor]) -> None:
    """The same app and endpoints, for the origin that the server names itself by."""
    vendor = Vendor("mcp-token-flat", "api-account", "mcp-refresh")
    harbor = harbor_at(McpHost(vendor))
    endpoint, sent = sign_in(harbor, "slack")
    assert endpoint == "https://slack.com/oauth/v2_user/authorize"
    assert (sent["scope"], sent["resource"]) == (SCOPES, "https://mcp.slack.com")
    harbor.rejected("slack", harbor.token("slack"))
    assert harbor.token("slack").reveal() == "recorded-access-2"
    assert b"resource=https%3A%2F%2Fmcp.slack.com" in (vendor.requests[2].body or b"")
    harbor.close()


@pytest.mark.parametrize(
    ("body", "revoked"),
    [
        (b'{"ok": true, "revoked": true}', True),
        (b'{"ok": false, "error": "token_revoked"}', True),
        (b'{"ok": false, "error": "internal_error"}', False),
    ],
)
def test_a_logout_revokes_the_access_token(
    harbor_at: Callable[[Transport], Harbor], body: bytes, revoked: bool
) -> None:
    """Slack's own method, with the token in the header; its refusal has HTTP status 200."""
    vendor = Vendor("api-token", "api-account")
    seen: list[HttpRequest] = []

    def host(request: HttpRequest) -> HttpResponse:
        if not request.url.endswith("auth.revoke"):
            return vendor(request)
        seen.append(request)
        return HttpResponse(200, {}, body, request.url)

    harbor = harbor_at(host)
    sign_in(harbor, "slack/api")
    assert harbor.logout("slack/api").revoked is revoked
    (request,) = seen
    assert (request.method, request.url) == ("POST", "https://slack.com/api/auth.revoke")
    assert request.headers["Authorization"] == "Bearer recorded-access"
    harbor.close()


def test_a_refresh_token_is_not_sent_where_it_means_nothing() -> None:
    """`auth.revoke` is documented for access tokens."""
    own_api = PROVIDER.resource("api").revocation.own_api
    assert own_api is not None
    assert own_api(IssuedToken(Secret("t0k"), "refresh_token", "app", None)) is None


def test_no_token_is_left_where_none_is_looked_for() -> None:
    """What else an answer holds is kept as it is, so that it must hold no secret."""
    mend = PROVIDER.resource("api").quirks.token_response
    assert mend is not None
    answer = json.loads((RESPONSES / "api-token-of-two.json").read_text())["body"]
    kept = {name: value for name, value in mend(answer).items() if name != "access_token"}
    assert "recorded" not in json.dumps(kept)
    assert kept["authed_user"] == {"id": "U0001"}


def test_a_bot_s_token_is_not_taken_for_the_person_s() -> None:
    """Where the person has none, the answer is left as it is, and refused for its type."""
    mend = PROVIDER.resource("api").quirks.token_response
    assert mend is not None
    answer = {"ok": True, "access_token": "b0t", "token_type": "bot", "authed_user": {"id": "U1"}}
    assert mend(answer)["token_type"] == "bot"


@pytest.mark.parametrize(
    ("body", "is_one"),
    [
        (b'{"ok": false, "error": "token_expired"}', True),
        (b'{"ok": false, "error": "invalid_auth"}', True),
        (b'{"ok": false, "error": "channel_not_found"}', False),
        (b'{"ok": true, "error": "token_expired"}', False),
        (b'{"ok": false}', False),
        (b"[]", False),
        (b"<html>", False),
        (b"", False),
    ],
)
def test_the_web_api_refuses_a_token_with_http_200(body: bytes, is_one: bool) -> None:
    """The body says it; anything else is no such refusal."""
    is_auth_error = PROVIDER.resource("api").quirks.is_auth_error
    assert is_auth_error is not None
    assert is_auth_error(HttpResponse(200, {}, body, "https://slack.com/api/x")) is is_one
