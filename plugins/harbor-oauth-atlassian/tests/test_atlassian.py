"""Atlassian's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import attrs
import pytest
from harbor_oauth_atlassian import PROVIDER

from harbor_oauth import Harbor
from harbor_oauth.errors import IssuerMismatchError, LoginRequiredError, TokenResponseError
from harbor_oauth.protocol.http import HttpRequest, HttpResponse, Transport
from harbor_oauth.providers import Flow, OAuthProvider, Registration, Secret
from harbor_oauth.registry import Registry
from harbor_oauth.testing.provider_conformance import ProviderConformance

RESPONSES = Path(__file__).parent / "responses"
SCOPES = "read:me offline_access read:jira-work read:jira-user"
ISSUER = "https://auth.atlassian.com/0paque"


class TestAtlassian(ProviderConformance):
    """What every provider is held to."""

    provider = PROVIDER
    responses = RESPONSES


class Vendor:
    """Stands at Atlassian's own URLs: recorded answers go out, requests are kept."""

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
            providers={"atlassian": on_free_ports(PROVIDER)},
        )
        harbor.vault.set("oauth:atlassian:client_id", "app")
        harbor.vault.set("oauth:atlassian:client_secret", "s3cret")
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
    """`atlassian` is PROVIDER; the documented row of the table; the MCP server is the default."""
    assert Registry().provider("atlassian") is PROVIDER
    row = (PROVIDER.display_name, PROVIDER.servers_label, PROVIDER.flow)
    assert row == ("Atlassian", "Atlassian (Jira, Confluence)", Flow.CODE_PKCE)
    assert PROVIDER.resource().name == "mcp"
    assert PROVIDER.native_servers[0].url == "https://mcp.atlassian.com/v1/mcp/authv2"


def test_the_mcp_server_needs_no_app() -> None:
    """A public client registers itself, at any loopback port."""
    mcp = PROVIDER.resource("mcp")
    assert Registration.OWN_PAPERS not in mcp.registration
    assert Registration.DYNAMIC in mcp.registration
    assert (mcp.redirect.host, mcp.redirect.ports) == ("127.0.0.1", (0,))


def test_the_api_has_one_callback() -> None:
    """The console takes one, so that a second port would not be registered."""
    redirect = PROVIDER.resource("api").redirect
    assert (redirect.host, redirect.ports) == ("localhost", (33418,))


def test_a_sign_in_to_the_api(harbor_at: Callable[[Transport], Harbor]) -> None:
    """Exactly this goes out: audience and prompt, then id and secret in a JSON body."""
    vendor = Vendor("api-token", "api-account")
    harbor = harbor_at(vendor)
    endpoint, sent = sign_in(harbor, "atlassian/api")
    assert endpoint == "https://auth.atlassian.com/authorize"
    assert len(sent.pop("state")) >= 43
    assert len(sent.pop("code_challenge")) == 43
    redirect_uri = sent["redirect_uri"]
    assert redirect_uri.startswith("http://localhost:")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": redirect_uri,
        "scope": SCOPES,
        "audience": "api.atlassian.com",
        "prompt": "consent",
        "code_challenge_method": "S256",
    }
    token, account = vendor.requests
    assert token.headers["Content-Type"] == "application/json"
    assert "Authorization" not in token.headers
    body = json.loads(token.body or b"")
    assert len(body.pop("code_verifier")) >= 43
    assert body == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
        "client_id": "app",
        "client_secret": "s3cret",
    }
    assert account.headers["Authorization"] == "Bearer recorded-access"
    assert harbor.status()[0].account == "ada@acme.example"
    harbor.close()


def test_a_refresh(harbor_at: Callable[[Transport], Harbor]) -> None:
    """JSON too; the next refresh token is kept."""
    vendor = Vendor("api-token", "api-account", "api-refresh")
    harbor = harbor_at(vendor)
    sign_in(harbor, "atlassian/api")
    harbor.rejected("atlassian/api", harbor.token("atlassian/api"))
    assert json.loads(vendor.requests[2].body or b"") == {
        "grant_type": "refresh_token",
        "refresh_token": "recorded-refresh",
        "client_id": "app",
        "client_secret": "s3cret",
    }
    kept = harbor.vault.get("oauth:atlassian/api:refresh_token")
    assert kept == Secret("recorded-refresh-2")
    harbor.close()


