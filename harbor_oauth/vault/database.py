"""The database file: how it appears, is opened, written, copied, and refused.

It appears under its name complete, with its meta row, or not at all. So what is
there and cannot be read is damage, never an empty vault.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from harbor_oauth.errors import (
    VaultError,
    VaultFormatError,
    VaultNotInitializedError,
    VaultUnavailableError,
)
from harbor_oauth.platform.files import (
    check_private,
    is_network_file_system,
    is_read_only,
    new_file,
    open_private,
    private_directory,
    sync_directory,
)
from harbor_oauth.vault.connections import ChangeCounter, Connection, Connections, inside_sqlite
from harbor_oauth.vault.schema import distrust_schema
from harbor_oauth.vault.statements import (
    check_format,
    create_tables,
    insert_meta,
    read_meta,
    update_meta,
)
from harbor_oauth.vault.storage import Meta

__all__ = ["Database", "file_damaged", "no_vault", "read_only", "refusals"]


class Database:
    """One SQLite file of mode 0600 in a directory of mode 0700."""

    def __init__(self, path: Path, *, busy_timeout: float) -> None:
        """Name the file; nothing is touched yet.

        Args:
            path: The database file.
            busy_timeout: Seconds to wait while another process writes.
        """
        self.path = path.absolute()
        self._busy_timeout = busy_timeout
        self._connections = Connections(self._connect)
        self._changes = ChangeCounter(self._connect)

    def version(self) -> int:
        """Return the count of changes seen so far; 0 if there is no vault."""
        file = self.file()
        if file is not None and self._at_rest():
            return self.path.stat().st_mtime_ns
        return 0 if file is None else self._changes.value(file)

    def close(self) -> None:
        """Close the connections of all threads of this process."""
        self._connections.close()
        self._changes.close()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Connection | None]:
        """Give a connection that sees one state throughout, or None without a vault."""
        with refusals(), self.existing() as connection:
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
    def transaction(self) -> Iterator[Connection]:
        """Give a connection whose writes are all made at the end, durably, or none."""
        with refusals(), self.existing() as connection:
            if connection is None:
                raise no_vault()
            if is_read_only(self.path.parent):
                raise read_only(self.path)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def existing(self) -> Iterator[Connection | None]:
        """Give this thread's connection, or None if there is no vault."""
        file = self.file()
        if file is None:
            yield None
        elif self._at_rest():
            with self._unchanging() as connection:
                yield connection
        else:
            with self._connections.use(file) as connection:
                yield connection

    def _at_rest(self) -> bool:
        """Say whether the file can only be read here, and no process has it open to write.

        SQLite cannot open it then: readers too write to files beside it, and
        the last process that writes takes those away (sqlite.org/wal.html §5).
        """
        return is_read_only(self.path.parent) and not self.beside("-wal").exists()

    @contextlib.contextmanager
    def _unchanging(self) -> Iterator[Connection]:
        """Give a connection to a file at rest, and prove afterwards that it was.

        Where another mount of the directory can be written, what was read may
        be half of a change. So it counts only if the file is the same at the end.
        """
        before = _identity(self.path)
        with (
            inside_sqlite(),
            contextlib.closing(
                _open(self.path, self._busy_timeout, "mode=ro&immutable=1")
            ) as connection,
        ):
            check_format(connection, self.path)
            yield connection
        if _identity(self.path) != before or not self._at_rest():
            raise VaultUnavailableError(
                "The vault was changed from elsewhere while it was read here.",
                next_step="Try again.",
            )

    def file(self) -> tuple[int, int] | None:
        """Return device and inode of the file that is there now, or None."""
        try:
            # Not opened to be checked: closing any descriptor of a database drops
            # the locks of all the process's connections to it
            # (sqlite.org/howtocorrupt.html §2.2).
            status = check_private(self.path)
        except FileNotFoundError:
            self._refuse_orphan()
            return None
        return status.st_dev, status.st_ino

    def _connect(self) -> Connection:
        private_directory(self.path.parent)
        self.refuse_network()
        connection = _open(self.path, self._busy_timeout)
        try:
            check_format(connection, self.path)
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    def publish(self, meta: Meta) -> None:
        """Write a database under another name, whole, and give it its own."""
        draft = self.beside(".new")
        for ending in ("", "-journal", "-wal", "-shm"):
            self.beside(f".new{ending}").unlink(missing_ok=True)
        os.close(open_private(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        with (
            inside_sqlite(),
            contextlib.closing(_open(draft, self._busy_timeout)) as connection,
        ):
            create_tables(connection)
            insert_meta(connection, meta)
            connection.execute("COMMIT")
            if read_meta(connection) != meta:
                raise VaultUnavailableError(f"{draft} does not hold what was written to it.")
            connection.execute("PRAGMA journal_mode = WAL")
        draft.rename(self.path)
        sync_directory(self.path.parent)

    def copy(self, path: Path, old: Meta, new: Meta) -> None:
        """Copy the vault, as it is at one moment, into a new private file.

        Args:
            path: The file, which is whole afterwards or not there.
            old: What the meta row must be.
            new: What it is in the copy.
        """
        with self.existing() as source:
            if source is None:
                raise no_vault()
            self._copy(source, path, old, new)

    def _copy(self, source: Connection, path: Path, old: Meta, new: Meta) -> None:
        try:
            with (
                new_file(path.absolute()) as draft,
                contextlib.closing(_open(draft, self._busy_timeout)) as connection,
            ):
                source.backup(connection)
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE")
                update_meta(connection, old, new)
                connection.execute("COMMIT")
        except FileExistsError:
            raise VaultUnavailableError(
                f"{path} exists; it was not changed.", next_step="Name another file."
            ) from None

    def beside(self, ending: str) -> Path:
        """Return the file of the same name with an ending."""
        return self.path.with_name(self.path.name + ending)

    def refuse_network(self) -> None:
        """Refuse a disk of another machine."""
        if is_network_file_system(self.path.parent):
            raise VaultUnavailableError(
                f"{self.path} is on a network disk, where locks cannot be relied on.",
                next_step="Set HARBOR_HOME to a directory on a local disk.",
            )

    def _refuse_orphan(self) -> None:
        log = self.beside("-wal")
        # Looked for again: another process may just have made both.
        if log.exists() and not self.path.exists():
            raise VaultFormatError(
                f"{self.path} is gone, and its log {log.name} is still there.",
                next_step="Restore the file, or set the rest aside with: harbor chest reset",
            )


def _identity(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _open(path: Path, timeout: float, how: str = "mode=rw") -> Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?{how}",  # never creates
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,  # `close` closes those of other threads
        factory=Connection,
    )
    distrust_schema(connection)
    return connection


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turn what the database and the system raise into the vault's errors."""
    try:
        yield
    except VaultError:
        raise
    except sqlite3.DatabaseError as error:
        raise _translated(error) from error
    except OverflowError as error:  # SQLite counts in 64 bits
        raise file_damaged("a number in it is out of range") from error
    except UnicodeDecodeError as error:  # SQLite's own sentence quotes what is damaged
        raise file_damaged("its text is not UTF-8") from error
    except OSError as error:
        if error.errno == errno.EROFS:
            raise read_only(error.filename) from error
        raise VaultUnavailableError(f"The vault cannot be used: {error}") from error


def _translated(error: sqlite3.DatabaseError) -> VaultError:
    # The primary code is the low byte (sqlite.org/rescode.html).
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:  # not SQLite's: a value could not be read as what it should be
        return file_damaged(str(error))
    match code & 0xFF:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_ERROR:
            return file_damaged(str(error))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return VaultUnavailableError(
                "The vault is busy: another process has been writing for too long.",
                next_step="Try again.",
            )
        case sqlite3.SQLITE_READONLY:
            return read_only(None)
        case _:
            return VaultUnavailableError(
                f"The vault's file cannot be read or written: {error}.",
                next_step="Look at the disk's free space, at the file's permissions, and whether"
                " the disk can be written.",
            )


def read_only(path: Path | str | None) -> VaultUnavailableError:
    """Return the error of a change to a vault that can only be read here."""
    return VaultUnavailableError(
        f"{path or 'The vault'} is read-only here: what is stored can be read, and nothing can be"
        " stored or refreshed.",
        next_step="Mount the directory so that it can be written, or give this side a token or a"
        " key of the gateway instead (docs/how-to/containers.md).",
    )


def no_vault() -> VaultNotInitializedError:
    """Return the error of a change where there is no vault."""
    return VaultNotInitializedError("There is no vault yet.")


def file_damaged(how: str) -> VaultFormatError:
    """Return the error of a file that cannot be read as a vault."""
    return VaultFormatError(
        f"The vault's file is damaged or not a vault ({how}); it was not changed.",
        next_step="Restore it from a backup, or set it aside with: harbor chest reset",
    )
