"""TokenSource: valid tokens from memory, vault or server, and what a refusal does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
import pytest
from werkzeug import Request, Response

from harbor_oauth.client import Harbor
from harbor_oauth.errors import (
    HarborError,
    InsecureEndpointError,
    LoginRequiredError,
    MalformedResponseError,
    TokenResponseError,
    TransportError,
)
from harbor_oauth.testing import AuthorizationServer, answers
from harbor_oauth.tokens.held import expiry_margin
from harbor_oauth.vault import grant_record_name

if TYPE_CHECKING:
    from tests.conftest import FakeClock


def refreshes(issuer: AuthorizationServer) -> int:
    return issuer.count("token", grant_type="refresh_token")


def stored(harbor: Harbor) -> tuple[str, str]:
    access, refresh = (
        harbor.vault.get(f"oauth:practice:{field}") for field in ("access_token", "refresh_token")
    )
    assert access is not None
    assert refresh is not None
    return access.reveal(), refresh.reveal()


@pytest.mark.parametrize(
    ("life", "margin"), [(3600, 60), (600, 60), (300, 30), (30, 3), (1, 0.1), (0, 0), (-5, 0)]
)
def test_the_margin_is_a_minute_or_a_tenth_of_the_life(life: float, margin: float) -> None:
    """A short token is not refreshed in a loop."""
    assert expiry_margin(life) == pytest.approx(margin)


def test_a_valid_token_costs_no_request(harbor: Harbor, issuer: AuthorizationServer) -> None:
    """It comes from memory, and in a new process from the vault."""
    harbor.login("practice")
    before = len(issuer.requests)
    assert harbor.token("practice").reveal() == harbor.token("practice").reveal()
    assert len(issuer.requests) == before


def test_a_cold_process_refreshes_with_the_record_alone(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, clock: FakeClock
) -> None:
    """Without provider, discovery or browser, an expired grant is refreshed."""
    make_harbor().login("practice")
    clock.advance(3600)

    def no_browser(url: str) -> bool:
        pytest.fail("a browser was opened")

    cold = make_harbor(providers={}, browser=no_browser)
    before = len(issuer.requests)
    token = cold.token("practice")
    assert issuer.valid(token.reveal()) is not None
    assert [request.endpoint for request in issuer.requests[before:]] == ["token"]


def test_either_clock_ends_a_token(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, clock: FakeClock
) -> None:
    """A wall clock that is set back does not keep an old token alive."""
    monotonic = type(clock)(5.0)
    harbor = make_harbor(monotonic=monotonic)
    harbor.login("practice")
    harbor.token("practice")
    clock.advance(-86400)
    monotonic.advance(3600)
    harbor.token("practice")
    assert refreshes(issuer) == 1


def test_threads_share_one_refresh(
    harbor: Harbor, issuer: AuthorizationServer, clock: FakeClock
) -> None:
    """Sixteen threads that meet an expired token cause one refresh."""
    harbor.login("practice")
    clock.advance(3600)
    tokens: list[str] = []
    threads = [
        threading.Thread(target=lambda: tokens.append(harbor.token("practice").reveal()))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 16
    assert len(set(tokens)) == 1
    assert refreshes(issuer) == 1
    assert issuer.reuse_events == []


@pytest.mark.parametrize("report", [False, True])
def test_a_refresh_that_cannot_start_is_an_error_and_no_wait(
    harbor: Harbor,
    issuer: AuthorizationServer,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    report: bool,
) -> None:
    """A thread that the system refuses leaves nothing behind: the next call refreshes."""
    harbor.login("practice")
    old = harbor.token("practice")
    if not report:
        clock.advance(3600)
    start = threading.Thread.start

    def refused(self: threading.Thread) -> None:
        if self.name == "harbor-refresh":
            raise RuntimeError("can't start new thread")
        start(self)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        with pytest.raises(TransportError, match="cannot start a thread") as caught:
            harbor.rejected("practice", old) if report else harbor.token("practice")
    assert not caught.value.ambiguous
    assert refreshes(issuer) == 0
    answered: list[bool] = []
    again = threading.Thread(
        target=lambda: answered.append(
            harbor.rejected("practice", old)
            if report
            else issuer.valid(harbor.token("practice").reveal()) is not None
        ),
        daemon=True,
    )
    again.start()
    again.join(60)
    assert answered == [True]
    assert refreshes(issuer) == 1


def test_a_401_refreshes_once_for_all_who_hold_that_token(
    harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """The second report of the same token finds the newer one stored."""
    harbor.login("practice")
    old = harbor.token("practice")
    harbor.rejected("practice", old)
    harbor.rejected("practice", old)
    assert refreshes(issuer) == 1
    assert harbor.token("practice").reveal() != old.reveal()


def test_the_new_pair_is_in_the_vault(harbor: Harbor, issuer: AuthorizationServer) -> None:
    """What a refresh gave is what the next process reads."""
    harbor.login("practice")
    before = stored(harbor)
    harbor.rejected("practice", harbor.token("practice"))
    after = stored(harbor)
    assert after[0] != before[0]
    assert after[1] != before[1]
    assert harbor.token("practice").reveal() == after[0]


def test_an_answer_without_a_refresh_token_keeps_the_old_one(
    harbor: Harbor, issuer: AuthorizationServer, clock: FakeClock
) -> None:
    """RFC 6749 §6: the server may keep it; the next refresh still works."""
    issuer.rotate = False
    harbor.login("practice")
    refresh_token = stored(harbor)[1]
    issuer.amend("token", refresh_token=None)
    harbor.rejected("practice", harbor.token("practice"))
    assert stored(harbor)[1] == refresh_token
    clock.advance(61)
    assert harbor.rejected("practice", harbor.token("practice"))
    assert refreshes(issuer) == 2


@pytest.mark.parametrize(
    ("answer", "times", "error"),
    [
        (answers.status(500), 5, TransportError),
        (answers.status(502), 5, TransportError),
        (answers.drop(), 5, TransportError),
        (answers.status(503, {"Retry-After": "7"}), 1, TransportError),
        (answers.status(429), 1, TransportError),
        (answers.html(), 3, MalformedResponseError),
        (answers.json({"error": "invalid_client"}, 401), 1, LoginRequiredError),
        (answers.json({"error": "temporarily_unavailable"}, 400), 1, TokenResponseError),
        (answers.json({"access_token": "", "token_type": "Bearer"}), 3, MalformedResponseError),
        (answers.json({"token_type": "Bearer"}), 3, MalformedResponseError),
        (answers.redirect(307, "http://127.0.0.1:9/"), 1, InsecureEndpointError),
    ],
)
def test_a_passing_fault_changes_nothing(
    harbor: Harbor,
    issuer: AuthorizationServer,
    answer: answers.Answer,
    times: int,
    error: type[HarborError],
) -> None:
    """Whatever the server answers but `invalid_grant`, the stored pair stays and works later."""
    harbor.login("practice")
    before = stored(harbor)
    issuer.script("token", *[answer] * times)
    with pytest.raises(error):
        harbor.rejected("practice", harbor.token("practice"))
    assert stored(harbor) == before
    assert refreshes(issuer) == times
    assert harbor.rejected("practice", harbor.token("practice"))
    assert stored(harbor) != before


@pytest.mark.parametrize("lost", [1, 2, 4])
def test_a_lost_answer_is_asked_for_again_with_the_same_token(
    harbor: Harbor, issuer: AuthorizationServer, lost: int, clock: FakeClock
) -> None:
    """The server rotated and its answer never came; within its grace the pair is replayed."""
    issuer.grace = 30
    harbor.login("practice")
    began = clock.now
    issuer.script("token", *[answers.after_rotating(answers.drop())] * lost)
    assert harbor.rejected("practice", harbor.token("practice"))
    assert refreshes(issuer) == lost + 1
    assert issuer.reuse_events == []
    assert issuer.valid(harbor.token("practice").reveal()) is not None
    assert clock.now - began < 20
    sent = {r.form["refresh_token"] for r in issuer.requests if "refresh_token" in r.form}
    assert len(sent) == 1


def test_without_grace_a_lost_answer_is_told_as_an_interrupted_refresh(
    harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """The second attempt's `invalid_grant` is the unavoidable case, and is not called a logout."""
    harbor.login("practice")
    issuer.script("token", *[answers.after_rotating(answers.drop())] * 1)
    issuer.script("token", *[answers.status(503)] * 4)
    with pytest.raises(TransportError):
        harbor.rejected("practice", harbor.token("practice"))
    with pytest.raises(LoginRequiredError, match="interrupted") as caught:
        harbor.rejected("practice", harbor.token("practice"))
    assert caught.value.cause == "dead"


