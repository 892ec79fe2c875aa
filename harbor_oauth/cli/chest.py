"""`harbor chest`: the vault's documented keys and plain secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
    _check_provider(harbor, key)
    if value is not None:
        if not key.endswith(":client_id"):
            warn("A secret on a command line stays in the shell's history; leave it out next time.")
        secret = Secret(value)
    else:
        secret = read_secret(f"Value of {key}", prompt=not from_stdin)
    harbor.vault.set(key, secret)
    result(f"Stored {key}.")


def _check_provider(harbor: Harbor, key: str) -> None:
    """Warn of client credentials for what is no provider and no docked server here."""
    from harbor_oauth.fleet.papers import unknown_provider

    if (unknown := unknown_provider(harbor, key)) is None:
        return
    name, near = unknown
    warn(f"There is no provider and no docked server {name!r} here; the value waits for one.")
    if near is not None:
        note(f"Did you mean {near}?", "next:")


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


@chest.command("rekey", epilog=example("harbor chest rekey"))
@pass_harbor
def rekey(harbor: Harbor) -> None:
    """Seal everything with a new key.

    Do it when a backup, or a copy of the vault's file, may be in wrong hands.
    Programs that run notice by themselves.
    """
    harbor.vault.rekey()
    result("Everything in the vault is sealed with a new key.")


@chest.command(
    "move",
    epilog=example(
        "harbor chest move --to passphrase",
        "harbor chest move --to keyfile --key-file /media/stick/vault.key",
    ),
)
@click.option(
    "--to",
    "choice",
    required=True,
    type=click.Choice(["keychain", "passphrase", "keyfile"]),
    help="Where the vault's key is kept from now on.",
)
@click.option(
    "--key-file",
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The key file, for keyfile; 'vault.key' beside the vault if left out.",
)
@pass_harbor
def move(
    harbor: Harbor,
    *,
    choice: Literal["keychain", "passphrase", "keyfile"],
    key_file: Path | None,
) -> None:
    """Keep the vault's key elsewhere, or change the passphrase."""
    if key_file is not None and choice != "keyfile":
        raise click.UsageError("--key-file is for --to keyfile.")
    harbor.vault.open()  # who cannot open it is not asked for a new passphrase
    gone = harbor.move_vault(
        choice,
        key_file=key_file.expanduser().absolute() if key_file else None,
        passphrase=ask_new_passphrase() if choice == "passphrase" else None,
    )
    result(f"The vault's key is kept by: {choice}.")
    if not gone:
        warn("The old key could not be removed from the keychain; remove it by hand.")


@chest.command("backup", epilog=example("harbor chest backup ~/vault.backup"))
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@pass_harbor
def backup(harbor: Harbor, *, path: Path) -> None:
    """Write the whole vault into a new file, sealed with a passphrase of its own.

    To use it, put the file in the place of the vault's own, named vault.db.
    """
    harbor.vault.open()
    harbor.back_up_vault(path.expanduser().absolute(), ask_new_passphrase())
    result(f"The backup is {path}. Without its passphrase it cannot be read.")


@chest.command("upgrade", epilog=example("harbor chest upgrade"))
@pass_harbor
def upgrade(harbor: Harbor) -> None:
    """Bring the vault to the newest format."""
    if harbor.vault.upgrade():
        result("The vault has the newest format now.")
    else:
        result("The vault has the newest format already; nothing was changed.")


@chest.command("here", epilog=example("harbor chest here --moved", "harbor chest here --copied"))
@click.option("--moved", is_flag=True, help="The other machine no longer uses it.")
@click.option("--copied", is_flag=True, help="The other machine goes on using it.")
@pass_harbor
def here(harbor: Harbor, *, moved: bool, copied: bool) -> None:
    """Say how a vault that was made on another machine came here.

    Of two copies that refresh the same grants, both lose them. So a copy has to
    be signed in again, and a vault that moved goes on as it is.
    """
    if moved == copied:
        raise click.UsageError("Say either --moved or --copied.")
    if moved:
        harbor.vault.moved()
        result("The vault belongs to this machine.")
    else:
        harbor.vault.copied()
        result("The vault is a copy. Sign in again to what you use here: harbor papers")


@chest.command("import", epilog=example("harbor chest import", "harbor chest import maps-key"))
@click.argument("names", nargs=-1)
@pass_harbor
def import_(harbor: Harbor, *, names: tuple[str, ...]) -> None:
    """Take over what an earlier Harbor kept in the system's keychain.

    Its client credentials and secrets are moved; NAMES are further secrets to
    look for. Tokens are left, for a new sign-in replaces them.
    """
    report = harbor.import_legacy(names)
    for key in report.imported:
        result(f"Imported {key}.")
    for key, reason in report.left.items():
        note(f"Left {key}: {reason}.")
    if not report.imported:
        note("There was nothing new to import.")


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
