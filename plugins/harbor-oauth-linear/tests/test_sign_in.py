"""Signing in to Linear, with loopback doubles in its place: what goes over the wire."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from harbor_oauth_linear import PROVIDER

from harbor_oauth import ClientRequiredError, Harbor
from harbor_oauth.testing import AuthorizationServer, McpServer, answers, on_free_ports, rewritten

WHO = {"data": {"viewer": {"email": "a@b.example"}, "organization": {"urlKey": "acme"}}}


class Linear:
    """A Harbor that takes the doubles for Linear, and what its browser was shown."""

    def __init__(self, home: Path, mcp: McpServer, *, follow: bool = True) -> None:
        self.mcp = mcp
        self.issuer = mcp.authorization_server
        provider = on_free_ports(rewritten(PROVIDER, mcp))
        self.ports = provider.resource("api").redirect.ports
        self.shown: list[str] = []
        self.follow = follow
        self.harbor = Harbor(
            home=home,
            environ={
                "HARBOR_VAULT": "keyfile",
                "HARBOR_VAULT_KEY_FILE": str(home / "vault.key"),
            },
            browser=self.browse,
            clock=lambda: 1_800_000_000.0,
            providers={"linear": provider},
        )

    def browse(self, url: str) -> bool:
        self.shown.append(url)
        return self.issuer.browser(url)

    def authorization(self) -> tuple[str, dict[str, str]]:
        """Return where the browser was sent, and with which parameters."""
        parts = urlsplit(self.shown[-1])
        return parts.path, dict(parse_qsl(parts.query))

    def requests(self, path: str) -> list[Any]:
        return [each for each in self.issuer.requests if each.path == path]


@pytest.fixture
def linear(tmp_path: Path) -> Iterator[Linear]:
    """Give Linear's paths, and none of the rules its documents do not name."""
    with AuthorizationServer(issuer_path="/oauth", canary="cnry") as issuer:
        issuer.metadata["authorization_response_iss_parameter_supported"] = None
        issuer.scopes = ()  # its scopes are joined with commas, which the double does not read
        with McpServer(issuer) as mcp:
            made = Linear(tmp_path / "home", mcp)
            yield made
            made.harbor.close()


@pytest.fixture
def with_papers(linear: Linear) -> Linear:
    """Register an app by hand, at the exact URIs of the steps, and store its client."""
    linear.issuer.any_loopback_port = False
    linear.issuer.add_client(
        client_id="app",
        client_secret="cnry-secret",
        token_endpoint_auth_method="client_secret_post",
        redirect_uris=[f"http://localhost:{port}/callback" for port in linear.ports],
    )
    linear.harbor.vault.set("oauth:linear:client_id", "app")
    linear.harbor.vault.set("oauth:linear:client_secret", "cnry-secret")
    return linear


def test_the_mcp_server_is_signed_in_to_without_papers(linear: Linear) -> None:
    """A client registers itself; the URL asks for the server's own identifier and scopes."""
    linear.issuer.script("unknown", answers.status(500))  # nobody asks who signed in
    assert linear.harbor.login("linear").grant == "linear"
    path, sent = linear.authorization()
    assert path == "/oauth/authorize"
    assert {*sent} == {
        *("response_type", "client_id", "redirect_uri", "state", "resource"),
        *("code_challenge", "code_challenge_method"),
    }
    assert sent["resource"] == linear.mcp.url
    assert sent["code_challenge_method"] == "S256"
    assert sent["redirect_uri"].startswith("http://127.0.0.1:")
    registered = linear.requests("/oauth/register")
    assert registered[0].json["redirect_uris"] == [sent["redirect_uri"]]
    assert registered[0].json["token_endpoint_auth_method"] == "none"
    assert linear.issuer.valid(linear.harbor.token("linear").reveal()) is not None


def test_the_api_s_authorization_url(with_papers: Linear) -> None:
    """Exactly these parameters: localhost, a fixed port, scopes joined with a comma."""
    with_papers.issuer.script("unknown", answers.json(WHO))
    with_papers.harbor.login("linear/api")
    path, sent = with_papers.authorization()
    assert path == "/oauth/authorize"
    state, challenge = sent.pop("state"), sent.pop("code_challenge")
    assert len(state) >= 43
    assert len(challenge) == 43
    assert sent == {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": f"http://localhost:{with_papers.ports[0]}/callback",
        "scope": "read,write",
        "code_challenge_method": "S256",
    }