def test_a_token_that_is_due_but_good_survives_a_provider_that_is_down(
    harbor: Harbor, issuer: AuthorizationServer, clock: FakeClock
) -> None:
    """Inside the margin the old token is handed out; the outage costs no call."""
    harbor.login("practice")
    old = harbor.token("practice").reveal()
    clock.advance(3600 - 20)
    issuer.script("token", answers.status(429), answers.status(429))
    assert harbor.token("practice").reveal() == old
    assert harbor.token("practice").reveal() == old
    assert refreshes(issuer) == 1  # not asked again at once
    clock.advance(6)
    assert harbor.token("practice").reveal() == old
    assert refreshes(issuer) == 2
    clock.advance(6)
    assert harbor.token("practice").reveal() != old


def test_a_server_that_refuses_everything_causes_one_refresh_a_minute(
    harbor: Harbor, issuer: AuthorizationServer, clock: FakeClock
) -> None:
    """A thousand refusals in a row cost one refresh; after a minute, one more."""
    harbor.login("practice")
    assert harbor.rejected("practice", harbor.token("practice"))
    for _ in range(1000):
        assert not harbor.rejected("practice", harbor.token("practice"))
    assert refreshes(issuer) == 1
    clock.advance(61)
    assert harbor.rejected("practice", harbor.token("practice"))
    assert refreshes(issuer) == 2


