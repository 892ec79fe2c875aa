"""Sealing: AES-256-GCM with everything that gives a value its place bound to it.

A sealed value is one version byte, a 12-byte nonce, and the ciphertext with its
tag. The associated data names the vault, the record and the generation, so a
sealed value opens in its own place only: not in another row, another vault, or
under an older or newer generation.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from harbor_oauth.errors import VaultKeyError, VaultRecordError
from harbor_oauth.vault.storage import Meta

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["KEY_BYTES", "seal", "seal_data_key", "unseal", "unseal_data_key"]

KEY_BYTES: Final = 32

_VERSION: Final = b"\x01"
# 96 random bits (NIST SP 800-38D §8.2.2) allow 2^32 values for one key; a vault
# that stores one each second gets there in 136 years.
_NONCE_BYTES: Final = 12
_CHECKSUM_BYTES: Final = 16


def seal(
    key: bytes,
    value: bytes,
    *,
    vault_id: str,
    name: str,
    generation: int,
    entropy: Callable[[int], bytes],
) -> bytes:
    """Seal a record's value.

    Args:
        key: The data key, 32 bytes.
        value: What to seal.
        vault_id: The vault it belongs to.
        name: The record's name.
        generation: The generation it will have.
        entropy: Returns that many random bytes.
    """
    return _encrypt(key, value, _place("record", vault_id, name, generation), entropy)


def unseal(key: bytes, sealed: bytes, *, vault_id: str, name: str, generation: int) -> bytes:
    """Open what `seal` made, in the same place.

    Raises:
        VaultRecordError: It is damaged, or belongs to another place.
    """
    value = _decrypt(key, sealed, _place("record", vault_id, name, generation))
    if value is None:
        raise VaultRecordError(
            f"The record {name!r} of the vault is damaged; the others are not touched by it.",
            next_step="Sign in again, or set it again, to replace it.",
        )
    return value


def seal_data_key(
    key: bytes, data_key: bytes, meta: Meta, *, entropy: Callable[[int], bytes]
) -> bytes:
    """Seal the data key with the key source's key, bound to all the rest of `meta`."""
    place = _meta_place(meta)
    sealed = _encrypt(key, data_key, place, entropy)
    return sealed + _checksum(place + sealed)


def unseal_data_key(key: bytes, meta: Meta, named: str | None = None) -> bytes:
    """Open the data key.

    Args:
        key: The key source's key.
        meta: The meta row that has it.
        named: What to call that key in an error.

    Raises:
        VaultRecordError: The vault's meta row is damaged.
        VaultKeyError: The row is whole, and the key is not its key.
    """
    place = _meta_place(meta)
    sealed, checksum = (
        meta.sealed_data_key[:-_CHECKSUM_BYTES],
        meta.sealed_data_key[-_CHECKSUM_BYTES:],
    )
    # The checksum proves nothing against an attacker. It tells a damaged row
    # from a wrong key or passphrase, which the cipher alone cannot.
    if not hmac.compare_digest(checksum, _checksum(place + sealed)):
        raise VaultRecordError(
            "The vault's own description is damaged; nothing was changed.",
            next_step="Restore the file from a backup, or set it aside with: harbor chest reset",
        )
    data_key = _decrypt(key, sealed, place)
    if data_key is None:
        raise VaultKeyError(
            f"{named or f'The key from the {meta.key_source}'} does not open this vault.",
            next_step="Nothing was changed; try again with the right one.",
        )
    return data_key


def _encrypt(key: bytes, value: bytes, place: bytes, entropy: Callable[[int], bytes]) -> bytes:
    nonce = entropy(_NONCE_BYTES)
    return _VERSION + nonce + _cipher(key).encrypt(nonce, value, _VERSION + place)


def _decrypt(key: bytes, sealed: bytes, place: bytes) -> bytes | None:
    from cryptography.exceptions import (  # noqa: PLC0415 - loaded when needed: costs 20 ms
        InvalidTag,
    )

    version, nonce = sealed[:1], sealed[1 : 1 + _NONCE_BYTES]
    # Another version is damage: a vault with records of a newer kind says so in
    # its own format, before any of them is read.
    if version != _VERSION:
        return None
    try:
        return _cipher(key).decrypt(nonce, sealed[1 + _NONCE_BYTES :], version + place)
    except (InvalidTag, ValueError):  # ValueError: the nonce is cut short
        return None


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415 - loaded when needed: costs 20 ms
        AESGCM,
    )

    return AESGCM(key)


def _place(*parts: str | int | None) -> bytes:
    """Write parts so that no two lists of parts look the same."""
    return json.dumps(["harbor-oauth vault", *parts]).encode()


def _meta_place(meta: Meta) -> bytes:
    parameters = json.dumps(dict(meta.key_parameters), sort_keys=True)
    return _place(
        "data key",
        meta.vault_id,
        meta.format,
        meta.key_source,
        parameters,
        repr(meta.created),
        meta.machine_id,
    )


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:_CHECKSUM_BYTES]
