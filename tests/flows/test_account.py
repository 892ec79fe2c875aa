"""Asking who signed in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from harbor_oauth.errors import TransportError
from harbor_oauth.flows import look_up_account
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.providers import AccountLookup
from harbor_oauth.secret import MASK, Secret

URL = "https://api.example.com/me"
TOKEN = Secret("cnry-access")


def ask(token: Secret) -> HttpRequest:
    return HttpRequest("GET", URL, {"Authorization": f"Bearer {token.reveal()}"})


def email(response: HttpResponse) -> Any:
    return json.loads(response.body)["email"]


def saying(body: bytes) -> Callable[[HttpRequest], HttpResponse]:
    return lambda request: HttpResponse(200, {}, body, request.url)


def test_the_account_is_read() -> None:
    """With one request, made and read by the provider's functions."""
    requests = []

    def transport(request: HttpRequest) -> HttpResponse:
        requests.append(request)
        return saying(b'{"email": "me@example.com"}')(request)

    assert look_up_account(transport, AccountLookup(ask, email), TOKEN) == "me@example.com"
    assert [each.headers["Authorization"] for each in requests] == ["Bearer cnry-access"]


def test_without_a_way_nobody_is_asked() -> None:
    """A provider need not have one."""

    def transport(_: HttpRequest) -> HttpResponse:
        raise AssertionError

    assert look_up_account(transport, None, TOKEN) is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000])
def test_a_strange_answer_is_no_account(body: bytes) -> None:
    """A look-up that fails never fails a sign-in."""
    assert look_up_account(saying(body), AccountLookup(ask, email), TOKEN) is None


@pytest.mark.parametrize(
    "error", [TransportError("gone"), KeyError("x"), AttributeError("x"), RuntimeError("x")]
)
@pytest.mark.parametrize("place", ["transport", "request", "account"])
def test_no_error_gets_out(error: Exception, place: str) -> None:
    """Wherever it comes from."""

    def fail(_: Any) -> Any:
        raise error

    lookup = AccountLookup(
        fail if place == "request" else ask, fail if place == "account" else email
    )
    transport = fail if place == "transport" else saying(b'{"email": "me"}')
    assert look_up_account(transport, lookup, TOKEN) is None


@pytest.mark.parametrize(
    ("sent", "account"),
    [
        ("me\x1b]0;owned\x07\x1b[31m@example.com", "me@example.com"),
        ("two\nlines", "two lines"),
        ("x" * 1000, "x" * 128),
        ("", None),
        ("\x1b[0m", None),
        (17, None),
        (None, None),
        (["me"], None),
    ],
)
def test_the_name_is_fit_to_show(sent: object, account: str | None) -> None:
    """It is the peer's text, and goes to a terminal."""
    body = json.dumps({"email": sent}).encode()
    assert look_up_account(saying(body), AccountLookup(ask, email), TOKEN) == account


def test_a_name_that_repeats_the_token_is_masked() -> None:
    """Also where invisible characters stand between its characters."""
    token = Secret("an-access-token-of-some-length")
    lookup = AccountLookup(
        request=lambda _: HttpRequest("GET", "https://api.example/me"),
        account=lambda response: response.body.decode(),
    )
    for said in (token.reveal(), "\u200b".join(token.reveal())):
        answer = HttpResponse(200, {}, f"Ada {said}".encode(), "https://api.example/me")
        found = look_up_account(lambda _, answer=answer: answer, lookup, token)  # type: ignore[misc]
        assert found == f"Ada {MASK}"
