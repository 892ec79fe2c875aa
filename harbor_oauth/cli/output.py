"""How results and messages look.

What a command was asked for goes to standard output; progress, warnings and
errors go to standard error.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import click

from harbor_oauth.standard_streams import discard

__all__ = [
    "example",
    "fitted",
    "iso",
    "note",
    "plain",
    "result",
    "result_json",
    "speak",
    "spoken",
    "table",
    "tell",
    "warn",
    "when",
]

_COMMAND: Final = re.compile(r"\bharbor ([a-z-]+)")
_NARROWEST: Final = 8
"""Columns below which a cell would say nothing."""


def plain(text: str) -> str:
    """Return a text without what could steer a terminal or turn its words around.

    Names and error texts come from servers.
    """
    import unicodedata

    return "".join(
        character
        for character in text.replace("\t", " ").replace("\n", " ")
        if unicodedata.category(character) not in {"Cc", "Cf", "Cs"}
    )


def result(line: str) -> None:
    """Print a line of what was asked for."""
    click.echo(spoken(plain(line)))


def result_json(value: object) -> None:
    """Print what was asked for as JSON, every character that is not ASCII escaped."""
    import json

    click.echo(json.dumps(value, indent=2))


_SPOKEN: dict[str, str] = {}
"""Names of commands to the ones that the person uses for them."""


def speak(names: Mapping[str, str]) -> None:
    """Say which names of commands to use in hints, in place of Harbor's own."""
    _SPOKEN.clear()
    _SPOKEN.update(names)


def spoken(text: str) -> str:
    """Return a text with the commands in it by the names that the person uses."""
    if not _SPOKEN:
        return text
    return _COMMAND.sub(lambda found: f"harbor {_SPOKEN.get(found[1], found[1])}", text)


def note(line: str, label: str = "", *, colour: str = "") -> None:
    """Print a line to standard error, behind a label such as ``error:``."""
    text = spoken(plain(line))
    if label:
        bare = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        text = f"{label if bare else click.style(label, fg=colour or None, bold=True)} {text}"
    tell(text)


def tell(text: str, *, nl: bool = True) -> None:
    """Write to standard error; one that takes nothing ends no work that is under way."""
    try:
        click.echo(text, err=True, nl=nl)
    except (OSError, ValueError):
        discard(sys.stderr)


def warn(line: str) -> None:
    """Print a warning."""
    note(line, "warning:", colour="yellow")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headings, in columns as wide as their widest cell.

    At a terminal the widest columns give way until the rows fit its window.
    """
    cells = [list(headings), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if sys.stdout.isatty():
        import shutil

        widths = fitted(widths, shutil.get_terminal_size().columns)
    for row in cells:
        line = "  ".join(_cut(cell, width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def fitted(widths: Sequence[int], window: int) -> list[int]:
    """Return the widths of columns that fit a window, two blanks between them."""
    room, left = window - 2 * (len(widths) - 1), list(widths)
    while sum(left) > room and max(left) > _NARROWEST:
        left[left.index(max(left))] -= 1
    return left


def _cut(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else f"{cell[: width - 1]}…"


def when(seconds: float | None) -> str:
    """Return a time for people, in UTC."""
    if seconds is None:
        return "unknown"
    return _utc(seconds, "%Y-%m-%d %H:%M UTC")


def iso(seconds: float | None) -> str | None:
    """Return a time for programs (RFC 3339)."""
    if seconds is None:
        return None
    return _utc(seconds, "%Y-%m-%dT%H:%M:%SZ")


def _utc(seconds: float, form: str) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def example(*lines: str) -> str:
    """Return the end of a help text: examples that click does not rewrap."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
