"""A storage in memory: for tests, and for vaults that end with the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import attrs

from harbor_oauth.errors import VaultConflictError, VaultNotInitializedError
from harbor_oauth.vault.storage import (
    HISTORY_LIMIT,
    Append,
    Change,
    ClearIntent,
    Delete,
    Event,
    Intent,
    Lease,
    Meta,
    Put,
    PutIntent,
    Row,
    conflict,
)

__all__ = ["MemoryStorage"]


@attrs.define
class _Content:
    """Everything that `apply` changes, so that it can change a copy."""

    rows: dict[str, Row] = attrs.field(factory=dict)
    generations: dict[str, int] = attrs.field(factory=dict)
    intents: dict[str, Intent] = attrs.field(factory=dict)
    history: dict[str, tuple[Event, ...]] = attrs.field(factory=dict)

    def copy(self) -> _Content:
        return _Content(
            dict(self.rows), dict(self.generations), dict(self.intents), dict(self.history)
        )

    def make(self, change: Change) -> None:
        match change:
            case Put(name, sealed, generation, updated):
                if self.generations.get(name, 0) != generation - 1:
                    raise conflict(name)
                self.rows[name] = Row(name, generation, sealed, updated)
                self.generations[name] = generation
            case Delete(name, generation):
                row = self.rows.get(name)
                if row is None or row.generation != generation:
                    raise conflict(name)
                del self.rows[name]
                self.generations[name] = generation + 1
            case PutIntent(intent):
                self.intents[intent.name] = intent
            case ClearIntent(name):
                self.intents.pop(name, None)
            case Append(event):
                events = (*self.history.get(event.name, ()), event)
                self.history[event.name] = events[-HISTORY_LIMIT:]


class MemoryStorage:
    """A `Storage` that forgets everything with the process."""

    def __init__(self) -> None:
        """Begin without a vault."""
        self._lock = threading.Lock()
        self._creation = threading.Lock()
        self._meta: Meta | None = None
        self._content = _Content()
        self._leases: dict[str, Lease] = {}

    def meta(self) -> Meta | None:
        """Return the meta row, or None if there is no vault."""
        return self._meta

    def create(self, make: Callable[[], Meta]) -> Meta:
        """Create the vault unless there is one."""
        with self._creation:
            if self._meta is None:
                self._meta = make()
            return self._meta

    def replace_meta(self, old: Meta, new: Meta) -> None:
        """Replace the meta row if it still is `old`."""
        with self._lock:
            if self._meta != old:
                raise VaultConflictError("The vault's key was changed by somebody else.")
            self._meta = new

    def names(self, prefix: str = "") -> tuple[str, ...]:
        """Return the names of the records, sorted."""
        with self._lock:
            return tuple(sorted(name for name in self._content.rows if name.startswith(prefix)))

    def get(self, name: str) -> Row | None:
        """Return a record, or None if there is none."""
        with self._lock:
            return self._content.rows.get(name)

    def generation(self, name: str) -> int:
        """Return the last generation a name had; 0 if it had none."""
        with self._lock:
            return self._content.generations.get(name, 0)

    def apply(self, changes: Sequence[Change]) -> None:
        """Make all changes or none."""
        with self._lock:
            if self._meta is None:
                raise VaultNotInitializedError("There is no vault yet.")
            content = self._content.copy()
            for change in changes:
                content.make(change)
            self._content = content

    def intent(self, name: str) -> Intent | None:
        """Return the refresh that was begun and not ended, if any."""
        with self._lock:
            return self._content.intents.get(name)

    def history(self, name: str) -> tuple[Event, ...]:
        """Return a record's events, oldest first."""
        with self._lock:
            return self._content.history.get(name, ())

    def acquire_lease(self, name: str, owner: str, *, ttl: float, now: float) -> Lease | None:
        """Take or renew a lease, unless somebody else holds it."""
        with self._lock:
            held = self._leases.get(name, Lease(name, "", now, 0))
            if held.owner != owner and held.expires_at > now:
                return None
            fence = held.fence if held.owner == owner else held.fence + 1
            self._leases[name] = Lease(name, owner, now + ttl, fence)
            return self._leases[name]

    def release_lease(self, lease: Lease) -> None:
        """Give a lease back, unless it has passed to somebody else."""
        with self._lock:
            held = self._leases.get(lease.name)
            if held is not None and (held.owner, held.fence) == (lease.owner, lease.fence):
                # The fence stays, so that the next holder's is higher.
                self._leases[lease.name] = attrs.evolve(held, owner="", expires_at=0.0)

    def close(self) -> None:
        """Nothing is open."""
