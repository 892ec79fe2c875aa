"""Cloudflare's data, and what goes over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harbor_oauth_cloudflare import PROVIDER

from harbor_oauth import ClientRequiredError, LoginRequiredError, WrongResourceError
from harbor_oauth.protocol.http import HttpRequest
from harbor_oauth.providers import RedirectRule
from harbor_oauth.testing import ProviderConformance, Vendor

DASH = "https://dash.cloudflare.com/oauth2"
WHO_AM_I = "https://api.cloudflare.com/client/v4/user"
ACCESS = "cfoat_recorded-access"
HOSTS = ("mcp.cloudflare.com", "dns-analytics.mcp.cloudflare.com")
RESPONSES = Path(__file__).parent / "responses"


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    """Give Cloudflare, with two of its MCP servers."""
    with Vendor(PROVIDER, RESPONSES, tmp_path) as vendor:
        for host in HOSTS:
            origin = f"https://{host}"
            vendor.answer(f"{origin}/mcp", status=401)
            vendor.answer(
                f"{origin}/.well-known/oauth-protected-resource/mcp",
                {"resource": f"{origin}/mcp", "authorization_servers": [origin]},
            )
            vendor.answer(f"{origin}/register", {"client_id": f"made-at-{host}"}, 201)
            vendor.play("mcp-token", at=f"{origin}/token")
        yield vendor


@pytest.fixture
def with_papers(vendor: Vendor) -> Vendor:
    """Store a public client for the API, which answers."""
    vendor.harbor.vault.set("oauth:cloudflare:client_id", "app")
    vendor.play("api-token", "api-account")
    return vendor


def test_each_server_has_an_authorization_server_of_its_own() -> None:
    """Its host is its issuer, its only origin and where all endpoints are."""
    assert len(PROVIDER.native_servers) == 14
    for native in PROVIDER.native_servers:
        resource = PROVIDER.resource(native.resource)
        (origin,) = resource.allowed_origins
        assert (native.url, resource.url, resource.resource) == (f"{origin}/mcp",) * 3
        assert resource.issuer == origin
        assert resource.metadata is not None
        for url in (
            resource.metadata.authorization_endpoint,
            resource.metadata.token_endpoint,
            resource.metadata.registration_endpoint,
            resource.metadata.revocation_endpoint,
        ):
            assert (url or "").startswith(f"{origin}/")


def test_the_dns_server_has_a_short_name() -> None:
    """`cloudflare-dns` is the server for DNS analytics."""
    (native,) = [each for each in PROVIDER.native_servers if each.name == "cloudflare-dns"]
    assert native.url == "https://dns-analytics.mcp.cloudflare.com/mcp"


@pytest.mark.parametrize(
    ("grant", "host", "authorize"),
    [
        ("cloudflare", HOSTS[0], "/authorize"),
        ("cloudflare/dns", HOSTS[1], "/oauth/authorize"),
    ],
)
def test_an_mcp_server_is_signed_in_to_without_papers(
    vendor: Vendor, grant: str, host: str, authorize: str
) -> None:
    """A client of its own; no scope, because the server chooses or the person does."""
    url, sent = vendor.sign_in(grant)
    assert url == f"https://{host}{authorize}"
    assert sent.pop("redirect_uri").startswith("http://127.0.0.1:")
    assert sent == {
        "response_type": "code",
        "client_id": f"made-at-{host}",
        "resource": f"https://{host}/mcp",
        "code_challenge_method": "S256",
    }
    assert vendor.posted(f"https://{host}/token")[0]["resource"] == f"https://{host}/mcp"


def test_a_server_s_token_goes_to_that_server_only(vendor: Vendor) -> None:
    """Neither another product's server nor the API gets it."""
    vendor.sign_in("cloudflare")
    before = len(vendor.requests)
    for url in (f"https://{HOSTS[1]}/mcp", WHO_AM_I):
        with pytest.raises(WrongResourceError):
            vendor.harbor.request("cloudflare", HttpRequest("GET", url))
    assert len(vendor.requests) == before


def test_revocation_goes_to_the_token_endpoint_without_a_grant_type(vendor: Vendor) -> None:
    """That is what tells it from a token request at the one URL both have."""
    vendor.answer(f"https://{HOSTS[0]}/token", {})
    vendor.sign_in("cloudflare")
    assert vendor.harbor.logout("cloudflare").revoked is True
    _, *revocations = vendor.posted(f"https://{HOSTS[0]}/token")
    assert [set(each) for each in revocations] == [{"token", "token_type_hint", "client_id"}] * 2


def test_the_api_s_redirect_uris_are_the_ones_of_the_steps() -> None:
    """The ports that are tried are the ports that a person is told to enter."""
    api = PROVIDER.resource("api")
    assert api.redirect == RedirectRule(host="localhost", ports=(33418, 33419))
    for port in api.redirect.ports:
        assert any(f"http://localhost:{port}/callback" in step for step in api.registration_steps)


def test_the_api_s_requests(with_papers: Vendor) -> None:
    """Exactly these: a dotted scope, a public client, no `offline_access`."""
    url, sent = with_papers.sign_in("cloudflare/api")
    account = with_papers.requests[-1]
    assert (account.url, account.headers["Authorization"]) == (WHO_AM_I, f"Bearer {ACCESS}")
    assert with_papers.harbor.status()[0].account == "ada@example.com"
    assert url == f"{DASH}/auth"
    redirect_uri = sent.pop("redirect_uri")
    assert redirect_uri.startswith("http://localhost:")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "scope": "user-details.read",
        "code_challenge_method": "S256",
    }
    with_papers.play("api-refresh")
    for _ in range(2):
        with_papers.clock.now += 16 * 60 * 60
        assert with_papers.harbor.token("cloudflare/api").reveal() == f"{ACCESS}-2"
    code, *refreshes = with_papers.posted(f"{DASH}/token")
    assert code == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
        "client_id": "app",
    }
    assert refreshes == [
        {"grant_type": "refresh_token", "refresh_token": token, "client_id": "app"}
        for token in ("recorded-refresh", "recorded-refresh-2")
    ]


def test_revoking_at_the_api(with_papers: Vendor) -> None:
    """RFC 7009, with the client id in the body."""
    with_papers.answer(f"{DASH}/revoke", {})
    with_papers.sign_in("cloudflare/api")
    result = with_papers.harbor.logout("cloudflare/api")
    assert result.revoked is True
    assert result.manage_url == (
        "https://dash.cloudflare.com/profile/access-management/authorization"
    )
    assert with_papers.posted(f"{DASH}/revoke")[0] == {
        "token": "recorded-refresh",
        "token_type_hint": "refresh_token",
        "client_id": "app",
    }


def test_a_spent_refresh_token_wants_a_sign_in(with_papers: Vendor) -> None:
    """`invalid_grant` ends the grant."""
    with_papers.play("api-error")
    with_papers.sign_in("cloudflare/api")
    token = with_papers.harbor.token("cloudflare/api")
    with pytest.raises(LoginRequiredError):
        with_papers.harbor.rejected("cloudflare/api", token)


def test_without_papers_the_api_says_how_to_get_them(vendor: Vendor) -> None:
    """The page, the steps, the command; nothing is sent."""
    with pytest.raises(ClientRequiredError) as caught:
        vendor.sign_in("cloudflare/api")
    for words in (
        "https://dash.cloudflare.com/?to=/:account/oauth-clients",
        "http://localhost:33418/callback",
        "harbor chest set oauth:cloudflare:client_id CLIENT_ID",
    ):
        assert words in str(caught.value)
    assert vendor.requests == []


class TestCloudflare(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = RESPONSES
