"""A lock between threads that a forked child finds free."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from types import TracebackType
from typing import Final

__all__ = ["ThreadLock"]


class ThreadLock:
    """A `threading.Lock` or `RLock` that no child made by fork waits for.

    The thread that held it does not exist in the child, so nothing would ever
    give it back there: each child gets a new one. What the lock guards must make
    sense at every moment, since the child may find it half changed.

    Args:
        reentrant: Whether a thread that holds it may take it again.
    """

    def __init__(self, *, reentrant: bool = False) -> None:
        """Begin free."""
        self._reentrant = reentrant
        self._made_in = os.getpid()
        self._renew()
        _ALL.add(self)

    def _renew(self) -> None:
        self._lock = threading.RLock() if self._reentrant else threading.Lock()

    def __enter__(self) -> None:
        """Wait for the lock."""
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the lock back, also in a child that was made while it was held."""
        try:
            self._lock.release()
        except RuntimeError:
            # The thread that forked inside its block leaves it in the child as well.
            if self._made_in == os.getpid():
                raise


_ALL: Final[weakref.WeakSet[ThreadLock]] = weakref.WeakSet()


def _renew_all() -> None:
    for lock in list(_ALL):
        lock._renew()  # noqa: SLF001 - the same module's business


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_renew_all)
