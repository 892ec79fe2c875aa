"""`harbor dock` and `harbor undock`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.output import example, note, result, warn

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor, LogoutResult
    from harbor_oauth.fleet.docking import Docked
    from harbor_oauth.fleet.undocking import Undocked

__all__ = ["dock", "show_url", "undock"]


class _DockCommand(click.Command):
    """Leaves the words after `--command PROGRAM` to the program, options among them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        takes_value = {
            name: isinstance(option, click.Option) and not option.is_flag
            for option in self.get_params(ctx)
            for name in option.opts
            if name.startswith("-")
        }
        return super().parse_args(ctx, _set_apart(args, takes_value))


def _set_apart(args: list[str], takes_value: Mapping[str, bool]) -> list[str]:
    """Put ``--`` before the first word after `--command PROGRAM` that is not an option of ours."""
    position, commanded = 0, False
    while position < len(args):
        name, equals, _ = args[position].partition("=")
        if name == "--":
            break
        if name in takes_value:
            commanded = commanded or name == "--command"
            position += 2 if takes_value[name] and not equals else 1
        elif commanded:
            return [*args[:position], "--", *args[position:]]
        else:
            position += 1
    return args


def _pairs(separator: str, form: str) -> Callable[..., dict[str, str]]:
    """Return a click callback that reads repeated ``NAME<separator>VALUE`` options."""

    def read(_: click.Context, parameter: click.Parameter, values: Iterable[str]) -> dict[str, str]:
        pairs: dict[str, str] = {}
        for value in values:
            name, found, text = value.partition(separator)
            # The value may be a secret: it is not repeated here.
            if not found or not name.strip():
                raise click.BadParameter(f"write it as {form}", param=parameter)
            if name.strip() in pairs:
                raise click.BadParameter(f"{name.strip()} is given twice", param=parameter)
            pairs[name.strip()] = text.strip() if separator == ":" else text
        return pairs

    return read


@click.command(
    cls=_DockCommand,
    epilog=example(
        "harbor dock linear",
        "harbor dock linear --account work --name linear-work",
        "harbor dock google --server google-drive",
        "harbor dock --name wiki --url https://wiki.example/mcp",
        "harbor dock --name maps --url https://maps.example/mcp -H 'X-Api-Key: vault:maps-key'",
        "harbor dock --name files --command npx --env KEY=vault:files-key -y some-server /tmp",
    ),
)
@click.argument("words", metavar="[PROVIDER | ARGS...]", nargs=-1)
@click.option("--server", metavar="NAME", help="Dock this server of the provider's.")
@click.option("--all-servers", is_flag=True, help="Dock all servers of the provider's.")
@click.option("--name", metavar="NAME", help="The server's name.")
@click.option("--url", metavar="URL", help="Dock the remote server at this URL.")
@click.option(
    "--command", metavar="PROGRAM", help="Dock this program; the words after it are its arguments."
)
@click.option(
    "-H",
    "--header",
    "headers",
    metavar="'NAME: VALUE'",
    multiple=True,
    callback=_pairs(":", "'NAME: VALUE'"),
    help="A header to send; 'vault:KEY' stands for a secret. Repeatable.",
)
@click.option(
    "--env",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_pairs("=", "NAME=VALUE"),
    help="A variable for the program; 'vault:KEY' stands for a secret. Repeatable.",
)
@click.option("--account", metavar="LABEL", help="A label, to keep several accounts apart.")
@click.option("--skip-auth", is_flag=True, help="Do not sign in.")
@pass_harbor
def dock(  # noqa: PLR0913 - one parameter for each option
    harbor: Harbor,
    *,
    words: tuple[str, ...],
    server: str | None,
    all_servers: bool,
    name: str | None,
    url: str | None,
    command: str | None,
    headers: dict[str, str],
    env: dict[str, str],
    account: str | None,
    skip_auth: bool,
) -> None:
    """Sign in to a server and add it to the fleet.

    Docking twice changes nothing.
    """
    from harbor_oauth.fleet.docking import (
        dock_all_servers,
        dock_command,
        dock_provider,
        dock_url,
    )

    if (server or all_servers) and (command or url):
        raise click.UsageError("--server and --all-servers go with a provider.")
    docking: Iterable[Docked]
    if command is not None:
        if url or headers or account or not name:
            raise click.UsageError("--command goes with --name, --env and arguments only.")
        docking = [dock_command(harbor, name, command, words, env=env)]
    elif url is not None:
        if words or not name:
            raise click.UsageError("--url goes with --name, and without a provider.")
        docking = [
            dock_url(
                harbor,
                name,
                url,
                headers=headers,
                env=env,
                account=account,
                skip_auth=skip_auth,
                on_url=show_url,
            )
        ]
    elif len(words) != 1 or headers or env:
        raise click.UsageError("Name one provider, or use --name with --url or --command.")
    elif all_servers:
        if server or name:
            raise click.UsageError("--all-servers goes without --server and --name.")
        docking = dock_all_servers(
            harbor, words[0], account=account, skip_auth=skip_auth, on_url=show_url
        )
    else:
        docking = [
            dock_provider(
                harbor,
                words[0],
                server=server,
                name=name,
                account=account,
                skip_auth=skip_auth,
                on_url=show_url,
            )
        ]
    for docked in docking:
        _show_docked(docked)


