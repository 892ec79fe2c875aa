"""Every order in which two processes can take the steps of a refresh.

Two token sources stand for two processes: each has its own memory and its own
vault object, and both share one storage and one server. Each call to the
storage or the server is a step, before which an actor waits for its turn. The
eight steps of a refresh are: read, lease, read again, write the intent, send,
hear the answer, store, give the lease back.

With leases, a step that has to wait tries again in its later turns. Without
them, which no storage allows, what is left is compare-and-set and adoption:
there the server is asked twice with one token, and the loser's `invalid_grant`
must not touch what the winner got. The second actor is also a sign-in, or a
logout: what the person did is what stays.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, Final

import attrs

from harbor_oauth.errors import HarborError, LoginRequiredError
from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.tokens import TokenSource
from harbor_oauth.tokens.logout import log_out
from harbor_oauth.vault import Lease, MemoryKeySource, MemoryStorage, Storage, Vault
from tests.faults.ground import (
    KEY,
    NAME,
    PATIENCE,
    ModelServer,
    Verdict,
    counts,
    pair_of,
    record_of,
    seeded,
    store_login,
)

STEPS: Final = 8
_NOW: Final = 1_800_003_600.0  # when the grant's token ends
_STEPS: Final = frozenset({"acquire_lease", "release_lease", "get", "apply", "send", "hear"})


class Gate:
    """Where an actor waits for its turn."""

    def __init__(self) -> None:
        self._turn = threading.Semaphore(0)
        self._waits = threading.Semaphore(0)
        self.open = False
        self.done = False
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        """Wait for the turn, in the actor's thread."""
        if self.open:
            return
        self._waits.release()
        if not self._turn.acquire(timeout=PATIENCE):
            raise TimeoutError(name)
        self.steps.append(name)

    def end(self) -> None:
        """Say that the actor takes no more steps, in its thread."""
        self.done = True
        self._waits.release()

    def arrive(self) -> None:
        """Wait until the actor waits, or is done, in the scheduler's thread."""
        if not self._waits.acquire(timeout=PATIENCE):
            raise TimeoutError("an actor is stuck")

    def advance(self) -> None:
        """Let the actor take one step, and wait until it wants the next."""
        if not self.done:
            self._turn.release()
            self.arrive()


class GatedStorage:
    """A storage whose calls wait for their turn."""

    def __init__(self, storage: MemoryStorage, gate: Gate, *, leases: bool) -> None:
        self._storage = storage
        self._gate = gate
        self._leases = leases

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)
        if name not in _STEPS:
            return method

        def gated(*args: Any, **kwargs: Any) -> Any:
            # What a conflict makes an actor look at again is not worth a step of its own.
            if name == "get" and args[0] != NAME:
                return method(*args, **kwargs)
            self._gate.step(name)
            return method(*args, **kwargs)

        return gated

    def acquire_lease(self, name: str, owner: str, *, ttl: float, now: float) -> Lease | None:
        """Take the lease, or pretend to."""
        self._gate.step("acquire_lease")
        if self._leases:
            return self._storage.acquire_lease(name, owner, ttl=ttl, now=now)
        return Lease(name, owner, 1, now + ttl, 1)

    def release_lease(self, lease: Lease) -> None:
        """Give it back, or pretend to."""
        self._gate.step("release_lease")
        if self._leases:
            self._storage.release_lease(lease)


@attrs.define
class Actor:
    """One process: its gate, its vault, and what came of it."""

    gate: Gate
    vault: Vault
    send: Callable[[HttpRequest], HttpResponse]
    outcome: object = None

    def start(self, work: Callable[[Actor], object]) -> threading.Thread:
        """Begin, up to the first step."""

        def run() -> None:
            try:
                self.outcome = work(self)
            except Exception as error:  # noqa: BLE001 - judged by what is wanted
                self.outcome = error
            finally:
                self.gate.end()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.gate.arrive()
        return thread


@attrs.frozen
class World:
    """A server, a storage with one grant whose token has ended, and two actors."""

    server: ModelServer
    storage: MemoryStorage
    vault: Vault
    actors: tuple[Actor, Actor]


def world(*, leases: bool) -> World:
    """Make a new one."""
    server, storage, keys = ModelServer(), MemoryStorage(), MemoryKeySource()
    vault = Vault(storage, keys)
    store_login(vault, record_of(server.issue()))

    def actor() -> Actor:
        gate = Gate()

        def send(request: HttpRequest) -> HttpResponse:
            gate.step("send")
            answer = server(request)
            gate.step("hear")
            return answer

        gated: Storage = GatedStorage(storage, gate, leases=leases)
        return Actor(gate, Vault(gated, keys), send)

    return World(server, storage, vault, (actor(), actor()))


# --- what actors do ---------------------------------------------------------
def refresh(actor: Actor) -> object:
    """Ask for a token; the refresh runs on the source's own thread."""

    def pause(_: float) -> None:
        """Wait no longer: the next try is a step anyway."""

    source = TokenSource(
        actor.vault, actor.send, clock=lambda: _NOW, monotonic=lambda: 0.0, sleep=pause
    )
    future: Future[Any] = source.future(KEY)
    return future.result(PATIENCE).reveal()


def sign_in_with(pair: tuple[str, str]) -> Callable[[Actor], object]:
    """Return what stores a sign-in's pair, over whatever is there."""

    def sign_in(actor: Actor) -> object:
        record = attrs.evolve(record_of(pair), obtained_at=_NOW, expires_at=_NOW + 3600)
        for _ in range(STEPS):
            try:
                store_login(actor.vault, record)
            except HarborError as error:
                if not error.retryable:
                    raise
            else:
                return pair[0]
        raise AssertionError("the sign-in was never stored")

    return sign_in


