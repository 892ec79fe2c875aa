"""Finding a program, and starting it in this one's place."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

__all__ = ["BASE_VARIABLES", "find_program", "replace_process"]

_COMMON: Final = ("PATH", "LANG", "LANGUAGE", "TZ", "TERM", "NO_COLOR")

if sys.platform == "win32":
    BASE_VARIABLES: Final = (
        *_COMMON,
        *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP"),
        *("USERNAME", "USERPROFILE", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA"),
        *("PROGRAMDATA", "PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432"),
        *("PROCESSOR_ARCHITECTURE", "NUMBER_OF_PROCESSORS", "OS"),
    )
else:
    BASE_VARIABLES: Final = (*_COMMON, "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR")


def find_program(command: str, path: str | None) -> str | None:
    """Find a program in a place that does not depend on where this process was started.

    Args:
        command: Its name, or its whole path.
        path: Directories as `PATH` has them. Those that are not absolute are
            left out, and so is the current one, in which Windows looks first.

    Returns:
        Its whole path; None if it is not there, or named by a relative path.
    """
    if Path(command).is_absolute():
        return shutil.which(command)
    if Path(command).name != command:
        return None
    for place in (os.defpath if path is None else path).split(os.pathsep):
        if Path(place).is_absolute() and (found := shutil.which(str(Path(place, command)))):
            return found
    return None


def replace_process(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Run a program in place of this process.

    On POSIX systems this process becomes the program, so that signals and the
    exit code are the program's own, and nothing of this one's memory stays.
    Windows has no such call; there the program is waited for.

    Args:
        argv: The program, as a path, and its arguments.
        env: Its whole environment.

    Returns:
        The program's exit code, on Windows. Elsewhere nothing returns.

    Raises:
        OSError: The program could not be started.
    """
    if sys.platform == "win32":
        with subprocess.Popen(list(argv), env=dict(env)) as child:
            # Ctrl-C reaches the whole console; the program decides what it means.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            return child.wait()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Python ignores these, and what is ignored stays so in the new program.
    for name in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(name, signal.SIG_DFL)
    return os.execve(argv[0], list(argv), dict(env))  # noqa: S606 - no shell is wanted
