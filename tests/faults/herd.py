"""Many callers in one process that meet an ended token at the same moment.

Two hundred asyncio tasks and sixteen threads, at a server that rotates refresh
tokens, forgives nothing and holds its answer until all of them wait. Also: a
slow grant beside another, a cancelled task, and a fork while a refresh runs.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs

from harbor_oauth.client import Harbor
from harbor_oauth.errors import HarborError
from harbor_oauth.testing import AuthorizationServer, answers
from harbor_oauth.tokens import AccessToken
from harbor_oauth.vault import GrantKey, Vault
from tests.faults.ground import (
    NAME,
    PATIENCE,
    Verdict,
    counts,
    fork,
    sign_in,
    store_login,
    vault_in,
)

GRANT: Final = "practice/api@default"
OTHER: Final = GrantKey("other", "api", "default")


@attrs.define
class Clock:
    """A clock that stands still until it is told to go on."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@attrs.frozen
class Ground:
    """A server, a vault with a grant, a Harbor on it, and their clock."""

    server: AuthorizationServer
    vault: Vault
    harbor: Harbor
    clock: Clock

    def expire(self) -> None:
        """Let all tokens end."""
        self.clock.now += 3600.0

    def refreshes(self) -> int:
        """Return how many refresh requests there were."""
        return self.server.count("token", grant_type="refresh_token")

    def reached(self, before: int) -> None:
        """Wait until one refresh request more is at the server."""
        while self.refreshes() == before:
            threading.Event().wait(0.001)

    def hold(self) -> Callable[[], None]:
        """Make the next answer wait; return what lets it go."""
        event = threading.Event()
        self.server.script("token", answers.slow(event))
        return event.set


async def crowd(
    ground: Ground, tasks: int, *, cancel: int, release: Callable[[], None]
) -> list[object]:
    """Ask from so many tasks at once, let the server answer, return what each got."""
    before = ground.refreshes()
    waiting = [asyncio.create_task(ground.harbor.token_async(GRANT)) for _ in range(tasks)]
    await asyncio.to_thread(ground.reached, before)
    for task in waiting[:cancel]:
        task.cancel()
    release()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    return [item.reveal() if isinstance(item, AccessToken) else item for item in done]


def outcome(call: Callable[[], object]) -> object:
    """Return what a call returns, or the error it raises."""
    try:
        return call()
    except HarborError as error:
        return error


def many_callers(
    ground: Ground, tasks: int, threads: int, verdict: Verdict, *, cancel: int = 0
) -> None:
    """One refresh for all; who gives up stops nobody."""
    ground.expire()
    before = ground.refreshes()
    release = ground.hold()
    got: list[object] = []
    together = threading.Barrier(threads + 1)

    def ask() -> None:
        together.wait(PATIENCE)
        got.append(outcome(lambda: ground.harbor.token(GRANT).reveal()))

    running = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in running:
        thread.start()
    together.wait(PATIENCE)
    got += asyncio.run(crowd(ground, tasks, cancel=cancel, release=release))
    for thread in running:
        thread.join(PATIENCE)
    served = [item for item in got if isinstance(item, str)]
    cancelled = sum(isinstance(item, asyncio.CancelledError) for item in got)
    verdict.want(ground.refreshes() - before == 1, f"{ground.refreshes() - before} refreshes")
    verdict.want(cancelled == cancel, f"{cancelled} cancelled, not {cancel}")
    verdict.want(len(served) == tasks + threads - cancel, f"only {len(served)} were served")
    verdict.want(len(set(served)) <= 1, f"{len(set(served))} different tokens")
    token = ground.harbor.token(GRANT).reveal()
    verdict.want(ground.server.valid(token), "the token is not valid")
    verdict.want(ground.refreshes() - before == 1, "the refresh was not kept")
    verdict.count("callers", tasks + threads)


def slow_grant(ground: Ground, verdict: Verdict) -> None:
    """While one grant's refresh hangs, another's begins and ends."""
    ground.expire()
    before = ground.refreshes()
    release = ground.hold()
    slow: list[object] = []
    thread = threading.Thread(
        target=lambda: slow.append(outcome(lambda: ground.harbor.token(GRANT).reveal()))
    )
    thread.start()
    ground.reached(before)
    other = ground.harbor.token("other/api@default").reveal()
    verdict.want(ground.server.valid(other), "the other grant's token is not valid")
    verdict.want(not slow, "the slow grant was not slow")
    release()
    thread.join(PATIENCE)
    verdict.want(slow and isinstance(slow[0], str), f"the slow grant: {slow}")
    verdict.count("slow grants")


def fork_during_refresh(ground: Ground, verdict: Verdict) -> None:
    """A child neither frees its parent's lease nor sends its token."""
    ground.expire()
    before = ground.refreshes()
    release = ground.hold()
    got: list[object] = []
    thread = threading.Thread(
        target=lambda: got.append(outcome(lambda: ground.harbor.token(GRANT).reveal()))
    )
    thread.start()
    ground.reached(before)
    fork(lambda: None).result()
    held = fork(lambda: vault_in(ground.harbor.vault_home).storage.lease_holder(NAME) is not None)
    verdict.want(held.result(), "a child's end freed its parent's lease")
    child = fork(lambda: str(outcome(lambda: ground.harbor.token(GRANT).reveal())))
    release()
    thread.join(PATIENCE)
    verdict.want(got == [child.result()], f"the parent got {got}")
    verdict.want(ground.refreshes() - before == 1, f"{ground.refreshes() - before} refreshes")
    verdict.count("forks", 3)


def main(argv: Sequence[str] | None = None) -> int:
    """Run each scene so many times."""
    options = counts(argv, __doc__, rounds=(50, 3), tasks=(200, 200), threads=(16, 16))
    verdict = Verdict("herd")
    verdict.figures["rounds"] = options.rounds
    clock = Clock()
    with tempfile.TemporaryDirectory() as place, AuthorizationServer(clock=clock) as server:
        home = Path(place) / "home"
        vault = vault_in(home)
        store_login(vault, sign_in(server))
        record = attrs.evolve(sign_in(server), provider=OTHER.provider)
        vault.store_grant(OTHER, record, generation=0)
        harbor = Harbor(vault=vault, clock=clock, monotonic=clock, environ={}, home=home)
        ground = Ground(server, vault, harbor, clock)
        with closing(harbor):
            for _ in range(options.rounds):
                many_callers(ground, options.tasks, options.threads, verdict)
                many_callers(ground, options.tasks, options.threads, verdict, cancel=1)
                many_callers(ground, options.tasks, 0, verdict, cancel=options.tasks)
                slow_grant(ground, verdict)
                fork_during_refresh(ground, verdict)
        verdict.figures["refreshes"] = ground.refreshes()
        verdict.figures["reuse events"] = len(server.reuse_events)
        verdict.want(not server.reuse_events, "a spent token was sent")
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
