"""Cloudflare's data, and what goes over the wire."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from harbor_oauth_cloudflare import PROVIDER

from harbor_oauth import ClientRequiredError, Harbor, LoginRequiredError, WrongResourceError
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import OAuthProvider, Provider, RedirectRule, Secret
from harbor_oauth.testing import ProviderConformance

DASH = "https://dash.cloudflare.com/oauth2"
WHO_AM_I = "https://api.cloudflare.com/client/v4/user"
HOSTS = ("mcp.cloudflare.com", "dns-analytics.mcp.cloudflare.com")


class Vendor:
    """Cloudflare's servers at their real addresses, as a transport, and a browser that says yes.

    An endpoint gives its answers in turn, and the last one again and again.
    """

    def __init__(self, answers: dict[str, list[tuple[int, object]]]) -> None:
        self.answers = answers
        self.requests: list[HttpRequest] = []
        self.shown: list[str] = []
        self.now = 1_800_000_000.0

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        turns = self.answers.get(request.url, [(404, {})])
        status, body = turns.pop(0) if len(turns) > 1 else turns[0]
        headers = {"content-type": "application/json"}
        return HttpResponse(status, headers, json.dumps(body).encode(), request.url)

    def browse(self, url: str) -> bool:
        self.shown.append(url)
        sent = dict(parse_qsl(urlsplit(url).query))
        back = urlsplit(sent["redirect_uri"])
        connection = http.client.HTTPConnection(back.hostname or "", back.port, timeout=10)
        try:
            connection.request("GET", f"{back.path}?code=c0de&state={sent['state']}")
            connection.getresponse().read()
        finally:
            connection.close()
        return True

    def authorization(self) -> tuple[str, dict[str, str]]:
        """Return where the browser was sent, with the parameters no sign-in repeats left out."""
        url, _, query = self.shown[-1].partition("?")
        sent = dict(parse_qsl(query))
        assert len(sent.pop("state")) >= 43
        assert len(sent.pop("code_challenge")) == 43
        return url, sent

    def bodies(self, url: str) -> list[dict[str, str]]:
        """Return the forms that were posted to an endpoint."""
        return [
            dict(parse_qsl((each.body or b"").decode()))
            for each in self.requests
            if each.url == url and each.method == "POST"
        ]


def recorded(name: str) -> tuple[int, object]:
    answer = json.loads((Path(__file__).parent / "responses" / f"{name}.json").read_text())
    return answer["status"], answer["body"]


@contextmanager
def harbor_at(vendor: Vendor, home: Path, provider: OAuthProvider = PROVIDER) -> Iterator[Harbor]:
    """Give a Harbor whose every request goes to the vendor's stand-in."""
    harbor = Harbor(
        home=home,
        environ={"HARBOR_VAULT": "keyfile", "HARBOR_VAULT_KEY_FILE": str(home / "vault.key")},
        transport=vendor,
        browser=vendor.browse,
        clock=lambda: vendor.now,
        sleep=lambda _: None,
        providers={provider.name: provider},
    )
    try:
        yield harbor
    finally:
        harbor.close()


def mcp_answers(host: str) -> dict[str, list[tuple[int, object]]]:
    """Return what one of the servers says before and while somebody signs in."""
    origin = f"https://{host}"
    described = {"resource": f"{origin}/mcp", "authorization_servers": [origin]}
    return {
        f"{origin}/mcp": [(401, {})],
        f"{origin}/.well-known/oauth-protected-resource/mcp": [(200, described)],
        f"{origin}/register": [(201, {"client_id": f"made-at-{host}"})],
        f"{origin}/token": [recorded("mcp-token"), recorded("mcp-refresh")],
    }


@pytest.fixture
def vendor() -> Vendor:
    return Vendor(
        {
            **mcp_answers(HOSTS[0]),
            **mcp_answers(HOSTS[1]),
            f"{DASH}/token": [recorded("api-token"), recorded("api-refresh")],
            f"{DASH}/revoke": [(200, {})],
            WHO_AM_I: [recorded("api-account")],
        }
    )


@pytest.fixture
def ports() -> tuple[int, ...]:
    """Give ports that nobody listens at, in place of the fixed ones."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return tuple(each.getsockname()[1] for each in taken)


@pytest.fixture
def harbor(vendor: Vendor, ports: tuple[int, ...], tmp_path: Path) -> Iterator[Harbor]:
    resources = tuple(
        attrs.evolve(each, redirect=attrs.evolve(each.redirect, ports=ports))
        if each.name == "api"
        else each
        for each in PROVIDER.resources
    )
    provider = attrs.evolve(PROVIDER, resources=resources)
    with harbor_at(vendor, tmp_path / "home", provider) as made:
        yield made


def test_the_row_of_the_table() -> None:
    """Name, servers and flow as the documentation prints them; `mcp` is the default."""
    assert isinstance(PROVIDER, Provider)
    assert (PROVIDER.display_name, PROVIDER.servers_label) == ("Cloudflare", "Cloudflare")
    assert PROVIDER.flow.value == "OAuth 2.0 + PKCE"
    assert PROVIDER.resource().name == "mcp"


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
    harbor: Harbor, vendor: Vendor, grant: str, host: str, authorize: str
) -> None:
    """A client of its own; no scope, because the server chooses or the person does."""
    harbor.login(grant)
    url, sent = vendor.authorization()
    assert url == f"https://{host}{authorize}"
    assert sent.pop("redirect_uri").startswith("http://127.0.0.1:")
    assert sent == {
        "response_type": "code",
        "client_id": f"made-at-{host}",
        "resource": f"https://{host}/mcp",
        "code_challenge_method": "S256",
    }
    assert vendor.bodies(f"https://{host}/token")[0]["resource"] == f"https://{host}/mcp"


def test_a_server_s_token_goes_to_that_server_only(harbor: Harbor, vendor: Vendor) -> None:
    """Neither another product's server nor the API gets it."""
    harbor.login("cloudflare")
    before = len(vendor.requests)
    for url in (f"https://{HOSTS[1]}/mcp", WHO_AM_I):
        with pytest.raises(WrongResourceError):
            harbor.request("cloudflare", HttpRequest("GET", url))
    assert len(vendor.requests) == before


