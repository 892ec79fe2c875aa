"""The gate between refreshes and work on the whole vault, for all processes of a machine.

A refresh that is under way has spent its refresh token: if the vault's key goes
elsewhere before the answer is stored, no process can store it. So whole-vault work
waits for the refreshes under way, and holds back those that would begin.

Each holder locks a file of its own, named after its process, as a shared lock
would not tell who holds it. The system frees the locks of a process that dies.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from harbor_oauth.platform.files import private_directory
from harbor_oauth.platform.locks import FileLock
from harbor_oauth.vault.storage import vault_in_use

__all__ = ["Gate"]

_SHARED: Final = "shared"
_ALONE: Final = "alone"


class Gate:
    """A lock that many hold together, or one alone."""

    def __init__(
        self,
        directory: Path,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Name the directory of the locked files; it is made at the first use.

        Args:
            directory: In the vault's own directory.
            sleep: Waits that many seconds.
            clock: Seconds that never go back.
        """
        self._directory = directory
        self._sleep = sleep
        self._clock = clock

    @contextlib.contextmanager
    def shared(self, timeout: float) -> Iterator[None]:
        """Hold it together with others.

        Args:
            timeout: Seconds to wait for a holder that is, or wants to be, alone.

        Raises:
            VaultUnavailableError: It did not finish in that time.
        """
        own = self._own(_SHARED)
        with self._turnstile(timeout):
            own.acquire()  # at once: the file has no other user
        try:
            yield
        finally:
            self._remove(own)

    @contextlib.contextmanager
    def alone(self, timeout: float) -> Iterator[None]:
        """Wait until no other holds it, and let none begin meanwhile.

        Args:
            timeout: Seconds to wait for the others.

        Raises:
            VaultUnavailableError: They did not finish in that time.
        """
        until = self._clock() + timeout
        with self._turnstile(timeout):
            own = self._own(_ALONE)
            own.acquire()
            try:
                for path in self._files(_SHARED):
                    self._await(path, max(0.0, until - self._clock()))
                yield
            finally:
                self._remove(own)

    @contextlib.contextmanager
    def _turnstile(self, timeout: float) -> Iterator[None]:
        """Let one through at a time; who wants to be alone stays in it."""
        private_directory(self._directory)
        turnstile = self._lock(self._directory / "turnstile.lock", timeout)
        try:
            turnstile.acquire()
        except TimeoutError:
            raise vault_in_use(*map(_process, self._files(_ALONE))) from None
        try:
            yield
        finally:
            turnstile.release()

    def _await(self, path: Path, timeout: float) -> None:
        """Wait for one holder, and remove the file of one that died."""
        lock = self._lock(path, timeout)
        try:
            lock.acquire()
        except TimeoutError:
            raise vault_in_use(_process(path)) from None
        self._remove(lock)

    def _files(self, kind: str) -> list[Path]:
        return sorted(self._directory.glob(f"{kind}-*.lock"))

    def _own(self, kind: str) -> FileLock:
        # Another process that had this number died with its locks.
        name = f"{kind}-{os.getpid()}-{next(_numbers)}.lock"
        return self._lock(self._directory / name, 0)

    def _lock(self, path: Path, timeout: float) -> FileLock:
        return FileLock(path, timeout=timeout, sleep=self._sleep, clock=self._clock)

    @staticmethod
    def _remove(lock: FileLock) -> None:
        if not lock.held:  # in a child of the thread that holds it
            return
        lock.release()
        with contextlib.suppress(OSError):  # another one may have it open at this moment
            lock.path.unlink()


_numbers: Final = itertools.count()


def _process(path: Path) -> int:
    return int(path.name.split("-")[1])
