"""Write docs/reference/cli.md from the help texts of the `harbor` command.

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


def _commands() -> Iterator[tuple[str, click.Command]]:
    """Yield each command with the words that reach it, the overview first."""
    yield "harbor", root
    ctx = click.Context(root)
    for name in root.list_commands(ctx):
        command = root.get_command(ctx, name)
        assert command is not None  # noqa: S101 - it was listed
        yield f"harbor {name}", command
        if isinstance(command, click.Group):
            for part in command.list_commands(ctx):
                yield f"harbor {name} {part}", command.commands[part]


def text() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for words, command in _commands():
        settings = {**root.context_settings, **command.context_settings}
        ctx = click.Context(command, info_name=words, terminal_width=88, **settings)
        parts.append(f"## {words}\n\n```text\n{command.get_help(ctx)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if sys.argv[1:] else TARGET
    target.write_text(text(), encoding="utf-8")
    print(f"Wrote {target}")