def show_url(url: str) -> None:
    """Show where to sign in, before a browser opens."""
    note("Your browser opens; sign in there. If it does not, open this URL:")
    note(f"  {url}")


def _show_docked(docked: Docked) -> None:
    name = docked.entry.name
    if docked.changed:
        result(f"Docked {name}.")
    elif docked.signed_in:
        result(f"{name} was docked already; you are signed in again.")
    else:
        result(f"{name} is docked already; nothing was changed.")
    if docked.account:
        result(f"Account: {docked.account}")
    if docked.tools is not None:
        result(f"Tools: {docked.tools}")
    if docked.others:
        result(f"Not docked: {', '.join(docked.others)} (--server NAME, or --all-servers)")
    for key in docked.missing:
        warn(f"vault:{key} names nothing in the vault yet.")
    result(f"Next: {docked.next_command}")


@click.command(epilog=example("harbor undock linear", "harbor undock --name wiki --keep-grant"))
@click.argument("server", metavar="[NAME]", required=False)
@click.option("--name", metavar="NAME", help="The same as the argument.")
@click.option("--keep-grant", is_flag=True, help="Stay signed in.")
@pass_harbor
def undock(
    harbor: Harbor,
    *,
    server: str | None,
    name: str | None,
    keep_grant: bool,
) -> None:
    """Remove a server and end its grant.

    A grant that another docked server uses stays. So do client credentials:
    docking again asks for none.
    """
    from harbor_oauth.fleet.undocking import undock as undock_server

    named = {server, name} - {None}
    if len(named) != 1:
        raise click.UsageError("Name one server.")
    _show_undocked(undock_server(harbor, str(named.pop()), keep_grant=keep_grant))


def _show_undocked(undocked: Undocked) -> None:
    result(f"Undocked {undocked.entry.name}.")
    for ended in undocked.ended:
        show_ended(ended)
    for grant, servers in undocked.shared.items():
        result(f"The grant {grant} stays: {', '.join(servers)} uses it.")
    for grant in undocked.kept:
        result(f"The grant {grant} stays; to end it: harbor revoke {grant}")


def show_ended(ended: LogoutResult) -> None:
    """Say what became of a grant."""
    if ended.revoked:
        result(f"The grant {ended.grant} is revoked and forgotten.")
        return
    result(f"The grant {ended.grant} is forgotten here.")
    warn(f"Its server was not told: {ended.reason}")
    if ended.manage_url:
        note(f"End it there by hand: {ended.manage_url}", "next:")
