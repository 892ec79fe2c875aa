"""The storage on disk: one SQLite file, for any number of threads and processes.

The file appears under its name complete, with its meta row, or not at all. So
what is there and cannot be read is damage, never an empty vault.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harbor_oauth.errors import (
    VaultConflictError,
    VaultError,
    VaultFormatError,
    VaultNotInitializedError,
    VaultUnavailableError,
)
from harbor_oauth.platform.files import (
    check_private,
    is_network_file_system,
    open_private,
    private_directory,
    sync_directory,
)
from harbor_oauth.platform.locks import FileLock
from harbor_oauth.vault.connections import ChangeCounter, Connection, Connections
from harbor_oauth.vault.leases import Leases
from harbor_oauth.vault.spill import SpillDirectory
from harbor_oauth.vault.statements import (
    apply,
    check_format,
    create_tables,
    index_damaged,
    insert_meta,
    put_lease,
    read_lease,
    read_meta,
    states,
)
from harbor_oauth.vault.storage import Change, Event, Intent, Lease, Meta, Row

__all__ = ["SqliteStorage"]


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
        self._path = path.absolute()
        self._busy_timeout = busy_timeout
        self._creation_timeout = creation_timeout
        self._connections = Connections(self._connect)
        self._changes = ChangeCounter(self._connect)
        self._leases = Leases(self._path.with_name("leases"))
        self._spills = SpillDirectory(self._path.with_name("spill"))

    @property
    def path(self) -> Path:
        """The database file."""
        return self._path

    def meta(self) -> Meta | None:
        """Return the meta row, or None if there is no file."""
        with _refusals():
            connection = self._existing()
            return None if connection is None else read_meta(connection)

    def create(self, make: Callable[[], Meta]) -> Meta:
        """Create the vault unless there is one: make, store, read back, publish."""
        with _refusals():
            private_directory(self._path.parent)
            self._refuse_network()
            with FileLock(self._path.with_suffix(".lock"), timeout=self._creation_timeout):
                existing = self.meta()
                if existing is not None:
                    return existing
                self._publish(make())
                stored = self.meta()
        if stored is None:
            raise VaultUnavailableError(f"{self._path} vanished while it was made.")
        return stored

    def replace_meta(self, old: Meta, new: Meta) -> None:
        """Replace the meta row if it still is `old`."""
        with self._transaction() as connection:
            if read_meta(connection) != old:
                raise VaultConflictError("The vault's key was changed by somebody else.")
            connection.execute("DELETE FROM meta")
            insert_meta(connection, new)

    def names(self, prefix: str = "") -> tuple[str, ...]:
        """Return the names of the records, sorted."""
        with self._snapshot() as connection:
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
        with self._snapshot() as connection:
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
        with self._snapshot() as connection:
            found = {} if connection is None else states(connection)
        generation, _ = found.get(name, (0, 0))
        return generation

    def apply(self, changes: Sequence[Change]) -> None:
        """Make all changes in one transaction."""
        with self._transaction() as connection:
            for change in changes:
                apply(connection, change)

    def intent(self, name: str) -> Intent | None:
        """Return the refresh that was begun and not ended, if any."""
        query = "SELECT name, generation, digest, started_at, owner FROM intents WHERE name = ?"
        return next((Intent(*row) for row in self._rows(query, name)), None)

    def history(self, name: str) -> tuple[Event, ...]:
        """Return a record's events, oldest first."""
        query = "SELECT name, at, event, detail FROM history WHERE name = ? ORDER BY id"
        try:
            return tuple(
                Event(name, at, event, json.loads(detail))
                for name, at, event, detail in self._rows(query, name)
            )
        except (TypeError, ValueError):
            raise _file_damaged("an event of its history is unreadable") from None

    def acquire_lease(self, name: str, owner: str, *, ttl: float, now: float) -> Lease | None:
        """Take or renew a lease, unless somebody alive holds it."""

        def note(new: bool) -> Lease:  # noqa: FBT001 - its only parameter
            with self._transaction() as connection:
                return put_lease(connection, name, owner, now + ttl, new=new)

        with _refusals():
            if self._existing() is None:
                raise _no_vault()
            return self._leases.acquire(name, owner, note)

    def release_lease(self, lease: Lease) -> None:
        """Give a lease back, unless it has passed to somebody else."""
        # The row stays, so that the next holder's fence is higher.
        self._leases.release(lease)

    def lease_holder(self, name: str) -> Lease | None:
        """Return the lease that somebody holds now."""
        with self._snapshot() as connection:
            lease = None if connection is None else read_lease(connection, name)
            return lease if lease is not None and self._leases.taken(name) else None

    def data_version(self) -> int:
        """Return a number that changes whenever anybody has committed a change."""
        with _refusals():
            file = self._file()
            return 0 if file is None else self._changes.value(file)

    def spill(self, name: str, data: bytes) -> None:
        """Keep bytes for a record in a file of their own."""
        with _refusals():
            self._spills.put(name, data)

    def spilled(self, name: str) -> bytes | None:
        """Return what was spilled for a record, or None."""
        with _refusals():
            return self._spills.get(name)

    def drop_spilled(self, name: str, data: bytes, *, damaged: bool = False) -> None:
        """Remove what was spilled for a record, or set it aside, if it still is `data`."""
        with _refusals():
            self._spills.drop(name, data, aside=damaged)

    def close(self) -> None:
        """Close the connections of all threads of this process."""
        self._connections.close()
        self._changes.close()

    def set_aside(self, suffix: str) -> Path | None:
        """Rename the file, whatever it holds, so that a new vault can be made.

        Args:
            suffix: Added to the file's name.

        Returns:
            The new path, or None if there was no file.
        """
        with _refusals():
            private_directory(self._path.parent)
            with FileLock(self._path.with_suffix(".lock"), timeout=self._creation_timeout):
                self.close()
                target = self._path.with_name(self._path.name + suffix)
                found: Path | None = None
                # The database first: its log alone is never taken for a vault.
                for ending in ("", "-wal", "-shm"):
                    with contextlib.suppress(FileNotFoundError):
                        self._beside(ending).rename(f"{target}{ending}")
                        found = target
                self._spills.rename(target.with_name(f"{target.name}-spill"))
                sync_directory(self._path.parent)
        return found

    def _rows(self, query: str, *values: str) -> list[Any]:
        """Run a query; there is nothing in a vault that does not exist."""
        with self._snapshot() as connection:
            return [] if connection is None else connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[Connection | None]:
        """Give a connection that sees one state throughout, or None without a vault."""
        with _refusals():
            connection = self._existing()
            if connection is None:
                yield None
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with _refusals():
            connection = self._existing()
            if connection is None:
                raise _no_vault()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _existing(self) -> Connection | None:
        """Return this thread's connection, or None if there is no vault."""
        file = self._file()
        return None if file is None else self._connections.get(file)

    def _file(self) -> tuple[int, int] | None:
        """Return device and inode of the file that is there now, or None."""
        try:
            # Not opened to be checked: closing any descriptor of a database drops
            # the locks of all the process's connections to it
            # (sqlite.org/howtocorrupt.html §2.2).
            status = check_private(self._path)
        except FileNotFoundError:
            self._refuse_orphan()
            return None
        return status.st_dev, status.st_ino

    def _connect(self) -> Connection:
        private_directory(self._path.parent)
        self._refuse_network()
        connection = _open(self._path, self._busy_timeout)
        try:
            check_format(connection, self._path)
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _publish(self, meta: Meta) -> None:
        """Write a database under another name, whole, and give it its own."""
        draft = self._beside(".new")
        for ending in ("", "-journal", "-wal", "-shm"):
            self._beside(f".new{ending}").unlink(missing_ok=True)
        os.close(open_private(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        connection = _open(draft, self._busy_timeout)
        try:
            create_tables(connection)
            insert_meta(connection, meta)
            if read_meta(connection) != meta:
                raise VaultUnavailableError(f"{draft} does not hold what was written to it.")
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        draft.rename(self._path)
        sync_directory(self._path.parent)

    def _beside(self, ending: str) -> Path:
        return self._path.with_name(self._path.name + ending)

    def _refuse_network(self) -> None:
        if is_network_file_system(self._path.parent):
            raise VaultUnavailableError(
                f"{self._path} is on a network disk, where locks cannot be relied on.",
                next_step="Set HARBOR_HOME to a directory on a local disk.",
            )

    def _refuse_orphan(self) -> None:
        log = self._beside("-wal")
        # Looked for again: another process may just have made both.
        if log.exists() and not self._path.exists():
            raise VaultFormatError(
                f"{self._path} is gone, and its log {log.name} is still there.",
                next_step="Restore the file, or set the rest aside with: harbor chest reset",
            )


def _open(path: Path, timeout: float) -> Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode=rw",  # never creates
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,  # `close` closes those of other threads
        factory=Connection,
    )


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the database and the system raise into the vault's errors."""
    try:
        yield
    except VaultError:
        raise
    except sqlite3.DatabaseError as error:
        raise _translated(error) from error
    except UnicodeDecodeError as error:  # SQLite's own sentence quotes what is damaged
        raise _file_damaged("its text is not UTF-8") from error
    except OSError as error:
        raise VaultUnavailableError(f"The vault cannot be used: {error}") from error


def _translated(error: sqlite3.DatabaseError) -> VaultError:
    # The primary code is the low byte (sqlite.org/rescode.html).
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:  # not SQLite's: a value could not be read as what it should be
        return _file_damaged(str(error))
    match code & 0xFF:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_ERROR:
            return _file_damaged(str(error))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return VaultUnavailableError(
                "The vault is busy: another process has been writing for too long.",
                next_step="Try again.",
            )
        case _:
            return VaultUnavailableError(
                f"The vault's file cannot be read or written: {error}.",
                next_step="Look at the disk's free space and at the file's permissions.",
            )


def _no_vault() -> VaultNotInitializedError:
    return VaultNotInitializedError("There is no vault yet.")


def _file_damaged(how: str) -> VaultFormatError:
    return VaultFormatError(
        f"The vault's file is damaged or not a vault ({how}); it was not changed.",
        next_step="Restore it from a backup, or set it aside with: harbor chest reset",
    )
