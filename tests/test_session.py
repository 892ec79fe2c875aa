"""`Harbor.session`: a requests_oauthlib session whose tokens never run out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import requests
from requests_oauthlib import OAuth2Session

from harbor_oauth.client import Harbor
from harbor_oauth.errors import LoginRequiredError, WrongResourceError
from harbor_oauth.testing import AuthorizationServer, McpServer, answers

if TYPE_CHECKING:
    from tests.conftest import FakeClock

ACCEPT = {"Accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


def refreshes(issuer: AuthorizationServer) -> int:
    return issuer.count("token", grant_type="refresh_token")


@pytest.fixture
def signed_in(harbor: Harbor) -> Harbor:
    harbor.login("practice")
    return harbor


def call(harbor: Harbor, mcp: McpServer) -> requests.Response:
    with harbor.session("practice") as session:
        return session.post(mcp.url, json=LIST, headers=ACCEPT, timeout=10)


def test_it_is_an_oauth2session(signed_in: Harbor, mcp: McpServer) -> None:
    """What takes a requests_oauthlib session takes this one, and its calls succeed."""
    session = signed_in.session("practice")
    assert isinstance(session, OAuth2Session)
    assert call(signed_in, mcp).status_code == 200


def test_expiry_costs_one_refresh(
    signed_in: Harbor,
    make_harbor: Callable[..., Harbor],
    issuer: AuthorizationServer,
    mcp: McpServer,
    clock: FakeClock,
) -> None:
    """The call succeeds, and another process finds the new pair in the vault."""
    old = signed_in.token("practice").reveal()
    clock.advance(3600)
    assert call(signed_in, mcp).status_code == 200
    assert refreshes(issuer) == 1
    new = make_harbor().token("practice").reveal()
    assert new != old
    assert issuer.valid(new) is not None


def test_a_401_costs_one_refresh(
    signed_in: Harbor,
    make_harbor: Callable[..., Harbor],
    issuer: AuthorizationServer,
    mcp: McpServer,
) -> None:
    """A token the server dropped early is replaced, and the request is sent again."""
    issuer.expire_access_tokens()
    assert call(signed_in, mcp).status_code == 200
    assert refreshes(issuer) == 1
    assert issuer.valid(make_harbor().token("practice").reveal()) is not None


def test_a_server_that_always_refuses_is_asked_twice(
    signed_in: Harbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """Two requests and one refresh, then the caller gets the 401."""
    mcp.always_401 = True
    before = mcp.count("mcp")
    assert call(signed_in, mcp).status_code == 401
    assert mcp.count("mcp") - before == 2
    assert refreshes(issuer) == 1


def test_another_origin_is_refused_before_anything_is_sent(
    signed_in: Harbor, issuer: AuthorizationServer
) -> None:
    """The error names the grant's own origin; the other server gets no request."""
    before = len(issuer.requests)
    with pytest.raises(WrongResourceError, match="it is for http://127"):
        signed_in.session("practice").get(issuer.issuer, timeout=10)
    assert len(issuer.requests) == before


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_origin_is_not_followed(
    signed_in: Harbor, issuer: AuthorizationServer, mcp: McpServer, code: int
) -> None:
    """The 3xx answer comes back as it is; neither token nor body goes there."""
    before = len(issuer.requests)
    mcp.script("mcp", answers.redirect(code, f"{issuer.issuer}/steal"))
    assert call(signed_in, mcp).status_code == code
    assert len(issuer.requests) == before


def test_a_redirect_within_the_origin_keeps_the_token(signed_in: Harbor, mcp: McpServer) -> None:
    """The redirected request carries the grant's token too."""
    mcp.script("mcp", answers.redirect(307, mcp.url))
    assert call(signed_in, mcp).status_code == 200


def test_a_caller_s_own_authorization_is_replaced(signed_in: Harbor, mcp: McpServer) -> None:
    """Whatever case it is written in, one Authorization is sent, and it is the grant's."""
    with signed_in.session("practice") as session:
        session.headers["authorization"] = "Bearer stale"
        session.post(
            mcp.url, json=LIST, headers={**ACCEPT, "AUTHORIZATION": "Bearer other"}, timeout=10
        )
    sent = mcp.requests[-1].headers["authorization"]
    assert sent == signed_in.token("practice").authorization


def test_a_body_that_was_read_is_not_sent_again(
    signed_in: Harbor, issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """A streamed body cannot be repeated, so the 401 is handed to the caller."""
    issuer.expire_access_tokens()
    before = mcp.count("mcp")
    with signed_in.session("practice") as session:
        body = iter([b"{}"])
        assert session.post(mcp.url, data=body, headers=ACCEPT, timeout=10).status_code == 401
    assert mcp.count("mcp") - before == 1


def test_netrc_is_not_read(
    signed_in: Harbor, mcp: McpServer, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials of a `.netrc` for that host do not replace the token."""
    netrc = tmp_path / "netrc"  # type: ignore[operator]  # a Path
    netrc.write_text("machine 127.0.0.1 login eve password cnry-netrc\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert call(signed_in, mcp).status_code == 200
    assert mcp.requests[-1].headers["authorization"].startswith("Bearer ")


def test_the_parent_s_logging_of_tokens_is_gone(
    signed_in: Harbor, mcp: McpServer, caplog: pytest.LogCaptureFixture
) -> None:
    """requests_oauthlib logs tokens at DEBUG; this session does not."""
    caplog.set_level(logging.DEBUG)
    call(signed_in, mcp)
    assert signed_in.token("practice").reveal() not in caplog.text


def test_without_a_grant_nothing_is_sent(harbor: Harbor, mcp: McpServer) -> None:
    """Nobody has signed in: an error that says so, before any request."""
    with pytest.raises(LoginRequiredError):
        harbor.session("practice").get(mcp.url, timeout=10)
    assert mcp.count("mcp") == 0


def test_a_given_token_is_used_and_never_refreshed(
    make_harbor: Callable[..., Harbor],
    issuer: AuthorizationServer,
    mcp: McpServer,
    tmp_path: object,
) -> None:
    """`Harbor(tokens=...)` opens no vault; its refusal is an error that says whose token it was."""
    harbor = make_harbor(tokens={"practice": "from-outside"})
    with pytest.raises(LoginRequiredError, match="given"):
        call(harbor, mcp)
    assert mcp.requests[-1].headers["authorization"] == "Bearer from-outside"
    assert refreshes(issuer) == 0
    assert not (tmp_path / "home").exists()  # type: ignore[operator]  # a Path
