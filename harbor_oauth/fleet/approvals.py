"""What a person agreed to by docking: where stored secrets are sent, and what is run.

A grant's record holds its origins. A plain secret has none, and a program is
what `config.toml` says, which another program can write; so a docking leaves a
note in the vault. The vault seals it under its key and binds it to the server's
name, so it cannot be made, or moved to another server, without that key.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from typing import TYPE_CHECKING

from harbor_oauth.errors import ConfigurationError
from harbor_oauth.fleet.references import parse_reference
from harbor_oauth.protocol.urls import origin
from harbor_oauth.vault.names import approval_record_name

if TYPE_CHECKING:
    from harbor_oauth.client import Harbor
    from harbor_oauth.settings import ServerEntry

__all__ = ["approve", "check_approved", "forget_approval"]


def approve(harbor: Harbor, entry: ServerEntry) -> None:
    """Note that a person agreed to a program, or to the secrets that a remote server gets.

    Args:
        harbor: Has the vault.
        entry: The server; for a remote one without such secrets nothing is noted.

    Raises:
        VaultError: The vault could not be written.
    """
    agreed = _agreed(entry)
    name = approval_record_name(entry.name)
    if agreed is None or _noted(harbor, entry.name) == agreed:
        return
    harbor.vault.write(name, agreed, generation=harbor.vault.generation(name))


def check_approved(harbor: Harbor, entry: ServerEntry) -> None:
    """Refuse to run a program, or to send secrets, that was not agreed to.

    A vault in memory, chosen by the environment, keeps no agreement of another
    process, and no secret that a program could be handed; there a program runs
    as its entry says.

    Args:
        harbor: Has the vault.
        entry: The server as it is docked now.

    Raises:
        ConfigurationError: Its origin, its headers or its program changed since
            it was docked.
        VaultError: The vault could not be read.
    """
    if entry.command is not None and harbor.settings.environ.get("HARBOR_VAULT") == "memory":
        return
    agreed = _agreed(entry)
    if agreed is None or _noted(harbor, entry.name) == agreed:
        return
    what, undone = (
        ("The address or the secrets", "sent")
        if entry.command is None
        else ("The program, its arguments or the environment", "started")
    )
    raise ConfigurationError(
        f"{what} of {entry.name!r} are not those it was docked with; nothing was {undone}.",
        next_step=(
            "If you wrote them, look at them and agree: "
            f"harbor dock --name {shlex.quote(entry.name)} --agree"
        ),
    )


def forget_approval(harbor: Harbor, name: str) -> None:
    """Forget what was agreed for a server, once it is undocked.

    Raises:
        VaultError: The vault could not be written.
    """
    record = approval_record_name(name)
    generation = harbor.vault.generation(record)
    if generation:
        harbor.vault.erase(record, generation=generation)


def _agreed(entry: ServerEntry) -> bytes | None:
    """Return what an agreement is about; None where no plain secret is sent.

    A variable can run code as well as a command does (NODE_OPTIONS, LD_PRELOAD),
    so names and values count, the literal ones too.
    """
    if entry.command is not None:
        return _digest(["program", entry.command, list(entry.args), sorted(entry.env.items())])
    sent = sorted(
        (name.lower(), str(reference.key))
        for name, value in entry.headers.items()
        if (reference := parse_reference(value)) and reference.grant is None
    )
    if not sent or entry.url is None:
        return None
    return _digest([origin(entry.url), sent])


def _digest(what: list[object]) -> bytes:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest().encode()


def _noted(harbor: Harbor, name: str) -> bytes | None:
    found = harbor.vault.read(approval_record_name(name))
    return found[0] if found else None
