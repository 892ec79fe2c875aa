"""`integrations.aiohttp.middleware`: the tokens of an aiohttp client."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession, FormData

from harbor_oauth.client import Harbor
from harbor_oauth.errors import LoginRequiredError, ScopeRequiredError, WrongResourceError
from harbor_oauth.integrations.aiohttp import middleware
from harbor_oauth.testing import AuthorizationServer, McpServer, RecordedRequest, answers

if TYPE_CHECKING:
    from tests.conftest import FakeClock


def post(harbor: Harbor, url: str, *, interactive: bool = False, **options: Any) -> int:
    """Send one POST with a session of its own and return the answer's status."""

    async def posted() -> int:
        wrapped = middleware("practice", harbor=harbor, interactive=interactive)
        async with (
            ClientSession(middlewares=(wrapped,)) as session,
            session.post(url, **options) as answer,
        ):
            await answer.read()
            return answer.status

    return asyncio.run(posted())


def test_a_call_carries_the_token(signed_in: Harbor, mcp: McpServer, call: dict[str, Any]) -> None:
    """The server lets it in."""
    assert post(signed_in, mcp.url, **call) == 200


def test_expiry_costs_one_refresh(
    signed_in: Harbor,
    mcp: McpServer,
    call: dict[str, Any],
    clock: FakeClock,
    refreshes: Callable[[], int],
    carried: Callable[[], list[RecordedRequest]],
) -> None:
    """The refresh comes before the request, which is sent once."""
    clock.advance(3600)
    assert post(signed_in, mcp.url, **call) == 200
    assert (refreshes(), len(carried())) == (1, 1)


def test_a_401_is_repeated_with_the_new_token(
    signed_in: Harbor,
    issuer: AuthorizationServer,
    mcp: McpServer,
    call: dict[str, Any],
    refreshes: Callable[[], int],
    carried: Callable[[], list[RecordedRequest]],
) -> None:
    """The same body goes with another token."""
    issuer.expire_access_tokens()
    assert post(signed_in, mcp.url, **call) == 200
    first, second = carried()
    assert first.body == second.body
    assert first.headers["authorization"] != second.headers["authorization"]
    assert refreshes() == 1


def test_a_server_that_always_refuses_is_asked_twice(
    signed_in: Harbor,
    mcp: McpServer,
    call: dict[str, Any],
    refreshes: Callable[[], int],
    carried: Callable[[], list[RecordedRequest]],
) -> None:
    """Two requests and one refresh, then the caller gets the 401."""
    mcp.always_401 = True
    assert post(signed_in, mcp.url, **call) == 401
    assert (len(carried()), refreshes()) == (2, 1)


def test_a_caller_s_own_authorization_is_replaced(
    signed_in: Harbor, mcp: McpServer, call: dict[str, Any]
) -> None:
    """However often and however it is written, one is sent, and it is the grant's; DPoP goes."""
    accept = call["headers"]["Accept"]
    call["headers"] = [
        ("Accept", accept),
        ("AUTHORIZATION", "Bearer stale"),
        ("authorization", "Bearer staler"),
        ("dpop", "stale"),
        ("DPoP", "staler"),
    ]
    assert post(signed_in, mcp.url, **call) == 200
    sent = mcp.requests[-1].headers
    assert sent["authorization"] == signed_in.token("practice").authorization
    assert "dpop" not in sent


def test_another_origin_is_refused_before_anything_is_sent(
    signed_in: Harbor, issuer: AuthorizationServer
) -> None:
    """Not a byte goes there."""
    before = len(issuer.requests)
    with pytest.raises(WrongResourceError):
        post(signed_in, f"{issuer.issuer}/steal")
    assert len(issuer.requests) == before


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_origin_is_refused(
    signed_in: Harbor, issuer: AuthorizationServer, mcp: McpServer, call: dict[str, Any], code: int
) -> None:
    """Neither token nor body follows it: the error comes before anything is sent."""
    before = len(issuer.requests)
    mcp.script("mcp", answers.redirect(code, f"{issuer.issuer}/steal"))
    with pytest.raises(WrongResourceError):
        post(signed_in, mcp.url, **call)
    assert len(issuer.requests) == before


def test_a_redirect_within_the_origin_keeps_the_token(
    signed_in: Harbor, mcp: McpServer, call: dict[str, Any]
) -> None:
    """The redirected request carries the grant's token too."""
    mcp.script("mcp", answers.redirect(307, mcp.url))
    assert post(signed_in, mcp.url, **call) == 200


async def stream() -> AsyncIterator[bytes]:
    yield b"{}"


def upload() -> FormData:
    form = FormData()
    form.add_field("file", io.BytesIO(b"content"), filename="name")
    return form


def test_a_stream_is_not_sent_again(
    signed_in: Harbor,
    issuer: AuthorizationServer,
    mcp: McpServer,
    call: dict[str, Any],
    carried: Callable[[], list[RecordedRequest]],
) -> None:
    """Its 401 is handed back, and the next request has a new token."""
    issuer.expire_access_tokens()
    assert post(signed_in, mcp.url, data=stream()) == 401
    assert len(carried()) == 1
    assert post(signed_in, mcp.url, **call) == 200
    assert len(carried()) == 2


def test_an_upload_that_can_be_repeated_is(
    signed_in: Harbor,
    issuer: AuthorizationServer,
    mcp: McpServer,
    carried: Callable[[], list[RecordedRequest]],
) -> None:
    """aiohttp rewinds it: the second request has all of it."""
    issuer.expire_access_tokens()
    assert post(signed_in, mcp.url, data=upload()) == 406  # let in; it is no JSON-RPC
    first, second = carried()
    assert b"content" in first.body
    assert second.body == first.body


def test_without_a_grant_nothing_is_sent(harbor: Harbor, mcp: McpServer) -> None:
    """Nobody has signed in: Harbor's error, unchanged."""
    with pytest.raises(LoginRequiredError):
        post(harbor, mcp.url)
    assert mcp.count("mcp") == 0


def test_an_interactive_caller_signs_in(
    harbor: Harbor, mcp: McpServer, call: dict[str, Any]
) -> None:
    """The first request's 401 says where; the second succeeds."""
    assert post(harbor, mcp.url, interactive=True, **call) == 200
    assert mcp.count("mcp") == 2


def test_missing_scopes_are_an_error(
    signed_in: Harbor, mcp: McpServer, call: dict[str, Any]
) -> None:
    """Two challenges in two fields are read as one; nobody is asked, no connection stays open."""
    challenge = ['Basic realm="x"', 'Bearer error="insufficient_scope", scope="read admin"']
    mcp.scope, mcp.challenges = "admin", challenge
    with pytest.raises(ScopeRequiredError) as caught:
        post(signed_in, mcp.url, **call)
    assert caught.value.missing == ("admin",)


def test_a_bound_token_is_proved(
    bound: Harbor, issuer: AuthorizationServer, mcp: McpServer, call: dict[str, Any]
) -> None:
    """Also after a redirect: each request has a proof of its own, with the server's nonce."""
    mcp.dpop_nonce = "rs-1"
    mcp.script("mcp", answers.redirect(307, mcp.url))
    assert post(bound, f"{mcp.url}?x=1", **call) == 200
    issuer.expire_access_tokens()
    assert post(bound, mcp.url, **call) == 200
