"""Server metadata that was read a moment ago."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from harbor_oauth.platform.thread_lock import ThreadLock
from harbor_oauth.protocol.metadata import ServerMetadata

__all__ = ["MetadataCache"]

_LIFE: Final = 600.0
"""Seconds; RFC 8414 §3.2 leaves the life of a document to its HTTP headers or the client."""

_MOST: Final = 64


class MetadataCache:
    """Keeps the metadata of the issuers asked last, for ten minutes.

    Only whole, judged documents are kept, by issuer; who the issuer of a
    resource is, is asked each time. Thread-safe.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Hold nothing."""
        self._clock = clock
        self._lock = ThreadLock()
        self._kept: dict[str, tuple[float, ServerMetadata]] = {}

    def get(self, issuer: str) -> ServerMetadata | None:
        """Return what is known of an issuer, unless it is too old."""
        with self._lock:
            ends, metadata = self._kept.get(issuer, (0.0, None))
            return metadata if self._clock() < ends else None

    def put(self, issuer: str, metadata: ServerMetadata) -> None:
        """Keep a document in place of the one read longest ago."""
        with self._lock:
            self._kept.pop(issuer, None)
            while len(self._kept) >= _MOST:
                del self._kept[next(iter(self._kept))]
            self._kept[issuer] = (self._clock() + _LIFE, metadata)

    def forget(self, issuer: str) -> None:
        """Read an issuer's metadata again next time: it turned out to be wrong."""
        with self._lock:
            for name in [
                name for name, (_, kept) in self._kept.items() if issuer in {name, kept.issuer}
            ]:
                del self._kept[name]
