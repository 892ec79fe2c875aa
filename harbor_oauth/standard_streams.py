"""The process's standard streams: all three are there, and none of them ends a command.

Supervisors, hosts and menus start programs with closed streams; others give them an
encoding that not every name fits, or a disk that is full.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import IO, Final

__all__ = ["complete_standard_streams", "discard", "settle"]

_NAMES: Final = ("stdin", "stdout", "stderr")
_REFUSING: Final = frozenset({"strict", "surrogateescape"})


def complete_standard_streams() -> None:
    """Put the null device in place of each standard stream that was closed before the start.

    Python has None for such a stream, and the next file that is opened would take
    its descriptor: what a child prints would end up in it. What cannot be encoded
    is escaped on output, as Python does on standard error.
    """
    _occupy_descriptors()
    for name in _NAMES:
        stream = getattr(sys, name)
        if stream is None:
            mode = "r" if name == "stdin" else "w"
            opened = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115 - lives as long as the process
            setattr(sys, name, opened)
        elif name != "stdin" and getattr(stream, "errors", "") in _REFUSING:
            _escape(stream)


def _escape(stream: IO[str]) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _occupy_descriptors() -> None:
    """Open the null device at each of the first three descriptors that is free."""
    for descriptor in range(len(_NAMES)):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                opened = os.open(os.devnull, os.O_RDWR)  # the lowest that is free (POSIX open)
                if opened != descriptor:
                    os.dup2(opened, descriptor)
                    os.close(opened)
                os.set_inheritable(descriptor, True)  # noqa: FBT003 - its own signature


def settle(stream: IO[str]) -> None:
    """Write out what a stream holds; what it does not take is dropped.

    At its end the interpreter writes it out too, and would turn a failure into an
    exit code of its own (120).
    """
    try:
        stream.flush()
    except (OSError, ValueError):
        discard(stream)


def discard(stream: IO[str]) -> None:
    """Point a stream at the null device; its reader is gone, or its disk is full."""
    with contextlib.suppress(OSError, ValueError):
        target = stream.fileno()
        sink = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(sink, target)
        finally:
            os.close(sink)
