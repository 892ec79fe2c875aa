"""The data key of a vault: made, loaded once a process, changed."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import TypeAlias

import attrs

from harbor_oauth.errors import ConfigurationError, VaultFormatError, VaultKeyError
from harbor_oauth.vault.keys import KeySource
from harbor_oauth.vault.sealing import KEY_BYTES, seal_data_key, unseal_data_key
from harbor_oauth.vault.storage import STORAGE_FORMAT, Meta

__all__ = ["KeySourceChoice", "OpenedKey", "Unlocking"]

KeySourceChoice: TypeAlias = Callable[[Meta | None], KeySource]
"""Gives the key source for a vault's meta row, or for a vault to be made (None)."""


@attrs.frozen
class OpenedKey:
    """The keys of a vault, as its meta row says them.

    Attributes:
        meta: The meta row.
        wrapping: The key source's key, which seals the data key.
        data: The data key, which seals the records.
    """

    meta: Meta
    wrapping: bytes = attrs.field(repr=False)
    data: bytes = attrs.field(repr=False)


class Unlocking:
    """Knows where the key is and keeps it in memory; a child made by fork loads it again."""

    def __init__(
        self, key_source: KeySource | KeySourceChoice, entropy: Callable[[int], bytes]
    ) -> None:
        """Load nothing yet.

        Args:
            key_source: Where the key is, or what chooses that when it is needed.
            entropy: Returns that many random bytes.
        """
        self._key_source = key_source
        self._own: KeySource | None = None
        self._own_place: tuple[object, ...] | None = None
        self._entropy = entropy
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._opened: OpenedKey | None = None

    @property
    def known(self) -> OpenedKey | None:
        """The keys in memory, which may have been changed since."""
        return self._opened if self._process == os.getpid() else None

    def make(self, *, created: float, machine_id: Callable[[str], str | None]) -> Meta:
        """Make the keys and the meta row of a new vault.

        Args:
            created: Seconds since 1970 UTC.
            machine_id: Returns what a vault of that id says of its machine.
        """
        source = self._source(None)
        source.probe()
        vault_id = self._entropy(16).hex()
        key = source.create(vault_id)
        meta = Meta(
            vault_id=vault_id,
            format=STORAGE_FORMAT,
            key_source=source.kind,
            key_parameters=key.parameters,
            sealed_data_key=b"",
            created=created,
            machine_id=machine_id(vault_id),
        )
        opened = self.wrapped(meta, key.key, self._entropy(KEY_BYTES))
        # Kept, so that a person is not asked a second time for what was just made.
        self._opened = opened
        self._settle(source, opened.meta)
        return opened.meta

    def open(self, meta: Meta) -> OpenedKey:
        """Return the keys, from the key source at most once a process.

        Raises:
            VaultError: The key source does not give its key, or it does not fit.
            ConfigurationError: Another key source than the vault's was chosen.
        """
        if self._process != os.getpid():
            self.forget()  # the lock may have been held when this child was made
        with self._lock:
            if self._opened is None or self._opened.meta != meta:
                self._opened = self._load(meta, self._opened)
            return self._opened

    def wrapped(self, meta: Meta, wrapping: bytes, data: bytes) -> OpenedKey:
        """Return the keys of a meta row that has the data key sealed in it."""
        sealed = seal_data_key(wrapping, data, meta, entropy=self._entropy)
        return OpenedKey(attrs.evolve(meta, sealed_data_key=sealed), wrapping, data)

    def source(self, meta: Meta) -> KeySource:
        """Return the key source that keeps this vault's key.

        Raises:
            ConfigurationError: Another one was chosen.
        """
        source = self._source(meta)
        if source.kind != meta.key_source:
            raise ConfigurationError(
                f"This vault's key is kept by: {meta.key_source}, not {source.kind}.",
                next_step=f"Set HARBOR_VAULT={meta.key_source}, or unset it.",
            )
        return source

    def adopt(self, opened: OpenedKey, source: KeySource | None = None) -> None:
        """Use keys, and a key source, that the vault has now."""
        if source is not None:
            self._own, self._own_place = source, _place(opened.meta)
        self._opened = opened

    def use(self, source: KeySource) -> None:
        """Make or open the vault with a source that a person chose just now.

        It counts as long as the vault keeps its key where it does then: another
        process may move it.
        """
        self._own, self._own_place = source, None

    def forget(self) -> None:
        """Drop the keys from memory."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._opened = None

    def _load(self, meta: Meta, before: OpenedKey | None) -> OpenedKey:
        if meta.format > STORAGE_FORMAT:
            raise VaultFormatError(
                "The vault was written by a newer version of this program.",
                next_step="Update harbor-oauth; nothing was changed.",
            )
        if before is not None and before.meta.vault_id == meta.vault_id:
            # Somebody gave the vault another data key. The key source's own is
            # mostly the same, and nobody is asked for it again.
            with contextlib.suppress(VaultKeyError):
                return OpenedKey(meta, before.wrapping, unseal_data_key(before.wrapping, meta))
        source = self.source(meta)
        wrapping = source.load(meta.vault_id, meta.key_parameters)
        data = unseal_data_key(wrapping, meta, source.named(meta.key_parameters))
        self._settle(source, meta)
        return OpenedKey(meta, wrapping, data)

    def _source(self, meta: Meta | None) -> KeySource:
        at = self._own_place
        if self._own is not None and (at is None or (meta is not None and at == _place(meta))):
            return self._own
        return self._key_source(meta) if callable(self._key_source) else self._key_source

    def _settle(self, source: KeySource, meta: Meta) -> None:
        """Note where the source that was chosen just now keeps this vault's key."""
        if source is self._own:
            self._own_place = _place(meta)


def _place(meta: Meta) -> tuple[object, ...]:
    return meta.vault_id, meta.key_source, dict(meta.key_parameters)
