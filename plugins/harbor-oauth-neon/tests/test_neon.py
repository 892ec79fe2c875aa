"""Neon's data, and what goes over the wire."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from harbor_oauth_neon import PROVIDER
from hypothesis import given
from hypothesis import strategies as st

from harbor_oauth import ClientRequiredError, Harbor, LoginRequiredError
from harbor_oauth.errors import TransportError
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import OAuthProvider, Provider, Secret
from harbor_oauth.testing import ProviderConformance

MCP = "https://mcp.neon.tech"
TOKEN = f"{MCP}/api/token"
REGISTER = f"{MCP}/api/register"
API_AUTHORIZE = "https://oauth2.neon.tech/oauth2/auth"
API_TOKEN = "https://oauth2.neon.tech/oauth2/token"
WHO_AM_I = "https://console.neon.tech/api/v2/users/me"


class Vendor:
    """Neon's servers at their real addresses, as a transport, and a browser that says yes.

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


@pytest.fixture
def vendor() -> Vendor:
    """Give Neon as its sources describe it: a secret for everybody, 200 instead of 201."""
    return Vendor(
        {
            f"{MCP}/mcp": [(401, {})],
            f"{MCP}/.well-known/oauth-protected-resource/mcp": [
                (200, {"resource": f"{MCP}/mcp", "authorization_servers": [MCP]})
            ],
            REGISTER: [
                (
                    200,
                    {
                        "client_id": "made-client",
                        "client_secret": "made-secret",
                        "token_endpoint_auth_method": "none",
                    },
                )
            ],
            TOKEN: [recorded("mcp-token"), recorded("mcp-refresh")],
            API_TOKEN: [recorded("api-token"), recorded("api-refresh")],
            WHO_AM_I: [recorded("api-account")],
        }
    )


@pytest.fixture
def harbor(vendor: Vendor, tmp_path: Path) -> Iterator[Harbor]:
    with harbor_at(vendor, tmp_path / "home") as made:
        yield made


def test_the_row_of_the_table() -> None:
    """Name, servers and flow as the documentation prints them; `mcp` is the default."""
    assert isinstance(PROVIDER, Provider)
    assert (PROVIDER.display_name, PROVIDER.servers_label) == ("Neon", "Neon")
    assert PROVIDER.flow.value == "OAuth 2.0 + PKCE"
    assert PROVIDER.resource().name == "mcp"
    assert [each.url for each in PROVIDER.native_servers] == [
        *(f"{MCP}/mcp", f"{MCP}/mcp?readonly=true")
    ]


def test_the_mcp_server_is_signed_in_to_without_papers(harbor: Harbor, vendor: Vendor) -> None:
    """The registration holds all four members Neon wants, and the URL has exactly these."""
    harbor.login("neon")
    url, sent = vendor.authorization()
    assert url == f"{MCP}/api/authorize"
    redirect_uri = sent.pop("redirect_uri")
    assert redirect_uri.startswith("http://127.0.0.1:")
    assert sent == {
        "response_type": "code",
        "client_id": "made-client",
        "scope": "read write",
        "resource": f"{MCP}/mcp",
        "code_challenge_method": "S256",
    }
    (registration,) = [
        json.loads(each.body or b"") for each in vendor.requests if each.url == REGISTER
    ]
    assert registration["redirect_uris"] == [redirect_uri]
    assert registration["grant_types"] == ["authorization_code", "refresh_token"]
    assert registration["response_types"] == ["code"]
    assert registration["client_name"]


def test_the_redirect_uri_is_the_registered_one_to_the_letter(
    harbor: Harbor, vendor: Vendor
) -> None:
    """The token endpoint compares it as a string, and a later sign-in has the same port."""
    harbor.login("neon")
    harbor.login("neon")
    assert len([each for each in vendor.requests if each.url == REGISTER]) == 1
    (registration,) = [
        json.loads(each.body or b"") for each in vendor.requests if each.url == REGISTER
    ]
    codes = [each for each in vendor.bodies(TOKEN) if each["grant_type"] == "authorization_code"]
    assert [each["redirect_uri"] for each in codes] == registration["redirect_uris"] * 2


