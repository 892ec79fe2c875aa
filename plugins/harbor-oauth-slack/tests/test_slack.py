"""Slack's data, its functions, and what a sign-in with it sends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harbor_oauth_slack import PROVIDER

from harbor_oauth.errors import ClientRequiredError, LoginRequiredError
from harbor_oauth.protocol.http import HttpResponse
from harbor_oauth.providers import IssuedToken, Registration, Secret
from harbor_oauth.testing import ProviderConformance, Vendor

RESPONSES = Path(__file__).parent / "responses"
TOKEN = "https://slack.com/api/oauth.v2.user.access"
REVOKE = "https://slack.com/api/auth.revoke"
SCOPES = (
    "channels:read,channels:history,groups:read,groups:history,im:history,mpim:history,"
    "users:read,search:read.public,chat:write"
)


class TestSlack(ProviderConformance):
    """What every provider is held to."""

    provider = PROVIDER
    responses = RESPONSES


vendor = Vendor.fixture(PROVIDER, RESPONSES, client_id="app")


def test_the_default_server() -> None:
    """`harbor dock slack` is the hosted MCP server."""
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


def test_without_an_app_the_way_to_one_is_told(vendor: Vendor) -> None:
    """Whom Slack admits, where to register, what to paste, and what to store."""
    publish(vendor)
    vendor.harbor.vault.delete("oauth:slack:client_id")
    with pytest.raises(ClientRequiredError) as caught:
        vendor.harbor.begin_login("slack")
    for part in ("Marketplace", "https://api.slack.com/apps", "pkce_enabled", "chest set"):
        assert part in caught.value.next_step


def test_a_sign_in_to_the_api(vendor: Vendor) -> None:
    """Exactly this goes out: user scopes in `scope`, commas, and no secret."""
    vendor.play("api-token", "api-account")
    endpoint, sent = vendor.sign_in("slack/api")
    assert endpoint == "https://slack.com/oauth/v2_user/authorize"
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
    assert vendor.posted(TOKEN)[0] == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": redirect_uri,
        "client_id": "app",
    }
    assert vendor.requests[1].headers["Authorization"] == "Bearer recorded-access"
    status = vendor.harbor.status()[0]
    assert (status.account, status.scopes) == ("ada (Acme)", tuple(SCOPES.split(",")))


def test_a_refresh_has_no_pkce(vendor: Vendor) -> None:
    """The client id alone; the answer is flat, and brings the next refresh token."""
    vendor.play("api-token", "api-account", "api-refresh")
    vendor.sign_in("slack/api")
    vendor.harbor.rejected("slack/api", vendor.harbor.token("slack/api"))
    assert vendor.posted(TOKEN)[1] == {
        "grant_type": "refresh_token",
        "refresh_token": "recorded-refresh",
        "client_id": "app",
    }
    assert vendor.harbor.token("slack/api").reveal() == "recorded-access-2"


def test_a_dead_refresh_token_ends_the_grant(vendor: Vendor) -> None:
    """HTTP 200 with `"ok": false` is no success."""
    vendor.play("api-token", "api-account", "api-error")
    vendor.sign_in("slack/api")
    with pytest.raises(LoginRequiredError):
        vendor.harbor.rejected("slack/api", vendor.harbor.token("slack/api"))


def publish(vendor: Vendor) -> None:
    """Let the MCP host answer as it does: the issuer there has another name."""
    origin = "https://mcp.slack.com"
    vendor.answer(f"{origin}/mcp", status=401)
    vendor.answer(
        f"{origin}/.well-known/oauth-protected-resource",
        {"resource": origin, "authorization_servers": [origin]},
    )
    vendor.answer(
        f"{origin}/.well-known/oauth-authorization-server",
        {
            "issuer": "https://slack.com",
            "authorization_endpoint": "https://slack.com/oauth/v2_user/authorize",
            "token_endpoint": TOKEN,
            "code_challenge_methods_supported": ["S256"],
        },
    )


def test_a_sign_in_to_the_mcp_server(vendor: Vendor) -> None:
    """The same app and endpoints, for the origin that the server names itself by."""
    publish(vendor)
    vendor.play("mcp-token-flat", "api-account", "mcp-refresh")
    endpoint, sent = vendor.sign_in("slack")
    assert endpoint == "https://slack.com/oauth/v2_user/authorize"
    assert (sent["scope"], sent["resource"]) == (SCOPES, "https://mcp.slack.com")
    vendor.harbor.rejected("slack", vendor.harbor.token("slack"))
    assert vendor.harbor.token("slack").reveal() == "recorded-access-2"
    assert vendor.posted(TOKEN)[1]["resource"] == "https://mcp.slack.com"


@pytest.mark.parametrize(
    ("body", "revoked"),
    [
        ({"ok": True, "revoked": True}, True),
        ({"ok": False, "error": "token_revoked"}, True),
        ({"ok": False, "error": "internal_error"}, False),
    ],
)
def test_a_logout_revokes_the_access_token(
    vendor: Vendor, body: dict[str, object], revoked: bool
) -> None:
    """Slack's own method, with the token in the header; its refusal has HTTP status 200."""
    vendor.play("api-token", "api-account")
    vendor.answer(REVOKE, body)
    vendor.sign_in("slack/api")
    assert vendor.harbor.logout("slack/api").revoked is revoked
    (request,) = vendor.requests[2:]
    assert (request.method, request.url) == ("POST", REVOKE)
    assert request.headers["Authorization"] == "Bearer recorded-access"


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
