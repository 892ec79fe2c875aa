"""`integrations.httpx.Auth`: the tokens of a client of httpx or httpx2, sync or async."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import httpx2
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import (
    InsecureEndpointError,
    LoginRequiredError,
    ScopeRequiredError,
    WrongResourceError,
)
from harbor_oauth.integrations.httpx import Auth
from harbor_oauth.testing import AuthorizationServer, McpServer, RecordedRequest, answers

if TYPE_CHECKING:
    from tests.conftest import FakeClock

Post = Callable[..., Any]


def sync_post(library: Any) -> Post:
    def post(auth: Auth, url: str, **options: Any) -> Any:
        with library.Client(auth=auth, timeout=10) as client:
            return client.post(url, **options)

    return post


def async_post(library: Any) -> Post:
    def post(auth: Auth, url: str, **options: Any) -> Any:
        async def posted() -> Any:
            async with library.AsyncClient(auth=auth, timeout=10) as client:
                return await client.post(url, **options)

        return asyncio.run(posted())

    return post


@pytest.fixture(
    params=[sync_post(httpx), async_post(httpx), sync_post(httpx2), async_post(httpx2)],
    ids=["httpx sync", "httpx async", "httpx2 sync", "httpx2 async"],
)
def post(request: pytest.FixtureRequest) -> Post:
    """Send one POST with a client of its own."""
    function: Post = request.param
    return function


@pytest.fixture
def auth(signed_in: Harbor) -> Auth:
    return Auth("practice", harbor=signed_in)


def test_it_is_an_auth_of_both_libraries(harbor: Harbor) -> None:
    """Both compare by class."""
    auth = Auth("practice", harbor=harbor)
    assert isinstance(auth, httpx.Auth)
    assert isinstance(auth, httpx2.Auth)


def test_a_call_carries_the_token(
    post: Post, auth: Auth, mcp: McpServer, call: dict[str, Any]
) -> None:
    """The server lets it in."""
    assert post(auth, mcp.url, **call).status_code == 200


def test_expiry_costs_one_refresh(
    post: Post,
    auth: Auth,
    mcp: McpServer,
    call: dict[str, Any],
    clock: FakeClock,
    refreshes: Callable[[], int],
    carried: Callable[[], list[RecordedRequest]],
) -> None:
    """The refresh comes before the request, which is sent once."""
    clock.advance(3600)
    assert post(auth, mcp.url, **call).status_code == 200
    assert (refreshes(), len(carried())) == (1, 1)


def test_a_401_is_repeated_with_the_new_token(
    post: Post,
    auth: Auth,
    issuer: AuthorizationServer,
    mcp: McpServer,
    call: dict[str, Any],
    refreshes: Callable[[], int],
    carried: Callable[[], list[RecordedRequest]],
) -> None:
    """The same body goes with another token."""
    issuer.expire_access_tokens()
    assert post(auth, mcp.url, **call).status_code == 200
    first, second = carried()
    assert first.body == second.body
    assert first.headers["authorization"] != second.headers["authorization"]
    assert refreshes() == 1


def test_a_server_that_always_refuses_is_asked_twice(
    post: Post,
    auth: Auth,
    mcp: McpServer,
    call: dict[str, Any],
    refreshes: Callable[[], int],
    carried: Callable[[], list[RecordedRequest]],
) -> None:
    """Two requests and one refresh, then the caller gets the 401."""
    mcp.always_401 = True
    assert post(auth, mcp.url, **call).status_code == 401
    assert (len(carried()), refreshes()) == (2, 1)


def test_a_caller_s_own_authorization_is_replaced(
    post: Post, auth: Auth, signed_in: Harbor, mcp: McpServer, call: dict[str, Any]
) -> None:
    """However it is written, one Authorization is sent, and it is the grant's; DPoP goes."""
    call["headers"] |= {"AUTHORIZATION": "Bearer stale", "dpop": "stale"}
    post(auth, mcp.url, **call)
    sent = mcp.requests[-1].headers
    assert sent["authorization"] == signed_in.token("practice").authorization
    assert "dpop" not in sent


def test_another_origin_is_refused_before_anything_is_sent(
    post: Post, auth: Auth, issuer: AuthorizationServer
) -> None:
    """Not a byte goes there, and not over plain http to another machine either."""
    before = len(issuer.requests)
    with pytest.raises(WrongResourceError):
        post(auth, f"{issuer.issuer}/steal")
    with pytest.raises(InsecureEndpointError):
        post(auth, "http://192.0.2.1/steal")
    assert len(issuer.requests) == before


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_followed_redirect_leaves_the_token_behind(
    post: Post,
    auth: Auth,
    issuer: AuthorizationServer,
    mcp: McpServer,
    call: dict[str, Any],
    refreshes: Callable[[], int],
    code: int,
    carried: Callable[[], list[RecordedRequest]],
) -> None:
    """A 401 of the other origin is the caller's business: no refresh, no second request."""
    with McpServer(issuer) as other:
        mcp.script("mcp", answers.redirect(code, other.url))
        assert post(auth, mcp.url, follow_redirects=True, **call).status_code == 401
        (stolen,) = other.requests
    assert "authorization" not in stolen.headers
    assert (len(carried()), refreshes()) == (1, 0)


