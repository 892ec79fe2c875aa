"""`harbor dock` and `harbor undock`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.output import example, note, result, warn
from harbor_oauth.cli.sign_in import SignIn, sign_in_options, warn_of_variable
from harbor_oauth.cli.terminal import interactive

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor, LogoutResult
    from harbor_oauth.fleet.docking import Docked
    from harbor_oauth.fleet.hosts import RemoteServer
    from harbor_oauth.fleet.undocking import Undocked

__all__ = ["dock", "undock"]


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
        "harbor dock --from cursor",
        "harbor dock --name wiki --url https://wiki.example/mcp",
        "harbor dock --name maps --url https://maps.example/mcp -H 'X-Api-Key: vault:maps-key'",
        "harbor dock --name files --command npx --env KEY=vault:files-key -y some-server /tmp",
        "harbor dock --name files --agree",
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
@click.option("--from", "host", metavar="HOST", help="Offer the remote servers of an MCP host.")
@click.option("--agree", is_flag=True, help="Agree to the server NAME as config.toml has it now.")
@click.option("--yes", is_flag=True, help="With --from and --agree: ask nothing.")
@sign_in_options
@pass_harbor
def dock(
    harbor: Harbor,
    /,
    *,
    host: str | None,
    agree: bool,
    yes: bool,
    **given: Any,  # noqa: ANN401 - the options, by name
) -> None:
    """Sign in to a server and add it to the fleet.

    Docking twice changes nothing.
    """
    sign_in = SignIn(harbor, **{name: given.pop(name) for name in SignIn.options()})
    wanted = _Wanted(**given)
    if host is not None and not agree:
        _dock_from(harbor, sign_in, wanted, host, everything=yes)
        return
    if agree:
        _agree(harbor, wanted, yes=yes)
        return
    if yes:
        raise click.UsageError("--yes goes with --from and --agree.")
    for docked in _dockings(harbor, sign_in, wanted):
        _show_docked(docked)
        if docked.entry.grant:
            warn_of_variable(harbor, docked.entry.grant)
        if (sign_in.read_only or sign_in.scopes) and not docked.signed_in:
            _show_not_narrowed(harbor, docked, sign_in)


@attrs.frozen
class _Wanted:
    """What is to be docked, as the options say it."""

    words: tuple[str, ...]
    server: str | None
    all_servers: bool
    name: str | None
    url: str | None
    command: str | None
    headers: dict[str, str]
    env: dict[str, str]
    account: str | None
    skip_auth: bool

    def check(self) -> None:
        """Refuse options that do not go together."""
        one_of_provider = self.server or self.all_servers
        if one_of_provider and (self.command or self.url):
            raise click.UsageError("--server and --all-servers go with a provider.")
        if self.command is not None:
            if self.url or self.headers or self.account or not self.name:
                raise click.UsageError("--command goes with --name, --env and arguments only.")
        elif self.url is not None:
            if self.words or not self.name:
                raise click.UsageError("--url goes with --name, and without a provider.")
        elif len(self.words) != 1 or self.headers or self.env:
            raise click.UsageError("Name one provider, or use --name with --url or --command.")
        elif self.all_servers and (self.server or self.name):
            raise click.UsageError("--all-servers goes without --server and --name.")


def _dockings(harbor: Harbor, sign_in: SignIn, wanted: _Wanted) -> Iterable[Docked]:
    from harbor_oauth.fleet import docking

    wanted.check()
    how: dict[str, Any] = {
        "account": wanted.account,
        "skip_auth": wanted.skip_auth,
        "sign_in": sign_in,
    }
    if wanted.command is not None:
        command, name = wanted.command, wanted.name or ""
        return [docking.dock_command(harbor, name, command, wanted.words, env=wanted.env)]
    if wanted.url is not None:
        how |= {"headers": wanted.headers, "env": wanted.env}
        return [docking.dock_url(harbor, wanted.name or "", wanted.url, **how)]
    (provider,) = wanted.words
    if wanted.all_servers:
        return docking.dock_all_servers(harbor, provider, **how)
    how |= {"server": wanted.server, "name": wanted.name}
    return [docking.dock_provider(harbor, provider, **how)]


def _dock_from(
    harbor: Harbor, sign_in: SignIn, wanted: _Wanted, host: str, *, everything: bool
) -> None:
    from harbor_oauth.cli.from_host import dock_from
    from harbor_oauth.fleet.docking import dock_url

    others = attrs.evolve(wanted, account=None, skip_auth=False)
    if any(attrs.astuple(others)):
        raise click.UsageError("--from goes with --yes, --account and how to sign in only.")

    def dock_one(found: RemoteServer) -> Docked:
        how: dict[str, Any] = {"account": wanted.account, "skip_auth": wanted.skip_auth}
        how["headers"] = found.headers
        return dock_url(harbor, found.name, found.url, sign_in=sign_in, **how)

    dock_from(harbor, host, dock_one, everything=everything)


def _agree(harbor: Harbor, wanted: _Wanted, *, yes: bool) -> None:
    """Show what an entry that was changed by hand does, and ask whether that is meant."""
    from harbor_oauth.fleet.approvals import approve
    from harbor_oauth.fleet.docking import server

    if wanted.name is None or any(attrs.astuple(attrs.evolve(wanted, name=None))):
        raise click.UsageError("--agree goes with --name and --yes only.")
    entry = server(harbor, wanted.name)
    doing = entry.url or shlex.join([entry.command or "", *entry.args])
    note(f"{entry.name} {'is at' if entry.url else 'runs'}: {doing}")
    for name, value in {**entry.headers, **entry.env}.items():
        # A literal value may be a secret: it is not repeated here.
        note(f"{name}: {value if 'vault:' in value else 'the value in config.toml'}")
    if not yes:
        if not interactive():
            raise click.UsageError("There is no terminal to ask at; say --yes to agree.")
        click.confirm("Is this what you want?", abort=True, err=True)
    approve(harbor, entry)
    result(f"Agreed to {entry.name}.")


def _show_not_narrowed(harbor: Harbor, docked: Docked, sign_in: SignIn) -> None:
    """Warn where a grant that was there is used as it is, and not with the scopes asked for."""
    grant = docked.entry.grant
    status = harbor.grant_status(grant) if grant else None
    if grant is None or status is None:
        return
    options = [word for scope in sign_in.scopes for word in ("--scope", scope)] or ["--read-only"]
    had = " ".join(status.scopes) or "what its server chose"
    warn(f"{grant} was signed in to before, and keeps its access: {had}.")
    note(shlex.join(["harbor", "charter", grant, *options]), "next:")


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
    elif docked.trouble:
        warn(f"{name} cannot be used yet: {docked.trouble}.")
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
