"""Talking with the person at the terminal, where there is one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from harbor_oauth.cli.output import note

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from harbor_oauth.client import Harbor
    from harbor_oauth.errors import VaultMovedError, VaultNotInitializedError
    from harbor_oauth.fleet.surroundings import ReadKeys
    from harbor_oauth.secret import Secret

__all__ = [
    "ask_new_passphrase",
    "ask_passphrase",
    "choose_vault",
    "interactive",
    "keystrokes",
    "read_secret",
    "say_how_it_came",
    "screen",
]

# What a terminal passes on of a line (termios(3), canonical mode); it drops the rest.
_LONGEST_LINE: Final = 4095


def interactive() -> bool:
    """Say whether a person can be asked: both ends of the conversation are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def keystrokes() -> AbstractContextManager[ReadKeys]:
    """Take the terminal's keys, unseen, while a block lasts; it is given what reads them."""
    from harbor_oauth.fleet.surroundings import keystrokes as keys

    return keys()


def screen() -> bool:
    """Say whether standard output is seen by whoever looks at the terminal."""
    return sys.stdout.isatty()


def ask_passphrase() -> Secret:
    """Ask for the passphrase of an existing vault."""
    return _secret(click.prompt("Passphrase of the vault", hide_input=True, err=True))


def ask_new_passphrase() -> Secret:
    """Ask for a new passphrase: twice at a terminal, else one line of standard input."""
    if not interactive():
        return read_secret("Passphrase")
    return _secret(
        click.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True)
    )


def read_secret(what: str, *, prompt: bool = True) -> Secret:
    """Read a secret from a prompt that does not echo, or all of standard input.

    Args:
        what: What to ask for.
        prompt: Whether to ask, where somebody can be asked.
    """
    if prompt and interactive():
        secret = _secret(click.prompt(what, hide_input=True, err=True))
        if len(secret.reveal().encode()) >= _LONGEST_LINE:
            raise click.ClickException(
                f"A terminal takes no more than {_LONGEST_LINE} bytes of a line, and the rest may "
                "be lost. Give the value on standard input, from a file."
            )
        return secret
    from harbor_oauth.fleet.surroundings import LARGEST_INPUT, one_line

    try:
        text = sys.stdin.read(LARGEST_INPUT + 1)
    except UnicodeDecodeError:
        text = None
    if text is None:  # out here: the decoder's error holds what was read
        raise click.ClickException("Standard input is not text in the terminal's encoding.")
    if len(text) > LARGEST_INPUT:
        raise click.ClickException(f"Standard input holds more than {LARGEST_INPUT} characters.")
    return _secret(one_line(text))


def _secret(value: str) -> Secret:
    from harbor_oauth.secret import Secret  # loads OpenSSL's digests

    return Secret(value)


def choose_vault(harbor: Harbor, error: VaultNotInitializedError) -> None:
    """Ask where the vault's key shall be kept, and make the vault.

    Raises:
        Abort: The person cancelled.
    """
    from pathlib import Path

    note(error.message)
    note("Where shall the vault's key be kept instead?")
    note("  1  in a file that only you can read")
    note("  2  nowhere: it is made from a passphrase, asked for each time")
    note("  3  cancel")
    answer = click.prompt("Choice", type=click.Choice(["1", "2", "3"]), default="3", err=True)
    if answer == "1":
        default = str(harbor.vault_home / "vault.key")
        harbor.init_vault("keyfile", key_file=Path(click.prompt("File", default=default, err=True)))
    elif answer == "2":
        harbor.init_vault("passphrase", passphrase=ask_new_passphrase())
    else:
        raise click.Abort


def say_how_it_came(harbor: Harbor, error: VaultMovedError) -> None:
    """Ask whether a vault that was made on another machine was moved or copied.

    Raises:
        Abort: The person cancelled.
    """
    note(error.message)
    note("Was it moved here, or copied?")
    note("  1  moved: the other machine no longer uses it")
    note("  2  copied: the other machine goes on using it, and this one signs in anew")
    note("  3  cancel")
    answer = click.prompt("Choice", type=click.Choice(["1", "2", "3"]), default="3", err=True)
    if answer == "1":
        harbor.vault.moved()
    elif answer == "2":
        harbor.vault.copied()
    else:
        raise click.Abort
