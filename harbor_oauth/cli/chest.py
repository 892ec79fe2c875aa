"""`harbor chest`: the vault's documented keys and plain secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harbor_oauth.cli.context import pass_harbor
from harbor_oauth.cli.output import example, note, result, result_json, warn
from harbor_oauth.cli.terminal import ask_new_passphrase, read_secret, screen
from harbor_oauth.secret import Secret

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor

__all__ = ["chest"]


@click.group(
    invoke_without_command=True,
    epilog=example(
        "harbor chest set oauth:google:client_id 1234.apps.example", "harbor chest list"
    ),
)
@click.pass_context
def chest(ctx: click.Context) -> None:
    """Keep secrets in the vault.

    A key is oauth:GRANT:client_id or oauth:GRANT:client_secret for an app of
    your own, or any other name for a secret that servers use as 'vault:NAME'.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@chest.command(
    "init",
    epilog=example(
        "harbor chest init",
        "harbor chest init --key-file ~/vault.key",
        "harbor chest init --passphrase",
    ),
)
@click.option(
    "--key-file",
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the vault's key in this file; it is made.",
)
@click.option("--passphrase", is_flag=True, help="Make the vault's key from a passphrase.")
@pass_harbor
def init(harbor: Harbor, *, key_file: Path | None, passphrase: bool) -> None:
    """Make the vault; its key is kept in the system's keychain unless said otherwise."""
    if key_file is not None and passphrase:
        raise click.UsageError("Choose --key-file or --passphrase, not both.")
    if key_file is not None:
        harbor.init_vault("keyfile", key_file=key_file.expanduser().absolute())
        result(
            f"The vault is ready; its key is in {key_file}. Without that file it cannot be read."
        )
    elif passphrase:
        harbor.init_vault("passphrase", passphrase=ask_new_passphrase())
        result("The vault is ready. Without the passphrase it cannot be read.")
    else:
        harbor.init_vault("keychain")
        result("The vault is ready; its key is in the system's keychain.")


@chest.command(
    "set",
    epilog=example(
        "harbor chest set maps-key",
        "harbor chest set oauth:slack:client_id your-client-id",
        "pass show slack | harbor chest set oauth:slack:client_secret",
    ),
)
@click.argument("key")
@click.argument("value", required=False)
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the value from standard input.")
@pass_harbor
def set_(harbor: Harbor, *, key: str, value: str | None, from_stdin: bool) -> None:
    """Store a value.

    Without VALUE it is asked for without an echo, or read from standard input.
    """
    if value is not None and from_stdin:
        raise click.UsageError("Give a value or --stdin, not both.")
    # A wrong key, or a vault that cannot be used, shows before anybody types a secret.
    harbor.vault.get(key)
    harbor.vault.open()
    if value is not None:
        if not key.endswith(":client_id"):
            warn("A secret on a command line stays in the shell's history; leave it out next time.")
        secret = Secret(value)
    else:
        secret = read_secret(f"Value of {key}", prompt=not from_stdin)
    harbor.vault.set(key, secret)
    result(f"Stored {key}.")


@chest.command("get", epilog=example("harbor chest get maps-key | some-program"))
@click.argument("key")
@click.option("--yes", is_flag=True, help="Show it on a terminal without asking.")
@pass_harbor
def get(harbor: Harbor, *, key: str, yes: bool) -> None:
    """Print a value; on a terminal, ask first."""
    value = harbor.vault.get(key)
    if value is None:
        raise click.ClickException(f"The vault has no {key}.")
    if screen() and not yes:
        click.confirm(f"Show {key} on this screen?", abort=True, err=True)
    click.echo(value.reveal())


@chest.command("list", epilog=example("harbor chest list", "harbor chest list --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_harbor
def list_(harbor: Harbor, *, as_json: bool) -> None:
    """List the keys; never a value."""
    keys = sorted(harbor.vault.keys())
    if as_json:
        result_json(keys)
        return
    for key in keys:
        result(key)
    if not keys:
        note("The vault is empty.")


@chest.command("delete", epilog=example("harbor chest delete maps-key"))
@click.argument("key")
@pass_harbor
def delete(harbor: Harbor, *, key: str) -> None:
    """Delete a secret or own client credentials."""
    if not harbor.vault.delete(key):
        raise click.ClickException(f"The vault has no {key}.")
    result(f"Deleted {key}.")


@chest.command("reset", epilog=example("harbor chest reset"))
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_harbor
def reset(harbor: Harbor, *, yes: bool) -> None:
    """Set a vault aside that cannot be opened any more.

    The file is renamed, not deleted. Every grant has to be signed in to again.
    """
    if not yes:
        click.confirm("Set the vault aside, with every grant in it?", abort=True, err=True)
    kept = harbor.reset_vault()
    result(f"The old vault is {kept}." if kept else "There was no vault.")
