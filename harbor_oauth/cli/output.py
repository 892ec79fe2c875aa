"""How results and messages look.

What a command was asked for goes to standard output; progress, warnings and
errors go to standard error.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

__all__ = ["example", "iso", "note", "plain", "result", "result_json", "table", "warn", "when"]


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
    click.echo(plain(line))


def result_json(value: object) -> None:
    """Print what was asked for as JSON, every character that is not ASCII escaped."""
    import json

    click.echo(json.dumps(value, indent=2))


def note(line: str, label: str = "", *, colour: str = "") -> None:
    """Print a line to standard error, behind a label such as ``error:``."""
    text = plain(line)
    if label:
        bare = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        text = f"{label if bare else click.style(label, fg=colour or None, bold=True)} {text}"
    click.echo(text, err=True)


def warn(line: str) -> None:
    """Print a warning."""
    note(line, "warning:", colour="yellow")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headings, in columns as wide as their widest cell."""
    cells = [list(headings), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


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
