"""Connects MCP hosts: Harbor's entries in the files of the programs that use servers.

What each host's file looks like, and since when, is in `docs/how-to/connect.md`.
"""

from __future__ import annotations

from harbor_oauth.fleet.hosts.catalogue import (
    HOSTS,
    OwnEntry,
    belonging,
    disconnect_all,
    entries,
    host,
    own_command,
    program_entry,
    remote_servers,
)
from harbor_oauth.fleet.hosts.change import Change, apply
from harbor_oauth.fleet.hosts.host import GatewayEntry, Host, ProgramEntry
from harbor_oauth.fleet.hosts.planning import file_of, plan, plan_removal
from harbor_oauth.fleet.hosts.remote_entries import RemoteServer
from harbor_oauth.fleet.hosts.trial import check_start, count_at_gateway, list_tools

__all__ = [
    "HOSTS",
    "Change",
    "GatewayEntry",
    "Host",
    "OwnEntry",
    "ProgramEntry",
    "RemoteServer",
    "apply",
    "belonging",
    "check_start",
    "count_at_gateway",
    "disconnect_all",
    "entries",
    "file_of",
    "host",
    "list_tools",
    "own_command",
    "plan",
    "plan_removal",
    "program_entry",
    "remote_servers",
]
