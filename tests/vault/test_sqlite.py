"""The storage on disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harbor_oauth.errors import VaultConflictError, VaultFormatError, VaultUnavailableError
from harbor_oauth.vault.sqlite import SqliteStorage
from harbor_oauth.vault.storage import Delete, Meta, Put

_META = Meta("v" * 32, 1, "memory", {"a": 1}, b"sealed", 1.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "vault.db"


@pytest.fixture
def storage(path: Path) -> Iterator[SqliteStorage]:
    storage = SqliteStorage(path, busy_timeout=0.05)
    storage.create(lambda: _META)
    yield storage
    storage.close()


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _sql(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def _put(name: str = "name", generation: int = 1) -> Put:
    return Put(name, b"sealed", generation, 1.0)


def _read_everything(storage: SqliteStorage, stored: dict[str, bytes]) -> None:
    """Ask for all there is to know; an answer that is not an error must be right.

    The octets of a record are proved by its seal, which is not tested here.
    """
    assert storage.names() == tuple(stored)
    for name in stored:
        assert storage.get(name) is not None
    assert storage.get("absent") is None
    assert storage.generation("absent") == 0
    storage.meta()


def _raise(error: BaseException) -> Meta:
    raise error


def test_naming_a_storage_touches_nothing(path: Path) -> None:
    """Neither making one nor looking for a vault creates anything."""
    storage = SqliteStorage(path)
    assert storage.meta() is None
    assert storage.names() == ()
    assert not path.parent.exists()


def test_every_file_is_private(path: Path) -> None:
    """Under the most open umask, with the log and the lock there as well."""
    before = os.umask(0)
    try:
        storage = SqliteStorage(path)
        storage.create(lambda: _META)
        storage.apply([_put()])
    finally:
        os.umask(before)
    assert _mode(path.parent) == 0o700
    files = {file.name: _mode(file) for file in path.parent.iterdir()}
    assert files == dict.fromkeys(("vault.db", "vault.db-wal", "vault.db-shm", "vault.lock"), 0o600)
    storage.close()


def test_commits_are_durable(storage: SqliteStorage) -> None:
    """The log is synchronised at each commit, in every thread's connection."""
    answers: list[object] = []

    def ask() -> None:
        with storage._database.existing() as connection:
            assert connection is not None
            for pragma in ("journal_mode", "synchronous", "busy_timeout"):
                answers.extend(connection.execute(f"PRAGMA {pragma}").fetchone())

    ask()
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert answers == ["wal", 2, 50] * 2


def test_each_thread_has_one_connection(storage: SqliteStorage) -> None:
    """Connections are neither shared between threads nor opened again and again."""
    seen: list[object] = []

    def work() -> None:
        storage.apply([_put(threading.current_thread().name)])
        with storage._database.existing() as connection:
            seen.append(connection)
        with storage._database.existing() as connection:
            assert connection is seen[-1]

    work()
    thread = threading.Thread(target=work, name="other")
    thread.start()
    thread.join()
    assert len(set(map(id, seen))) == 2
    assert set(storage.names()) == {"MainThread", "other"}


def test_closing_closes_the_connections_of_all_threads(storage: SqliteStorage) -> None:
    """After closing, the log is gone: nobody has the file open."""
    storage.apply([_put()])
    done, stay = threading.Event(), threading.Event()

    def hold() -> None:
        storage.names()
        done.set()
        stay.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    done.wait()
    storage.close()
    assert not storage.path.with_name("vault.db-wal").exists()
    stay.set()
    thread.join()
    assert storage.names() == ("name",)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
def test_a_creation_that_is_interrupted_leaves_no_vault(
    path: Path, interruption: type[BaseException]
) -> None:
    """The next creation begins afresh, with another key."""
    storage = SqliteStorage(path)
    with pytest.raises(interruption):
        storage.create(lambda: _raise(interruption()))
    assert storage.meta() is None
    assert storage.create(lambda: _META) == _META
    storage.close()


def test_a_draft_that_a_crash_left_is_no_vault(path: Path) -> None:
    """The file gets its name only when it is whole."""
    path.parent.mkdir(mode=0o700)
    for ending in ("", "-journal", "-wal"):
        path.with_name(f"vault.db.new{ending}").write_bytes(b"half written")
    storage = SqliteStorage(path)
    assert storage.meta() is None
    assert storage.create(lambda: _META) == _META
    storage.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["vault.db", "vault.lock"]


