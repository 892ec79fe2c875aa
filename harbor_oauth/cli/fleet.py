"""`harbor fleet` and `harbor run`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.output import example, note, result_json, table, warn, when
from harbor_oauth.errors import HarborError

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["fleet", "run"]


@click.command(epilog=example("harbor fleet", "harbor fleet --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_harbor
def fleet(harbor: Harbor, *, as_json: bool) -> None:
    """List the docked servers."""
    servers = sorted(harbor.settings.servers.values(), key=lambda entry: entry.name)
    states = {entry.grant: _state(harbor, entry.grant) for entry in servers if entry.grant}
    if as_json:
        result_json(
            [
                {
                    "name": entry.name,
                    "url": entry.url,
                    "command": [entry.command, *entry.args] if entry.command else None,
                    "grant": entry.grant,
                    "state": states.get(entry.grant or ""),
                    "enabled": entry.enabled,
                }
                for entry in servers
            ]
        )
    elif servers:
        table(
            ("NAME", "SERVER", "GRANT", "STATE"),
            [
                (
                    entry.name,
                    entry.url or shlex.join([entry.command or "", *entry.args]),
                    entry.grant or "-",
                    states.get(entry.grant or "", "-"),
                )
                for entry in servers
            ],
        )
    else:
        note("No server is docked.")
        note("harbor dock PROVIDER", "next:")


def _state(harbor: Harbor, grant: str) -> str:
    """Return a grant's state; a fleet is listed whatever ails the vault."""
    try:
        status = harbor.grant_status(grant)
    except HarborError as error:
        warn(f"The state of {grant} is not known: {error.message}")
        return "unknown"
    return status.state if status else "signed out"


@click.command(epilog=example("harbor run files"))
@click.argument("name")
@pass_harbor
def run(harbor: Harbor, *, name: str) -> int:
    """Start a docked server that is a program.

    It gets the secrets that its entry declares and an otherwise bare
    environment, which other programs of yours can read while it runs.
    """
    from harbor_oauth.fleet.children import prepare, start

    child = prepare(harbor, name)
    for grant, expires_at in child.expiries.items():
        if expires_at is not None:
            note(f"harbor: the token of {grant} given to {name} ends at {when(expires_at)}")
    harbor.close()
    return start(child)
