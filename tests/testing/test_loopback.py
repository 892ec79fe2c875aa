"""Recording and scripting, as both HTTP doubles do it."""

from __future__ import annotations

import http.client
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from harbor_oauth.testing import AuthorizationServer, answers


def test_it_listens_on_loopback_only_while_it_runs(ask: Any) -> None:
    """There is no address before the start and nobody there after the end."""
    server = AuthorizationServer()
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = server.origin
    with server:
        url = f"{server.origin}/nothing"
        assert url.startswith("http://127.0.0.1:")
        assert ask(url).status == 404
    with pytest.raises(ConnectionRefusedError):
        ask(url)
    assert server.count("unknown") == 1


def test_requests_are_recorded_whole(authorization_server: Any, ask: Any) -> None:
    """Method, path, query, fields, form and body, frozen; nothing of it in the repr."""
    ask(
        f"{authorization_server.origin}/token?tenant=1",
        form=[("grant_type", "refresh_token"), ("empty", ""), ("code", "s3cret")],
        headers={"X-Test": "yes"},
    )
    (request,) = authorization_server.requests
    assert (request.endpoint, request.method, request.path) == ("token", "POST", "/token")
    assert request.query == {"tenant": "1"}
    assert request.query_string == "tenant=1"
    assert request.form == {"grant_type": "refresh_token", "empty": "", "code": "s3cret"}
    assert request.headers["x-test"] == "yes"
    assert request.json is None
    assert request.body == b"grant_type=refresh_token&empty=&code=s3cret"
    assert "s3cret" not in repr(request)
    with pytest.raises(AttributeError):
        request.method = "GET"


def test_json_bodies_are_recorded_as_values(authorization_server: Any, ask: Any) -> None:
    """Broken JSON is None, with the octets kept."""
    ask(f"{authorization_server.origin}/register", content={"client_name": "x"})
    ask(f"{authorization_server.origin}/register", content=b"{")
    first, second = authorization_server.requests
    assert first.json == {"client_name": "x"}
    assert (second.json, second.body) == (None, b"{")
    assert authorization_server.count("register", client_name="x") == 1


def test_count_tells_requests_apart(user: Any) -> None:
    """By endpoint and by parameters."""
    tokens = user.sign_in()
    user.refresh(tokens["refresh_token"])
    assert user.server.count("token") == 2
    assert user.server.count("token", grant_type="refresh_token") == 1
    assert user.server.count("authorize", state="state-1") == 1
    assert user.server.count("authorize", state="other") == 0
    with pytest.raises(ValueError, match="no endpoint 'tokens'"):
        user.server.count("tokens")


def test_a_script_is_used_up_in_order(user: Any) -> None:
    """One answer for each request, then the real work again; other endpoints do not care."""
    user.server.script(
        "token",
        answers.status(503, {"Retry-After": "3"}),
        answers.work(),
        answers.html(),
        answers.redirect(307, "https://evil.example/"),
        answers.json({"error": "slow_down"}, 429),
        answers.json(b"{"),
    )
    code = user.authorize().sent_back["code"]
    busy = user.redeem(code)
    assert (busy.status, busy.headers["Retry-After"]) == (503, "3")
    tokens = user.redeem(code).json
    page = user.refresh(tokens["refresh_token"])
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    away = user.refresh(tokens["refresh_token"])
    assert (away.status, away.headers["Location"]) == (307, "https://evil.example/")
    assert user.refresh(tokens["refresh_token"]).json == {"error": "slow_down"}
    assert user.refresh(tokens["refresh_token"]).body == b"{"
    assert user.refresh(tokens["refresh_token"]).status == 200
    with pytest.raises(ValueError, match="no endpoint"):
        user.server.script("tokens", answers.status(500))


def test_metadata_is_scripted_too(authorization_server: Any, ask: Any) -> None:
    """Each well-known path takes from the same queue."""
    authorization_server.script("metadata", answers.status(404))
    url = f"{authorization_server.origin}/.well-known/openid-configuration"
    assert [ask(url).status, ask(url).status] == [404, 200]


def test_a_lost_reply_spends_the_token(user: Any) -> None:
    """The work is done, the answer is another: the same token again is reuse."""
    tokens = user.sign_in()
    user.server.script("token", answers.after_rotating(answers.status(502)))
    assert user.refresh(tokens["refresh_token"]).status == 502
    assert user.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert len(user.server.reuse_events) == 1


def test_a_dropped_connection_has_no_answer(user: Any) -> None:
    """Before the work nothing is spent; after it, grace gives the pair again."""
    user.server.grace = 30
    tokens = user.sign_in()
    user.server.script("token", answers.drop(), answers.after_rotating(answers.drop()))
    for _ in range(2):
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            user.refresh(tokens["refresh_token"])
    assert user.refresh(tokens["refresh_token"]).status == 200
    assert user.server.reuse_events == []


@pytest.mark.parametrize("size", [14, 15, 300_000])
def test_an_oversized_answer_has_exactly_its_size(user: Any, size: int) -> None:
    """And is well-formed, so that only its size is wrong."""
    user.server.script("token", answers.oversized(size))
    reply = user.refresh("x")
    assert len(reply.body) == size
    assert set(reply.json) == {"filler"}


def test_a_slow_answer_waits_and_holds_nobody_up(user: Any) -> None:
    """Another request is answered while one waits for its event."""
    gate = threading.Event()
    user.server.script("token", answers.slow(gate), answers.slow(gate, answers.status(504)))
    statuses: list[int] = []
    waiting = [
        threading.Thread(target=lambda: statuses.append(user.refresh("x").status)) for _ in range(2)
    ]
    for thread in waiting:
        thread.start()
    assert user.server.wait_for("token", count=2)
    assert user.authorize().status == 302
    assert statuses == []
    gate.set()
    for thread in waiting:
        thread.join()
    assert sorted(statuses) == [400, 504]


def test_wait_for_gives_up(authorization_server: Any) -> None:
    """A request that never comes is False."""
    assert authorization_server.wait_for("token", timeout=0.0) is False


def test_an_exception_in_a_script_reaches_the_test(ask: Any) -> None:
    """The client sees a 500, the test sees the exception."""

    def broken(_: Any) -> None:
        raise LookupError("a mistake in the test")

    def run() -> None:
        with AuthorizationServer() as server:
            server.script("token", broken)
            assert ask(f"{server.origin}/token", form={}).status == 500

    with pytest.raises(LookupError, match="a mistake in the test"):
        run()


def test_many_threads_lose_no_request(user: Any) -> None:
    """One rotation wins, each other request is reuse or a dead family, all are counted."""
    tokens = user.sign_in()
    statuses: list[int] = []
    start = threading.Barrier(16)

    def refresh() -> None:
        start.wait()
        statuses.append(user.refresh(tokens["refresh_token"]).status)

    threads = [threading.Thread(target=refresh) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [400] * 15
    assert user.server.count("token", grant_type="refresh_token") == 16
    assert len(user.server.reuse_events) == 1


def test_no_code_or_token_is_logged(user: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Request lines hold codes and states, so they are not logged."""
    with caplog.at_level(logging.DEBUG):
        tokens = user.sign_in()
        user.ask(f"{user.server.origin}/?access_token={tokens['access_token']}")
    assert tokens["access_token"] not in caplog.text
    assert "state-1" not in caplog.text


def test_the_clock_can_change_while_it_runs(user: Any, clock: Callable[[], float]) -> None:
    """Attributes count from the moment they are set."""
    tokens = user.sign_in()
    user.server.clock = lambda: clock() + 10**10
    assert user.server.valid(tokens["access_token"]) is None
