"""Opening the vault of a directory with the key source that fits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from harbor_oauth.errors import (
    ConfigurationError,
    VaultKeyError,
    VaultNotInitializedError,
    VaultUnavailableError,
)
from harbor_oauth.platform.machine import directory_id, machine_id
from harbor_oauth.secret import Secret
from harbor_oauth.vault.keychain import Keychain, KeychainKeySource
from harbor_oauth.vault.keyfile import KeyFileKeySource
from harbor_oauth.vault.keys import KeySource, MemoryKeySource
from harbor_oauth.vault.memory import MemoryStorage
from harbor_oauth.vault.passphrase import PassphraseKeySource
from harbor_oauth.vault.sealing import unseal_data_key
from harbor_oauth.vault.sqlite import SqliteStorage
from harbor_oauth.vault.storage import Meta
from harbor_oauth.vault.vault import Vault

__all__ = ["DATABASE", "KEY_SOURCES", "key_source", "open_vault", "set_vault_aside"]

DATABASE: Final = "vault.db"
_DEFAULT: Final = "default"
KEY_SOURCES: Final = ("keychain", "passphrase", "keyfile", "memory")

_ALTERNATIVES: Final = (
    "Keep the vault's key in a file: harbor chest init --key-file PATH"
    " (or HARBOR_VAULT=keyfile and HARBOR_VAULT_KEY_FILE=PATH);"
    " or use a passphrase: HARBOR_VAULT=passphrase and HARBOR_VAULT_PASSPHRASE_FILE=PATH."
)


def open_vault(  # noqa: PLR0913 - every part is a parameter, by name
    home: Path,
    *,
    choice: str | None = None,
    key_file: Path | None = None,
    passphrase: Callable[[], Secret] | None = None,
    said_by: Mapping[str, str] = MappingProxyType({}),
    keychain: Keychain | None = None,
    keychain_deadline: float = 60.0,
    entropy: Callable[[int], bytes] = os.urandom,
    clock: Callable[[], float] = time.time,
    machine: Callable[[], str | None] = machine_id,
    place: Callable[[Path], str | None] = directory_id,
) -> Vault:
    """Return the vault of a directory; nothing is touched before its first use.

    A vault that exists knows what keeps its key. A new one uses `choice`, or
    the keychain; no other source is ever taken in silence.

    Args:
        home: The directory, made with mode 0700 when a vault is.
        choice: One of `KEY_SOURCES`; it must fit a vault that exists.
        key_file: The key file, for ``keyfile``: where that of a new vault is
            made, and that of another one is looked for first.
        passphrase: Returns the passphrase, for ``passphrase``.
        said_by: Who said so, for errors: see `harbor_oauth.settings.Settings`.
        keychain: The keychain; None for that of this system.
        keychain_deadline: Seconds that one call to it may take.
        entropy: Returns that many random bytes.
        clock: Seconds since 1970 UTC.
        machine: Names the machine, if it has a name.
        place: Names a directory so that a copy has another name, if it can.

    Raises:
        ConfigurationError: `choice` is no key source.
    """
    if choice is not None and choice not in KEY_SOURCES:
        raise ConfigurationError(
            f"{choice!r} is not a kind of vault.", next_step=f"Use {', '.join(KEY_SOURCES)}."
        )
    if choice == "memory":
        return Vault(
            MemoryStorage(),
            MemoryKeySource(entropy=entropy),
            entropy=entropy,
            clock=clock,
            machine=machine,
        )

    def source(meta: Meta | None) -> KeySource:
        if meta is not None and choice not in {None, meta.key_source}:
            place = said_by.get("vault", "HARBOR_VAULT")
            raise ConfigurationError(
                f"This vault's key is kept by: {meta.key_source}, and {place} says {choice}.",
                next_step=f"Set {place} to {meta.key_source}, or remove it.",
            )
        return key_source(
            choice or (_DEFAULT if meta is None else meta.key_source),
            home,
            key_file=key_file,
            opens=None if meta is None else lambda key: _opens(key, meta),
            passphrase=passphrase,
            said_by=said_by,
            keychain=keychain,
            keychain_deadline=keychain_deadline,
            entropy=entropy,
        )

    return Vault(
        SqliteStorage(home / DATABASE),
        source,
        entropy=entropy,
        clock=clock,
        machine=machine,
        place=lambda: place(home),
    )


def key_source(  # noqa: PLR0913 - every part is a parameter, by name
    kind: str,
    home: Path,
    *,
    key_file: Path | None = None,
    opens: Callable[[bytes], bool] | None = None,
    passphrase: Callable[[], Secret] | None = None,
    said_by: Mapping[str, str] = MappingProxyType({}),
    keychain: Keychain | None = None,
    keychain_deadline: float = 60.0,
    entropy: Callable[[int], bytes] = os.urandom,
) -> KeySource:
    """Return a key source for the vault of a directory; see `open_vault`.

    `opens` says whether a key is the vault's: see `KeyFileKeySource`.

    Raises:
        ConfigurationError: `kind` is not known here.
    """
    match kind:
        case "keyfile":
            return KeyFileKeySource(
                key_file, said_by=said_by.get("key_file"), opens=opens, entropy=entropy
            )
        case "passphrase":
            return PassphraseKeySource(
                passphrase or _nobody_to_ask,
                named=said_by.get("passphrase", "The passphrase"),
                entropy=entropy,
            )
        case "keychain" | "default":
            keychain_source = KeychainKeySource if kind == "keychain" else _DefaultKeychain
            return keychain_source(
                keychain=keychain,
                lock=home / "keychain.lock",
                deadline=keychain_deadline,
                entropy=entropy,
            )
        case _:
            raise ConfigurationError(
                f"This vault's key is kept by {kind!r}, which is not known here."
            )


def _opens(key: bytes, meta: Meta) -> bool:
    try:
        unseal_data_key(key, meta)
    except VaultKeyError:
        return False
    return True


def set_vault_aside(home: Path, *, clock: Callable[[], float] = time.time) -> Path | None:
    """Rename a vault that cannot be opened any more, so that a new one can be made.

    Args:
        home: The vault's directory.
        clock: Seconds since 1970 UTC; the new name says when.

    Returns:
        The new path, or None if there was no vault.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(clock()))
    return SqliteStorage(home / DATABASE).set_aside(f".aside-{stamp}")


class _DefaultKeychain(KeychainKeySource):
    """The keychain that nobody chose: where it is unusable, there is a choice to make."""

    def probe(self) -> None:
        """Prove it.

        Raises:
            VaultNotInitializedError: There is none here, or it keeps nothing.
        """
        try:
            super().probe()
        except VaultUnavailableError as error:
            raise VaultNotInitializedError(error.message, next_step=_ALTERNATIVES) from None


def _nobody_to_ask() -> Secret:
    raise VaultUnavailableError(
        "This vault wants a passphrase, and there is nobody to ask.",
        next_step="Set HARBOR_VAULT_PASSPHRASE_FILE to a file that holds it.",
    )
