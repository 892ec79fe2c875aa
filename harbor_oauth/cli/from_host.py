"""`harbor dock --from HOST`: the servers that an MCP host reaches by URL."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from harbor_oauth.cli.output import note, result, warn
from harbor_oauth.cli.terminal import interactive

if TYPE_CHECKING:
    from collections.abc import Callable

    from harbor_oauth.client import Harbor
    from harbor_oauth.fleet.docking import Docked
    from harbor_oauth.fleet.hosts import RemoteServer

__all__ = ["dock_from"]


def dock_from(
    harbor: Harbor, name: str, dock: Callable[[RemoteServer], Docked], *, everything: bool
) -> list[Docked]:
    """Offer to dock each remote server of a host that is not docked yet.

    Args:
        harbor: What they are docked in.
        name: The host's name.
        dock: Docks one.
        everything: Dock all of them; ask nobody.

    Returns:
        What was docked.

    Raises:
        Exit: One could not be docked, or was left out. It is named; the others
            are docked.
    """
    from harbor_oauth.errors import HarborError
    from harbor_oauth.fleet import hosts

    known = hosts.host(name)
    found = hosts.remote_servers(known, harbor.settings.environ)
    docked_urls = {entry.url for entry in harbor.settings.servers.values()}
    servers = [server for server in found if server.url not in docked_urls]
    if not servers:
        which = "that is not docked already" if found else "in its file"
        note(f"{known.title} has no remote server {which}.")
        return []
    done: list[Docked] = []
    half_done = False
    for server in servers:
        if server.refused:
            half_done |= everything
            warn(f"{server.entry} is left out: {server.refused}.")
            for line in server.next_step.splitlines():
                note(line, "next:")
            continue
        if not everything and not _wanted(server):
            continue
        try:
            docked = dock(server)
        except HarborError as error:
            half_done = True
            warn(f"{server.name}: {error.message}")
            note(error.next_step, "next:")
            continue
        done.append(docked)
        result(f"Docked {docked.entry.name}.")
        if server.entry == docked.entry.name:
            note(f"harbor connect {name} {docked.entry.name} --replace", "next:")
        else:  # the host tells letters apart that a server's name does not have
            note(f"harbor connect {name} {docked.entry.name}", "next:")
            note(f"Take {server.entry} out of {known.title}'s file.", "next:")
    if half_done:  # as every command that did not do all it was asked for
        raise click.exceptions.Exit(1)
    return done


def _wanted(server: RemoteServer) -> bool:
    """Ask; where nobody can be asked, say what to type."""
    if interactive():
        return click.confirm(f"Dock {server.name} ({server.url})?", default=True, err=True)
    words = ["harbor", "dock", "--name", server.name, "--url", server.url]
    for header, value in server.headers.items():
        words += ["-H", f"{header}: {value}"]
    note(shlex.join(words), "next:")
    return False
