"""`Vendor`: a vendor at its own URLs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harbor_oauth_linear import PROVIDER

from harbor_oauth.errors import ClientRequiredError
from harbor_oauth.protocol.http import HttpRequest
from harbor_oauth.testing import Vendor

TOKEN = "https://api.linear.app/oauth/token"
ACCOUNT = "https://api.linear.app/graphql"
RESPONSES = Path(__file__).parents[2] / "plugins" / "harbor-oauth-linear" / "tests" / "responses"

vendor = Vendor.fixture(PROVIDER, RESPONSES, client_id="app", client_secret="s3cret")


def get(url: str) -> HttpRequest:
    return HttpRequest("GET", url)


def test_answers_in_turn(vendor: Vendor) -> None:
    """Each once, the last one again and again, one that comes later after it; else 404."""
    assert vendor(get(TOKEN)).status == 404
    for status in (500, 503):
        vendor.answer(TOKEN, status=status)
    assert [vendor(get(TOKEN)).status for _ in range(3)] == [500, 503, 503]
    vendor.answer(TOKEN, {"error": "x"}, 400)
    answer = vendor(get(TOKEN))
    assert (answer.status, json.loads(answer.body), answer.url) == (400, {"error": "x"}, TOKEN)
    assert vendor(get(ACCOUNT)).status == 404
    assert [each.url for each in vendor.requests] == [*[TOKEN] * 5, ACCOUNT]


def test_recorded_answers(vendor: Vendor) -> None:
    """At the URL that each came from, or at another; a body of bytes is sent as it is."""
    vendor.play("api-token")
    assert json.loads(vendor(get(TOKEN)).body)["access_token"]
    vendor.play("api-token", at="https://eu.example/token")
    answer = vendor(get("https://eu.example/token"))
    assert (answer.status, answer.url) == (200, "https://eu.example/token")
    vendor.answer(ACCOUNT, b"<html>")
    assert vendor(get(ACCOUNT)).body == b"<html>"
    with pytest.raises(KeyError):
        vendor.play("no-such-file")


def test_an_answer_from_nowhere_is_not_played(tmp_path: Path) -> None:
    """A recorded account look-up may have no URL; then the test has to say where."""
    (tmp_path / "account.json").write_text('{"kind": "account", "resource": "api"}')
    with Vendor(PROVIDER, tmp_path, tmp_path / "home") as silent:
        with pytest.raises(AssertionError, match="does not say where it came from"):
            silent.play("account")
        silent.play("account", at=ACCOUNT)
        assert silent(get(ACCOUNT)).status == 200


def test_a_sign_in(vendor: Vendor) -> None:
    """Everything but what no two sign-ins share; time passes only when it is told to."""
    vendor.play("api-token", "api-account", "api-refresh")
    endpoint, sent = vendor.sign_in("linear/api")
    assert endpoint == "https://linear.app/oauth/authorize"
    assert set(sent) == {
        *("response_type", "client_id", "redirect_uri", "scope", "code_challenge_method")
    }
    assert not sent["redirect_uri"].startswith("http://localhost:33418/")
    (code,) = vendor.posted(TOKEN)
    assert code == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": sent["redirect_uri"],
        "client_id": "app",
        "client_secret": "s3cret",
    }
    before = vendor.harbor.token("linear/api").reveal()
    vendor.clock.now += 30 * 24 * 60 * 60
    assert vendor.harbor.token("linear/api").reveal() != before
    assert [each["grant_type"] for each in vendor.posted(TOKEN)] == [
        *("authorization_code", "refresh_token")
    ]


def test_a_verifier_of_no_sign_in_is_noticed(vendor: Vendor) -> None:
    """An exchange whose code verifier fits no challenge fails the test that looks at it."""
    vendor.answer(TOKEN)
    form = b"grant_type=authorization_code&code=x&code_verifier=" + b"v" * 43
    vendor(HttpRequest("POST", TOKEN, {}, form))
    with pytest.raises(AssertionError, match="of no sign-in"):
        vendor.posted(TOKEN)


def test_no_browser_opens(vendor: Vendor) -> None:
    """`Harbor.login` would show the vendor's real page to whoever runs the tests."""
    with pytest.raises(AssertionError, match=r"Vendor\.sign_in"):
        vendor.harbor.login("linear/api")


def test_without_a_client(tmp_path: Path) -> None:
    """None is stored unless the test brings one."""
    with (
        Vendor(PROVIDER, RESPONSES, tmp_path) as bare,
        pytest.raises(ClientRequiredError),
    ):
        bare.sign_in("linear/api")
    assert bare.requests == []
