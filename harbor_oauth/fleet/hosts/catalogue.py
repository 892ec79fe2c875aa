"""Every host, and what stands in the files of all of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from harbor_oauth.errors import ConfigurationError, HarborError
from harbor_oauth.fleet.hosts.change import apply, read, read_document
from harbor_oauth.fleet.hosts.claude import CLAUDE_CODE, CLAUDE_DESKTOP
from harbor_oauth.fleet.hosts.codex import CODEX
from harbor_oauth.fleet.hosts.editors import CURSOR, VSCODE
from harbor_oauth.fleet.hosts.host import GATEWAY_HEADER, Host, ProgramEntry
from harbor_oauth.fleet.hosts.planning import file_of, plan_removal
from harbor_oauth.fleet.hosts.remote_entries import RemoteServer, read_remote
from harbor_oauth.secret import Secret

if TYPE_CHECKING:
    from harbor_oauth.settings import ServerEntry, Settings

__all__ = [
    "HOSTS",
    "OwnEntry",
    "RemoteServer",
    "belonging",
    "disconnect_all",
    "entries",
    "host",
    "own_command",
    "program_entry",
    "remote_servers",
]

HOSTS: Final = (CLAUDE_CODE, CLAUDE_DESKTOP, CODEX, VSCODE, CURSOR)

# Where the vault is and how it is opened; none of them holds a secret.
_PLACES: Final = ("HARBOR_HOME", "HARBOR_VAULT_KEY_FILE", "HARBOR_VAULT_PASSPHRASE_FILE")


@attrs.frozen
class OwnEntry:
    """An entry of Harbor's in a host's file.

    Attributes:
        host: The host's name.
        name: The entry's.
        command: The program it starts; None for one that asks the gateway.
        server: The docked server.
        path: The host's file.
    """

    host: str
    name: str
    command: Path | None
    server: str
    path: Path


def host(name: str) -> Host:
    """Return a host by its name.

    Raises:
        ConfigurationError: None is called so.
    """
    for known in HOSTS:
        if known.name == name:
            return known
    raise ConfigurationError(
        f"No host is called {name!r}.",
        next_step=f"Known: {', '.join(known.name for known in HOSTS)}",
    )


def own_command(executable: str = sys.executable) -> tuple[str, ...]:
    """Return what starts this Harbor from any directory and with any PATH.

    Args:
        executable: The interpreter; the `harbor-oauth` that was installed with
            it stands beside it. Another distribution may take the name `harbor`
            in the same environment, and not this one.
    """
    name = "harbor-oauth.exe" if sys.platform == "win32" else "harbor-oauth"
    beside = Path(executable).with_name(name)
    if os.access(beside, os.X_OK):
        return (str(beside),)
    # -P: `-m` alone runs what the current directory has of that name.
    return (executable, "-P", "-m", "harbor_oauth")


def program_entry(
    settings: Settings, server: ServerEntry, command: Sequence[str] | None = None
) -> ProgramEntry:
    """Return the entry by which a host starts Harbor for a docked server.

    Args:
        settings: Where this Harbor keeps its things.
        server: The server; a remote one is bridged, a program is run.
        command: What starts Harbor; this one's own when left out.
    """
    program, *before = own_command() if command is None else command
    env = {
        name: str(Path(value).expanduser().absolute())
        for name in _PLACES
        if (value := settings.environ.get(name))
    }
    if settings.home != Path("~/.harbor").expanduser().absolute():
        env["HARBOR_HOME"] = str(settings.home)
    if vault := settings.environ.get("HARBOR_VAULT"):
        env["HARBOR_VAULT"] = vault
    verb = "bridge" if server.url else "run"
    return ProgramEntry(server.name, program, (*before, verb, server.name), env)


def entries(
    environ: Mapping[str, str] | None = None, platform: str = sys.platform
) -> Iterator[OwnEntry]:
    """Yield Harbor's entries in every host; a file that cannot be read has none.

    Args:
        environ: The environment; the process's own when left out.
        platform: As `sys.platform`.
    """
    for known in HOSTS:
        try:
            path, section = _section(known, environ, platform)
        except HarborError:
            continue
        for name, entry in section.items():
            server = known.served(entry)
            if server is not None and isinstance(entry, dict):
                command = entry.get("command")
                yield OwnEntry(known.name, name, Path(command) if command else None, server, path)


def disconnect_all(
    environ: Mapping[str, str] | None = None,
    platform: str = sys.platform,
    *,
    dry_run: bool = False,
    home: Path | None = None,
    opens: Callable[[Secret], bool] = lambda _: False,
) -> list[str]:
    """Remove Harbor's entries from every host.

    Args:
        environ: The environment; the process's own when left out.
        platform: As `sys.platform`.
        dry_run: Say what would be done, and do nothing.
        home: The directory whose entries are meant; those of every one when
            left out.
        opens: Says whether a key is one of that home's gateway.

    Returns:
        A line for each host that has entries, or whose file cannot be changed.
    """
    lines: list[str] = []
    for known in HOSTS:
        belongs = belonging(known, home, environ, opens=opens)
        try:
            change = plan_removal(known, environ=environ, platform=platform, belongs=belongs)
            if not change.entries:
                continue
            if not dry_run:
                apply(change)
        except HarborError as error:
            lines.append(f"{known.title} is left as it is: {error.message}")
        else:
            verb = "Would remove" if dry_run else "Removed"
            names = ", ".join(sorted(change.entries))
            lines.append(f"{verb} {names} from {known.title} ({change.path}).")
    return lines


def belonging(
    known: Host,
    home: Path | None,
    environ: Mapping[str, str] | None = None,
    *,
    opens: Callable[[Secret], bool],
) -> Callable[[Mapping[str, Any]], bool]:
    """Return what says whether an entry of Harbor's is one of the Harbor in a home.

    Args:
        known: The host.
        home: The directory of `config.toml`; None for every one.
        environ: The environment; the process's own when left out.
        opens: Says whether a key is one of that home's gateway.
    """
    usual = Path((os.environ if environ is None else environ).get("HOME") or "~") / ".harbor"

    def belongs(entry: Mapping[str, Any]) -> bool:
        if home is None:
            return True
        if isinstance(entry.get("url"), str):
            key = entry[known.headers].get(GATEWAY_HEADER)
            return isinstance(key, str) and opens(Secret(key))
        env = entry.get("env")
        named = env.get("HARBOR_HOME") if isinstance(env, dict) else None
        place = Path(named) if isinstance(named, str) else usual
        try:
            return place.expanduser().resolve() == home.expanduser().resolve()
        except (OSError, RuntimeError):
            return False

    return belongs


def remote_servers(
    known: Host, environ: Mapping[str, str] | None = None, platform: str = sys.platform
) -> tuple[RemoteServer, ...]:
    """Return the servers that a host reaches by URL, never with a token.

    One that cannot be docked with the meaning that it has there says why.

    Args:
        known: The host.
        environ: The environment; the process's own when left out.
        platform: As `sys.platform`.

    Raises:
        ConfigurationError: Its file is broken or cannot be read.
    """
    _, section = _section(known, environ, platform)
    found: dict[str, RemoteServer] = {}
    for name, entry in section.items():
        server = None if known.served(entry) else read_remote(known, name, entry)
        if server is None:
            continue
        if not server.refused and server.name in {each.name for each in found.values()}:
            reason = f"another entry is called {server.name!r} too, in other letters"
            server = attrs.evolve(server, url="", refused=reason)
        found[name] = server
    return tuple(found.values())


def _section(
    known: Host, environ: Mapping[str, str] | None, platform: str
) -> tuple[Path, Mapping[str, object]]:
    path = file_of(known, os.environ if environ is None else environ, platform)
    return path, read_document(known, path, read(path)).get(known.section, {})
