"""Which process holds a port or a lock, where the system tells (proc(5)).

Only Linux does, and only of processes that this user may look into. Where it is
not told, nothing is known; that is never read as "nobody".
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["lock_holders", "port_holder"]

_PROC: Final = Path("/proc")
_LISTENS: Final = "0A"  # TCP_LISTEN, as the kernel's net/tcp_states.h counts


def port_holder(port: int, *, proc: Path = _PROC) -> int | None:
    """Return the process that listens on a TCP port of this machine.

    Args:
        port: The port.
        proc: Where the kernel's files are.

    Returns:
        Its id; None where the system does not tell.
    """
    sockets = {f"socket:[{inode}]" for inode in _listening(port, proc)}
    if not sockets:
        return None
    for process in proc.glob("[0-9]*"):
        # It may end, or be somebody else's, while it is looked at.
        with contextlib.suppress(OSError):
            if any(os.readlink(link) in sockets for link in (process / "fd").iterdir()):  # noqa: PTH115 - no path, but a name
                return int(process.name)
    return None


def lock_holders(path: Path, *, proc: Path = _PROC) -> frozenset[int]:
    """Return the processes that hold a lock on a file, as `FileLock` takes it.

    Args:
        path: The file.
        proc: Where the kernel's files are.

    Returns:
        Their ids; none where the system does not tell.
    """
    try:
        inode = str(path.stat().st_ino)
        lines = (proc / "locks").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return frozenset()
    found = set()
    for line in lines:
        match line.split():
            # Not the device: btrfs gives each subvolume another one than is listed.
            case [_, "FLOCK", _, "WRITE", pid, file, *_] if file.rpartition(":")[2] == inode:
                found.add(int(pid))
    return frozenset(found)


def _listening(port: int, proc: Path) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on a port."""
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (proc / "net" / name).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]