def test_another_origin_s_challenge_does_not_open_the_browser(
    post: Post, make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """Where a redirect leads must not choose where a person signs in."""
    opened: list[str] = []

    def browser(url: str) -> bool:
        opened.append(url)
        return issuer.browser(url)

    harbor = make_harbor(browser=browser)
    with McpServer(issuer) as other:
        mcp.script("mcp", answers.redirect(307, other.url))
        auth = Auth("practice", harbor=harbor, interactive=True)
        assert post(auth, mcp.url, follow_redirects=True).status_code == 401
    assert opened == []


def test_a_stream_is_not_sent_again(
    auth: Auth, issuer: AuthorizationServer, mcp: McpServer, call: dict[str, Any]
) -> None:
    """Its 401 is handed back, and the next request has a new token."""

    def stream() -> Iterator[bytes]:
        yield b"{}"

    async def astream() -> AsyncIterator[bytes]:
        yield b"{}"

    sends = {sync_post: stream, async_post: astream}
    for library in (httpx, httpx2):
        for send, body in sends.items():
            issuer.expire_access_tokens()
            before = mcp.count("mcp")
            answer = send(library)(auth, mcp.url, content=body(), headers=call["headers"])
            assert (answer.status_code, mcp.count("mcp") - before) == (401, 1)
    assert sync_post(httpx)(auth, mcp.url, **call).status_code == 401  # one a minute is forced


def test_after_a_stream_s_401_the_next_request_succeeds(
    post: Post, auth: Auth, issuer: AuthorizationServer, mcp: McpServer, call: dict[str, Any]
) -> None:
    """The refusal was reported although nothing was sent again."""
    issuer.expire_access_tokens()
    upload = {"file": ("name", b"content")}
    assert post(auth, mcp.url, files=upload).status_code == 401
    before = mcp.count("mcp")
    assert post(auth, mcp.url, **call).status_code == 200
    assert mcp.count("mcp") - before == 1


def test_no_lock_is_held_while_an_answer_is_awaited(
    auth: Auth, mcp: McpServer, call: dict[str, Any]
) -> None:
    """A request that waits for its answer stops no other of the same grant (python-sdk #1326)."""
    event = threading.Event()
    before = mcp.count("mcp")

    async def scene() -> list[int]:
        async with httpx2.AsyncClient(auth=auth, timeout=10) as client:
            mcp.script("mcp", answers.slow(event))
            first = asyncio.create_task(client.post(mcp.url, **call))
            await asyncio.to_thread(mcp.wait_for, "mcp", before + 1)
            second = await client.post(mcp.url, **call)
            event.set()
            return [(await first).status_code, second.status_code]

    try:
        assert asyncio.run(scene()) == [200, 200]
    finally:
        event.set()


def test_without_a_grant_nothing_is_sent(post: Post, harbor: Harbor, mcp: McpServer) -> None:
    """Nobody has signed in: Harbor's error, unchanged."""
    with pytest.raises(LoginRequiredError):
        post(Auth("practice", harbor=harbor), mcp.url)
    assert mcp.count("mcp") == 0


def test_an_interactive_caller_signs_in(
    post: Post, harbor: Harbor, mcp: McpServer, call: dict[str, Any]
) -> None:
    """The first request's 401 says where; the second succeeds."""
    auth = Auth("practice", harbor=harbor, interactive=True)
    assert post(auth, mcp.url, **call).status_code == 200
    assert mcp.count("mcp") == 2


def test_missing_scopes_are_an_error(
    post: Post,
    auth: Auth,
    mcp: McpServer,
    call: dict[str, Any],
    carried: Callable[[], list[RecordedRequest]],
) -> None:
    """Two challenges in two fields are read as one; nobody is asked."""
    challenge = [
        'Basic realm="x"',
        'Bearer error="insufficient_scope", scope="read admin"',
    ]
    mcp.scope, mcp.challenges = "admin", challenge
    with pytest.raises(ScopeRequiredError) as caught:
        post(auth, mcp.url, **call)
    assert caught.value.missing == ("admin",)
    assert len(carried()) == 1


def test_cancelling_leaves_at_once(
    auth: Auth,
    issuer: AuthorizationServer,
    mcp: McpServer,
    clock: FakeClock,
    signed_in: Harbor,
    call: dict[str, Any],
) -> None:
    """The task ends although the refresh goes on, and the next caller gets its token."""
    event = threading.Event()
    issuer.script("token", answers.slow(event))
    clock.advance(3600)

    async def scene() -> None:
        async with httpx2.AsyncClient(auth=auth, timeout=10) as client:
            # A scope's cancellation waits for threads that are not abandoned; a task's never does.
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: client.post(mcp.url, **call))
                await asyncio.to_thread(issuer.wait_for, "token", 2)
                group.cancel_scope.cancel()
            assert not event.is_set()
            event.set()
            assert (await client.post(mcp.url, **call)).status_code == 200

    try:
        asyncio.run(scene())
    finally:
        event.set()
    assert issuer.count("token", grant_type="refresh_token") == 1


def test_a_bound_token_is_proved(
    post: Post,
    bound: Harbor,
    issuer: AuthorizationServer,
    mcp: McpServer,
    call: dict[str, Any],
    carried: Callable[[], list[RecordedRequest]],
) -> None:
    """Each request has a proof of its own, with the nonce the server wants (RFC 9449 §9)."""
    mcp.dpop_nonce = "rs-1"
    auth = Auth("practice", harbor=bound)
    assert post(auth, f"{mcp.url}?x=1", **call).status_code == 200
    issuer.expire_access_tokens()
    assert post(auth, mcp.url, **call).status_code == 200
    proofs = [each.headers["dpop"] for each in carried()]
    assert len(proofs) == len(set(proofs)) > 2
    assert {each.headers["authorization"].partition(" ")[0] for each in carried()} == {"DPoP"}
