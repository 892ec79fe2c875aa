"""An exclusive lock between processes, held on a file."""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from harbor_oauth.platform.files import open_private

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["FileLock"]

_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05


class FileLock:
    """An exclusive lock, held by one thread of one process at a time.

    The system gives it back when the holder dies. The file stays: removing it
    would let two holders lock two files of one name. A child made by fork does
    not hold its parent's lock.

    Example:
        >>> with FileLock(directory / "vault.lock", timeout=10):
        ...     work()
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Name the file; nothing is opened before the lock is entered.

        Args:
            path: The file to lock, in a private directory; made if missing.
            timeout: Seconds to wait for another holder; None waits for ever.
            sleep: Waits between attempts, when there is a timeout.
            clock: Seconds that never go back.
        """
        self.path = path
        self._timeout = timeout
        self._sleep = sleep
        self._clock = clock
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock; never in a child of the one that took it."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Wait for the lock.

        Raises:
            TimeoutError: Somebody else held it for the whole timeout.
            OSError: The file cannot be opened, or is not private.
        """
        if self.held:
            message = "this FileLock is held already; make one for each holder"
            raise RuntimeError(message)
        # Known before it is locked, so that a fork at any moment finds it.
        with _forking:
            descriptor = self._descriptor = open_private(self.path, os.O_RDWR | os.O_CREAT)
            _OPEN.add(self)
        try:
            self._wait(descriptor)
        except BaseException:
            self._close()
            raise

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        descriptor = self._descriptor
        if descriptor is None:
            return  # also in a child, made by fork while it was held
        try:
            # Closing is not enough when a child made by fork, still to run its
            # hook, shares the descriptor.
            _unlock(descriptor)
        finally:
            self._close()

    def __enter__(self) -> Self:
        """Wait for the lock, as `acquire` does."""
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the lock back."""
        self.release()

    def _wait(self, descriptor: int) -> None:
        if self._timeout is None:
            _lock(descriptor)
            return
        deadline = self._clock() + self._timeout
        pause = _FIRST_PAUSE
        while not _try_lock(descriptor):
            left = deadline - self._clock()
            if left <= 0:
                raise TimeoutError(f"{self.path} is locked by another process.")
            self._sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _close(self) -> None:
        with _forking:
            _OPEN.discard(self)
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)


# Held while the set changes, and through every fork: a child closes exactly the
# descriptors that it inherits, or it would keep its parent's locks.
_forking: Final = threading.Lock()
_OPEN: Final[weakref.WeakSet[FileLock]] = weakref.WeakSet()


def _drop_inherited() -> None:
    """Close the parent's locks in a child without giving them back."""
    _forking.release()
    for lock in list(_OPEN):
        lock._close()  # noqa: SLF001 - the same module's business


if sys.platform == "win32":
    # msvcrt locks a range of bytes; one byte, the first, stands for the file.

    def _lock(descriptor: int) -> None:
        while not _try_lock(descriptor):
            time.sleep(_LONGEST_PAUSE)

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    os.register_at_fork(
        before=_forking.acquire,
        after_in_parent=_forking.release,
        after_in_child=_drop_inherited,
    )

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