def test_rotation_and_scopes_as_an_array(harbor: Harbor, vendor: Vendor) -> None:
    """Each refresh sends the newest token; old records answer with an array of scopes."""
    harbor.login("neon")
    for _ in range(2):
        vendor.now += 3600
        assert harbor.token("neon").scopes == ("read", "write")
    sent = [each["refresh_token"] for each in vendor.bodies(TOKEN)[1:]]
    assert sent == ["recorded-refresh", "recorded-refresh-2"]


def test_a_busy_server_costs_no_grant(vendor: Vendor, tmp_path: Path) -> None:
    """503 is tried again with the same refresh token, and is no sign-in."""
    vendor.answers[TOKEN] = [recorded("mcp-token"), recorded("mcp-busy-error")]
    with harbor_at(vendor, tmp_path / "home") as harbor:
        harbor.login("neon")
        vendor.now += 3600
        with pytest.raises(TransportError):
            harbor.token("neon")
        vendor.answers[TOKEN] = [recorded("mcp-refresh")]
        assert harbor.token("neon").reveal() == "recorded-access-2"


def test_without_a_client_the_api_says_who_gets_one(harbor: Harbor, vendor: Vendor) -> None:
    """Partners only, and what anybody can do instead; no browser opens."""
    with pytest.raises(ClientRequiredError) as caught:
        harbor.login("neon/api")
    assert "commercial partners" in str(caught.value)
    assert "neon/mcp" in str(caught.value)
    assert vendor.shown == []


def test_the_api_s_requests(harbor: Harbor, vendor: Vendor) -> None:
    """A public client on any port; both words without which there is no refresh token."""
    harbor.vault.set("oauth:neon:client_id", "partner")
    assert harbor.login("neon/api").account == "ada@example.com"
    url, sent = vendor.authorization()
    assert url == API_AUTHORIZE
    redirect_uri = sent.pop("redirect_uri")
    assert sent == {
        "response_type": "code",
        "client_id": "partner",
        "scope": "offline offline_access urn:neoncloud:projects:create "
        "urn:neoncloud:projects:read urn:neoncloud:projects:update "
        "urn:neoncloud:projects:delete urn:neoncloud:orgs:read",
        "code_challenge_method": "S256",
    }
    (code,) = vendor.bodies(API_TOKEN)
    assert len(code.pop("code_verifier")) >= 43
    assert code == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
        "client_id": "partner",
    }


def test_a_dead_refresh_token_wants_a_sign_in(harbor: Harbor, vendor: Vendor) -> None:
    """`token_inactive` ends the grant as `invalid_grant` does."""
    vendor.answers[API_TOKEN] = [recorded("api-token"), recorded("api-error")]
    harbor.vault.set("oauth:neon:client_id", "partner")
    harbor.login("neon/api")
    token = harbor.token("neon/api")
    with pytest.raises(LoginRequiredError):
        harbor.rejected("neon/api", token)


@given(st.dictionaries(st.text(), st.none() | st.text() | st.integers()))
def test_the_quirk_changes_that_error_only(members: dict[str, object]) -> None:
    """Whatever else an answer holds comes out as it went in."""
    mend = PROVIDER.resource("api").quirks.token_response
    assert mend is not None
    assert mend(members) == members
    inactive = {**members, "error": "token_inactive"}
    assert mend(inactive) == {**members, "error": "invalid_grant"}
    assert inactive["error"] == "token_inactive"


def test_the_account_request_carries_the_token_in_the_header_only() -> None:
    """The token is in `Authorization`, not in the URL."""
    lookup = PROVIDER.resource("api").account
    assert lookup is not None
    request = lookup.request(Secret("t0k"))
    assert (request.method, request.url, request.body) == ("GET", WHO_AM_I, None)
    assert request.headers["Authorization"] == "Bearer t0k"


class TestNeon(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = Path(__file__).parent / "responses"
