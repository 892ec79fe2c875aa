"""The `harbor` command: its table of subcommands, each imported when it is used."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from harbor_oauth.cli.context import Front
from harbor_oauth.cli.failures import report
from harbor_oauth.cli.lazy import LazyCommand, LazyGroup
from harbor_oauth.cli.output import example, speak
from harbor_oauth.cli.terminal import choose_vault, interactive, say_how_it_came
from harbor_oauth.errors import HarborError, VaultMovedError, VaultNotInitializedError

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["root", "run"]

# The texts stand here, so that the overview imports no command.
_COMMANDS: Final = {
    "Servers": (
        LazyCommand("dock", "add", "docking:dock", "Sign in to a server and add it to the fleet."),
        LazyCommand("undock", "remove", "docking:undock", "Remove a server and end its grant."),
        LazyCommand("fleet", "list", "fleet:fleet", "List the docked servers."),
        LazyCommand("run", None, "fleet:run", "Start a docked server that is a program."),
    ),
    "Grants": (
        LazyCommand("charter", "login", "grants:charter", "Sign in, or sign in again."),
        LazyCommand("revoke", "logout", "grants:revoke", "End a grant at its server and here."),
        LazyCommand("papers", "status", "papers:papers", "List the grants, or own an app."),
        LazyCommand("token", None, "token:token", "Print a valid access token."),
        LazyCommand("exec", None, "token:exec_", "Run a program with tokens."),
        LazyCommand(
            "credentials", None, "token:credentials", "Answer programs that ask for credentials."
        ),
        LazyCommand("why", None, "explaining:why", "Say why a grant works or does not."),
        LazyCommand("forecast", None, "explaining:forecast", "Say when to sign in again."),
    ),
    "Gateway": (
        LazyCommand(
            "lighthouse", "gateway", "lighthouse:lighthouse", "Serve the docked servers locally."
        ),
        LazyCommand("bridge", None, "bridge:bridge", "Serve one of them on stdin and stdout."),
        LazyCommand("connect", None, "connect:connect", "Let an MCP host use docked servers."),
        LazyCommand(
            "disconnect", None, "connect:disconnect", "Take them out of a host's file again."
        ),
    ),
    "More": (
        LazyCommand("chest", "vault", "chest:chest", "Keep secrets in the vault."),
        LazyCommand("providers", None, "providers:providers", "List the installed providers."),
        LazyCommand(
            "client-metadata",
            None,
            "client_metadata:client_metadata",
            "Make or check a client ID metadata document.",
        ),
        LazyCommand("completion", None, "completion:completion", "Complete words in a shell."),
        LazyCommand("doctor", None, "doctor:doctor", "Find what is wrong."),
        LazyCommand("leave", None, "leave:leave", "End every grant and remove what Harbor keeps."),
        LazyCommand("demo", None, "more:demo", "See a whole sign-in against practice servers."),
    ),
}


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's callback
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"harbor {version('harbor-oauth')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    sections=_COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example("harbor dock linear", "harbor token linear", "harbor undock linear"),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
@click.option("--no-plugins", is_flag=True, help="Load no plugin but Harbor's own.")
@click.pass_context
def root(ctx: click.Context, *, no_plugins: bool) -> None:
    """Give programs on this machine valid OAuth tokens."""
    if no_plugins and isinstance(ctx.obj, Front):
        ctx.obj.own_plugins_only = True
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(argv: Sequence[str], harbor: Harbor | None = None) -> int:
    """Run one command and turn what it raises into text and an exit code."""
    front = Front(harbor)
    speak(_plain_names() if argv and argv[0] in _plain_names().values() else {})
    try:
        with contextlib.closing(front):  # which says so if a refreshed pair could not be stored
            return _attempt(front, argv)
    except (HarborError, click.ClickException, OSError, click.Abort, KeyboardInterrupt) as error:
        return report(error, as_json="--json" in argv)


def _plain_names() -> dict[str, str]:
    """Return the commands that have a plain name too, and that name."""
    rows = (row for section in _COMMANDS.values() for row in section)
    return {row.name: row.alias for row in rows if row.alias}


def _attempt(front: Front, argv: Sequence[str]) -> int:
    """Run one command; at a terminal, ask once what the vault wants to know, then run it again.

    Nothing was done before: a missing vault is found out first, and one from
    another machine before any refresh.
    """
    try:
        return _invoke(front, argv)
    except VaultNotInitializedError as error:
        if not interactive():
            raise
        choose_vault(front.harbor, error)
    except VaultMovedError as error:
        if not interactive():
            raise
        say_how_it_came(front.harbor, error)
    return _invoke(front, argv)


def _invoke(front: Front, argv: Sequence[str]) -> int:
    code = root.main(list(argv), prog_name="harbor", standalone_mode=False, obj=front)
    sys.stdout.flush()  # a closed pipe shows itself here, not at the interpreter's end
    return code if isinstance(code, int) else 0
