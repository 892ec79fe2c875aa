"""Groups whose overview imports none of their commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import click

__all__ = ["LazyCommand", "LazyGroup"]


class LazyCommand(NamedTuple):
    """Where a command is, and what the overview says of it.

    Attributes:
        name: Its name.
        alias: A plain word for the same, or None.
        place: ``module:attribute`` below `harbor_oauth.cli`.
        summary: One sentence.
    """

    name: str
    alias: str | None
    place: str
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, attribute = self.place.partition(":")
        command = getattr(import_module(f"harbor_oauth.cli.{module}"), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table is ours
        command.help = command.help or self.summary  # without docstrings (python -OO) it has none
        return command


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for by name or alias."""

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - click's own parameters
        sections: Mapping[str, Sequence[LazyCommand]],
        **kwargs: Any,  # noqa: ANN401 - same
    ) -> None:
        """Keep the table, section title to commands."""
        super().__init__(*args, **kwargs)
        self._sections = sections

    def _entries(self) -> Iterator[LazyCommand]:
        for entries in self._sections.values():
            yield from entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, without the aliases."""
        return [entry.name for entry in self._entries()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import one command."""
        for entry in self._entries():
            if cmd_name in {entry.name, entry.alias}:
                return entry.load()
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the overview from the table."""
        for title, entries in self._sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (", ".join(filter(None, (entry.name, entry.alias))), entry.summary)
                        for entry in entries
                    ]
                )