class TestWhatIsNoVault:
    """What is there and cannot be read is refused and left as it is."""

    @pytest.mark.parametrize(
        "content", [b"", b"x", b"not a database" * 100, b"SQLite format 3\0", b"\0" * 8192]
    )
    def test_other_content(self, path: Path, content: bytes) -> None:
        """Neither reading nor creating nor writing touches it."""
        path.parent.mkdir(mode=0o700)
        path.write_bytes(content)
        path.chmod(0o600)
        storage = SqliteStorage(path)
        for attempt in (
            storage.meta,
            storage.names,
            lambda: storage.get("name"),
            lambda: storage.create(lambda: _META),
            lambda: storage.apply([_put()]),
        ):
            with pytest.raises(VaultFormatError):
                attempt()
        storage.close()
        assert path.read_bytes() == content

    def test_another_programs_database(self, path: Path) -> None:
        """A database is ours when it says so."""
        path.parent.mkdir(mode=0o700)
        _sql(path, "CREATE TABLE meta (x)")
        path.chmod(0o600)
        content = path.read_bytes()
        with pytest.raises(VaultFormatError, match="not a vault"):
            SqliteStorage(path).create(lambda: _META)
        assert path.read_bytes() == content

    def test_a_newer_format(self, storage: SqliteStorage) -> None:
        """It is named as such, and its bytes stay."""
        storage.close()
        _sql(storage.path, "PRAGMA user_version = 2")
        content = storage.path.read_bytes()
        with pytest.raises(VaultFormatError, match="newer version"):
            storage.names()
        with pytest.raises(VaultFormatError, match="newer version"):
            storage.apply([_put()])
        assert storage.path.read_bytes() == content

    def test_a_vault_without_its_meta_row(self, storage: SqliteStorage) -> None:
        """No second key is made beside records."""
        _sql(storage.path, "DELETE FROM meta")
        with pytest.raises(VaultFormatError):
            storage.meta()
        with pytest.raises(VaultFormatError):
            storage.create(lambda: _META)

    def test_a_truncated_file(self, storage: SqliteStorage) -> None:
        """At no length does a record vanish, or a second vault come into being."""
        stored = {f"name-{number:02}": f"value-{number}".encode() * 60 for number in range(40)}
        storage.apply([Put(name, sealed, 1, 1.0) for name, sealed in stored.items()])
        storage.close()
        whole = storage.path.read_bytes()
        for length in range(0, len(whole), 509):
            storage.path.write_bytes(whole[:length])
            # A cut inside the last page may leave all names, and cost a value its seal.
            with contextlib.suppress(VaultFormatError):
                _read_everything(storage, stored)
                assert length > len(whole) - 4096
            with contextlib.suppress(VaultFormatError):
                assert storage.create(lambda: _raise(AssertionError("made a vault"))) == _META
            storage.close()

    def test_a_flipped_bit(self, storage: SqliteStorage) -> None:
        """Wherever it is, every answer is right or an error."""
        stored = {"a": b"1" * 30, "b": b"2" * 30, "c": b"3" * 30}
        storage.apply([Put(name, sealed, 1, 1.0) for name, sealed in stored.items()])
        storage.apply([Delete("c", 1)])
        del stored["c"]
        storage.close()
        whole = storage.path.read_bytes()
        filled = [index for index, octet in enumerate(whole) if octet]
        for index in filled[::5]:
            flipped = bytearray(whole)
            flipped[index] ^= 1 << index % 8
            storage.path.write_bytes(flipped)
            with contextlib.suppress(VaultFormatError, VaultUnavailableError):
                _read_everything(storage, stored)
            storage.close()

    def test_a_log_without_its_database(self, storage: SqliteStorage) -> None:
        """A new database beside an old log would be read with it."""
        storage.apply([_put()])
        saved = storage.path.with_name("vault.db-wal").read_bytes()
        storage.close()
        storage.path.unlink()
        storage.path.with_name("vault.db-wal").write_bytes(saved)
        with pytest.raises(VaultFormatError, match="log"):
            storage.create(lambda: _META)

    def test_a_link_or_directory(self, path: Path, tmp_path: Path, storage: SqliteStorage) -> None:
        """A link at the vault's name is not followed."""
        storage.close()
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(VaultUnavailableError, match="symbolic link"):
            storage.names()
        path.unlink()
        path.mkdir()
        with pytest.raises(VaultUnavailableError, match="regular file"):
            storage.create(lambda: _META)

    @pytest.mark.parametrize("what", ["file", "directory"])
    def test_what_is_open_to_others(self, storage: SqliteStorage, what: str) -> None:
        """The mode is checked when the vault is opened."""
        storage.close()
        (storage.path if what == "file" else storage.path.parent).chmod(0o755)
        with pytest.raises(VaultUnavailableError, match="chmod"):
            storage.names()