def test_the_second_port_serves_when_the_first_is_taken(with_papers: Linear) -> None:
    """Both are registered, so a busy port costs nothing."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", with_papers.ports[0]))
        other.listen()
        with_papers.harbor.login("linear/api")
    _, sent = with_papers.authorization()
    assert sent["redirect_uri"] == f"http://localhost:{with_papers.ports[1]}/callback"


def test_the_api_s_token_requests(with_papers: Linear) -> None:
    """Code and refresh are form posts with the client in the body, to the token endpoint."""
    with_papers.harbor.login("linear/api")
    with_papers.harbor.rejected("linear/api", with_papers.harbor.token("linear/api"))
    code, refresh = with_papers.requests("/oauth/token")
    assert code.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in code.headers
    form = dict(code.form)
    assert len(form.pop("code_verifier")) >= 43
    assert form.pop("code")
    assert form == {
        "grant_type": "authorization_code",
        "redirect_uri": f"http://localhost:{with_papers.ports[0]}/callback",
        "client_id": "app",
        "client_secret": "cnry-secret",
    }
    form = dict(refresh.form)
    assert form.pop("refresh_token").startswith("cnry-")
    assert form == {
        "grant_type": "refresh_token",
        "client_id": "app",
        "client_secret": "cnry-secret",
    }


def test_a_secret_is_optional(linear: Linear) -> None:
    """With PKCE a client id alone signs in, and no secret is sent."""
    linear.issuer.add_client(client_id="public", redirect_uris=["http://localhost/callback"])
    linear.harbor.vault.set("oauth:linear:client_id", "public")
    linear.harbor.login("linear/api")
    assert "client_secret" not in linear.requests("/oauth/token")[0].form


@pytest.mark.parametrize("scope", ["read write", ["read", "write"], "read,write"])
def test_granted_scopes_in_each_shape(with_papers: Linear, scope: object) -> None:
    """Space, array and comma are the same grant."""
    with_papers.issuer.amend("token", scope=scope)
    assert with_papers.harbor.login("linear/api").scopes == ("read", "write")


def test_the_account_is_asked_for_with_the_fresh_token(with_papers: Linear) -> None:
    """One GraphQL query; its answer is what status shows."""
    with_papers.issuer.script("unknown", answers.json(WHO))
    assert with_papers.harbor.login("linear/api").account == "a@b.example (acme)"
    (asked,) = with_papers.requests("/graphql")
    assert asked.headers["authorization"] == with_papers.harbor.token("linear/api").authorization
    assert set(json.loads(asked.body)) == {"query"}
    assert with_papers.harbor.status()[0].account == "a@b.example (acme)"


@pytest.mark.parametrize(
    "answer",
    [
        answers.status(500),
        answers.html(),
        answers.drop(),
        answers.redirect(302, "http://127.0.0.1:9/"),
        answers.json({"errors": [{"message": "no"}]}),
        answers.json([]),
    ],
)
def test_a_failed_account_lookup_fails_nothing(with_papers: Linear, answer: Any) -> None:
    """The grant is stored and works; only its account is unknown."""
    with_papers.issuer.script("unknown", answer)
    status = with_papers.harbor.login("linear/api")
    assert (status.state, status.account) == ("active", None)
    assert with_papers.issuer.valid(with_papers.harbor.token("linear/api").reveal()) is not None


@pytest.mark.parametrize(("code", "revoked"), [(200, True), (400, True), (500, False)])
def test_revocation(with_papers: Linear, code: int, revoked: bool) -> None:
    """The refresh token is named as such; 400 says it is revoked already; 5xx is not success."""
    with_papers.harbor.login("linear/api")
    with_papers.issuer.script("revoke", *[answers.status(code)] * 2)
    result = with_papers.harbor.logout("linear/api")
    assert result.revoked is revoked
    assert result.manage_url == "https://linear.app/settings/account/security"
    first = with_papers.requests("/oauth/revoke")[0]
    (kind,) = first.form
    assert kind == "refresh_token"
    assert first.form[kind].startswith("cnry-")
    assert with_papers.harbor.status() == ()


def test_without_papers_the_api_says_how_to_get_them(linear: Linear) -> None:
    """The app form's address, the callback URLs, the command; no browser opens."""
    with pytest.raises(ClientRequiredError) as caught:
        linear.harbor.login("linear/api")
    for words in (
        "https://linear.app/settings/api/applications/new",
        "http://localhost:33418/callback",
        "harbor chest set oauth:linear:client_id CLIENT_ID",
    ):
        assert words in str(caught.value)
    assert linear.shown == []


def test_the_two_grants_live_apart(with_papers: Linear) -> None:
    """One sign-in each; `linear` means the MCP server's."""
    with_papers.issuer.any_loopback_port = True
    with_papers.harbor.login("linear")
    with_papers.harbor.login("linear/api")
    assert [each.grant for each in with_papers.harbor.status()] == ["linear/api", "linear"]
    mcp, api = (with_papers.harbor.token(name).reveal() for name in ("linear", "linear/api"))
    assert mcp != api
