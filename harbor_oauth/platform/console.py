"""Reading what a person types, key by key, without waiting for it to come.

A terminal that hands over whole lines cuts them: at 4095 bytes on Linux, at
1024 on macOS (MAX_CANON), which is less than some redirect URLs are long.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

__all__ = ["ReadKeys", "keystrokes"]

ReadKeys: TypeAlias = Callable[[float], str | None]
"""Waits that many seconds and returns what was typed; None if nothing was.

It raises EOFError where no more will come."""

if sys.platform == "win32":
    import _thread
    import msvcrt
    import time

    _TICK: Final = 0.05
    _FUNCTION_KEY: Final = "\x00\xe0"
    """What comes before the code of a key that is no character."""

    @contextlib.contextmanager
    def keystrokes() -> Iterator[ReadKeys]:
        """Take the console's keys, which are not echoed, and return what reads them."""

        def read(seconds: float) -> str | None:
            deadline = time.monotonic() + seconds
            while not msvcrt.kbhit():
                if time.monotonic() >= deadline:
                    return None
                time.sleep(_TICK)
            typed = ""
            while msvcrt.kbhit():
                character = msvcrt.getwch()
                if character in _FUNCTION_KEY:
                    msvcrt.getwch()
                elif character == "\x03":
                    _thread.interrupt_main()  # as Ctrl-C does where nobody reads keys
                else:
                    typed += character
            return typed

        yield read

else:
    import codecs
    import os
    import select
    import termios

    _MOST: Final = 64 * 1024
    _LOCAL_MODES: Final = 3
    _CONTROL_CHARACTERS: Final = 6

    @contextlib.contextmanager
    def keystrokes() -> Iterator[ReadKeys]:
        """Take the terminal's keys, which are not echoed, and return what reads them.

        Ctrl-C goes on meaning what it does. What nobody read when the block is
        left is for whoever reads next.
        """
        descriptor = sys.stdin.fileno()
        before, ours = termios.tcgetattr(descriptor), termios.tcgetattr(descriptor)
        ours[_LOCAL_MODES] &= ~(termios.ICANON | termios.ECHO)
        # Where lines are not waited for, these two say what is (termios(3)).
        ours[_CONTROL_CHARACTERS][termios.VMIN] = 1
        ours[_CONTROL_CHARACTERS][termios.VTIME] = 0
        decoder = codecs.getincrementaldecoder("utf-8")("replace")

        def read(seconds: float) -> str | None:
            if not select.select([descriptor], [], [], seconds)[0]:
                return None
            try:
                data = os.read(descriptor, _MOST)
            except OSError:  # as where its window was closed
                data = b""
            if not data:
                raise EOFError
            return decoder.decode(data)

        termios.tcsetattr(descriptor, termios.TCSANOW, ours)
        try:
            yield read
        finally:
            with contextlib.suppress(termios.error):  # it is gone
                termios.tcsetattr(descriptor, termios.TCSANOW, before)
