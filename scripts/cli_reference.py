"""Write docs/reference/cli.md and harbor.1 from the help texts of the `harbor` command.

python scripts/cli_reference.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from harbor_oauth.cli.app import root

TARGET: Final = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"

HEAD: Final = """\
# The `harbor` command

This page is made from the command's own help by `scripts/cli_reference.py`.

What a command was asked for goes to standard output; progress, warnings and errors go to standard
error. The exit status says who must act:

| status | meaning |
| --- | --- |
| 0 | done |
| 1 | error; the text says the next step |
| 2 | wrong usage, or cancelled |
| 4 | a person has to sign in |
| 75 | try again; the sign-in is intact |

`harbor run` ends with the status of the program it started. `NO_COLOR` switches colours off.
"""

_EXIT_STATUS: Final = (
    "0: done. 1: error. 2: wrong usage, or cancelled. 4: a person has to sign in. 75: try again."
)


def _commands() -> Iterator[tuple[str, click.Command]]:
    """Yield each command with the words that reach it, the overview first."""
    yield from _below("harbor", root)


def _below(words: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            part = command.get_command(ctx, name)
            assert part is not None  # noqa: S101 - it was listed
            yield from _below(f"{words} {name}", part)


def text() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for words, command in _commands():
        settings = {**root.context_settings, **command.context_settings}
        ctx = click.Context(command, info_name=words, terminal_width=88, **settings)
        parts.append(f"## {words}\n\n```text\n{command.get_help(ctx)}\n```\n")
    return "\n".join(parts)


def manual() -> str:
    """Return the manual page, in the macros of man(7)."""
    lines = [
        '.TH HARBOR 1 "" "harbor_oauth" "User Commands"',
        ".SH NAME",
        r"harbor \- give programs on this machine valid OAuth tokens",
        ".SH SYNOPSIS",
        r".B harbor",
        r"COMMAND [OPTIONS] [ARGS]",
        ".SH EXIT STATUS",
        _EXIT_STATUS,
        ".SH COMMANDS",
    ]
    for words, command in _commands():
        settings = {**root.context_settings, **command.context_settings}
        ctx = click.Context(command, info_name=words, terminal_width=78, **settings)
        lines += [".SS " + _roff(words), ".nf", *map(_roff, command.get_help(ctx).splitlines())]
        lines += [".fi"]
    return "\n".join(lines) + "\n"


def _roff(line: str) -> str:
    """Return a line that begins no macro and holds no escape."""
    escaped = line.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    directory = Path(sys.argv[1]) if sys.argv[1:] else TARGET.parent
    for name, made in (("cli.md", text()), ("harbor.1", manual())):
        (directory / name).write_text(made, encoding="utf-8")
        print(f"Wrote {directory / name}")
