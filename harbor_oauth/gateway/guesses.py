"""Counts wrong keys, so that guessing is slow and seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["Guesses"]

_WINDOW: Final = 60.0
_MOST: Final = 20


class Guesses:
    """The wrong keys of the last minute.

    Whoever has the right key is let in all the same: a key has 256 random bits,
    and another program's mistakes must not lock its owner out.

    Args:
        monotonic: Seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Begin with none."""
        self._monotonic = monotonic
        self._times: deque[float] = deque(maxlen=_MOST)

    def too_many(self) -> bool:
        """Count one; say whether there were too many."""
        now = self._monotonic()
        full = len(self._times) == _MOST and now - self._times[0] < _WINDOW
        if not full:
            self._times.append(now)
        return full