def test_invalid_grant_ends_the_grant_and_keeps_its_bytes(
    harbor: Harbor, make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """The grant is dead in every process, with the cause; nothing is deleted or asked again."""
    harbor.login("practice")
    before = stored(harbor)
    issuer.revoke_all()
    with pytest.raises(LoginRequiredError, match="refused the refresh token") as caught:
        harbor.rejected("practice", harbor.token("practice"))
    assert caught.value.cause == "dead"
    assert "harbor charter practice" in str(caught.value)
    assert stored(harbor) == before
    sent = refreshes(issuer)
    with pytest.raises(LoginRequiredError):
        make_harbor().token("practice")
    assert refreshes(issuer) == sent
    assert harbor.status()[0].state == "dead"
    harbor.login("practice")
    assert harbor.status()[0].state == "active"


def test_invalid_grant_after_somebody_signed_in_adopts_theirs(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """A refresh that a sign-in overtook takes the sign-in's pair and destroys nothing."""
    winner, loser = make_harbor(), make_harbor()
    winner.login("practice")
    old = loser.token("practice")

    def lose(request: Request) -> Response | None:
        winner.login("practice")
        return answers.json({"error": "invalid_grant"}, 400)(request)

    issuer.script("token", lose)
    loser.rejected("practice", old)
    assert loser.token("practice").reveal() == winner.token("practice").reveal() != old.reveal()
    assert loser.status()[0].state == "active"


def test_no_grant_is_a_login_required_error_that_opens_nothing(harbor: Harbor) -> None:
    """`token` never signs anybody in; it says what to run."""
    with pytest.raises(LoginRequiredError, match="harbor dock practice"):
        harbor.token("practice")


def test_a_request_with_a_held_token_opens_no_vault(
    harbor: Harbor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The origins it may go to come from memory too; each thread would open a connection."""
    harbor.login("practice")
    harbor.token("practice")
    harbor.token("practice")  # the first look at whether anybody wrote finds the sign-in
    (key,) = harbor.vault.grants()
    found = harbor.vault.grant(key)
    assert found is not None
    monkeypatch.setattr(type(harbor.vault), "read", lambda *_: pytest.fail("the vault was read"))
    assert harbor._tokens_of_vault.allowed_origins(key) == found[0].allowed_origins


def test_the_origins_are_those_of_the_newest_sign_in(
    make_harbor: Callable[..., Harbor], clock: FakeClock
) -> None:
    """What is in memory is not asked once another process has written the vault."""
    harbor, other = make_harbor(), make_harbor()
    harbor.login("practice")
    harbor.token("practice")
    (key,) = other.vault.grants()
    found = other.vault.grant(key)
    assert found is not None
    narrowed = attrs.evolve(found[0], allowed_origins=("https://elsewhere.example",))
    other.vault.store_grant(key, narrowed, generation=found[1])
    clock.advance(1)
    assert harbor._tokens_of_vault.allowed_origins(key) == ("https://elsewhere.example",)


def test_who_waits_for_another_process_is_not_late_by_as_much(
    make_harbor: Callable[..., Harbor], clock: FakeClock
) -> None:
    """A pause is at most a third of the wait so far, and never long."""
    holder = make_harbor()
    holder.login("practice")
    (key,) = holder.vault.grants()
    name, storage = grant_record_name(key), holder.vault.storage
    clock.advance(3600)
    lease = storage.acquire_lease(name, "another process", ttl=45, now=clock())
    assert lease is not None
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.advance(seconds)

    with pytest.raises(TransportError):
        make_harbor(sleep=sleep).token("practice")
    storage.release_lease(lease)
    assert max(pauses) <= 0.05
    waited = 0.0
    for pause in pauses:
        assert pause <= 0.002 + waited / 3
        waited += pause


def test_a_lost_answer_without_grace_is_told_as_interrupted_at_once(
    harbor: Harbor, issuer: AuthorizationServer
) -> None:
    """The token sent again is refused because the first answer never came, and that is said."""
    harbor.login("practice")
    issuer.script("token", answers.after_rotating(answers.drop()))
    with pytest.raises(LoginRequiredError, match="interrupted") as caught:
        harbor.rejected("practice", harbor.token("practice"))
    assert caught.value.cause == "dead"


def test_a_damaged_grant_can_be_logged_out(harbor: Harbor, issuer: AuthorizationServer) -> None:
    """It is forgotten here, and the result says that the server could not be told."""
    harbor.login("practice")
    (name,) = harbor.vault.names("grant:")
    harbor.vault.write(name, b"not a record", generation=harbor.vault.generation(name))
    harbor.close()
    assert harbor.status()[0].state == "damaged"
    result = harbor.logout("practice")
    assert result.revoked is False
    assert "damaged" in str(result.reason)
    assert harbor.status() == ()
    assert issuer.count("revoke") == 0
