"""Reading what a person types, without waiting for it to come."""

from __future__ import annotations

import os
import sys
import time
from typing import Final

__all__ = ["read_line"]

_LONGEST: Final = 64 * 1024
_TICK: Final = 0.05


if sys.platform == "win32":
    import msvcrt

    _typed: list[str] = []

    def read_line(seconds: float) -> str | None:
        """Wait so long for a line of the console's.

        Args:
            seconds: How long.

        Returns:
            The line, without its end; None if none came.

        Raises:
            EOFError: No more will come.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            while msvcrt.kbhit():
                character = msvcrt.getwche()
                if character in "\r\n":
                    line = "".join(_typed)
                    _typed.clear()
                    return line
                if character == "\x03":
                    raise KeyboardInterrupt
                if character == "\b":
                    del _typed[-1:]
                elif len(_typed) < _LONGEST:
                    _typed.append(character)
            time.sleep(_TICK)
        return None

else:
    import select

    def read_line(seconds: float) -> str | None:
        """Wait so long for a line of the terminal's.

        The terminal hands over one line at a time, so what is typed after it is
        left to whoever reads next.

        Args:
            seconds: How long.

        Returns:
            The line, without its end; None if none came.

        Raises:
            EOFError: No more will come.
        """
        descriptor = sys.stdin.fileno()
        if not select.select([descriptor], [], [], seconds)[0]:
            return None
        data = os.read(descriptor, _LONGEST)
        if not data:
            raise EOFError
        return data.decode("utf-8", "replace").rstrip("\r\n")
