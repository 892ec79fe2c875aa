"""SQLite connections: one for each thread, none carried across a fork.

A child must neither use nor close a connection of its parent: SQLite would
believe to hold locks that are the parent's (sqlite.org/howtocorrupt.html §2.6).
And no thread is inside SQLite while another one forks: `inside_sqlite`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Final

from harbor_oauth.errors import VaultUnavailableError
from harbor_oauth.platform.fork_gate import ForkGate

__all__ = ["ChangeCounter", "Connection", "Connections", "inside_sqlite"]


class Connection(sqlite3.Connection):
    """A connection that closes itself when its thread ends, in its own process only.

    Attributes:
        process: The process that opened it.
        file: Device and inode of its file.
        uses: How many blocks of its thread work with it at this moment.
    """

    process: int
    file: tuple[int, int]
    uses: int

    def __del__(self) -> None:
        """Close, unless a fork brought it here."""
        if getattr(self, "process", None) == os.getpid():
            with _gate:
                self.close()


_gate: Final = ForkGate()
# Only taken inside the gate: a fork takes the gate first, then this.
_lock: Final = threading.Lock()
_open: Final[weakref.WeakSet[Connection]] = weakref.WeakSet()
_at_fork: Final[list[Connection]] = []
_inherited: Final[list[Connection]] = []
_counters: Final[weakref.WeakSet[ChangeCounter]] = weakref.WeakSet()


def _before_fork() -> None:
    # The connections of other threads would be freed, and so closed, in the
    # child before any of its own code runs. The references made here stop that.
    _gate.shut()
    _lock.acquire()
    _at_fork.extend(_open)


def _after_fork_in_parent() -> None:
    _at_fork.clear()
    _lock.release()
    _gate.open_in_parent()


def _after_fork_in_child() -> None:
    _gate.open_in_child()
    _inherited.extend(_at_fork)
    _at_fork.clear()
    _open.clear()
    for counter in list(_counters):
        counter.start_anew()
    _lock.release()


if sys.platform != "win32":
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )


@contextlib.contextmanager
def inside_sqlite() -> Iterator[None]:
    """Hold back forks of this process; every use of SQLite stands in such a block.

    Raises:
        VaultUnavailableError: This process was forked while another thread of
            its parent was inside SQLite, where it would hang.
    """
    if _gate.broken:
        raise VaultUnavailableError(
            "This process was forked while another thread of its parent was using the vault, "
            "and that thread did not finish in time. The vault cannot be used in this process.",
            next_step="Start worker processes before the vault is used, or with the start method"
            " 'spawn' or 'forkserver'.",
        )
    with _gate:
        yield


class Connections:
    """The connections to one database file."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        """Open nothing yet.

        Args:
            connect: Opens a connection for the calling thread.
        """
        self._connect = connect
        self._local = threading.local()
        self._mine: weakref.WeakSet[Connection] = weakref.WeakSet()

    @contextlib.contextmanager
    def use(self, file: tuple[int, int]) -> Iterator[Connection]:
        """Give this thread's connection; nobody closes it before the block ends.

        Args:
            file: Device and inode of the file now: a connection to a file that
                was moved away is not used any more.
        """
        with inside_sqlite():
            connection = self._taken(file)
            try:
                yield connection
            finally:
                with _lock:
                    connection.uses -= 1
                    unwanted = not connection.uses and connection not in self._mine
                if unwanted:
                    connection.close()

    def close(self) -> None:
        """Close the connections of all threads; the next `use` opens one again.

        One that its thread is using this moment is closed at the end of that:
        SQLite would go on in memory that is free, and the process would crash.
        """
        with _gate:
            with _lock:
                unused = [each for each in self._mine if not each.uses]
                self._mine = weakref.WeakSet()
                self._local = threading.local()
            for connection in unused:
                if connection.process == os.getpid():
                    connection.close()

    def _taken(self, file: tuple[int, int]) -> Connection:
        """Return this thread's connection, which counts as used from now on."""
        with _lock:
            known: Connection | None = getattr(self._local, "connection", None)
            if known is not None and (known.process, known.file) == (os.getpid(), file):
                known.uses += 1
                return known
        connection = self._connect()
        connection.process = os.getpid()
        connection.file = file
        connection.uses = 1
        with _lock:
            _open.add(connection)
            self._mine.add(connection)
            self._local.connection = connection
        return connection


class ChangeCounter:
    """Counts the changes to one database file that anybody committed.

    SQLite's ``data_version`` compares for one connection only, and ignores what
    that connection wrote (sqlite.org/pragma.html#pragma_data_version). So there
    is one for all threads, which never writes.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        """Open nothing yet.

        Args:
            connect: Opens a connection.
        """
        self._connect = connect
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._seen = 0
        self._count = 0
        with _gate, _lock:
            _counters.add(self)

    def value(self, file: tuple[int, int]) -> int:
        """Return the count, which is never 0.

        Args:
            file: Device and inode of the file now; another file is a change.
        """
        with inside_sqlite(), self._lock:
            if self._connection is None or self._connection.file != file:
                self._open(file)
            assert self._connection is not None  # noqa: S101 - it was just opened
            (seen,) = self._connection.execute("PRAGMA data_version").fetchone()
            if seen != self._seen:
                self._seen = seen
                self._count += 1
            return self._count

    def close(self) -> None:
        """Close the connection; the next `value` is another one."""
        with _gate, self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def start_anew(self) -> None:
        """Forget the parent's connection, and its lock, in a child made by fork."""
        self._lock = threading.Lock()
        self._connection = None

    def _open(self, file: tuple[int, int]) -> None:
        self._connection = None  # the old one, of another file, closes itself
        connection = self._connect()
        connection.process = os.getpid()
        connection.file = file
        with _lock:
            _open.add(connection)
        self._connection = connection
        self._seen = 0  # SQLite counts from 1