@pytest.mark.parametrize("answer", ["api-error", "api-error-unauthorized"])
def test_a_dead_refresh_token_ends_the_grant(
    harbor_at: Callable[[Transport], Harbor], answer: str
) -> None:
    """HTTP 403, and two codes for the same."""
    harbor = harbor_at(Vendor("api-token", "api-account", answer))
    sign_in(harbor, "atlassian/api")
    with pytest.raises(LoginRequiredError):
        harbor.rejected("atlassian/api", harbor.token("atlassian/api"))
    assert harbor.status()[0].state == "dead"
    harbor.close()


def test_access_denied_ends_no_grant(harbor_at: Callable[[Transport], Harbor]) -> None:
    """It may mean a wrong secret, which no consent mends."""
    harbor = harbor_at(Vendor("api-token", "api-account", "api-error-denied"))
    sign_in(harbor, "atlassian/api")
    with pytest.raises(TokenResponseError):
        harbor.rejected("atlassian/api", harbor.token("atlassian/api"))
    assert harbor.status()[0].state == "active"
    harbor.close()


def test_a_logout_names_the_page(harbor_at: Callable[[Transport], Harbor]) -> None:
    """Nothing is sent: no way to revoke is documented."""
    vendor = Vendor("api-token", "api-account")
    harbor = harbor_at(vendor)
    sign_in(harbor, "atlassian/api")
    result = harbor.logout("atlassian/api")
    assert not result.revoked
    assert result.manage_url == "https://id.atlassian.com/manage-profile/apps"
    assert len(vendor.requests) == 2
    harbor.close()


class McpHost:
    """What Atlassian's MCP host publishes, an issuer with an opaque path among it."""

    def __init__(self, registration_host: str = "auth.atlassian.com") -> None:
        self.requests: list[HttpRequest] = []
        server = "https://mcp.atlassian.com/v1/mcp/authv2"
        self.answers: dict[str, tuple[int, object]] = {
            server: (401, None),
            "https://mcp.atlassian.com/.well-known/oauth-protected-resource/v1/mcp/authv2": (
                200,
                {
                    "resource": server,
                    "authorization_servers": [ISSUER],
                    "scopes_supported": ["read:jira-work", "offline_access"],
                },
            ),
            "https://auth.atlassian.com/.well-known/oauth-authorization-server/0paque": (
                200,
                {
                    "issuer": ISSUER,
                    "authorization_endpoint": "https://auth.atlassian.com/authorize",
                    "token_endpoint": "https://auth.atlassian.com/oauth/token",
                    "registration_endpoint": f"https://{registration_host}/0paque/dcr/register",
                    "code_challenge_methods_supported": ["S256"],
                },
            ),
            f"{ISSUER}/dcr/register": (
                201,
                {"client_id": "registered", "token_endpoint_auth_method": "none"},
            ),
            "https://auth.atlassian.com/oauth/token": (
                200,
                json.loads((RESPONSES / "mcp-token.json").read_text())["body"],
            ),
        }

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        status, body = self.answers[request.url]
        return HttpResponse(status, {}, json.dumps(body).encode(), request.url)


def test_a_sign_in_to_the_mcp_server(harbor_at: Callable[[Transport], Harbor]) -> None:
    """Discovered, registered with the exact redirect URI, for this server in both requests."""
    host = McpHost()
    harbor = harbor_at(host)
    endpoint, sent = sign_in(harbor, "atlassian")
    assert endpoint == "https://auth.atlassian.com/authorize"
    assert sent["scope"] == "read:jira-work offline_access"
    assert sent["resource"] == "https://mcp.atlassian.com/v1/mcp/authv2"
    registered, token = host.requests[-2:]
    assert json.loads(registered.body or b"")["redirect_uris"] == [sent["redirect_uri"]]
    form = dict(parse_qsl((token.body or b"").decode()))
    assert (form["client_id"], form["resource"]) == ("registered", sent["resource"])
    assert "client_secret" not in form
    harbor.close()


def test_the_opaque_issuer_is_bound_to_its_host(harbor_at: Callable[[Transport], Harbor]) -> None:
    """A document with an endpoint elsewhere is not used, and nothing is sent there."""
    host = McpHost(registration_host="evil.example")
    harbor = harbor_at(host)
    with pytest.raises(IssuerMismatchError):
        harbor.begin_login("atlassian")
    assert not [each for each in host.requests if "evil.example" in each.url]
    harbor.close()
