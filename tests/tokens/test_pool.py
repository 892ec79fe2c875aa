"""Refreshes run on few threads, and a vendor that hangs holds up its own grants only."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import attrs
import pytest

from harbor_oauth.errors import TransportError
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.testing.vault_conformance import grant_record
from harbor_oauth.tokens.pool import AT_ONCE, AT_ONE_ENDPOINT, Job, RefreshPool
from harbor_oauth.tokens.source import TokenSource
from harbor_oauth.transport import RequestsTransport
from harbor_oauth.vault import GrantKey, Vault, grant_record_name
from harbor_oauth.vault.keys import MemoryKeySource
from harbor_oauth.vault.memory import MemoryStorage

PATIENCE = 60.0


class Crowd:
    """Jobs that stay until they are let go, and how many of them run."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.running: list[str] = []
        self.most: dict[str, int] = {}
        self.done = 0
        self.gone = False

    def job(self, endpoint: str, then: Job | None = None) -> Job:
        def stay() -> Job | None:
            with self.changed:
                self.running.append(endpoint)
                for name, count in (
                    (endpoint, self.running.count(endpoint)),
                    ("", len(self.running)),
                ):
                    self.most[name] = max(self.most.get(name, 0), count)
                self.changed.notify_all()
                assert self.changed.wait_for(lambda: self.gone, PATIENCE)
                self.running.remove(endpoint)
                self.done += 1
                self.changed.notify_all()
            return then

        return Job(endpoint, stay)

    def until(self, state: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(state, PATIENCE)

    def leave(self, done: int) -> None:
        with self.changed:
            self.gone = True
            self.changed.notify_all()
        self.until(lambda: self.done == done)


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


def test_so_many_at_one_endpoint(crowd: Crowd) -> None:
    """The others wait, and all get their turn."""
    pool = RefreshPool()
    for _ in range(40):
        pool.run(crowd.job("dead"))
    pool.run(crowd.job("living"))
    crowd.until(lambda: sorted(crowd.running) == ["dead"] * AT_ONE_ENDPOINT + ["living"])
    crowd.leave(41)
    assert crowd.most == {"dead": AT_ONE_ENDPOINT, "living": 1, "": AT_ONE_ENDPOINT + 1}


def test_so_many_in_all(crowd: Crowd) -> None:
    """However many endpoints there are."""
    pool = RefreshPool()
    for number in range(3 * AT_ONCE):
        pool.run(crowd.job(f"endpoint {number % 11}"))
    crowd.until(lambda: len(crowd.running) == AT_ONCE)
    crowd.leave(3 * AT_ONCE)
    assert crowd.most[""] == AT_ONCE


def test_what_is_left_waits_for_its_own_turn(crowd: Crowd) -> None:
    """A job that goes on at another endpoint counts there."""
    pool = RefreshPool()
    crowd.gone = True
    for _ in range(20):
        pool.run(crowd.job("first", then=crowd.job("second", then=crowd.job("third"))))
    crowd.leave(60)
    assert max(crowd.most.values()) <= 3 * AT_ONE_ENDPOINT
    assert max(crowd.most[name] for name in ("first", "second", "third")) <= AT_ONE_ENDPOINT


def test_a_thread_of_the_pool_knows_itself() -> None:
    """So that it can do at once what it would otherwise wait for."""
    pool, told = RefreshPool(), []
    over = threading.Event()

    def work() -> None:
        told.append(pool.is_here)
        over.set()

    pool.run(Job("here", work))
    assert over.wait(PATIENCE)
    assert told == [True]
    assert not pool.is_here


def test_a_thread_that_does_not_start(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error where no other would do the job, and none is left to be done later."""
    pool = RefreshPool()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            pool.run(crowd.job("none"))
    pool.run(crowd.job("first"))
    crowd.until(lambda: crowd.running == ["first"])
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        pool.run(crowd.job("second"))  # the first one's thread does it afterwards
    crowd.leave(2)
    assert crowd.most == {"first": 1, "second": 1, "": 1}


# --- grants ------------------------------------------------------------------


@attrs.define
class Servers:
    """Token endpoints: of a vendor that hangs, and of one that answers."""

    release: threading.Event = attrs.field(factory=threading.Event)
    asked: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if urlsplit(request.url).hostname == "dead.example":
            self.asked.release()
            assert self.release.wait(PATIENCE)
        answer = {"access_token": "new", "token_type": "Bearer", "expires_in": 3600}
        body = json.dumps(answer).encode()
        return HttpResponse(200, {"content-type": "application/json"}, body, request.url)


@pytest.fixture
def servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.release.set()


def grants(vault: Vault, host: str, count: int) -> list[GrantKey]:
    """Store grants of one vendor whose access tokens have expired."""
    keys = [GrantKey("practice", "mcp", f"{host}-{number}") for number in range(count)]
    for key in keys:
        record = grant_record(
            account_label=key.account,
            token_endpoint=f"https://{host}.example/token",
            expires_at=1_700_003_600.0,  # years ago
        )
        vault.store_grant(key, record, generation=0)
    return keys


def test_a_vendor_that_hangs_holds_up_its_own_grants_only(servers: Servers) -> None:
    """Forty of its grants are asked for, and another vendor's is there at once."""
    vault = Vault(MemoryStorage(), MemoryKeySource(), machine=lambda: None)
    source = TokenSource(vault, servers)
    dead = [source.future(key) for key in grants(vault, "dead", 40)]
    for _ in range(AT_ONE_ENDPOINT):
        assert servers.asked.acquire(timeout=PATIENCE)
    (living,) = grants(vault, "living", 1)
    assert source.future(living).result(PATIENCE).secret.reveal() == "new"
    assert not servers.asked.acquire(blocking=False)
    assert not any(future.done() for future in dead)
    servers.release.set()
    assert {future.result(PATIENCE).secret.reveal() for future in dead} == {"new"}


def test_a_grant_that_needs_another_waits_for_no_turn(servers: Servers) -> None:
    """Its work asks for the other grant on the pool, where all turns may be taken."""
    vault = Vault(MemoryStorage(), MemoryKeySource(), machine=lambda: None)
    (needed,) = grants(vault, "living", 1)
    asking = grants(vault, "other", 3 * AT_ONE_ENDPOINT)

    def transport(request: HttpRequest) -> HttpResponse:
        if "other" in request.url:
            assert source.token(needed).secret.reveal() == "new"
        return servers(request)

    source = TokenSource(vault, transport)
    for future in [source.future(key) for key in asking]:
        assert future.result(PATIENCE).secret.reveal() == "new"


def test_a_request_whose_thread_does_not_start_was_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So the refresh token is not spent, and the sign-in stays as it is."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "harbor-http":
            raise RuntimeError("can't start new thread")
        start(thread)

    vault = Vault(MemoryStorage(), MemoryKeySource(), machine=lambda: None)
    (key,) = grants(vault, "dead", 1)
    before = vault.grant(key)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(TransportError, match="cannot start a thread") as caught:
        TokenSource(vault, RequestsTransport()).token(key)
    assert not caught.value.ambiguous
    assert vault.grant(key) == before
    assert vault.storage.intent(grant_record_name(key)) is None
