"""Starts a docked program with the secrets it declares, and with no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.fleet.approvals import check_approved
from harbor_oauth.fleet.docking import server
from harbor_oauth.fleet.references import grants_of, resolve_environment
from harbor_oauth.platform.children import BASE_VARIABLES, find_program, replace_process

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["Child", "become", "prepare", "start"]

_PREFIXES: Final = ("LC_", "XDG_")
# How to reach the network from here, and whom to trust there.
_NETWORK: Final = frozenset(
    {
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
    }
)


@attrs.frozen(repr=False)
class Child:
    """A program, ready to start.

    Attributes:
        name: The server's name.
        argv: The program's path and its arguments.
        env: Its whole environment, secrets among it.
        expiries: Each grant whose token it gets, with the token's end in unix
            seconds UTC, None where that is unknown.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    expiries: Mapping[str, float | None]

    def __repr__(self) -> str:
        """Show the program; the environment holds secrets."""
        return f"Child({self.name!r}, {self.argv!r})"


def prepare(harbor: Harbor, name: str) -> Child:
    """Resolve what a docked program needs.

    Args:
        harbor: Gives the tokens.
        name: The server.

    Raises:
        ServerNotFoundError: There is no such server.
        ConfigurationError: It is a remote one, its program is not found, or it
            is not what was docked.
        UnresolvedReferenceError: Its environment names a secret that is not there.
        LoginRequiredError: One of its grants needs a person.
    """
    entry = server(harbor, name)
    if entry.command is None:
        raise ConfigurationError(
            f"{name!r} is a remote server at {entry.url}; there is nothing to run.",
            next_step=f"For its token: harbor token {entry.grant or name}",
        )
    check_approved(harbor, entry)
    base = _base(harbor.settings.environ)
    program = find_program(entry.command, {**base, **entry.env}.get("PATH"))
    if program is None:
        raise ConfigurationError(
            f"The program {entry.command!r} of {name!r} is not found, or cannot be executed.",
            next_step="Install it, put its directory on PATH, or dock it by its whole path.",
        )
    expiries = {grant: harbor.token(grant).expires_at for grant in grants_of(entry)}
    # Last: while an error is raised, no variable holds the resolved values.
    env = {**base, **resolve_environment(harbor, entry.env)}
    return Child(name, (program, *entry.args), env, expiries)


def start(
    child: Child, *, replace: Callable[[Sequence[str], Mapping[str, str]], int] = replace_process
) -> int:
    """Become the program; returns its exit code where the system cannot do that.

    Raises:
        ConfigurationError: The system refused to start it.
    """
    try:
        return replace(child.argv, child.env)
    except OSError as error:
        raise ConfigurationError(
            f"{child.argv[0]} of {child.name!r} cannot be started: {error.strerror}.",
            next_step="Check that it is a program for this machine.",
        ) from None


def become(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Let a program take this one's place; returns its exit code where the system cannot do that.

    Raises:
        OSError: The system refused to start it.
    """
    return replace_process(argv, env)


def _base(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what any program may know of this machine and session."""
    return {
        name: value
        for name, value in environ.items()
        if name in BASE_VARIABLES or name.upper() in _NETWORK or name.startswith(_PREFIXES)
    }
