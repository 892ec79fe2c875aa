"""Private files and directories, and what kind of disk they are on.

What is refused is raised as PermissionError with a sentence for people; the
rooms above turn it into their own errors.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import shlex
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import fcntl

__all__ = [
    "atomic_write",
    "check_private",
    "file_system_type",
    "is_network_file_system",
    "is_read_only",
    "new_file",
    "open_private",
    "private_directory",
    "read_given",
    "read_obeyed",
    "read_private",
    "remove_leftovers",
    "sync_directory",
]

# On these, locks and the shared memory of SQLite's WAL do not reach the other
# machines (sqlite.org/wal.html, "All processes using a database must be on the
# same host computer").
_NETWORK_FILE_SYSTEMS: Final = ("nfs", "cifs", "smb", "afs", "ncpfs", "fuse.sshfs")

_ESCAPE: Final = re.compile(r"\\([0-7]{3})")

_WRITABLE_BY_OTHERS: Final = 0o022
_WIDER_THAN_OWNER: Final = 0o077
_ABANDONED: Final = 3600.0
"""Seconds after which a temporary file is left over, where no lock tells."""

if sys.platform == "win32":
    _ALWAYS: Final = os.O_BINARY | os.O_NOINHERIT
else:
    # O_NONBLOCK: a FIFO put in the file's place must not make us wait for ever.
    _ALWAYS: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def private_directory(path: Path) -> Path:
    """Make a directory that only its owner can enter, or check the one there.

    Args:
        path: The directory. Missing parents are made private as well.

    Returns:
        The same path.

    Raises:
        PermissionError: It belongs to somebody else, or others may enter it.
        OSError: It cannot be made, or is not a directory.
    """
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for each in reversed(missing):
        try:
            each.mkdir(mode=0o700)
        except FileExistsError:
            if not each.is_dir():
                raise
            continue
        if sys.platform != "win32":
            each.chmod(0o700)  # a umask may have taken the owner's own bits
    _check_private(path.stat(), path)
    return path


def open_private(path: Path, flags: int = os.O_RDWR) -> int:
    """Open a file that only its owner can read, and return its descriptor.

    A file that `flags` create has mode 0600 from its first moment.

    Args:
        path: The file; a symbolic link is never followed.
        flags: As for `os.open`.

    Raises:
        PermissionError: It is a link or no regular file, belongs to somebody
            else, or others may read or write it.
        OSError: As `os.open` raises it.
    """
    _refuse_link(path)
    descriptor = os.open(path, flags | _ALWAYS, 0o600)
    try:
        _check_private(os.fstat(descriptor), path, regular=True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_private(path: Path) -> os.stat_result:
    """Hold an existing file to the rules of `open_private` without opening it.

    Returns:
        Its status.

    Raises:
        PermissionError: As `open_private` raises it.
        FileNotFoundError: There is no such file.
    """
    status = path.lstat()
    _check_private(status, path, regular=True)
    return status


def read_private(path: Path, *, limit: int) -> bytes:
    """Read a private file whole.

    Args:
        path: The file; see `open_private` for what is refused.
        limit: The most bytes it may hold.

    Raises:
        PermissionError: The file is not private, or larger than `limit`.
        OSError: It cannot be read.
    """
    with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise PermissionError(f"{path} is larger than {limit} bytes.")
    return data


def read_given(path: Path, *, limit: int) -> bytes:
    """Read a file that a person or a platform puts there for us to read.

    What the user can change itself is held to the rule of `open_private`. What
    the user cannot change, or what is reached by a link, is a platform's mount
    (Docker's secrets have mode 0444, Kubernetes' are links to files of root with
    mode 0440): it is refused only where others can write the file, or a
    directory on the way to it.

    Args:
        path: The file.
        limit: The most bytes it may hold.

    Raises:
        PermissionError: Others can write it, or it is larger than `limit`.
        OSError: It cannot be read.
    """
    if sys.platform == "win32":
        return read_private(path, limit=limit)
    real = path.resolve(strict=True)
    for place in {*path.absolute().parents, *real.parents}:
        _refuse_writable(place.stat(), place)
    descriptor = os.open(real, os.O_RDONLY | _ALWAYS)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        own = status.st_uid == os.geteuid() and status.st_mode & stat.S_IWUSR
        mounted = os.fstatvfs(descriptor).f_flag & os.ST_RDONLY or real != path.absolute()
        if own and not mounted:
            _check_private(status, path, regular=True)
        elif not stat.S_ISREG(status.st_mode):
            raise PermissionError(f"{path} is not a regular file.")
        _refuse_writable(status, path)
        data = file.read(limit + 1)
    if len(data) > limit:
        raise PermissionError(f"{path} is larger than {limit} bytes.")
    return data


def read_obeyed(path: Path) -> bytes:
    """Read a file that is done as it says, which may hold no secret and may be readable.

    It, and the directory that has it, belong to this user or to root, and no
    other can write them. A directory further up can be: what another user puts
    into this one's place belongs to that user.

    Args:
        path: The file. Where it is a link, both directories are looked at.

    Raises:
        PermissionError: Another user owns or can write it, or its directory.
        FileNotFoundError: There is no such file.
        OSError: It cannot be read.
    """
    if sys.platform == "win32":
        return path.read_bytes()
    real = path.resolve(strict=True)
    for place in {path.absolute().parent, real.parent}:
        _refuse_writable(place.stat(), place)
    descriptor = os.open(real, os.O_RDONLY | _ALWAYS)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PermissionError(f"{path} is not a regular file.")
        _refuse_writable(status, path)
        return file.read()


def _refuse_writable(status: os.stat_result, path: Path) -> None:
    """Refuse what another user, who is not root, owns or can write.

    In a sticky directory others can add files, and change none of ours. A mount
    that is read-only cannot be written, with any mode (Kubernetes mounts a
    ConfigMap as a directory of mode 0777).
    """
    if sys.platform == "win32":
        return  # it keeps no such mode
    if status.st_uid not in {0, os.geteuid()}:
        raise PermissionError(f"{path} belongs to another user.")
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & _WRITABLE_BY_OTHERS and not sticky and not _is_read_only(path):
        raise PermissionError(
            f"{path} can be written by other users; run: chmod go-w {shlex.quote(str(path))}"
        )


def _is_read_only(path: Path) -> bool:
    return sys.platform != "win32" and bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def atomic_write(path: Path, data: bytes, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Replace a file's content so that a crash leaves the old or the new one.

    Args:
        path: The file, in a private directory. It is made, or replaced, with
            mode 0600.
        data: Its new content.
        sleep: Waits between attempts on Windows, where another process that
            has the file open stops its replacement.

    Raises:
        PermissionError: `path` is a symbolic link.
        OSError: The content could not be written; the old one is still there.
    """
    _refuse_link(path)
    remove_leftovers(path)
    descriptor, name = _held_temporary(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            _sync(file.fileno())
            if sys.platform != "win32":
                _replace(name, path, sleep)  # held to the end, or it would look left over
        if sys.platform == "win32":
            _replace(name, path, sleep)  # a file that is open cannot be renamed there
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    sync_directory(path.parent)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a private file to fill, which gets its name at the end of the block.

    A crash leaves no file of that name; what an earlier one left is removed.

    Args:
        path: The file; it must not exist, and is never replaced.

    Yields:
        The file to fill, of mode 0600, in the same directory.

    Raises:
        FileExistsError: There is a file of that name.
        OSError: The file cannot be made.
    """
    path.parent.stat()  # or the error would name the temporary file
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    remove_leftovers(path)
    descriptor, name = _held_temporary(path)
    draft = Path(name)
    try:
        if sys.platform == "win32":  # a file that is open cannot be renamed there
            os.close(descriptor)
            yield draft
            draft.rename(path)  # which replaces nothing there
        else:
            yield draft
            _sync(descriptor)
            _name(draft, path)
    finally:
        _remove(draft)
        if sys.platform != "win32":
            os.close(descriptor)
    sync_directory(path.parent)


def _name(draft: Path, path: Path) -> None:
    """Give a file its name, unless there is one."""
    try:
        os.link(draft, path, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, as memory sticks have
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        draft.rename(path)


def _remove(draft: Path) -> None:
    """Remove a temporary file, and what SQLite keeps beside a database."""
    for ending in ("", "-journal", "-wal", "-shm"):
        draft.with_name(draft.name + ending).unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of writers of a file that were killed.

    A writer that lives holds a lock on its own, where there are such locks.

    Args:
        path: The file that they wrote.
    """
    with contextlib.suppress(OSError):
        for left in path.parent.glob(f".{glob.escape(path.name)}.????????.tmp"):
            with contextlib.suppress(OSError):
                _remove_if_left(left)


def _lock(descriptor: int, *, wait: bool) -> None:
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_if_left(path: Path) -> None:
    if sys.platform == "win32":
        if path.stat().st_mtime < time.time() - _ABANDONED:
            _remove(path)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _lock(descriptor, wait=False)
        _remove(path)
    finally:
        os.close(descriptor)


def _held_temporary(path: Path) -> tuple[int, str]:
    """Make a temporary file beside a file, and hold it so that it is not taken for a leftover."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        if sys.platform == "win32":
            return descriptor, name
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                _lock(descriptor, wait=True)
            if os.fstat(descriptor).st_nlink:
                return descriptor, name
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # another writer removed it before it was held


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    if sys.platform == "win32":
        return  # a directory cannot be opened there, and NTFS journals names
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def is_read_only(path: Path) -> bool:
    """Say whether a directory is mounted read-only here; others may still write to it."""
    if sys.platform == "win32":
        return False
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def is_network_file_system(path: Path) -> bool:
    """Say whether a path is on a disk of another machine.

    Where the system does not tell, the answer is no.
    """
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415 - used on this platform only

        drive = path.absolute().drive
        remote = 4  # DRIVE_REMOTE
        return drive.startswith("\\\\") or (
            ctypes.windll.kernel32.GetDriveTypeW(f"{drive}\\") == remote
        )
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return file_system_type(path.resolve(), mounts).startswith(_NETWORK_FILE_SYSTEMS)


def file_system_type(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds a path.

    Args:
        path: An absolute path without symbolic links.
        mounts: The text of Linux's ``/proc/self/mountinfo``.

    Returns:
        The type as the kernel names it; empty if no line fits.
    """
    best, kind = "", ""
    for line in mounts.splitlines():
        left, separator, right = line.partition(" - ")
        if not separator:
            continue
        # proc(5): the fifth field is the mount point, in which space, tab, newline
        # and backslash are octal escapes and nothing else is.
        point = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), left.split(" ")[4])
        # A later mount on the same point hides the earlier one.
        if len(point) >= len(best) and path.is_relative_to(point):
            best, kind = point, right.split(" ")[0]
    return kind


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise PermissionError(f"{path} is a symbolic link.")


def _check_private(status: os.stat_result, path: Path, *, regular: bool = False) -> None:
    """Refuse what somebody else owns or may use, and what is no regular file if it must be.

    Windows keeps no such mode; a profile's directory is its owner's there.
    """
    if stat.S_ISLNK(status.st_mode):
        raise PermissionError(f"{path} is a symbolic link.")
    if regular and not stat.S_ISREG(status.st_mode):
        raise PermissionError(f"{path} is not a regular file.")
    if sys.platform == "win32":
        return
    if status.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to another user.")
    if stat.S_IMODE(status.st_mode) & _WIDER_THAN_OWNER:
        mode = "700" if stat.S_ISDIR(status.st_mode) else "600"
        raise PermissionError(f"{path} is open to other users; run: chmod {mode} '{path}'")


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        # fsync(2) there says that the drive may still reorder what it was given.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def _replace(source: str, target: Path, sleep: Callable[[float], None]) -> None:
    if sys.platform == "win32":
        for attempt in range(8):
            with contextlib.suppress(PermissionError):
                os.replace(source, target)  # noqa: PTH105 - the same call on each platform
                return
            sleep(0.01 * 2**attempt)
    os.replace(source, target)  # noqa: PTH105 - mkstemp gives a str
