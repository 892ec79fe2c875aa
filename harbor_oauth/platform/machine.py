"""Which machine this is, and where its session bus is."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["machine_id", "session_bus"]

# machine-id(5); the second is what systems without systemd have.
_FILES: Final = ("/etc/machine-id", "/var/lib/dbus/machine-id")


def machine_id() -> str | None:
    """Return a name that only this installation of an operating system has.

    Returns:
        The name, or None where the system tells none, as in many containers.
    """
    if sys.platform == "win32":
        return _windows()
    if sys.platform == "darwin":
        return _mac()
    return read_machine_id(*map(Path, _FILES))


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
