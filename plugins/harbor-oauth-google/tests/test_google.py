"""Google's data, and what goes over the wire."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from harbor_oauth_google import PROVIDER

from harbor_oauth import ClientRequiredError, Harbor, LoginRequiredError
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import OAuthProvider, Provider, Secret
from harbor_oauth.testing import ProviderConformance

AUTHORIZE = "https://accounts.google.com/o/oauth2/v2/auth"
TOKEN = "https://oauth2.googleapis.com/token"
REVOKE = "https://oauth2.googleapis.com/revoke"
USERINFO = "https://openidconnect.googleapis.com/v1/userinfo"


class Vendor:
    """Google's servers at their real addresses, as a transport, and a browser that says yes.

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
    return Vendor(
        {
            TOKEN: [recorded("api-token"), recorded("api-refresh")],
            USERINFO: [recorded("api-account")],
            REVOKE: [(200, {}), (400, {"error": "invalid_token"})],
        }
    )


@pytest.fixture
def harbor(vendor: Vendor, tmp_path: Path) -> Iterator[Harbor]:
    """Give a Harbor with a Desktop app's client in its vault."""
    with harbor_at(vendor, tmp_path / "home") as made:
        made.vault.set("oauth:google:client_id", "app")
        made.vault.set("oauth:google:client_secret", "s3cret")
        yield made


def test_the_row_of_the_table() -> None:
    """Name, servers and flow as the documentation prints them; `api` is the default."""
    assert isinstance(PROVIDER, Provider)
    assert (PROVIDER.display_name, PROVIDER.servers_label) == ("Google", "Google Workspace")
    assert PROVIDER.flow.value == "OAuth 2.0 + PKCE"
    assert PROVIDER.resource().name == "api"


def test_the_default_server_is_a_command_with_a_token_in_its_environment() -> None:
    """`@googleworkspace/cli mcp`, and no token on its command line."""
    default = PROVIDER.native_servers[0]
    assert (default.name, default.resource, default.url) == ("google", "api", None)
    assert default.command[:4] == ("npx", "-y", "@googleworkspace/cli", "mcp")
    assert default.env == {"GOOGLE_WORKSPACE_CLI_TOKEN": "vault:oauth:google:access_token"}


def test_the_hosted_servers_take_both_resources_tokens() -> None:
    """One sign-in serves all: each URL is within the origins of `mcp` and of `api`."""
    hosted = PROVIDER.native_servers[1:]
    assert [each.name for each in hosted] == [
        *("google-gmail", "google-drive", "google-calendar", "google-chat", "google-people")
    ]
    for each in hosted:
        assert (each.resource, each.other_resources) == ("mcp", ("api",))
        origin = (each.url or "").removesuffix("/mcp/v1")
        for name in ("mcp", "api"):
            assert origin in PROVIDER.resource(name).allowed_origins


def test_nobody_asks_for_the_whole_mailbox() -> None:
    """The scopes that the servers' own metadata would have asked for are never asked."""
    asked = {scope for each in PROVIDER.native_servers for scope in each.scopes}
    for resource in PROVIDER.resources:
        asked |= {*(resource.scopes or ()), *(resource.read_only_scopes or ())}
    assert "https://mail.google.com/" not in asked
    assert all(scope.count("https://") <= 1 for scope in asked)


def test_the_authorization_url(harbor: Harbor, vendor: Vendor) -> None:
    """Exactly these parameters: any loopback port, offline, consent, S256, no `resource`."""
    harbor.login("google")
    url, sent = vendor.authorization()
    assert url == AUTHORIZE
    scopes = sent.pop("scope").split(" ")
    assert scopes == [
        "openid",
        *(
            f"https://www.googleapis.com/auth/{name}"
            for name in (
                *("userinfo.email", "drive", "gmail.modify", "calendar", "documents"),
                *("spreadsheets", "presentations", "tasks"),
            )
        ),
    ]
    assert sent.pop("redirect_uri").startswith("http://127.0.0.1:")
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "code_challenge_method": "S256",
        "access_type": "offline",
        "prompt": "consent",
    }


def test_the_token_requests(harbor: Harbor, vendor: Vendor) -> None:
    """The secret is in the body, once; a refresh without a new refresh token keeps the old."""
    harbor.login("google")
    for _ in range(2):
        vendor.now += 3600
        assert harbor.token("google").reveal() == "ya29.recorded-access-2"
    code, *refreshes = vendor.bodies(TOKEN)
    assert len(code.pop("code_verifier")) >= 43
    assert code.pop("redirect_uri") == vendor.authorization()[1]["redirect_uri"]
    assert code == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "client_id": "app",
        "client_secret": "s3cret",
    }
    expected = {
        "grant_type": "refresh_token",
        "refresh_token": "1//recorded-refresh",
        "client_id": "app",
        "client_secret": "s3cret",
    }
    assert refreshes == [expected, expected]
    assert all("Authorization" not in each.headers for each in vendor.requests if each.url == TOKEN)


def test_what_was_granted_is_what_the_answer_says(harbor: Harbor) -> None:
    """A person may untick scopes, and Google writes them in another order."""
    status = harbor.login("google")
    assert "https://www.googleapis.com/auth/drive" in status.scopes
    assert "https://www.googleapis.com/auth/tasks" not in status.scopes
    assert status.account == "ada@example.com"


def test_an_ended_session_wants_a_sign_in(harbor: Harbor, vendor: Vendor) -> None:
    """`invalid_grant`, whatever its subtype, ends the grant."""
    vendor.answers[TOKEN] = [recorded("api-token"), recorded("api-session-error")]
    harbor.login("google")
    token = harbor.token("google")
    with pytest.raises(LoginRequiredError):
        harbor.rejected("google", token)


def test_revocation_counts_although_it_has_ended_the_second_token(
    harbor: Harbor, vendor: Vendor
) -> None:
    """The access token dies with the refresh token, so that its own revocation gets a 400."""
    harbor.login("google")
    assert harbor.logout("google").revoked is True
    assert [each["token_type_hint"] for each in vendor.bodies(REVOKE)] == [
        *("refresh_token", "access_token")
    ]


def test_a_secret_is_needed(vendor: Vendor, tmp_path: Path) -> None:
    """Without the papers no browser opens, and the steps say how to get them."""
    with harbor_at(vendor, tmp_path / "home") as harbor:
        with pytest.raises(ClientRequiredError, match="Desktop app"):
            harbor.login("google")
        harbor.vault.set("oauth:google:client_id", "app")
        with pytest.raises(ClientRequiredError, match="oauth:google:client_secret"):
            harbor.login("google")
    assert vendor.shown == []


def test_the_same_papers_serve_both_resources(harbor: Harbor, vendor: Vendor) -> None:
    """One client at one issuer; `google/mcp` alone asks for no more than who it is."""
    vendor.answers[TOKEN] = [recorded("mcp-token")]
    harbor.login("google/mcp")
    _, sent = vendor.authorization()
    assert sent["scope"] == "openid https://www.googleapis.com/auth/userinfo.email"
    assert "resource" not in sent


def test_the_account_request_carries_the_token_in_the_header_only() -> None:
    """The token is in `Authorization`, not in the URL."""
    lookup = PROVIDER.resource().account
    assert lookup is not None
    request = lookup.request(Secret("t0k"))
    assert (request.method, request.url, request.body) == ("GET", USERINFO, None)
    assert request.headers["Authorization"] == "Bearer t0k"


class TestGoogle(ProviderConformance):
    """The kit: registration, data, round trips, recorded answers, quirks and secrets."""

    provider = PROVIDER
    responses = Path(__file__).parent / "responses"
