"""The wait for a person, at a terminal: the time left, and a line to paste into."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

import click

from harbor_oauth.cli.output import note
from harbor_oauth.cli.terminal import interactive, read_line
from harbor_oauth.errors import ProtocolError

__all__ = ["clock_face", "waiting"]

_TICK = 0.25


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
    thread = threading.Thread(target=line.run, args=(over,), daemon=True)
    line.draw()
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        click.echo(err=True)  # what follows begins on a line of its own


class _Line:
    """The last line of the terminal."""

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
        self._shown = ""

    def run(self, over: threading.Event) -> None:
        """Draw and read until it is over."""
        while not over.is_set():
            if self._submit is None:
                over.wait(_TICK)
            else:
                self._read(self._submit)
            self._redraw()

    def draw(self) -> None:
        self._shown = clock_face(self._left())
        click.echo(f"{self._shown}  {self._what}", nl=False, err=True)
        sys.stderr.flush()

    def _redraw(self) -> None:
        """Write the time over the old one; the cursor stays where a person types."""
        face = clock_face(self._left())
        if face != self._shown:
            self._shown = face
            click.echo(f"\x1b7\r{face}\x1b8", nl=False, err=True, color=True)  # DECSC, DECRC

    def _left(self) -> float:
        return self._deadline - self._monotonic()

    def _read(self, submit: Callable[[str], None]) -> None:
        try:
            text = read_line(_TICK)
        except EOFError:  # Ctrl-D, or the terminal is gone: the browser may still answer
            self._submit = None
            return
        if text is None:
            return
        if text.strip():
            try:
                submit(text)
            except ProtocolError as error:
                note(f"That is not it: {error.message}", "error:", colour="red")
                note("Paste the whole URL of the page where the browser ended.", "next:")
            else:
                return
        self.draw()
