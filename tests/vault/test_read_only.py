"""A vault in a directory that is mounted read-only."""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harbor_oauth.errors import VaultFormatError, VaultUnavailableError
from harbor_oauth.vault.database import refusals
from harbor_oauth.vault.sqlite import SqliteStorage
from harbor_oauth.vault.storage import Meta, Put

_META = Meta("v" * 32, 1, "memory", {"a": 1}, b"sealed", 1.5)
_INSIDE = """
import subprocess, sys
from pathlib import Path
home = Path(sys.argv[1]).parent
subprocess.run(["mount", "--bind", home, home], check=True)
subprocess.run(["mount", "-o", "remount,ro,bind", home, home], check=True)
from harbor_oauth.errors import VaultUnavailableError
from harbor_oauth.vault.sqlite import SqliteStorage
from harbor_oauth.vault.storage import Put
storage = SqliteStorage(Path(sys.argv[1]))
assert storage.meta() is not None
assert storage.names() == ("name",)
assert storage.get("name").sealed == b"sealed"
assert storage.get("absent") is None
assert storage.history("name") == ()
assert storage.spilled("name") is None
assert storage.lease_holder("name") is None
assert storage.data_version() == storage.data_version() != 0
for change in (
    lambda: storage.apply([Put("name", b"other", 2, 1.0)]),
    lambda: storage.acquire_lease("name", "me", ttl=1, now=1.0),
    lambda: storage.spill("name", b"x"),
    lambda: storage.replace_meta(storage.meta(), storage.meta()),
):
    try:
        change()
    except VaultUnavailableError as error:
        print("read-only" in error.message and "mount" in error.next_step.lower())
    else:
        print("written")
storage.close()
"""


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqliteStorage]:
    storage = SqliteStorage(tmp_path / "home" / "vault.db")
    storage.create(lambda: _META)
    storage.apply([Put("name", b"sealed", 1, 1.0)])
    storage.close()
    yield storage
    storage.close()


@pytest.fixture
def mounted() -> Callable[[Path], list[str]]:
    """Work with a vault where its directory is mounted read-only; returns what was said."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare(1) here")
    probe = subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False, timeout=60)
    if probe.returncode != 0:
        pytest.skip("this user may not make a mount namespace")

    def run(path: Path) -> list[str]:
        ran = subprocess.run(
            [unshare, "-rm", sys.executable, "-c", _INSIDE, str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if "mount:" in ran.stderr or "permission denied" in ran.stderr:
            pytest.skip("this user may not mount in a namespace of its own")
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.split()

    return run


@pytest.fixture
def at_rest(storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch) -> SqliteStorage:
    """The storage as another mount of its directory shows it, which cannot be written."""
    monkeypatch.setattr("harbor_oauth.vault.database.is_read_only", lambda _: True)
    return storage


def _write(path: Path, statement: str) -> None:
    """Write as the machine does that the directory belongs to, and end."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def test_what_is_stored_is_read(
    storage: SqliteStorage, mounted: Callable[[Path], list[str]]
) -> None:
    """Nothing can be changed, and the error says why."""
    assert mounted(storage.path) == ["True"] * 4
    assert storage.names() == ("name",)


def test_what_is_stored_is_read_beside_a_writer(
    storage: SqliteStorage, mounted: Callable[[Path], list[str]]
) -> None:
    """One on the side that can write has the vault open, and a change in its log."""
    with contextlib.closing(sqlite3.connect(storage.path, isolation_level=None)) as connection:
        connection.execute("UPDATE records SET updated = 2.0")
        assert storage.path.with_name("vault.db-wal").stat().st_size > 0
        assert mounted(storage.path) == ["True"] * 4


def test_nothing_appears_beside_a_file_at_rest(at_rest: SqliteStorage) -> None:
    """Reading leaves no log and no shared memory, and sees each later state."""
    before = sorted(each.name for each in at_rest.path.parent.iterdir())
    version = at_rest.data_version()
    assert at_rest.names() == ("name",)
    _write(at_rest.path, "UPDATE records SET sealed = x'07'")
    assert at_rest.data_version() != version
    row = at_rest.get("name")
    assert row is not None
    assert row.sealed == b"\x07"
    assert sorted(each.name for each in at_rest.path.parent.iterdir()) == before


@pytest.mark.parametrize("ended", [True, False])
def test_what_changes_while_it_is_read_is_not_believed(at_rest: SqliteStorage, ended: bool) -> None:
    """Whether the writer has ended by then, or still has it open."""
    with contextlib.ExitStack() as writers:
        with pytest.raises(VaultUnavailableError, match="changed from elsewhere"):
            _read_while(at_rest, writers, ended=ended)
        assert at_rest.names() == ("name",)


def _read_while(at_rest: SqliteStorage, writers: contextlib.ExitStack, *, ended: bool) -> None:
    with at_rest._database.snapshot() as connection:
        assert connection is not None
        writer = sqlite3.connect(at_rest.path, isolation_level=None)
        writers.callback(writer.close)
        writer.execute("UPDATE records SET updated = 3.0")
        if ended:
            writer.close()


def test_a_change_is_refused_before_anything_is_done(at_rest: SqliteStorage) -> None:
    """The error names the file, and what can be done."""
    with pytest.raises(VaultUnavailableError, match="read-only") as caught:
        at_rest.apply([Put("name", b"other", 2, 1.0)])
    assert str(at_rest.path) in caught.value.message
    assert "written" in caught.value.next_step


def test_a_file_of_another_hand_is_refused_at_rest_too(at_rest: SqliteStorage) -> None:
    """It is read by the same rules."""
    _write(at_rest.path, "CREATE VIEW v AS SELECT 1")
    with pytest.raises(VaultFormatError, match="the view 'v'"):
        at_rest.names()


def _refused_by_the_system() -> None:
    raise OSError(errno.EROFS, "Read-only file system", "/media/x/leases/a.lock")


def _refused_by_sqlite() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("CREATE TABLE x (y)")


@pytest.mark.parametrize(
    ("write", "named"),
    [(_refused_by_the_system, "/media/x/leases/a.lock"), (_refused_by_sqlite, "The vault")],
)
def test_a_disk_that_cannot_be_written_is_called_so(write: Callable[[], None], named: str) -> None:
    """By the system, which names the file, and by SQLite, which does not."""
    with pytest.raises(VaultUnavailableError, match="read-only here") as caught, refusals():
        write()
    assert named in caught.value.message
