"""The lock between processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harbor_oauth.platform import files, locks
from harbor_oauth.platform.locks import FileLock

_DESCRIPTORS = Path("/proc/self/fd")

_HOLD = """
import sys
from pathlib import Path
from harbor_oauth.platform.locks import FileLock
with FileLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""

_FORK_WHILE_HELD = """
import os, sys
from pathlib import Path
from harbor_oauth.platform.locks import FileLock
read, write = os.pipe()
with FileLock(Path(sys.argv[1])):
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)            # outlives the parent's block
        os._exit(0)
print(child, flush=True)
with FileLock(Path(sys.argv[1]), timeout=0):
    print("again", flush=True)
os.close(write)
os.waitpid(child, 0)
"""

_CHILD_LEAVES_THE_BLOCK = """
import os, sys
from pathlib import Path
from harbor_oauth.platform.locks import FileLock
child = 0
with FileLock(Path(sys.argv[1])):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        try:
            with FileLock(Path(sys.argv[1]), timeout=0):
                print("stolen")
        except TimeoutError:
            print("still held")
if not child:
    os._exit(0)
"""


_FORK_WHILE_WAITING = """
import os, sys
from pathlib import Path
from harbor_oauth.platform.locks import FileLock
read, write = os.pipe()
ready, tell = os.pipe()
first, child = FileLock(Path(sys.argv[1])), 0
def sleep(_):                       # in the middle of the second one's wait
    global child
    child = os.fork()
    if child == 0:
        os.close(write)
        os.write(tell, b"1")
        os.read(read, 1)            # outlives the second one's block
        os._exit(0)
    os.read(ready, 1)
    first.release()
first.acquire()
second = FileLock(Path(sys.argv[1]), timeout=60, sleep=sleep)
second.acquire()
os.close(second._descriptor)        # as a death would, which does not unlock
with FileLock(Path(sys.argv[1]), timeout=0):
    print("free", flush=True)
os.close(write)
os.waitpid(child, 0)
"""


class _Clock:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def _python(script: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """A second holder waits until its deadline, in growing pauses, and no longer."""
    path, clock = tmp_path / "lock", _Clock()
    with (
        FileLock(path),
        pytest.raises(TimeoutError, match="lock is locked"),
        FileLock(path, timeout=0.2, sleep=clock.sleep, clock=clock),
    ):
        pytest.fail("two holders")
    assert clock.now == pytest.approx(0.2)
    assert clock.pauses[:6] == pytest.approx([0.001, 0.002, 0.004, 0.008, 0.016, 0.032])
    assert max(clock.pauses) <= 0.05


def test_it_can_be_taken_again(tmp_path: Path) -> None:
    """Leaving the block gives the lock back, by an error too."""
    lock = FileLock(tmp_path / "lock", timeout=0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), lock:
            raise ZeroDivisionError
    with lock, pytest.raises(RuntimeError, match="held already"):
        lock.__enter__()


def test_a_shared_descriptor_does_not_keep_it(tmp_path: Path) -> None:
    """A child that is about to start another program has it for a moment."""
    lock = FileLock(tmp_path / "lock", timeout=0)
    with lock:
        assert lock._descriptor is not None
        shared = os.dup(lock._descriptor)
    with FileLock(tmp_path / "lock", timeout=0):
        pass
    os.close(shared)


def test_the_file_is_private_and_stays(tmp_path: Path) -> None:
    """Removing it would let two holders lock two files."""
    path = tmp_path / "lock"
    with FileLock(path):
        inode = path.stat().st_ino
    assert path.stat().st_ino == inode
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_is_not_locked(tmp_path: Path) -> None:
    """A symbolic link could point at anybody's file."""
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError), FileLock(tmp_path / "lock"):
        pytest.fail("followed a link")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(not _DESCRIPTORS.exists(), reason="only Linux lists descriptors there")
def test_no_descriptor_is_left_by_a_lock_that_was_not_taken(tmp_path: Path) -> None:
    """Waiting in vain costs nothing that stays."""
    path = tmp_path / "lock"
    with FileLock(path):
        before = len(list(_DESCRIPTORS.iterdir()))
        for _ in range(5):
            with pytest.raises(TimeoutError), FileLock(path, timeout=0):
                pytest.fail("two holders")
        assert len(list(_DESCRIPTORS.iterdir())) == before


def test_another_process_is_kept_out_until_it_dies(tmp_path: Path) -> None:
    """The system gives the lock of a killed process back."""
    path = tmp_path / "lock"
    with _python(_HOLD, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(TimeoutError), FileLock(path, timeout=0):
            pytest.fail("two holders")
        process.kill()
        process.wait()
        with FileLock(path, timeout=0):
            pass


def test_a_child_does_not_hold_its_parents_lock(tmp_path: Path) -> None:
    """The parent's lock is free as soon as the parent leaves it."""
    with _python(_FORK_WHILE_HELD, tmp_path / "lock") as process:
        out, _ = process.communicate(timeout=30)
    assert out.endswith("again\n")
    assert process.returncode == 0


def test_a_child_that_leaves_the_block_frees_nothing(tmp_path: Path) -> None:
    """Only the process that took the lock gives it back."""
    with _python(_CHILD_LEAVES_THE_BLOCK, tmp_path / "lock") as process:
        out, _ = process.communicate(timeout=30)
    assert out == "still held\n"


def test_no_fork_happens_while_a_lock_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descriptor that a child inherits without knowing it would never be given back."""
    held: list[bool] = []

    def open_private(path: Path, flags: int) -> int:
        held.append(locks._forking.locked())
        return files.open_private(path, flags)

    monkeypatch.setattr(locks, "open_private", open_private)
    with FileLock(tmp_path / "lock"):
        assert not locks._forking.locked()
    assert held == [True]


def test_a_child_of_a_waiting_process_does_not_hold_the_lock_later(tmp_path: Path) -> None:
    """The descriptor with which its parent waits is closed in the child too."""
    path = tmp_path / "lock"
    with _python(_FORK_WHILE_WAITING, path) as process:
        out, _ = process.communicate(timeout=30)
    assert out == "free\n"