def test_a_network_disk_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither creation nor use happens there."""
    storage = SqliteStorage(path)
    with monkeypatch.context() as patched:
        patched.setattr("harbor_oauth.vault.database.is_network_file_system", lambda _: True)
        with pytest.raises(VaultUnavailableError, match="network disk"):
            storage.create(lambda: _META)
    assert not path.exists()
    storage.create(lambda: _META)
    storage.close()
    monkeypatch.setattr("harbor_oauth.vault.database.is_network_file_system", lambda _: True)
    with pytest.raises(VaultUnavailableError, match="network disk"):
        storage.names()


def _sabotage(storage: SqliteStorage, pragma: str) -> None:
    with storage._database.existing() as connection:
        assert connection is not None
        connection.execute(f"PRAGMA {pragma}")


def test_a_full_disk_loses_nothing(storage: SqliteStorage) -> None:
    """The transaction that did not fit is undone, and the next one that fits succeeds."""
    storage.apply([_put("before")])
    _sabotage(storage, "max_page_count = 1")
    with pytest.raises(VaultUnavailableError, match="full"):
        storage.apply([_put("small"), Put("large", b"x" * 100_000, 1, 1.0)])
    assert storage.names() == ("before",)
    _sabotage(storage, "max_page_count = 1000000")
    storage.apply([_put("after")])
    assert storage.names() == ("after", "before")


def test_a_disk_that_cannot_be_written_is_an_error(storage: SqliteStorage) -> None:
    """Reading goes on."""
    storage.apply([_put("before")])
    _sabotage(storage, "query_only = ON")
    with pytest.raises(VaultUnavailableError, match="read-only here"):
        storage.apply([_put()])
    assert storage.names() == ("before",)


def test_a_writer_that_does_not_end_makes_others_fail_clearly(storage: SqliteStorage) -> None:
    """After the busy timeout, not for ever, and readers do not wait at all."""
    with contextlib.closing(sqlite3.connect(storage.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(VaultUnavailableError, match="busy"):
            storage.apply([_put()])
        assert storage.names() == ()
        other.execute("ROLLBACK")
    storage.apply([_put()])


def test_an_interruption_undoes_the_transaction(
    storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle leaves neither half a change nor a held lock."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("harbor_oauth.vault.sqlite.apply", interrupt)
        with pytest.raises(KeyboardInterrupt):
            storage.apply([_put()])
    storage.apply([_put()])
    assert storage.names() == ("name",)


def test_setting_aside_makes_room(storage: SqliteStorage, path: Path) -> None:
    """The old file keeps its content under a new name, and an open handle finds the new one."""
    storage.apply([_put()])
    other = SqliteStorage(path)
    assert other.names() == ("name",)
    aside = storage.set_aside(".aside")
    assert aside == path.with_name("vault.db.aside")
    assert storage.meta() is None
    storage.create(lambda: _META)
    assert other.names() == ()
    other.close()
    old = SqliteStorage(aside)
    assert old.names() == ("name",)
    old.close()
    assert SqliteStorage(path.with_name("none.db")).set_aside(".aside") is None


def test_a_file_that_was_replaced_is_opened_again(storage: SqliteStorage, tmp_path: Path) -> None:
    """A restored backup is read, not the file that it replaced."""
    storage.apply([_put("old")])
    storage.close()
    shutil.copy(storage.path, tmp_path / "backup")
    storage.apply([_put("new")])
    assert storage.names() == ("new", "old")
    other = SqliteStorage(storage.path)
    other.close()
    for ending in ("-wal", "-shm"):
        storage.path.with_name(f"vault.db{ending}").unlink()
    (tmp_path / "backup").chmod(0o600)
    (tmp_path / "backup").rename(storage.path)
    assert storage.names() == ("old",)


def test_meta_is_compared_whole(storage: SqliteStorage) -> None:
    """A row that differs in anything is not replaced."""
    with pytest.raises(VaultConflictError):
        storage.replace_meta(Meta("v" * 32, 1, "memory", {"a": 2}, b"sealed", 1.5), _META)
    assert storage.meta() == _META


_FORK = """
import os, sys, threading
from pathlib import Path
from harbor_oauth.vault.storage import Delete, Meta, Put
from harbor_oauth.vault.sqlite import SqliteStorage
storage = SqliteStorage(Path(sys.argv[1]))
storage.create(lambda: Meta("v", 1, "memory", {}, b"sealed", 1.0))
storage.apply([Put("parent", b"1", 1, 1.0)])
ready, stay = threading.Event(), threading.Event()
def other():
    storage.names()
    ready.set()
    stay.wait()
