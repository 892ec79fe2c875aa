"""Leases between processes: a locked file for each, beside the database.

A lease that is only a row outlives a killed owner until a time passes, and
passes to somebody else while a stopped owner still believes to have it. The
system frees a locked file when its holder dies, and not before. So the lock
decides, and the row says who took it last (claude-code #84440: five processes
with one refresh token end in a forced login).
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from pathlib import Path

import attrs

from harbor_oauth.platform.files import private_directory
from harbor_oauth.platform.locks import FileLock
from harbor_oauth.vault.storage import Lease

__all__ = ["Leases"]


@attrs.frozen
class _Held:
    lease: Lease
    lock: FileLock


class Leases:
    """The leases of one storage in one process; those of others are locked files.

    No lock of its own is needed: only who holds a name's file writes its entry.
    """

    def __init__(self, directory: Path) -> None:
        """Name the directory of the locked files; it is made at the first lease."""
        self._directory = directory
        self._held: dict[str, _Held] = {}

    def acquire(self, name: str, owner: str, note: Callable[[bool], Lease]) -> Lease | None:
        """Take or renew a lease.

        Args:
            name: The record.
            owner: Who asks.
            note: Writes down the lease, and whether its holder is a new one,
                once it is certain.

        Returns:
            The lease, or None while somebody else lives who holds it.
        """
        held = self._held.get(name)
        # A child made by fork has its parent's entries, and none of its locks.
        if held is not None and held.lock.held and held.lease.owner == owner:
            self._held[name] = _Held(note(False), held.lock)  # noqa: FBT003 - the parameter's only one
            return self._held[name].lease
        lock = FileLock(self._file(name), timeout=0)
        try:
            lock.acquire()
        except TimeoutError:
            return None
        try:
            lease = note(True)  # noqa: FBT003 - the parameter's only one
        except BaseException:
            lock.release()
            raise
        self._held[name] = _Held(lease, lock)
        return lease

    def release(self, lease: Lease) -> None:
        """Give a lease back, if it is one of this process."""
        held = self._held.get(lease.name)
        if held is not None and (held.lease.owner, held.lease.fence) == (lease.owner, lease.fence):
            self._held.pop(lease.name, None)
            held.lock.release()

    def taken(self, name: str) -> bool:
        """Say whether anybody holds a lease now."""
        try:
            probe = FileLock(self._file(name), timeout=0)
            probe.acquire()
        except TimeoutError:
            return True
        except OSError as error:
            if error.errno == errno.EROFS:
                return False  # not to be seen from here
            raise
        probe.release()
        return False

    def _file(self, name: str) -> Path:
        private_directory(self._directory)
        # The file stays: removing it would let two holders lock two files.
        return self._directory / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.lock"
