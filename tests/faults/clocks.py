"""Clocks that are wrong, jump or stand still, and servers that say odd lives.

A program asks for a token again and again over two hours of true time. The
wall clock is a day ahead or behind, is set forward or back on the way, or the
machine sleeps, so that the monotonic clock stands still. There may be no
refresh loop, and at most one refresh, or one refused token, more than with good
clocks.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from harbor_oauth.protocol.http import HttpRequest, HttpResponse
from harbor_oauth.tokens import TokenSource
from harbor_oauth.tokens.held import expiry_margin
from harbor_oauth.vault import MemoryKeySource, MemoryStorage, Vault
from tests.faults.ground import KEY, ModelServer, Verdict, counts, record_of, store_login

DAY: Final = 86_400.0
START: Final = 1_800_000_000.0

LIVES: Final[dict[str, object]] = {
    "1 s": 1,
    "5 s": 5,
    "30 s": 30,
    "an hour": 3600,
    "a string": "3600",
    "half a minute in a string": "30",
    "missing": None,
    "zero": 0,
    "negative": -5,
    "NaN": math.nan,
    "infinite": math.inf,
    "words": "soon",
    "a list": [3600],
}


@attrs.define
class Time:
    """True time, and what the two clocks make of it."""

    true: float = START
    wall_error: float = 0.0
    monotonic_error: float = 0.0

    def wall(self) -> float:
        """Return what the wall clock says."""
        return self.true + self.wall_error

    def monotonic(self) -> float:
        """Return what the monotonic clock says."""
        return self.true - START + 1000.0 + self.monotonic_error

    def pass_(self, seconds: float) -> None:
        """Let true time pass."""
        self.true += seconds


def _nothing(time: Time, step: int, steps: int) -> None:
    """Leave the clocks alone."""


def _set(error: float) -> Callable[[Time, int, int], None]:
    """Set the wall clock wrong in the middle of the run."""

    def change(time: Time, step: int, steps: int) -> None:
        if step == steps // 2:
            time.wall_error = error

    return change


def _there_and_back(time: Time, step: int, steps: int) -> None:
    """Set the wall clock a day ahead, and right again."""
    time.wall_error = DAY if steps // 3 <= step < 2 * steps // 3 else 0.0


def _suspend(time: Time, step: int, steps: int) -> None:
    """Sleep for three hours in the middle, while the monotonic clock stands still."""
    if step == steps // 2:
        time.true += 3 * 3600.0
        time.monotonic_error -= 3 * 3600.0


CLOCKS: Final[dict[str, tuple[float, Callable[[Time, int, int], None], int]]] = {
    # name: the wall clock's error from the start, what happens, what that may cost
    "good": (0.0, _nothing, 0),
    "a day ahead": (DAY, _nothing, 0),
    "a day behind": (-DAY, _nothing, 0),
    "set forward a day": (0.0, _set(DAY), 1),
    "set back a day": (0.0, _set(-DAY), 1),
    "ahead, then right": (0.0, _there_and_back, 1),
    "suspended": (0.0, _suspend, 1),
}


@attrs.define
class World:
    """A server that knows the true time, and a client that does not."""

    time: Time
    server: ModelServer
    life: float | None
    issued: dict[str, float] = attrs.field(factory=dict)

    def send(self, request: HttpRequest) -> HttpResponse:
        """Refresh, and note when the new token was issued."""
        answer = self.server(request)
        self.issued[self.server.pairs[-1][0]] = self.time.true
        return answer

    def accepts(self, token: str) -> bool:
        """Say whether a resource server takes a token now."""
        return self.life is None or self.time.true < self.issued[token] + self.life


def truth(life: Any) -> float | None:
    """Return how long a token of a server really lives; None where it did not say."""
    number = float(life) if isinstance(life, int | float) or life in ("3600", "30") else None
    return number if number is not None and math.isfinite(number) and number > 0 else None


def needed(life: float | None, steps: int, pause: float) -> int:
    """Return how many refreshes good clocks need at most for so many calls."""
    if life is None:
        return 1
    # Each new token serves at least the calls before its margin.
    served = max(1, math.floor((life - expiry_margin(life)) / pause))
    return 1 + math.ceil(steps / served)


def run(life_name: str, clock_name: str, steps: int, verdict: Verdict, *, cold: bool) -> None:
    """Ask for a token at each step of two hours."""
    life = LIVES[life_name]
    error, change, cost = CLOCKS[clock_name]
    time = Time(wall_error=error)
    world = World(time, ModelServer(expires_in=life), truth(life))
    vault = Vault(MemoryStorage(), MemoryKeySource(), clock=time.wall)
    first = world.server.issue()
    world.issued[first[0]] = time.true
    record = attrs.evolve(
        record_of(first),
        obtained_at=time.wall() - 3600.0,
        expires_at=time.wall(),  # the first call refreshes, and gets the server's word
    )
    store_login(vault, record)

    def source() -> TokenSource:
        return TokenSource(
            vault,
            world.send,
            clock=time.wall,
            monotonic=time.monotonic,
            sleep=time.pass_,
            entropy=bytes,
        )

    source_now = source()
    pause = 7200.0 / steps
    refused = 0
    burst = 0
    for step in range(steps):
        change(time, step, steps)
        if cold and step % 3 == 0:
            source_now = source()
        before = world.server.refreshes
        token = source_now.token(KEY)
        again = source_now.token(KEY)
        burst = max(burst, world.server.refreshes - before)
        verdict.want(token.reveal() == again.reveal(), f"{life_name}, {clock_name}: not kept")
        if not world.accepts(token.reveal()):
            refused += 1
            source_now.rejected(KEY, token.secret)
        time.pass_(pause)
    when = f"life {life_name}, clock {clock_name}{', cold' if cold else ''}"
    most = needed(world.life, steps, pause)
    extra = max(0, world.server.refreshes - most)
    verdict.want(burst <= 1, f"{when}: {burst} refreshes for two calls at one moment")
    verdict.want(extra <= cost, f"{when}: {world.server.refreshes} refreshes, not {most}")
    verdict.want(refused <= cost, f"{when}: {refused} refused tokens")
    verdict.count("runs")
    verdict.count("refreshes", world.server.refreshes)
    verdict.count("refreshes more than needed", extra)
    verdict.count("refused tokens", refused)


def main(argv: Sequence[str] | None = None) -> int:
    """Run every life under every clock, in one process and in ever new ones."""
    options = counts(argv, __doc__, steps=(720, 72))
    verdict = Verdict("clocks")
    for life in LIVES:
        for clock in CLOCKS:
            for cold in (False, True):
                run(life, clock, options.steps, verdict, cold=cold)
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
