"""Who holds a port or a lock."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harbor_oauth.platform.holders import lock_holders, port_holder
from harbor_oauth.platform.locks import FileLock

pytestmark = pytest.mark.skipif(
    not Path("/proc/locks").exists(), reason="only Linux tells who holds what"
)

_HOLD = """
import sys
from pathlib import Path
from harbor_oauth.platform.locks import FileLock
with FileLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_who_listens_is_known(family: socket.AddressFamily, host: str) -> None:
    """In both address families; afterwards it is nobody."""
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip("this machine has no such address")
        port = listener.getsockname()[1]
        assert port_holder(port) is None  # bound is not listening
        listener.listen()
        assert port_holder(port) == os.getpid()
    assert port_holder(port) is None


def test_what_the_system_does_not_tell_is_unknown(tmp_path: Path) -> None:
    """As everywhere but on Linux."""
    file = tmp_path / "lock"
    file.touch()
    assert port_holder(3100, proc=tmp_path) is None
    assert lock_holders(file, proc=tmp_path) == frozenset()
    assert lock_holders(tmp_path / "absent") == frozenset()


def test_who_holds_a_lock_is_known(tmp_path: Path) -> None:
    """Another process, by its id, and only while it holds it."""
    file = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert lock_holders(file) == {child.pid}
        child.communicate()
    assert lock_holders(file) == frozenset()
    with FileLock(file):
        assert lock_holders(file) == {os.getpid()}


def test_other_kinds_of_lock_are_passed_over(tmp_path: Path) -> None:
    """Shared ones, record locks, and those of other files."""
    file = tmp_path / "file"
    file.touch()
    inode = file.stat().st_ino
    (tmp_path / "locks").write_text(
        f"1: POSIX  ADVISORY  WRITE 11 00:1b:{inode} 0 EOF\n"
        f"2: FLOCK  ADVISORY  READ  12 00:1b:{inode} 0 EOF\n"
        f"3: FLOCK  ADVISORY  WRITE 13 00:1b:{inode + 1} 0 EOF\n"
        f"3: -> FLOCK  ADVISORY  WRITE 14 00:1b:{inode} 0 EOF\n"
        f"4: FLOCK  ADVISORY  WRITE 15 00:1b:{inode} 0 EOF\n"
    )
    assert lock_holders(file, proc=tmp_path) == {15}
