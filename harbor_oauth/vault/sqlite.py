"""The storage on disk: one SQLite file, for any number of threads and processes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from harbor_oauth.errors import VaultUnavailableError
from harbor_oauth.platform.files import private_directory, sync_directory
from harbor_oauth.platform.locks import FileLock
from harbor_oauth.vault.database import Database, file_damaged, no_vault, refusals
from harbor_oauth.vault.gate import Gate
from harbor_oauth.vault.leases import Leases
from harbor_oauth.vault.spill import SpillDirectory
from harbor_oauth.vault.statements import (
    apply,
    index_damaged,
    put_lease,
    read_lease,
    read_meta,
    reseal_rows,
    states,
    update_meta,
)
from harbor_oauth.vault.storage import WHOLE_VAULT_WAITS, Change, Event, Intent, Lease, Meta, Row

__all__ = ["SqliteStorage"]

_YEAR_10000: Final = 253_402_300_800.0


class SqliteStorage:
    """A `Storage` in a SQLite file of mode 0600 in a directory of mode 0700."""

    def __init__(
        self, path: Path, *, busy_timeout: float = 10.0, creation_timeout: float = 120.0
    ) -> None:
        """Name the file; nothing is touched yet.

        Args:
            path: The database file.
            busy_timeout: Seconds to wait while another process writes.
            creation_timeout: Seconds to wait while another process creates the
                vault, which may have to wait for a person.
        """
        self._database = Database(path, busy_timeout=busy_timeout)
        self._creation_timeout = creation_timeout
        self._leases = Leases(self.path.with_name("leases"))
        self._gate = Gate(self.path.with_name("gate"))
        self._spills = SpillDirectory(self.path.with_name("spill"))

    @property
    def path(self) -> Path:
        """The database file."""
        return self._database.path

    def meta(self) -> Meta | None:
        """Return the meta row, or None if there is no file."""
        with refusals(), self._database.existing() as connection:
            return None if connection is None else read_meta(connection)

    def create(self, make: Callable[[], Meta]) -> Meta:
        """Create the vault unless there is one: make, store, read back, publish."""
        with refusals():
            private_directory(self.path.parent)
            self._database.refuse_network()
            with self._creation():
                existing = self.meta()
                if existing is not None:
                    return existing
                self._database.publish(make())
                stored = self.meta()
        if stored is None:
            raise VaultUnavailableError(f"{self.path} vanished while it was made.")
        return stored

    def replace_meta(
        self, old: Meta, new: Meta, reseal: Callable[[Row], bytes] | None = None
    ) -> None:
        """Replace the meta row if it still is `old`, and reseal every record."""
        with self._database.transaction() as connection:
            update_meta(connection, old, new)
            if reseal is not None:
                reseal_rows(connection, reseal)

    def back_up(self, path: Path, old: Meta, new: Meta) -> None:
        """Copy the whole vault into a new private file, which is whole or not there."""
        with refusals():
            self._database.copy(path, old, new)

    def names(self, prefix: str = "") -> tuple[str, ...]:
        """Return the names of the records, sorted."""
        with self._database.snapshot() as connection:
            found = {} if connection is None else states(connection)
        return tuple(
            sorted(name for name, (_, value) in found.items() if value and name.startswith(prefix))
        )

    def get(self, name: str) -> Row | None:
        """Return a record, or None if there is none."""
        query = """
            SELECT CAST(generation AS INTEGER), CAST(sealed AS BLOB), CAST(updated AS REAL)
            FROM records WHERE name = ? AND sealed IS NOT NULL
        """
        with self._database.snapshot() as connection:
            if connection is None:
                return None
            row = connection.execute(query, (name,)).fetchone()
            if row is not None:
                return Row(name, *row)
            _, present = states(connection).get(name, (0, 0))
            if present:
                raise index_damaged()
        return None

    def generation(self, name: str) -> int:
        """Return the last generation a name had; 0 if it had none."""
        with self._database.snapshot() as connection:
            found = {} if connection is None else states(connection)
        generation, _ = found.get(name, (0, 0))
        return generation

    def apply(self, changes: Sequence[Change]) -> None:
        """Make all changes in one transaction."""
        with self._database.transaction() as connection:
            for change in changes:
                apply(connection, change)

    def intent(self, name: str) -> Intent | None:
        """Return the refresh that was begun and not ended, if any."""
        query = """
            SELECT name, CAST(generation AS INTEGER), CAST(digest AS TEXT), started_at,
                CAST(owner AS TEXT)
            FROM intents WHERE name = ?
        """
        for found, generation, digest, started_at, owner in self._rows(query, name):
            return Intent(found, generation, digest, _moment(started_at), owner)
        return None

    def history(self, name: str) -> tuple[Event, ...]:
        """Return a record's events, oldest first."""
        query = """
            SELECT name, at, CAST(event AS TEXT), detail FROM history WHERE name = ? ORDER BY id
        """
        try:
            return tuple(
                Event(name, _moment(at), event, dict(json.loads(detail)))
                for name, at, event, detail in self._rows(query, name)
            )
        except (TypeError, ValueError, RecursionError):
            raise file_damaged("an event of its history is unreadable") from None

    def acquire_lease(self, name: str, owner: str, *, ttl: float, now: float) -> Lease | None:
        """Take or renew a lease, unless somebody alive holds it."""

        def note(new: bool) -> Lease:  # noqa: FBT001 - its only parameter
            with self._database.transaction() as connection:
                return put_lease(connection, name, owner, now + ttl, new=new)

        with refusals():
            if self._database.file() is None:
                raise no_vault()
            return self._leases.acquire(name, owner, note)

    def release_lease(self, lease: Lease) -> None:
        """Give a lease back, unless it has passed to somebody else."""
        # The row stays, so that the next holder's fence is higher.
        self._leases.release(lease)

    def lease_holder(self, name: str) -> Lease | None:
        """Return the lease that somebody holds now."""
        with self._database.snapshot() as connection:
            lease = None if connection is None else read_lease(connection, name)
            return lease if lease is not None and self._leases.taken(name) else None

    @contextlib.contextmanager
    def shared(self, timeout: float) -> Iterator[None]:
        """Hold back `alone`, in every process, while the block runs."""
        with contextlib.ExitStack() as stack:
            with refusals():
                stack.enter_context(self._gate.shared(timeout))
            yield

    @contextlib.contextmanager
    def alone(self, timeout: float) -> Iterator[None]:
        """Run the block while no block of `shared` runs or begins, in any process."""
        with contextlib.ExitStack() as stack:
            with refusals():
                stack.enter_context(self._gate.alone(timeout))
            yield

    def data_version(self) -> int:
        """Return a number that changes whenever anybody has committed a change."""
        with refusals():
            return self._database.version()

    def spill(self, name: str, data: bytes) -> None:
        """Keep bytes for a record in a file of their own."""
        with refusals():
            self._spills.put(name, data)

    def spilled(self, name: str) -> bytes | None:
        """Return what was spilled for a record, or None."""
        with refusals():
            return self._spills.get(name)

    def drop_spilled(self, name: str, data: bytes, *, damaged: bool = False) -> None:
        """Remove what was spilled for a record, or set it aside, if it still is `data`."""
        with refusals():
            self._spills.drop(name, data, aside=damaged)

    def close(self) -> None:
        """Close the connections of all threads of this process."""
        self._database.close()

    def set_aside(self, suffix: str) -> Path | None:
        """Rename the file, whatever it holds, so that a new vault can be made.

        Args:
            suffix: Added to the file's name.

        Returns:
            The new path, or None if there was no file.
        """
        with refusals():
            private_directory(self.path.parent)
            # A refresh that is under way would store its answer in the next vault.
            with self.alone(WHOLE_VAULT_WAITS), self._creation():
                self.close()
                target = self.path.with_name(self.path.name + suffix)
                found: Path | None = None
                # The database first: its log alone is never taken for a vault.
                for ending in ("", "-wal", "-shm"):
                    with contextlib.suppress(FileNotFoundError):
                        self._database.beside(ending).rename(f"{target}{ending}")
                        found = target
                self._spills.rename(target.with_name(f"{target.name}-spill"))
                sync_directory(self.path.parent)
        return found

    def _creation(self) -> FileLock:
        return FileLock(self.path.with_suffix(".lock"), timeout=self._creation_timeout)

    def _rows(self, query: str, *values: str) -> list[Any]:
        """Run a query; there is nothing in a vault that does not exist."""
        with self._database.snapshot() as connection:
            return [] if connection is None else connection.execute(query, values).fetchall()


def _moment(value: object) -> float:
    """Return a time that was read, seconds since 1970 UTC; nothing seals it.

    Raises:
        VaultFormatError: It is no time that a calendar has.
    """
    if not isinstance(value, int | float) or not 0 <= value < _YEAR_10000:
        raise file_damaged("a time in it is none")
    return float(value)
