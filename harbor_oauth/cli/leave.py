"""`harbor leave`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import click

from harbor_oauth.cli.connect import is_key_of
from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.output import example, note, result, warn
from harbor_oauth.cli.terminal import ask_passphrase, interactive

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["leave"]


@click.command(epilog=example("harbor leave --dry-run", "harbor leave"))
@click.option("--dry-run", is_flag=True, help="Say what would be done; do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_harbor
def leave(harbor: Harbor, *, dry_run: bool, yes: bool) -> int:
    """End every grant and remove what Harbor keeps on this machine.

    Hosts are disconnected, the gateway is stopped, grants are revoked, those
    of programs with vaults of their own too, and files are deleted. What
    belongs to another HARBOR_HOME is left alone. The exit code is 1 if
    something is left to do by hand.
    """
    from harbor_oauth.fleet.leaving import leave as go

    if not dry_run and not yes:
        if not interactive():
            raise click.UsageError("Nobody can be asked here: give --yes, or --dry-run.")
        click.confirm("End every grant and delete the vault?", abort=True, err=True)
    left = 0
    steps = go(
        harbor,
        lambda dry: _stop_gateway(harbor, dry_run=dry),
        dry_run=dry_run,
        opens=functools.partial(is_key_of, harbor),
        passphrase=ask_passphrase if interactive() else None,
    )
    for step in steps:
        if step.done:
            result(step.sentence)
            continue
        left += 1
        warn(step.sentence)
        if step.next_step:
            note(step.next_step, "next:")
    return 1 if left else 0


def _stop_gateway(harbor: Harbor, *, dry_run: bool) -> list[str]:
    from harbor_oauth.gateway.running import find, stop
    from harbor_oauth.gateway.service import serves, uninstall

    lines, settings = [], harbor.settings
    running = find(settings.home)
    if running is not None:
        lines.append(f"The gateway at {running.address} {'would be' if dry_run else 'is'} stopped.")
        if not dry_run:
            stop(settings.home)
    if serves(settings.environ, settings.home):
        lines.append(f"Its service {'would be' if dry_run else 'is'} removed.")
        if not dry_run:
            uninstall(settings.environ)
    return lines
