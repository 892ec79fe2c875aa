"""What is known of a host: a program that starts MCP servers and reads a file for which.

The data of each is in the module of its family; nothing here does I/O, so that
every platform can be looked at from any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any, Final

import attrs

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.secret import Secret

__all__ = [
    "GATEWAY_HEADER",
    "GatewayEntry",
    "Host",
    "Language",
    "ProgramEntry",
    "app_data",
    "user_home",
]

GATEWAY_HEADER: Final = "X-Harbor-Key"
"""The field an entry for the gateway has its key in, and is known by."""

_VERBS: Final = frozenset({"bridge", "run"})
_NAMES: Final = frozenset({"harbor", "harbor.exe", "harbor-oauth", "harbor-oauth.exe"})

Paths = Callable[[Mapping[str, str], str], tuple[PurePath, ...]]
"""Where a file may be, by environment and platform (as `sys.platform`), likeliest first."""


@attrs.frozen
class Language:
    """How a family writes its file.

    Attributes:
        parse: Returns what a text means; raises ValueError with the place of a fault.
        put: Returns a text with one member set.
        remove: Returns a text without one member.
    """

    parse: Callable[[str], object]
    put: Callable[[str, Sequence[str], object], str]
    remove: Callable[[str, Sequence[str]], str]


@attrs.frozen
class ProgramEntry:
    """An entry by which a host starts Harbor.

    Attributes:
        server: The docked server.
        command: The program's absolute path.
        args: Its arguments.
        env: What it needs to find the same Harbor; no secret.
    """

    server: str
    command: str
    args: tuple[str, ...]
    env: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class GatewayEntry:
    """An entry by which a host asks the gateway.

    Attributes:
        server: The docked server.
        url: Its URL at the gateway.
        key: A key of the gateway.
    """

    server: str
    url: str
    key: Secret


@attrs.frozen
class Host:
    """A program that uses MCP servers.

    Attributes:
        name: What commands call it.
        title: What its makers call it.
        section: The member of its file that holds the servers.
        language: How the file is written.
        paths: Where the file may be.
        reread: What a person does so that it reads the file again.
        switch_on: What a person does besides, before it uses a new entry.
        program: Members of an entry that starts a program, beside its command.
        remote: Members of an entry that has a URL, beside it; None where there
            are no such entries.
        headers: The member that holds the fields sent to a URL.
    """

    name: str
    title: str
    section: str
    language: Language
    paths: Paths
    reread: str
    program: Mapping[str, str] = attrs.field(factory=dict)
    remote: Mapping[str, str] | None = attrs.field(factory=dict)
    headers: str = "headers"
    switch_on: str = ""

    @property
    def restart(self) -> str:
        """What a person does so that it uses a new entry."""
        return f"{self.reread} {self.switch_on}".strip()

    def shown(self, entry: ProgramEntry | GatewayEntry) -> dict[str, Any]:
        """Return an entry as this host's file has it.

        Raises:
            ConfigurationError: It has no entries of that kind.
        """
        if isinstance(entry, GatewayEntry):
            fields = {GATEWAY_HEADER: entry.key.reveal()}
            return {**self.require_remote(), "url": entry.url, self.headers: fields}
        made: dict[str, Any] = {
            **self.program,
            "command": entry.command,
            "args": list(entry.args),
        }
        return {**made, "env": dict(entry.env)} if entry.env else made

    def require_remote(self) -> Mapping[str, str]:
        """Return the members of an entry that has a URL, beside it.

        Raises:
            ConfigurationError: It has no entries of that kind.
        """
        if self.remote is None:
            raise ConfigurationError(
                f"{self.title} starts programs only; its file takes no URLs.",
                next_step="Leave out --http.",
            )
        return self.remote

    def served(self, entry: object) -> str | None:
        """Return the docked server that an entry of Harbor's is for; None for others' entries."""
        if not isinstance(entry, dict):
            return None
        url, fields = entry.get("url"), entry.get(self.headers)
        if isinstance(url, str) and isinstance(fields, dict) and GATEWAY_HEADER in fields:
            return url.rstrip("/").rpartition("/")[2]
        command, args = entry.get("command"), entry.get("args")
        if not isinstance(command, str) or not isinstance(args, list):
            return None
        match args:
            case [*before, str(verb), str(server)] if verb in _VERBS:
                named = PureWindowsPath(command).name.lower() in _NAMES and not before
                return server if named or before[-2:] == ["-m", "harbor_oauth"] else None
        return None


def user_home(environ: Mapping[str, str], platform: str) -> PurePath:
    """Return the user's own directory.

    Raises:
        ConfigurationError: The environment does not say.
    """
    if platform == "win32":
        return PureWindowsPath(_of(environ, "USERPROFILE"))
    return PurePosixPath(_of(environ, "HOME"))


def app_data(environ: Mapping[str, str], platform: str) -> PurePath:
    """Return the directory in which programs keep their settings, a directory for each.

    Raises:
        ConfigurationError: The environment does not say.
    """
    if platform == "win32":
        if written := environ.get("APPDATA"):
            return PureWindowsPath(written)
        return user_home(environ, platform) / "AppData" / "Roaming"
    if platform == "darwin":
        return user_home(environ, platform) / "Library" / "Application Support"
    if written := environ.get("XDG_CONFIG_HOME"):
        return PurePosixPath(written)
    return user_home(environ, platform) / ".config"


def _of(environ: Mapping[str, str], variable: str) -> str:
    value = environ.get(variable)
    if not value:
        raise ConfigurationError(
            f"{variable} is not set, so the host's file is not known.",
            next_step=f"Set {variable}, or name the file with --file.",
        )
    return value
