"""A clock for tests: time passes while somebody sleeps, or when it is told to."""

from __future__ import annotations

import time
from typing import Final

import attrs

__all__ = ["Clock"]

_NOW: Final = 1_800_000_000.0


@attrs.define
class Clock:
    """A wall clock that stands still until it is told to go on.

    Attributes:
        now: Unix seconds, UTC.
    """

    now: float = _NOW

    def __call__(self) -> float:
        """Give the time."""
        return self.now

    def monotonic(self) -> float:
        """Give seconds that go on with the machine's, and with this clock."""
        return time.monotonic() + self.now - _NOW

    def sleep(self, seconds: float) -> None:
        """Go on at once by what somebody wants to wait."""
        self.now += seconds
