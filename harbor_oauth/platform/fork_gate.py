"""What a fork waits for: that no other thread is inside SQLite, or half through an import.

SQLite keeps mutexes for the whole process, and Python a lock for each module
that is being imported. A child that is made while another thread holds one has
no thread that would ever give it back, and hangs at its first use
(tox-dev/filelock#635, benoitc/gunicorn#2478).
"""

from __future__ import annotations

import _imp
import contextlib
import importlib
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

__all__ = ["FORK_PATIENCE", "ForkGate"]

FORK_PATIENCE: Final = 15.0
"""Seconds that a fork waits for the other threads; longer than SQLite waits for a writer."""

_ROUNDS: Final = 100
"""How often a fork looks for imports of other threads before it goes on beside them."""


class ForkGate:
    """Work holds it shared, in a ``with`` block; a fork holds it alone.

    A thread that is inside may enter again. While a fork waits, no other thread
    enters: a process that is never idle can be forked all the same.

    Args:
        patience: Seconds that a fork waits for the threads inside.
        clock: Seconds that never go back.

    Attributes:
        broken: Whether this process was forked while another thread was inside;
            the work must not be done in it.
    """

    def __init__(
        self, *, patience: float = FORK_PATIENCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with no thread inside."""
        self._patience = patience
        self._clock = clock
        # Reentrant, as a `with` block may run inside a finalizer at any moment.
        self._changed = threading.Condition(threading.RLock())
        self._inside: dict[int, int] = {}
        self._forking: int | None = None
        self.broken = False

    def __enter__(self) -> None:
        """Enter; waits while another thread forks."""
        me = threading.get_ident()
        with self._changed:
            while me not in self._inside and self._forking not in {None, me}:
                self._changed.wait()
            self._inside[me] = self._inside.get(me, 0) + 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave."""
        me = threading.get_ident()
        with self._changed:
            times = self._inside.pop(me, 1) - 1
            if times:
                self._inside[me] = times
            else:
                self._changed.notify_all()

    # --- called by the hooks of `os.register_at_fork` ----------------------------

    def shut(self) -> None:
        """Wait until this is the only thread inside, or until the patience ends."""
        me = threading.get_ident()
        with self._changed:
            while self._forking not in {None, me}:  # another thread forks at this moment
                self._changed.wait()
            self._forking = me
            deadline = self._clock() + self._patience
            while self._inside.keys() - {me} and (left := deadline - self._clock()) > 0:
                self._changed.wait(left)

    def open_in_parent(self) -> None:
        """Let the other threads in again."""
        with self._changed:
            self._forking = None
            self._changed.notify_all()

    def open_in_child(self) -> None:
        """Begin again with the one thread that is left."""
        me = threading.get_ident()
        # Another thread may have held it for a moment, without being inside.
        self._changed = threading.Condition(threading.RLock())
        self._forking = None
        self.broken = self.broken or bool(self._inside.keys() - {me})
        self._inside = {me: self._inside[me]} if me in self._inside else {}


_MODULE_LOCKS: Final[dict[str, Callable[[], Any]]] = getattr(
    getattr(importlib, "_bootstrap", None), "_module_locks", {}
)
"""Python's own, by the module's name (bpo-9260); no public function tells of them."""


def _await_imports() -> None:
    """Wait for the imports of other threads, and let none begin before the fork."""
    for _ in range(_ROUNDS):
        # Held through the fork: without it no thread gets at the lock of a module.
        _imp.acquire_lock()
        busy = _imports_of_others()
        if not busy:
            return
        _imp.release_lock()
        for lock in busy:
            with contextlib.suppress(RuntimeError):  # it waits for an import of this thread
                lock.acquire()
                lock.release()
    _imp.acquire_lock()


def _imports_of_others() -> list[Any]:
    me = threading.get_ident()
    locks = [reference() for reference in list(_MODULE_LOCKS.values())]
    return [lock for lock in locks if lock is not None and lock.owner not in {None, me}]


if sys.platform != "win32":
    # Runs after the hooks that are registered later: next comes the fork.
    os.register_at_fork(
        before=_await_imports,
        after_in_parent=_imp.release_lock,
        after_in_child=_imp.release_lock,
    )
