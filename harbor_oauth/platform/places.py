"""Where a person's Harbor keeps its things."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["configuration_directory", "expanded"]


def configuration_directory(environ: Mapping[str, str]) -> Path | None:
    """Return `HARBOR_HOME`, or `~/.harbor`; None where this user has no home directory.

    Args:
        environ: The environment.
    """
    named = environ.get("HARBOR_HOME")
    if named:
        directory = expanded(named)
        return None if directory is None else directory.absolute()
    home = _home(environ)
    return None if home is None else home / ".harbor"


def _home(environ: Mapping[str, str]) -> Path | None:
    """Return the user's home directory; an empty variable counts as unset."""
    named = environ.get("USERPROFILE" if os.name == "nt" else "HOME")
    if named:
        return Path(named).absolute()
    return expanded("~" if os.environ.get("HOME") != "" else f"~{_user()}")


def _user() -> str:
    """Return the name of the user in the system's own list; empty where there is none."""
    if sys.platform == "win32":
        return ""
    import pwd  # noqa: PLC0415 - on POSIX only, and rarely

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's arbitrary user id
        return ""


def expanded(path: str) -> Path | None:
    """Return a path with its `~` replaced; None where that directory is not known."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return None
