"""What a key source is, and the one that keeps its keys in memory.

A key source guards one key of 32 bytes for each vault. That key seals the
vault's data key and nothing else, so it is made once and never rewritten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Protocol

import attrs

from harbor_oauth.errors import VaultKeyMissingError
from harbor_oauth.platform.thread_lock import ThreadLock
from harbor_oauth.vault.sealing import KEY_BYTES

__all__ = ["CreatedKey", "KeySource", "MemoryKeySource", "key_missing"]


@attrs.frozen
class CreatedKey:
    """A key made for a vault.

    Attributes:
        key: 32 bytes.
        parameters: What the vault must remember to load it again; no secret.
    """

    key: bytes = attrs.field(repr=False)
    parameters: Mapping[str, str | int] = attrs.field(factory=dict)


class KeySource(Protocol):
    """Where a vault's key comes from.

    A method that fails raises a `VaultError` and has written nothing.
    """

    @property
    def kind(self) -> str:
        """The kind, as the vault's meta row and ``HARBOR_VAULT`` name it."""
        ...

    def named(self, parameters: Mapping[str, str | int]) -> str:
        """Name the key for an error: where it comes from, and who said so."""
        ...

    def probe(self) -> None:
        """Prove that a key can be kept: write, read and delete something.

        Called before a vault is made, and so before a browser opens.
        """
        ...

    def create(self, vault_id: str) -> CreatedKey:
        """Make the key of a new vault, keep it, and read it back."""
        ...

    def load(self, vault_id: str, parameters: Mapping[str, str | int]) -> bytes:
        """Return the key of a vault.

        Raises:
            VaultLockedError: It has to be unlocked first.
            VaultKeyMissingError: It is gone.
            VaultKeyError: What is there is not a key.
            VaultUnavailableError: The source is absent, or refused.
        """
        ...

    def forget(self, vault_id: str, parameters: Mapping[str, str | int]) -> None:
        """Remove the key of a vault that is no more."""
        ...


class MemoryKeySource:
    """A key source for tests and for vaults that end with the process."""

    kind = "memory"

    def __init__(self, *, entropy: Callable[[int], bytes] = os.urandom) -> None:
        """Begin without a key.

        Args:
            entropy: Returns that many random bytes.
        """
        self._entropy = entropy
        self._keys: dict[str, bytes] = {}
        self._lock = ThreadLock()

    def named(self, parameters: Mapping[str, str | int]) -> str:  # noqa: ARG002 - the protocol's
        """Name it."""
        return "The key in this process's memory"

    def probe(self) -> None:
        """Memory needs no proof."""

    def create(self, vault_id: str) -> CreatedKey:
        """Make a key."""
        with self._lock:
            return CreatedKey(self._keys.setdefault(vault_id, self._entropy(KEY_BYTES)))

    def load(
        self,
        vault_id: str,
        parameters: Mapping[str, str | int],  # noqa: ARG002 - the protocol's; nothing to remember
    ) -> bytes:
        """Return a key made before.

        Raises:
            VaultKeyMissingError: It was made in another process, or forgotten.
        """
        with self._lock:
            key = self._keys.get(vault_id)
        if key is None:
            raise key_missing("The key was in the memory of a process that has ended.")
        return key

    def forget(
        self,
        vault_id: str,
        parameters: Mapping[str, str | int],  # noqa: ARG002 - the protocol's; nothing to remember
    ) -> None:
        """Remove a key."""
        with self._lock:
            self._keys.pop(vault_id, None)


def key_missing(sentence: str) -> VaultKeyMissingError:
    """Return the error of a vault whose key is gone; no key is ever made beside it."""
    return VaultKeyMissingError(
        sentence,
        next_step="Restore it from a backup, or start afresh with: harbor chest reset",
    )
