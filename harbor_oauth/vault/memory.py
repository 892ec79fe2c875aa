"""A storage in memory: for tests, and for vaults that end with the process."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs

from harbor_oauth.errors import VaultNotInitializedError, VaultUnavailableError
from harbor_oauth.platform.thread_lock import ThreadLock
from harbor_oauth.vault.storage import (
    HISTORY_LIFE,
    HISTORY_LIMIT,
    Append,
    Change,
    ClearIntent,
    Delete,
    Event,
    Intent,
    Lease,
    Meta,
    MoveHistory,
    Put,
    PutIntent,
    Row,
    Under,
    conflict,
    key_changed,
    vault_in_use,
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

    def make(self, change: Change, meta: Meta) -> None:
        match change:
            case Under(expected):
                if meta != expected:
                    raise key_changed()
            case Put():
                self._put(change)
            case Delete():
                self._delete(change)
            case PutIntent(intent):
                self.intents[intent.name] = intent
            case ClearIntent(name):
                self.intents.pop(name, None)
            case Append(event):
                self._append(event)
            case MoveHistory(name, to):
                moved = (attrs.evolve(line, name=to) for line in self.history.pop(name, ()))
                self.history[to] = (*self.history.get(to, ()), *moved)

    def _put(self, change: Put) -> None:
        if self.generations.get(change.name, 0) != change.generation - 1:
            raise conflict(change.name)
        row = Row(change.name, change.generation, change.sealed, change.updated)
        self.rows[change.name] = row
        self.generations[change.name] = change.generation

    def _delete(self, change: Delete) -> None:
        row = self.rows.get(change.name)
        if row is None or row.generation != change.generation:
            raise conflict(change.name)
        del self.rows[change.name]
        self.generations[change.name] = change.generation + 1

    def _append(self, event: Event) -> None:
        events = (*self.history.get(event.name, ()), event)
        oldest = event.at - HISTORY_LIFE
        kept = tuple(line for line in events if line.at >= oldest)
        self.history[event.name] = kept[-HISTORY_LIMIT:]


class _Gate:
    """Held by many threads together or by one alone; a child made by fork finds it free."""

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._shared = 0
        self._alone = False

    def enter(self, timeout: float, *, alone: bool) -> None:
        if self._process != os.getpid():
            self._renew()
        until = time.monotonic() + timeout
        with self._changed:
            # First the turn, so that those who come later wait; then those who are there.
            self._await(lambda: not self._alone, until)
            if not alone:
                self._shared += 1
                return
            self._alone = True
            try:
                self._await(lambda: not self._shared, until)
            except VaultUnavailableError:
                self.leave(alone=True)
                raise

    def leave(self, *, alone: bool) -> None:
        if self._process != os.getpid():
            return
        with self._changed:
            if alone:
                self._alone = False
            else:
                self._shared -= 1
            self._changed.notify_all()

    def _await(self, free: Callable[[], bool], until: float) -> None:
        if not self._changed.wait_for(free, max(0.0, until - time.monotonic())):
            raise vault_in_use(os.getpid())


class MemoryStorage:
    """A `Storage` that forgets everything with the process."""

    def __init__(self) -> None:
        """Begin without a vault."""
        self._lock = ThreadLock()
        self._creation = ThreadLock()
        self._gate = _Gate()
        self._meta: Meta | None = None
        self._content = _Content()
        self._leases: dict[str, Lease] = {}
        self._fences: dict[str, int] = {}
        self._spills: dict[str, bytes] = {}
        self._version = 0

    def meta(self) -> Meta | None:
        """Return the meta row, or None if there is no vault."""
        return self._meta

    def create(self, make: Callable[[], Meta]) -> Meta:
        """Create the vault unless there is one."""
        with self._creation:
            if self._meta is None:
                self._meta = make()
                self._version += 1
            return self._meta

    def replace_meta(
        self, old: Meta, new: Meta, reseal: Callable[[Row], bytes] | None = None
    ) -> None:
        """Replace the meta row if it still is `old`, and reseal every record."""
        with self._lock:
            if self._meta != old:
                raise key_changed()
            if reseal is not None:
                rows = self._content.rows.values()
                resealed = [attrs.evolve(row, sealed=reseal(row)) for row in rows]
                self._content.rows = {row.name: row for row in resealed}
            self._meta = new
            self._version += 1

    def back_up(self, path: Path, old: Meta, new: Meta) -> None:  # noqa: ARG002 - the protocol's
        """Refuse: there is nothing to copy to a file."""
        raise VaultUnavailableError("A vault in memory has no backup; it ends with the process.")

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
                raise _no_vault()
            content = self._content.copy()
            for change in changes:
                content.make(change, self._meta)
            self._content = content
            self._version += 1

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
            if self._meta is None:
                raise _no_vault()
            held = self._leases.get(name)
            if held is not None and held.pid == os.getpid():
                if held.owner != owner:
                    return None
            else:
                self._fences[name] = self._fences.get(name, 0) + 1
            lease = Lease(name, owner, os.getpid(), now + ttl, self._fences[name])
            self._leases[name] = lease
            return lease

    def release_lease(self, lease: Lease) -> None:
        """Give a lease back, unless it has passed to somebody else."""
        with self._lock:
            held = self._leases.get(lease.name)
            if held is not None and (held.owner, held.fence) == (lease.owner, lease.fence):
                del self._leases[lease.name]

    def lease_holder(self, name: str) -> Lease | None:
        """Return the lease that somebody holds now."""
        with self._lock:
            return self._leases.get(name)

    @contextlib.contextmanager
    def shared(self, timeout: float) -> Iterator[None]:
        """Hold back `alone` while the block runs."""
        self._gate.enter(timeout, alone=False)
        try:
            yield
        finally:
            self._gate.leave(alone=False)

    @contextlib.contextmanager
    def alone(self, timeout: float) -> Iterator[None]:
        """Run the block while no block of `shared` runs or begins."""
        self._gate.enter(timeout, alone=True)
        try:
            yield
        finally:
            self._gate.leave(alone=True)

    def data_version(self) -> int:
        """Return a number that changes with every change."""
        return self._version

    def spill(self, name: str, data: bytes) -> None:
        """Keep bytes for a record."""
        with self._lock:
            self._spills[name] = data

    def spilled(self, name: str) -> bytes | None:
        """Return what was spilled for a record, or None."""
        return self._spills.get(name)

    def drop_spilled(self, name: str, data: bytes, *, damaged: bool = False) -> None:  # noqa: ARG002 - nobody can mend what ends with the process
        """Remove what was spilled for a record if it still is `data`."""
        with self._lock:
            if self._spills.get(name) == data:
                del self._spills[name]

    def close(self) -> None:
        """Nothing is open."""


def _no_vault() -> VaultNotInitializedError:
    return VaultNotInitializedError("There is no vault yet.")
