"""Writes down who called what: never arguments, answers or secrets."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.platform.files import open_private, private_directory

__all__ = ["Audit", "Entry"]

_LIMIT: Final = 16 * 1024 * 1024
_WORD: Final = 128
"""The most characters of a name that a caller chose."""


@attrs.frozen
class Entry:
    """One request.

    Attributes:
        time: When it was answered, unix seconds, UTC.
        key: The name of the caller's key.
        server: The docked server.
        method: The JSON-RPC method; empty where it is not known.
        tool: The tool's name, where it is known.
        status: The status it was answered with; 499 if the caller left first.
        milliseconds: How long that took.
        grant: The grant whose token was sent, or None.
        generation: That token's generation, or None.
    """

    time: float
    key: str
    server: str
    method: str
    tool: str | None
    status: int
    milliseconds: float
    grant: str | None
    generation: int | None

    def as_line(self) -> bytes:
        """Return it as a line of JSON; what a caller chose is cut and escaped."""
        members = {
            "time": datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds"),
            "key": self.key,
            "server": self.server,
            "method": self.method[:_WORD],
            "tool": self.tool[:_WORD] if self.tool else None,
            "status": self.status,
            "milliseconds": round(self.milliseconds, 1),
            "grant": self.grant,
            "generation": self.generation,
        }
        return json.dumps(members).encode() + b"\n"


class Audit:
    """A file of requests, a line each, that only its owner can read.

    At its limit it is set aside, with ``.1`` after its name, in place of the one
    before.

    Args:
        path: The file.
        limit: Its size in bytes at which it is set aside.
    """

    def __init__(self, path: Path, *, limit: int = _LIMIT) -> None:
        """Open the file.

        Raises:
            ConfigurationError: It cannot be written, or others can read it.
        """
        self._path = path
        self._limit = limit
        self._lock = threading.Lock()
        try:
            if not path.parent.exists():
                private_directory(path.parent)
            self._descriptor: int | None = self._open()
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be written: {error.strerror or error}.",
                next_step="Name another with --audit, or none with --no-audit.",
            ) from None

    def write(self, entry: Entry) -> None:
        """Add a line.

        Raises:
            OSError: It could not be written.
        """
        line = entry.as_line()
        with self._lock:
            if self._size and self._size + len(line) > self._limit:
                self._set_aside()
            if self._descriptor is None:
                self._descriptor = self._open()
            self._size += os.write(self._descriptor, line)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _open(self) -> int:
        # Append: two gateways' lines never overwrite each other.
        descriptor = open_private(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._size = os.fstat(descriptor).st_size
        return descriptor

    def _close(self) -> None:
        # Forgotten first: its number is soon some caller's connection.
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _set_aside(self) -> None:
        self._close()  # Windows renames no open file
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
