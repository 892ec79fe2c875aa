"""What a command works with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from harbor_oauth.cli.terminal import ask_passphrase, interactive

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["Front", "pass_harbor"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Front:
    """Holds the Harbor of one invocation, made when a command first needs it.

    Args:
        harbor: A given one, which its giver closes.

    Attributes:
        own_plugins_only: Whether no plugin but Harbor's own is to be loaded.
    """

    def __init__(self, harbor: Harbor | None = None) -> None:
        """Make nothing yet."""
        self._harbor = harbor
        self._given = harbor is not None
        self.own_plugins_only = False

    @property
    def harbor(self) -> Harbor:
        """The Harbor to work with."""
        if self._harbor is None:
            from harbor_oauth.client import Harbor

            self._harbor = Harbor()
            if interactive() and self._harbor.settings.passphrase_file is None:
                self._harbor = Harbor(passphrase=ask_passphrase)
        if self.own_plugins_only:
            self._harbor.disable_plugins()
        return self._harbor

    def close(self) -> None:
        """Close what was made here."""
        if self._harbor is not None and not self._given:
            self._harbor.close()


def pass_harbor(command: Callable[Concatenate[Harbor, _P], _T]) -> Callable[_P, _T]:
    """Give a command the Harbor as its first argument."""

    @functools.wraps(command)
    def with_harbor(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        front = click.get_current_context().find_object(Front)
        assert front is not None  # noqa: S101 - `run` puts it there
        return command(front.harbor, *args, **kwargs)

    return with_harbor
