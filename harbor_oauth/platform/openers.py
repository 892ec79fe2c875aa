"""How this system opens a URL, and how a browser is started beside this process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from harbor_oauth.platform.children import find_program

__all__ = ["PATIENCE", "Start", "open_with_system", "start", "system_openers"]

# Starts argv; says within so many seconds whether that failed.
Start: TypeAlias = Callable[[Sequence[str], float], bool]

# Seconds in which an opener that finds no browser has said so. One that goes
# on running is a browser.
PATIENCE: Final = 1.5


def system_openers(environ: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """Return the commands that open a URL given as their last argument, best first.

    Args:
        environ: The environment; without a display, Linux has none.
    """
    if sys.platform == "win32":
        return ()
    if sys.platform == "darwin":
        return (("/usr/bin/open",),)
    openers: list[tuple[str, ...]] = []
    if environ.get("WSL_DISTRO_NAME"):
        openers.append(("wslview",))
    if environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"):
        openers += [("xdg-open",), ("gio", "open"), ("x-www-browser",), ("www-browser",)]
    return tuple(openers)


def open_with_system(url: str, environ: Mapping[str, str], start: Start) -> bool:
    """Open a URL in the person's default browser.

    Args:
        url: A URL that was found safe to open.
        environ: The environment.
        start: Starts a command.

    Returns:
        Whether something took it.
    """
    if sys.platform == "win32":
        try:
            os.startfile(url)  # noqa: S606 - no shell is wanted
        except OSError:
            return False
        return True
    return any(start((*opener, url), PATIENCE) for opener in system_openers(environ))


def start(argv: Sequence[str], patience: float) -> bool:
    """Start a program that outlives this one: own session, no terminal.

    Args:
        argv: The program and its arguments; no shell sees them.
        patience: Seconds to wait for it to fail.

    Returns:
        False if it is not there or failed within that time.
    """
    program, *arguments = argv
    if Path(program).name == program:  # never what lies in the current directory
        program = find_program(program, os.environ.get("PATH")) or ""
    if sys.platform == "win32" and program.lower().endswith((".bat", ".cmd")):
        return False  # cmd.exe would read the arguments as commands (CVE-2024-3566)
    try:
        process = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError):
        return False
    try:
        return process.wait(patience) == 0
    except subprocess.TimeoutExpired:
        # Somebody has to take its exit status, or it stays as a zombie.
        threading.Thread(target=process.wait, name="harbor-browser", daemon=True).start()
        return True