def test_revocation_goes_to_the_token_endpoint_without_a_grant_type(
    harbor: Harbor, vendor: Vendor
) -> None:
    """That is what tells it from a token request at the one URL both have."""
    vendor.answers[f"https://{HOSTS[0]}/token"] = [recorded("mcp-token"), (200, {})]
    harbor.login("cloudflare")
    assert harbor.logout("cloudflare").revoked is True
    _, *revocations = vendor.bodies(f"https://{HOSTS[0]}/token")
    assert [set(each) for each in revocations] == [{"token", "token_type_hint", "client_id"}] * 2


def test_the_api_s_redirect_uris_are_the_ones_of_the_steps() -> None:
    """The ports that are tried are the ports that a person is told to enter."""
    api = PROVIDER.resource("api")
    assert api.redirect == RedirectRule(host="localhost", ports=(33418, 33419))
    for port in api.redirect.ports:
        assert any(f"http://localhost:{port}/callback" in step for step in api.registration_steps)


def test_the_api_s_requests(harbor: Harbor, vendor: Vendor, ports: tuple[int, ...]) -> None:
    """Exactly these: a fixed port, a dotted scope, a public client, no `offline_access`."""
    harbor.vault.set("oauth:cloudflare:client_id", "app")
    assert harbor.login("cloudflare/api").account == "ada@example.com"
    url, sent = vendor.authorization()
    assert url == f"{DASH}/auth"
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": f"http://localhost:{ports[0]}/callback",
        "scope": "user-details.read",
        "code_challenge_method": "S256",
    }
    for _ in range(2):
        vendor.now += 16 * 60 * 60
        assert harbor.token("cloudflare/api").reveal() == "cfoat_recorded-access-2"
    code, *refreshes = vendor.bodies(f"{DASH}/token")
    assert len(code.pop("code_verifier")) >= 43
    assert code == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": f"http://localhost:{ports[0]}/callback",
        "client_id": "app",
    }
    assert refreshes == [
        {"grant_type": "refresh_token", "refresh_token": token, "client_id": "app"}
        for token in ("recorded-refresh", "recorded-refresh-2")
    ]


def test_revoking_at_the_api(harbor: Harbor, vendor: Vendor) -> None:
    """RFC 7009, with the client id in the body."""
    harbor.vault.set("oauth:cloudflare:client_id", "app")
    harbor.login("cloudflare/api")
    result = harbor.logout("cloudflare/api")
    assert result.revoked is True
    assert result.manage_url == (
        "https://dash.cloudflare.com/profile/access-management/authorization"
    )
    assert vendor.bodies(f"{DASH}/revoke")[0] == {
        "token": "recorded-refresh",
        "token_type_hint": "refresh_token",
        "client_id": "app",
    }


def test_a_spent_refresh_token_wants_a_sign_in(harbor: Harbor, vendor: Vendor) -> None:
    """`invalid_grant` ends the grant."""
    vendor.answers[f"{DASH}/token"] = [recorded("api-token"), recorded("api-error")]
    harbor.vault.set("oauth:cloudflare:client_id", "app")
    harbor.login("cloudflare/api")
    token = harbor.token("cloudflare/api")
    with pytest.raises(LoginRequiredError):
        harbor.rejected("cloudflare/api", token)


def test_without_papers_the_api_says_how_to_get_them(harbor: Harbor, vendor: Vendor) -> None:
    """The page, the steps, the command; no browser opens."""
    with pytest.raises(ClientRequiredError) as caught:
        harbor.login("cloudflare/api")
    for words in (
        "https://dash.cloudflare.com/?to=/:account/oauth-clients",
        "http://localhost:33418/callback",
        "harbor chest set oauth:cloudflare:client_id CLIENT_ID",
    ):
        assert words in str(caught.value)
    assert vendor.shown == []


def test_the_account_request_carries_the_token_in_the_header_only() -> None:
    """The token is in `Authorization`, not in the URL."""
    lookup = PROVIDER.resource("api").account
    assert lookup is not None
    request = lookup.request(Secret("t0k"))
    assert (request.method, request.url, request.body) == ("GET", WHO_AM_I, None)
    assert request.headers["Authorization"] == "Bearer t0k"


class TestCloudflare(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = Path(__file__).parent / "responses"
