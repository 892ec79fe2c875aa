"""Where a stored secret may be sent: only where a person docked a server that gets it.

A grant's record holds its origins. A plain secret has none, and whoever can
write `config.toml` could have it sent anywhere; so a docking leaves a note in the
vault, sealed, of the origin and of the headers that it was agreed on.
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
    """Note that a person agreed that a remote server gets the secrets its entry names.

    Args:
        harbor: Has the vault.
        entry: The server; without such secrets nothing is noted.

    Raises:
        VaultError: The vault could not be written.
    """
    agreed = _agreed(entry)
    name = approval_record_name(entry.name)
    if agreed is None or _noted(harbor, entry.name) == agreed:
        return
    harbor.vault.write(name, agreed, generation=harbor.vault.generation(name))


def check_approved(harbor: Harbor, entry: ServerEntry) -> None:
    """Refuse to send secrets where nobody agreed that they are sent.

    Args:
        harbor: Has the vault.
        entry: The server as it is docked now.

    Raises:
        ConfigurationError: Its origin or its headers changed since it was docked.
        VaultError: The vault could not be read.
    """
    agreed = _agreed(entry)
    if agreed is not None and _noted(harbor, entry.name) != agreed:
        headers = "".join(
            f" -H {shlex.quote(f'{name}: {value}')}" for name, value in entry.headers.items()
        )
        raise ConfigurationError(
            f"The address or the secrets of {entry.name!r} are not those it was docked with; "
            "nothing was sent.",
            next_step=(
                "If you wrote them, agree to them: "
                f"harbor dock --name {entry.name} --url {entry.url}{headers}"
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
    """Return what an agreement is about; None where no plain secret is sent."""
    sent = sorted(
        (name.lower(), str(reference.key))
        for name, value in entry.headers.items()
        if (reference := parse_reference(value)) and reference.grant is None
    )
    if not sent or entry.url is None:
        return None
    text = json.dumps([origin(entry.url), sent])
    return hashlib.sha256(text.encode()).hexdigest().encode()


def _noted(harbor: Harbor, name: str) -> bytes | None:
    found = harbor.vault.read(approval_record_name(name))
    return found[0] if found else None
