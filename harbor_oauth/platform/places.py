"""Where a person's Harbor keeps its things."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["configuration_directory", "expanded"]


def configuration_directory(environ: Mapping[str, str]) -> Path | None:
    """Return `HARBOR_HOME`, or `~/.harbor`; None where this user has no home directory.

    Args:
        environ: The environment.
    """
    directory = expanded(environ.get("HARBOR_HOME") or "~/.harbor")
    return None if directory is None else directory.absolute()


def expanded(path: str) -> Path | None:
    """Return a path with its `~` replaced; None where that directory is not known."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return None
