"""Spilled records: sealed bytes kept beside a database that refuses a write.

A refreshed pair of tokens is worth more than the database: the old pair is dead
already. What cannot be stored is put here, sealed as its row would be, and
stored by whoever next can.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harbor_oauth.errors import VaultRecordError
from harbor_oauth.platform.files import atomic_write, private_directory, read_private
from harbor_oauth.platform.locks import FileLock

__all__ = ["SpillDirectory", "join", "split"]

_LIMIT: Final = 1024 * 1024
_LOCK_TIMEOUT: Final = 10.0
_GENERATION_BYTES: Final = 8


def join(generation: int, sealed: bytes) -> bytes:
    """Return what is spilled: the generation a value is sealed for, and the value."""
    return generation.to_bytes(_GENERATION_BYTES, "big") + sealed


def split(data: bytes) -> tuple[int, bytes]:
    """Return the generation and the sealed value.

    Raises:
        VaultRecordError: It is too short for both.
    """
    if len(data) <= _GENERATION_BYTES:
        raise VaultRecordError("A spilled record is damaged.")
    return int.from_bytes(data[:_GENERATION_BYTES], "big"), data[_GENERATION_BYTES:]


class SpillDirectory:
    """A private directory with one file for each spilled record."""

    def __init__(self, path: Path) -> None:
        """Name the directory; it is made when something is spilled."""
        self._path = path

    def put(self, name: str, data: bytes) -> None:
        """Write, or replace, what is spilled for a record; durable on return."""
        private_directory(self._path)
        with self._alone():
            atomic_write(self._file(name), data)

    def get(self, name: str) -> bytes | None:
        """Return what is spilled for a record, or None."""
        file = self._file(name)
        if not file.exists():  # one look, for nearly always there is nothing
            return None
        try:
            return read_private(file, limit=_LIMIT)
        except FileNotFoundError:
            return None

    def drop(self, name: str, data: bytes, *, aside: bool) -> None:
        """Remove or set aside what is spilled for a record, unless it is newer than `data`."""
        file = self._file(name)
        with self._alone():
            if self.get(name) != data:
                return
            if aside:
                file.replace(file.with_name(f"{file.name}.damaged"))
            else:
                file.unlink()

    def rename(self, path: Path) -> None:
        """Rename the directory, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            self._path.rename(path)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        # One file at a time: it is compared and then removed.
        with FileLock(self._path / "lock", timeout=_LOCK_TIMEOUT):
            yield

    def _file(self, name: str) -> Path:
        return self._path / hashlib.sha256(name.encode()).hexdigest()[:32]
