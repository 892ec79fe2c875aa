"""Which machine this is, which directory, and where the session bus is."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from harbor_oauth.platform.files import file_system_type

__all__ = ["CONTAINER_FILES", "directory_id", "in_container", "machine_id", "session_bus"]

CONTAINER_FILES: Final = ("/.dockerenv", "/run/.containerenv")
"""What Docker and Podman leave in each container."""

_CONTAINER_VARIABLES: Final = ("container", "KUBERNETES_SERVICE_HOST")

_STATX_BTIME: Final = 0x800
_STATX_BYTES: Final = 256
_AT_FDCWD: Final = -100

# machine-id(5); the second is what systems without systemd have.
_FILES: Final = ("/etc/machine-id", "/var/lib/dbus/machine-id")


def _mounts() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def birth_time(path: Path) -> tuple[int, int] | None:
    """Return the seconds and nanoseconds when a file was made, if Linux tells (statx(2))."""
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415 - late: only where a vault is made or refreshed

    found = ctypes.create_string_buffer(_STATX_BYTES)
    try:
        failed = ctypes.CDLL(None).statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, found)
    except (OSError, AttributeError):  # a C library from before 2018
        return None
    (mask,) = struct.unpack_from("=I", found, 0)
    if failed or not mask & _STATX_BTIME:
        return None
    seconds, nanoseconds = struct.unpack_from("=qI", found, 80)  # stx_btime
    return (seconds, nanoseconds) if seconds else None


def machine_id() -> str | None:
    """Return a name that only this installation of an operating system has.

    Returns:
        The name, or None where the system tells none, as in many containers.
    """
    if sys.platform == "win32":
        return _windows()
    if sys.platform == "darwin":
        return _mac()
    # A container has the id of its image, or a new one after each update of it.
    return None if in_container(os.environ) else read_machine_id(*map(Path, _FILES))


def in_container(
    environ: Mapping[str, str],
    *,
    exists: Callable[[str], bool] = os.path.exists,
    mounts: Callable[[], str] = _mounts,
) -> bool:
    """Say whether this process runs from the image of a container.

    Args:
        environ: The environment.
        exists: Whether there is a file at a path.
        mounts: Returns the mounts, as ``/proc/self/mountinfo`` has them.
    """
    return (
        any(map(exists, CONTAINER_FILES))
        or any(map(environ.get, _CONTAINER_VARIABLES))
        # containerd leaves no file; its root is the image with a layer over it.
        or file_system_type(Path("/"), mounts()) == "overlay"
    )


def directory_id(
    directory: Path, *, born: Callable[[Path], tuple[int, int] | None] = birth_time
) -> str | None:
    """Return a name that a directory keeps, wherever it is mounted, and no copy of it has.

    That is its inode and when that was made, which no copying program can set.
    A clone of the whole disk has both.

    Args:
        directory: The directory, which exists.
        born: Returns the seconds and nanoseconds when it was made, if its file
            system keeps them.

    Returns:
        The name, or None where the system does not tell.
    """
    try:
        inode, at = directory.stat().st_ino, born(directory)
    except OSError:
        return None
    return None if at is None else f"{inode} {at[0]}.{at[1]:09}"


def read_machine_id(*files: Path) -> str | None:
    """Return the text of the first of these files that holds an id."""
    for file in files:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = file.read_text(encoding="ascii").strip()
            # "uninitialized": an image that was not yet started (machine-id(5)).
            if text and text != "uninitialized":
                return text
    return None


def session_bus(environ: Mapping[str, str]) -> str | None:
    """Return the address of this user's D-Bus session where no variable names it.

    Programs with a window start others with little more than HOME and PATH, and
    those would then find no keychain. systemd puts the bus of each user at one
    place (pam_systemd(8)).

    Args:
        environ: The environment.

    Returns:
        The address; None if the variable is set, or there is no bus of this user.
    """
    if sys.platform == "win32" or environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return None
    user = os.getuid()
    path = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{user}") / "bus"
    with contextlib.suppress(OSError):
        found = path.lstat()
        if stat.S_ISSOCK(found.st_mode) and found.st_uid == user:
            return f"unix:path={path}"
    return None


if sys.platform == "win32":
    import winreg

    def _windows() -> str | None:
        with (
            contextlib.suppress(OSError),
            winreg.OpenKey(
                winreg.HKEY_LOCAL_MACHINE,
                r"SOFTWARE\Microsoft\Cryptography",
                access=winreg.KEY_READ | winreg.KEY_WOW64_64KEY,
            ) as key,
        ):
            value, _ = winreg.QueryValueEx(key, "MachineGuid")
            return str(value) or None
        return None


if sys.platform == "darwin":

    def _mac() -> str | None:
        import ctypes  # noqa: PLC0415 - used on this platform only

        found = (ctypes.c_ubyte * 16)()
        wait = (ctypes.c_long * 2)(1, 0)  # a struct timespec: one second
        with contextlib.suppress(OSError, AttributeError):
            if ctypes.CDLL(None).gethostuuid(found, wait) == 0:
                return bytes(found).hex()
        return None
