"""Core dumps: the memory of a process, written to a file when it crashes."""

from __future__ import annotations

import sys
from contextlib import suppress

__all__ = ["forbid_core_dumps"]


def forbid_core_dumps() -> None:
    """Let the system write no core dump of this process; Windows has no such limit."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on Windows

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
