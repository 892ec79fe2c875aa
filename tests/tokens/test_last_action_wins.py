"""A person's sign-in or logout wins over whatever refresh is running."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import LoginRequiredError, VaultMovedError
from harbor_oauth.providers import discovered_provider
from harbor_oauth.testing import AuthorizationServer, McpServer, answers
from harbor_oauth.vault import open_vault

if TYPE_CHECKING:
    from tests.conftest import FakeClock


def begin_refresh(harbor: Harbor, issuer: AuthorizationServer, pool: ThreadPoolExecutor) -> object:
    """Start a forced refresh and return once its request has reached the server."""
    token = harbor.token("practice")
    before = issuer.count("token")
    waiting = pool.submit(harbor.rejected, "practice", token)
    assert issuer.wait_for("token", before + 1)
    return waiting


def test_a_logout_during_a_refresh_leaves_nothing_alive(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """The vault is empty afterwards, and the pair the server gave late is revoked."""
    refreshing, leaving = make_harbor(), make_harbor()
    refreshing.login("practice")
    event = threading.Event()
    issuer.script("token", answers.slow(event))
    with ThreadPoolExecutor(1) as pool:
        waiting = begin_refresh(refreshing, issuer, pool)
        issuer.script("revoke", answers.status(503))  # so that the old pair can still be rotated
        assert leaving.logout("practice").revoked is False
        event.set()
        with pytest.raises(LoginRequiredError) as caught:
            waiting.result()  # type: ignore[attr-defined]  # a future
    assert caught.value.cause == "absent"
    assert leaving.vault.names("grant:") == ()
    assert [event.kind for event in issuer.revoked] == ["refresh_token", "access_token"]


def test_a_sign_in_during_a_refresh_is_what_stays(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """The late pair does not replace the newer grant; both processes use the new one."""
    refreshing, signing_in = make_harbor(), make_harbor()
    refreshing.login("practice")
    event = threading.Event()
    issuer.script("token", answers.slow(event))
    with ThreadPoolExecutor(1) as pool:
        waiting = begin_refresh(refreshing, issuer, pool)
        signing_in.login("practice")
        newest = signing_in.token("practice").reveal()
        event.set()
        assert waiting.result()  # type: ignore[attr-defined]  # a future
    assert refreshing.token("practice").reveal() == newest
    assert make_harbor().token("practice").reveal() == newest


def test_another_process_s_refresh_is_seen_within_a_second(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, clock: FakeClock
) -> None:
    """What one process refreshed, the other uses, without a request of its own."""
    one, other = make_harbor(), make_harbor()
    one.login("practice")
    old = other.token("practice").reveal()
    assert one.rejected("practice", one.token("practice"))
    clock.advance(1)
    assert other.token("practice").reveal() == one.token("practice").reveal() != old
    assert issuer.count("token", grant_type="refresh_token") == 1


def test_another_process_s_logout_is_seen_within_a_second(
    make_harbor: Callable[..., Harbor], clock: FakeClock
) -> None:
    """A token that somebody logged out is not handed out any more."""
    one, other = make_harbor(), make_harbor()
    one.login("practice")
    other.token("practice")
    one.logout("practice")
    clock.advance(1)
    with pytest.raises(LoginRequiredError):
        other.token("practice")


def test_a_slow_grant_delays_no_other(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer, mcp: McpServer
) -> None:
    """While one grant's refresh hangs, another one's finishes."""
    both = {name: discovered_provider(name, mcp.url) for name in ("practice", "second")}
    harbor = make_harbor(providers=both)
    for name in both:
        harbor.login(name)
    event = threading.Event()
    issuer.script("token", answers.slow(event))
    with ThreadPoolExecutor(1) as pool:
        waiting = begin_refresh(harbor, issuer, pool)
        assert harbor.rejected("second", harbor.token("second"))
        assert not waiting.done()  # type: ignore[attr-defined]  # a future
        event.set()
        assert waiting.result()  # type: ignore[attr-defined]  # a future


def test_a_cancelled_task_stops_no_refresh(
    harbor: Harbor, issuer: AuthorizationServer, clock: FakeClock
) -> None:
    """One of three waiting tasks is cancelled; the others get the one new token."""
    harbor.login("practice")
    harbor.token("practice")
    clock.advance(3600)
    event = threading.Event()
    issuer.script("token", answers.slow(event))

    async def scene() -> list[object]:
        tasks = [asyncio.create_task(harbor.token_async("practice")) for _ in range(3)]
        assert await asyncio.to_thread(issuer.wait_for, "token", 2)
        tasks[0].cancel()
        await asyncio.wait(tasks[:1])
        event.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = asyncio.run(scene())
    assert isinstance(first, asyncio.CancelledError)
    assert others[0] is others[1] or others[0] == others[1]
    assert issuer.count("token", grant_type="refresh_token") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_during_a_refresh_harms_nothing(harbor: Harbor, issuer: AuthorizationServer) -> None:
    """The child starts with nothing in memory; the parent's refresh ends as ever."""
    harbor.login("practice")
    event = threading.Event()
    issuer.script("token", answers.slow(event))
    with ThreadPoolExecutor(1) as pool:
        waiting = begin_refresh(harbor, issuer, pool)
        child = os.fork()
        if child == 0:
            source = harbor._tokens_of_vault
            os._exit(len(source._flights) + len(source._held))
        _, status = os.waitpid(child, 0)
        event.set()
        assert waiting.result()  # type: ignore[attr-defined]  # a future
    assert os.waitstatus_to_exitcode(status) == 0
    assert issuer.reuse_events == []


def test_a_vault_from_another_machine_is_not_refreshed_before_a_person_says_so(
    make_harbor: Callable[..., Harbor], issuer: AuthorizationServer
) -> None:
    """Two copies that rotate would end each other's grants; a valid token is still handed out."""
    home = make_harbor().vault_home
    key_file = home / "vault.key"

    def on(machine: str) -> Harbor:
        vault = open_vault(
            home,
            choice="keyfile",
            key_file=key_file,
            machine=lambda: machine,
            place=lambda _: f"a directory on {machine}",
        )
        return make_harbor(vault=vault)

    here, there = on("this machine"), on("that machine")
    here.login("practice")
    token = there.token("practice")
    with pytest.raises(VaultMovedError, match="another machine"):
        there.rejected("practice", token)
    assert issuer.count("token", grant_type="refresh_token") == 0
    there.vault.moved()
    assert there.rejected("practice", token)
