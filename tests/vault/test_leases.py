"""Leases between processes."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harbor_oauth.errors import VaultUnavailableError
from harbor_oauth.vault.sqlite import SqliteStorage
from harbor_oauth.vault.storage import Meta

_META = Meta("v" * 32, 1, "memory", {"a": 1}, b"sealed", 1.5)

_PRELUDE = """
import os, signal, sys
from pathlib import Path
from harbor_oauth.vault.sqlite import SqliteStorage
storage = SqliteStorage(Path(sys.argv[1]))
def take(owner):
    return storage.acquire_lease("name", owner, ttl=45, now=1.0)
"""

_HOLD = """
lease = take("holder")
print(lease.pid, lease.fence, flush=True)
sys.stdin.read()
"""

_FORK_AND_DIE = """
lease = take("parent")
ready, tell = os.pipe()
if os.fork() == 0:
    assert take("parent") is None                       # the parent's, by any name
    assert storage.lease_holder("name") == lease
    storage.release_lease(lease)                        # frees nothing
    assert take("child") is None
    os.write(tell, b"1")
    sys.stdin.read()                                    # outlives the parent
    os._exit(0)
os.read(ready, 1)
os.kill(os.getpid(), signal.SIGKILL)
"""

_MANY = """
counter = Path(sys.argv[2])
counter.write_text("0")
begin, go = os.pipe()
children = []
for number in range(int(sys.argv[3])):
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(begin, 1)                               # all begin together
        while (lease := take(str(number))) is None:
            os.sched_yield()
        value = int(counter.read_text())
        os.sched_yield()
        counter.write_text(str(value + 1))
        assert lease.fence == value + 1
        if number % 2:
            storage.release_lease(lease)
        os._exit(0)                                     # every other one just ends
    children.append(child)
os.close(go)
print([os.waitpid(child, 0)[1] for child in children].count(0), counter.read_text())
"""


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqliteStorage]:
    storage = SqliteStorage(tmp_path / "home" / "vault.db")
    storage.create(lambda: _META)
    yield storage
    storage.close()


@contextlib.contextmanager
def _python(storage: SqliteStorage, script: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _PRELUDE + script, str(storage.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_a_killed_owner_frees_its_lease(storage: SqliteStorage) -> None:
    """At once, whatever its row says; until then it is named with its process."""
    with _python(storage, _HOLD) as process:
        assert _line(process) == f"{process.pid} 1\n"
        assert storage.acquire_lease("name", "me", ttl=45, now=1e12) is None
        holder = storage.lease_holder("name")
        assert holder is not None
        assert (holder.owner, holder.pid) == ("holder", process.pid)
        process.kill()
        process.wait()
        assert storage.lease_holder("name") is None
        lease = storage.acquire_lease("name", "me", ttl=45, now=1.0)
    assert lease is not None
    assert (lease.fence, lease.pid) == (2, os.getpid())


def test_a_stopped_owner_keeps_its_lease(storage: SqliteStorage) -> None:
    """It may go on at any moment, with a request that is already on its way."""
    with _python(storage, _HOLD) as process:
        _line(process)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert storage.acquire_lease("name", "me", ttl=45, now=1e12) is None
        holder = storage.lease_holder("name")
        assert holder is not None
        assert holder.pid == process.pid


def test_a_child_neither_owns_nor_keeps_its_parents_lease(storage: SqliteStorage) -> None:
    """The parent's death frees it, though the child lives."""
    with _python(storage, _FORK_AND_DIE) as process:
        assert process.wait() == -signal.SIGKILL
        assert storage.acquire_lease("name", "me", ttl=45, now=1.0) is not None


def test_fifty_processes_take_turns(storage: SqliteStorage, tmp_path: Path) -> None:
    """Each gets the lease once, alone, and each time with a higher fence."""
    run = subprocess.run(
        [sys.executable, "-c", _PRELUDE + _MANY, str(storage.path), str(tmp_path / "n"), "50"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("50 50\n", "")


def test_the_locked_files_are_private_and_stay(storage: SqliteStorage) -> None:
    """A name that no file system minds, under the most open umask."""
    name = "grant:linear/mcp@" + "é" * 128
    before = os.umask(0)
    try:
        lease = storage.acquire_lease(name, "me", ttl=45, now=1.0)
    finally:
        os.umask(before)
    assert lease is not None
    directory = storage.path.with_name("leases")
    (file,) = directory.iterdir()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    inode = file.stat().st_ino
    storage.release_lease(lease)
    assert file.stat().st_ino == inode


def test_a_link_is_not_locked(storage: SqliteStorage, tmp_path: Path) -> None:
    """A file that somebody else can lock would keep everybody out."""
    lease = storage.acquire_lease("name", "me", ttl=45, now=1.0)
    assert lease is not None
    storage.release_lease(lease)
    (file,) = storage.path.with_name("leases").iterdir()
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VaultUnavailableError, match="symbolic link"):
        storage.acquire_lease("name", "me", ttl=45, now=1.0)
    assert not (tmp_path / "elsewhere").exists()


def test_a_lease_that_cannot_be_noted_is_not_kept(storage: SqliteStorage) -> None:
    """The database refused the row: the next who asks is not kept out."""
    with storage._database.existing() as connection:
        assert connection is not None
        connection.execute("PRAGMA query_only = ON")
    with pytest.raises(VaultUnavailableError):
        storage.acquire_lease("name", "me", ttl=45, now=1.0)
    other = SqliteStorage(storage.path)
    assert other.acquire_lease("name", "other", ttl=45, now=1.0) is not None
    other.close()
