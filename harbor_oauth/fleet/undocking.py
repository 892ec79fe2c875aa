"""Undocks servers; the entry in `config.toml` goes last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from harbor_oauth.fleet.approvals import forget_approval
from harbor_oauth.fleet.config import check_writable, remove_server
from harbor_oauth.fleet.docking import server
from harbor_oauth.fleet.references import grants_of
from harbor_oauth.settings import ServerEntry

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor, LogoutResult

__all__ = ["Undocked", "undock"]


@attrs.frozen
class Undocked:
    """What an undocking did.

    Attributes:
        entry: The server as it was docked.
        ended: What became of its grant; empty where it had none, or it stays.
        shared: Each grant that stays, with the servers that still use it.
        kept: Grants that stay although no server uses them now: its own if
            that was asked for, and those that only its values named.
    """

    entry: ServerEntry
    ended: tuple[LogoutResult, ...] = ()
    shared: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    kept: tuple[str, ...] = ()


def undock(harbor: Harbor, name: str, *, keep_grant: bool = False) -> Undocked:
    """Remove a server, and end its grant if nothing else uses it.

    Own papers and client registrations stay, so that docking again asks for none.

    Args:
        harbor: Ends the grant.
        name: The server.
        keep_grant: Leave its grant alone.

    Raises:
        ServerNotFoundError: There is no such server.
        VaultError: The grant could not be forgotten; the server is still docked.
        ConfigurationError: The configuration could not be written.
    """
    entry = server(harbor, name)
    check_writable(harbor.settings)
    grants = [grant for grant in grants_of(entry) if harbor.grant_status(grant)]
    shared = {grant: users for grant in grants if (users := _other_users(harbor, grant, name))}
    unshared = [grant for grant in grants if grant not in shared]
    ended: tuple[LogoutResult, ...] = ()
    if entry.grant in unshared and not keep_grant:
        # Before the entry goes: what fails here can be tried again by name.
        ended = (harbor.logout(entry.grant),)
        unshared.remove(entry.grant)
    if entry.headers or entry.command is not None:
        forget_approval(harbor, name)
    remove_server(harbor.settings, name)
    harbor.reload_settings()
    return Undocked(entry=entry, ended=ended, shared=shared, kept=tuple(unshared))


def _other_users(harbor: Harbor, grant: str, name: str) -> tuple[str, ...]:
    """Return the other servers that use a grant, by whichever name they call it."""

    def canonical(named: str) -> str:
        status = harbor.grant_status(named)
        return status.grant if status else named

    wanted = canonical(grant)
    return tuple(
        other.name
        for other in harbor.settings.servers.values()
        if other.name != name and wanted in map(canonical, grants_of(other))
    )
