"""Sealed values open in their place only."""

from __future__ import annotations

import os

import attrs
import pytest

from harbor_oauth.errors import VaultKeyError, VaultRecordError
from harbor_oauth.vault.sealing import KEY_BYTES, seal, seal_data_key, unseal, unseal_data_key
from harbor_oauth.vault.storage import Meta

_KEY = bytes(range(KEY_BYTES))


def _sealed() -> bytes:
    return seal(_KEY, b"value", vault_id="v", name="n", generation=7, entropy=os.urandom)


def _meta() -> Meta:
    meta = Meta("v", 1, "memory", {"a": 1}, b"", 1.5)
    sealed = seal_data_key(_KEY, b"d" * KEY_BYTES, meta, entropy=os.urandom)
    return attrs.evolve(meta, sealed_data_key=sealed)


def test_the_layout_is_version_nonce_ciphertext_tag() -> None:
    """The nonce is what entropy gave, and nothing else is random."""
    sealed = seal(_KEY, b"value", vault_id="v", name="n", generation=7, entropy=lambda n: b"N" * n)
    assert sealed[:13] == b"\x01" + b"N" * 12
    assert len(sealed) == 1 + 12 + len(b"value") + 16
    assert b"value" not in sealed
    assert unseal(_KEY, sealed, vault_id="v", name="n", generation=7) == b"value"


@pytest.mark.parametrize(
    ("vault_id", "name", "generation"),
    [("w", "n", 7), ("v", "m", 7), ("v", "n", 6), ("v", "n", 8), ("vn", "", 7), ("", "vn", 7)],
)
def test_every_part_of_the_place_counts(vault_id: str, name: str, generation: int) -> None:
    """Another vault, name or generation does not open it."""
    with pytest.raises(VaultRecordError):
        unseal(_KEY, _sealed(), vault_id=vault_id, name=name, generation=generation)


def test_places_do_not_run_into_each_other() -> None:
    """Quotes and commas in a name do not make it look like another place."""
    name = 'n", 7, "'
    sealed = seal(_KEY, b"x", vault_id="v", name=name, generation=1, entropy=os.urandom)
    with pytest.raises(VaultRecordError):
        unseal(_KEY, sealed, vault_id="v", name="n", generation=7)


def test_another_key_does_not_open_it() -> None:
    """One octet of the key is enough."""
    with pytest.raises(VaultRecordError):
        unseal(b"\xff" + _KEY[1:], _sealed(), vault_id="v", name="n", generation=7)


def test_another_version_is_damage() -> None:
    """What a newer version seals is in a vault of a newer format."""
    for version in (b"\x00", b"\x02", b"r"):
        with pytest.raises(VaultRecordError):
            unseal(_KEY, version + _sealed()[1:], vault_id="v", name="n", generation=7)


def test_a_data_key_is_bound_to_its_vault() -> None:
    """The row as it is opens, and no other row does."""
    meta = _meta()
    assert unseal_data_key(_KEY, meta) == b"d" * KEY_BYTES
    other = attrs.evolve(_meta(), vault_id="w")
    with pytest.raises(VaultRecordError, match="damaged"):
        unseal_data_key(_KEY, other)


def test_a_wrong_key_is_told_from_a_damaged_row() -> None:
    """Whoever mistypes a passphrase is not told that the vault is broken."""
    meta = _meta()
    with pytest.raises(VaultKeyError):
        unseal_data_key(b"\xff" + _KEY[1:], meta)
    for index in range(len(meta.sealed_data_key)):
        flipped = bytearray(meta.sealed_data_key)
        flipped[index] ^= 1
        with pytest.raises(VaultRecordError):
            unseal_data_key(_KEY, attrs.evolve(meta, sealed_data_key=bytes(flipped)))


def test_a_record_and_a_data_key_are_no_substitutes() -> None:
    """What was sealed as one does not open as the other."""
    meta = _meta()
    with pytest.raises(VaultRecordError):
        unseal(_KEY, meta.sealed_data_key[:-16], vault_id="v", name="data key", generation=1)
