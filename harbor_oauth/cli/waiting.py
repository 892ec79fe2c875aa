"""The wait for a person, at a terminal: the time left, and a line to paste into."""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from harbor_oauth.cli.output import note, tell
from harbor_oauth.cli.terminal import interactive, keystrokes
from harbor_oauth.errors import ProtocolError

if TYPE_CHECKING:
    from harbor_oauth.fleet.surroundings import ReadKeys

__all__ = ["clock_face", "waiting"]

_TICK: Final = 0.1

# What keys without a character send, and some terminals around a paste (ECMA-48 §5.4).
_CONTROL_SEQUENCE: Final = re.compile(r"\x1b[\[O][0-?]*[ -/]*[@-~]")
_ERASE: Final = "\x7f\b"
_ERASE_LINE: Final = "\x15"
_END: Final = "\x04"


def clock_face(seconds: float) -> str:
    """Return a time to wait in five columns, such as `` 4:59``."""
    whole = max(0, int(seconds))
    return f"{whole // 60:2}:{whole % 60:02}"


@contextlib.contextmanager
def waiting(
    seconds: float,
    what: str,
    submit: Callable[[str], None] | None = None,
    *,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Show that somebody is waited for; nothing is shown where no terminal is.

    Args:
        seconds: The time there is.
        what: The line's words.
        submit: Takes what is pasted; raises `ProtocolError` for what it cannot use.
        monotonic: Seconds that never go back.
    """
    if not interactive():
        yield
        return
    over = threading.Event()
    line = _Line(what, monotonic() + seconds, submit, monotonic)
    with keystrokes() if submit else contextlib.nullcontext() as read:
        thread = threading.Thread(target=line.run, args=(over, read), daemon=True)
        line.draw()
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            line.leave()


class _Line:
    """The last line of the terminal: never longer than a row, so that it can be drawn over."""

    def __init__(
        self,
        what: str,
        deadline: float,
        submit: Callable[[str], None] | None,
        monotonic: Callable[[], float],
    ) -> None:
        self._what = what
        self._deadline = deadline
        self._submit = submit
        self._monotonic = monotonic
        self._typed = ""
        self._drawn = ""
        self._answered = False

    def run(self, over: threading.Event, read: ReadKeys | None) -> None:
        """Draw and read until it is over."""
        while not over.is_set():
            if read is None:
                over.wait(_TICK)
            else:
                try:
                    self._take(read(_TICK) or "")
                except EOFError:  # the terminal is gone; the browser may still answer
                    read = None
                    continue
                if self._answered:  # what is left to do takes no time worth showing
                    return
                if self._submit is None:  # nothing more is to come
                    read = None
            self.draw()

    def draw(self) -> None:
        """Write the line, if it changed, over the old one; of a long one the end is seen."""
        face = clock_face(self._deadline - self._monotonic())
        room = shutil.get_terminal_size().columns - len(face) - 3
        self._write(f"{face}  {(self._what + self._typed)[-max(room, 1) :]}")

    def leave(self) -> None:
        """Let what follows begin on a line of its own."""
        if self._drawn:
            tell("")
            self._drawn = ""

    def _write(self, line: str) -> None:
        if line != self._drawn:
            self._drawn = line
            tell(f"\r\x1b[K{line}", nl=False)

    def _take(self, typed: str) -> None:
        from harbor_oauth.fleet.surroundings import LARGEST_INPUT

        for character in _CONTROL_SEQUENCE.sub("", typed):
            if self._submit is None or self._answered:
                return
            if character in "\r\n":
                self._enter(self._submit)
            elif character == _END:
                self._submit = None
            elif character == _ERASE_LINE:
                self._typed = ""
            elif character in _ERASE:
                self._typed = self._typed[:-1]
            elif character.isprintable():
                self._typed = (self._typed + character)[:LARGEST_INPUT]

    def _enter(self, submit: Callable[[str], None]) -> None:
        text, self._typed = self._typed, ""
        if not text.strip():
            return
        # The whole of it stays to be read.
        self._write(f"{clock_face(self._deadline - self._monotonic())}  {self._what}{text}")
        self.leave()
        try:
            submit(text)
        except ProtocolError as error:
            note(f"That is not it: {error.message}", "error:", colour="red")
            note("Paste the whole URL of the page where the browser ended.", "next:")
        else:
            self._answered = True