def leave(actor: Actor) -> object:
    """Log out."""
    return log_out(actor.vault, actor.send, KEY, None, local_only=False).revoked


# --- schedules --------------------------------------------------------------
def schedules(first: int, second: int) -> Iterator[tuple[int, ...]]:
    """Yield every order of so many turns of one actor and of the other."""
    total = first + second
    for turns in itertools.combinations(range(total), first):
        chosen = set(turns)
        yield tuple(0 if turn in chosen else 1 for turn in range(total))


def sample(number: int, first: int, second: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Yield that many orders, chosen by seed; all of them if there are no more."""
    every = list(schedules(first, second))
    return iter(every if number >= len(every) else seeded(seed).sample(every, number))


def play(scene: World, schedule: Iterable[int], works: Sequence[Callable[[Actor], object]]) -> None:
    """Give the turns in this order; then let both go on, by turns, until they are done."""
    threads = [actor.start(work) for actor, work in zip(scene.actors, works, strict=True)]
    gates = [actor.gate for actor in scene.actors]
    for turn in schedule:
        gates[turn].advance()
    for _ in range(100):
        if all(gate.done for gate in gates):
            break
        for gate in gates:
            gate.advance()
    for thread in threads:
        thread.join(PATIENCE)
    for gate in gates:
        gate.open = True


# --- goals ------------------------------------------------------------------
def stored(scene: World) -> tuple[tuple[str, str], str] | None:
    """Return the stored pair and state."""
    found = scene.vault.grant(KEY)
    return None if found is None else (pair_of(found[0]), found[0].state)


def judge_leased(scene: World, when: str, verdict: Verdict) -> None:
    """One refresh, both served, nothing refused."""
    newest = scene.server.pairs[-1]
    outcomes = [actor.outcome for actor in scene.actors]
    verdict.want(outcomes == [newest[0]] * 2, f"{when}: {outcomes}")
    verdict.want(stored(scene) == (newest, "active"), f"{when}: stored {stored(scene)}")
    verdict.want(scene.server.refreshes == 1, f"{when}: {scene.server.refreshes} refreshes")


def judge_bare(scene: World, when: str, verdict: Verdict) -> None:
    """The winner's pair is stored, active, and works; the loser changed nothing of it."""
    newest = scene.server.pairs[-1]
    verdict.want(stored(scene) == (newest, "active"), f"{when}: stored {stored(scene)}")
    verdict.want(newest[1] in scene.server.live, f"{when}: the stored pair is dead")
    outcomes = [actor.outcome for actor in scene.actors]
    verdict.want(newest[0] in outcomes, f"{when}: nobody was served: {outcomes}")
    for outcome in outcomes:
        if isinstance(outcome, LoginRequiredError):
            verdict.count("losers told to sign in without leases")
    if scene.server.refused:
        verdict.count("schedules with a losing invalid_grant")


def judge_sign_in(pair: tuple[str, str]) -> Callable[[World, str, Verdict], None]:
    """Return what holds: the sign-in's pair is stored."""

    def judge(scene: World, when: str, verdict: Verdict) -> None:
        verdict.want(stored(scene) == (pair, "active"), f"{when}: stored {stored(scene)}")
        verdict.want(scene.actors[1].outcome == pair[0], f"{when}: {scene.actors[1].outcome}")

    return judge


def judge_logout(scene: World, when: str, verdict: Verdict) -> None:
    """Nothing is stored and nothing works any more."""
    verdict.want(stored(scene) is None, f"{when}: stored {stored(scene)}")
    verdict.want(not scene.server.live, f"{when}: still works: {sorted(scene.server.live)}")
    verdict.want(scene.actors[1].outcome is True, f"{when}: logout: {scene.actors[1].outcome}")


def run(
    name: str,
    orders: Iterable[tuple[int, ...]],
    verdict: Verdict,
    *,
    leases: bool = True,
    second: str = "refresh",
) -> None:
    """Play one kind of scene in many orders."""
    for order in orders:
        scene = world(leases=leases)
        work: Callable[[Actor], object] = refresh
        judge: Callable[[World, str, Verdict], None] = judge_leased if leases else judge_bare
        if second == "sign-in":
            pair = scene.server.issue()
            work, judge = sign_in_with(pair), judge_sign_in(pair)
        elif second == "logout":
            work, judge = leave, judge_logout
        play(scene, order, (refresh, work))
        when = f"{name} {''.join(map(str, order))}"
        judge(scene, when, verdict)
        verdict.count(name)


def main(argv: Sequence[str] | None = None) -> int:
    """Play every kind of scene."""
    options = counts(argv, __doc__, schedules=(12_870, 2000))
    verdict = Verdict("interleavings")
    number, seed = options.schedules, options.seed
    alone = world(leases=True)
    play(alone, (0,) * STEPS, (refresh, lambda _: None))
    steps = alone.actors[0].gate.steps
    verdict.want(len(steps) == STEPS, f"a refresh has other steps than eight: {steps}")
    run("with leases", sample(number, STEPS, STEPS, seed), verdict)
    run("without leases", sample(number, STEPS, STEPS, seed), verdict, leases=False)
    run("with a sign-in", sample(number, STEPS, 4, seed), verdict, second="sign-in")
    run("with a logout", sample(number, STEPS, STEPS, seed), verdict, second="logout")
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