thread = threading.Thread(target=other)
thread.start()
ready.wait()
def own():
    with storage._database.existing() as connection:
        return connection
mine = own()
child = os.fork()
if child == 0:
    import gc
    from harbor_oauth.vault import connections
    assert len(connections._inherited) == 2   # kept, for what is freed is closed
    assert own() is not mine
    storage.apply([Put("child", b"1", 1, 1.0)])
    storage.close()
    gc.collect()
    os._exit(0 if storage.names() == ("child", "parent") else 1)
_, status = os.waitpid(child, 0)
assert status == 0, status
assert own() is mine
storage.apply([Put("again", b"1", 1, 1.0)])
assert Path(sys.argv[1] + "-wal").exists()
stay.set()
thread.join()
print(storage.names())
storage.close()
"""


def test_a_child_has_connections_of_its_own(path: Path) -> None:
    """Parent and child both write after a fork, and neither closes the other's log."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORK, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.stderr, run.returncode) == ("", 0)
    assert run.stdout == "('again', 'child', 'parent')\n"


_FORK_WATCHING = """
import os, sys
from pathlib import Path
from harbor_oauth.vault.storage import Meta, Put
from harbor_oauth.vault.sqlite import SqliteStorage
storage = SqliteStorage(Path(sys.argv[1]))
storage.create(lambda: Meta("v", 1, "memory", {}, b"sealed", 1.0))
before = storage.data_version()
watching = storage._database._changes._connection
with storage._database._changes._lock:                  # another thread's, in the child
    child = os.fork()
if child == 0:
    seen = storage.data_version()
    assert storage._database._changes._connection is not watching
    storage.apply([Put("child", b"1", 1, 1.0)])
    ok = before != seen != storage.data_version()
    storage.close()
    os._exit(0 if ok else 1)
_, status = os.waitpid(child, 0)
assert status == 0, status
assert storage._database._changes._connection is watching
assert storage.data_version() != before
assert Path(sys.argv[1] + "-wal").exists()
storage.close()
"""


def test_a_child_watches_with_a_connection_of_its_own(path: Path) -> None:
    """Parent and child see each other's changes."""
    run = subprocess.run(
        [sys.executable, "-c", _FORK_WATCHING, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.stderr, run.returncode) == ("", 0)


def test_another_file_is_a_change(storage: SqliteStorage, tmp_path: Path) -> None:
    """A vault that was set aside and made anew does not look like the old one."""
    seen = [storage.data_version()]
    assert storage.set_aside(".aside") is not None
    assert storage.data_version() == 0
    storage.create(lambda: _META)
    seen.append(storage.data_version())
    storage.close()
    seen.append(storage.data_version())
    assert len(set(seen)) == 3
    assert 0 not in seen


def test_watching_opens_nothing_where_there_is_no_vault(path: Path) -> None:
    """Neither a file nor a directory."""
    assert SqliteStorage(path).data_version() == 0
    assert not path.parent.exists()


def test_all_threads_watch_with_one_connection(storage: SqliteStorage) -> None:
    """The numbers of two connections mean nothing to each other."""
    seen = [storage.data_version()]
    for _ in range(3):
        thread = threading.Thread(target=lambda: seen.append(storage.data_version()))
        thread.start()
        thread.join()
    storage.apply([_put()])
    seen.append(storage.data_version())
    assert seen[:4] == [seen[0]] * 4
    assert seen[4] != seen[0]


def test_closing_leaves_other_threads_what_they_use(storage: SqliteStorage, path: Path) -> None:
    """SQLite would crash the process, or end their transaction half way."""
    storage.apply([_put("before")])
    wal = path.with_name(f"{path.name}-wal")
    with storage._database.transaction() as connection:
        other = threading.Thread(target=storage.close)
        other.start()
        other.join()
        connection.execute("UPDATE records SET updated = 2 WHERE name = 'before'")
        assert wal.exists()
    assert not wal.exists()  # SQLite removes it with the last connection
    row = storage.get("before")
    assert row is not None
    assert row.updated == 2.0
