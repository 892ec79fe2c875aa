"""Sealed records: a storage joined to the key source that opens it."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs

from harbor_oauth.errors import (
    ConfigurationError,
    VaultConflictError,
    VaultError,
    VaultFormatError,
    VaultNotInitializedError,
    VaultRecordError,
)
from harbor_oauth.vault.keys import KeySource
from harbor_oauth.vault.sealing import KEY_BYTES, seal, seal_data_key, unseal, unseal_data_key
from harbor_oauth.vault.spill import join, split
from harbor_oauth.vault.storage import (
    STORAGE_FORMAT,
    Append,
    Change,
    ClearIntent,
    Delete,
    Meta,
    MoveHistory,
    Put,
    PutIntent,
    Storage,
    conflict,
)

__all__ = ["KeySourceChoice", "SealedRecords", "VaultChange", "Write"]


@attrs.frozen
class Write:
    """Store a value.

    Attributes:
        name: The record.
        value: The value, to be sealed.
        generation: The generation that was read; 0 if there was no record.
    """

    name: str
    value: bytes = attrs.field(repr=False)
    generation: int


VaultChange: TypeAlias = Write | Delete | PutIntent | ClearIntent | Append | MoveHistory
KeySourceChoice: TypeAlias = Callable[[Meta | None], KeySource]
"""Gives the key source for a vault's meta row, or for a vault to be made (None)."""

_PROBE = "probe"
_log = logging.getLogger(__name__)


class SealedRecords:
    """Records that are values outside and sealed inside.

    Safe to use from any thread. A child made by fork loads the key again.
    """

    def __init__(
        self,
        storage: Storage,
        key_source: KeySource | KeySourceChoice,
        *,
        entropy: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Join the two; nothing is touched before the first use.

        Args:
            storage: Where the sealed rows are.
            key_source: Where the key is, or what chooses that when it is needed.
            entropy: Returns that many random bytes.
            clock: Seconds since 1970 UTC.
        """
        self.storage = storage
        self._key_source = key_source
        self._entropy = entropy
        self._clock = clock
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._opened: tuple[str, bytes] | None = None

    def open(self) -> None:
        """Load the key, and make the vault first if there is none."""
        self._data_key(self._meta_or_create())

    def prove(self) -> None:
        """Prove that records can be kept, before something depends on it.

        Raises:
            VaultError: They cannot; the class says why.
        """
        meta = self._meta_or_create()
        self._data_key(meta)
        # Somebody else who proves the same at this moment has proved it.
        with contextlib.suppress(VaultConflictError):
            generation = self.write(_PROBE, meta.vault_id.encode(), generation=0)
            self.read(_PROBE)
            self.erase(_PROBE, generation=generation)

    def close(self) -> None:
        """Drop the key and close the storage; the next use opens them again."""
        self._forget_key()
        self.storage.close()

    def names(self, prefix: str = "") -> tuple[str, ...]:
        """Return the names of the records, sorted, without opening one."""
        return tuple(name for name in self.storage.names(prefix) if name != _PROBE)

    def read(self, name: str) -> tuple[bytes, int] | None:
        """Return a value and its generation, or None if there is no such record.

        Raises:
            VaultRecordError: The record is damaged.
            VaultError: The vault cannot be opened.
        """
        meta = self.storage.meta()
        row = None if meta is None else self.storage.get(name)
        if meta is None or row is None:
            return None
        key = self._data_key(meta)
        generation = row.generation
        value = unseal(key, row.sealed, vault_id=meta.vault_id, name=name, generation=generation)
        return value, generation

    def generation(self, name: str) -> int:
        """Return a record's generation without opening it; 0 if there is none."""
        row = self.storage.get(name)
        return 0 if row is None else row.generation

    def write(self, name: str, value: bytes, *, generation: int) -> int:
        """Store one value.

        Args:
            name: The record.
            value: Its value.
            generation: The generation that was read; 0 if there was no record.

        Returns:
            The new generation.

        Raises:
            VaultConflictError: Somebody else wrote first.
        """
        return self.apply([Write(name, value, generation)])[0]

    def erase(self, name: str, *, generation: int) -> None:
        """Remove one record.

        Raises:
            VaultConflictError: It is not there, or has another generation.
        """
        self.storage.apply([Delete(name, generation)])

    def apply(self, changes: Sequence[VaultChange]) -> tuple[int, ...]:
        """Make all changes in one transaction, or none.

        Returns:
            The new generation of each `Write`, in their order.

        Raises:
            VaultConflictError: A generation does not fit.
        """
        meta = self._meta_or_create()
        sealed: list[Change] = [
            self._put(meta, change) if isinstance(change, Write) else change for change in changes
        ]
        self.storage.apply(sealed)
        return tuple(change.generation for change in sealed if isinstance(change, Put))

    def spill_value(self, name: str, value: bytes, *, generation: int) -> None:
        """Keep a value, sealed, outside the database, which refuses to be written.

        Args:
            name: The record.
            value: What could not be stored.
            generation: The generation it would have now: one more than is stored.

        Raises:
            VaultError: It could not be kept there either.
        """
        vault_id, key = self._known_key()
        sealed = seal(
            key, value, vault_id=vault_id, name=name, generation=generation, entropy=self._entropy
        )
        self.storage.spill(name, join(generation, sealed))

    def adopt_spilled_value(self, name: str) -> bool:
        """Store what was spilled for a record, unless what is stored is as new.

        A damaged spill is set aside and logged.

        Returns:
            Whether the record has a new value.

        Raises:
            VaultError: It could not be stored; it stays where it is.
        """
        data = self.storage.spilled(name)
        if data is None or self.storage.meta() is None:
            return False
        vault_id, key = self._known_key()
        try:
            generation, sealed = split(data)
            value = unseal(key, sealed, vault_id=vault_id, name=name, generation=generation)
        except VaultRecordError:
            _log.warning("What was spilled for %s is damaged; it is set aside.", name)
            self.storage.drop_spilled(name, data, damaged=True)
            return False
        # The last generation, not the row's: after a logout there is no row,
        # and what is older than the logout is not brought back.
        adopted = generation > self.storage.generation(name)
        if adopted:
            with contextlib.suppress(VaultConflictError):  # somebody else adopted it, or signed in
                self.apply([Write(name, value, self.generation(name)), ClearIntent(name)])
        self.storage.drop_spilled(name, data)
        return adopted

    def drop_spilled_value(self, name: str) -> None:
        """Remove what was spilled for a record, if anything."""
        data = self.storage.spilled(name)
        if data is not None:
            self.storage.drop_spilled(name, data)

    def _put(self, meta: Meta, change: Write) -> Put:
        key = self._data_key(meta)
        generation = change.generation + 1
        if change.generation == 0:
            if self.storage.get(change.name) is not None:
                raise conflict(change.name)
            # The name may have been used and deleted before.
            generation = self.storage.generation(change.name) + 1
        sealed = seal(
            key,
            change.value,
            vault_id=meta.vault_id,
            name=change.name,
            generation=generation,
            entropy=self._entropy,
        )
        return Put(change.name, sealed, generation, self._clock())

    def _meta_or_create(self) -> Meta:
        meta = self.storage.meta()
        return self.storage.create(self._make) if meta is None else meta

    def _make(self) -> Meta:
        """Make the key and the meta row of a new vault."""
        source = self._source(None)
        source.probe()
        vault_id = self._entropy(16).hex()
        created = source.create(vault_id)
        meta = Meta(
            vault_id=vault_id,
            format=STORAGE_FORMAT,
            key_source=source.kind,
            key_parameters=created.parameters,
            sealed_data_key=b"",
            created=self._clock(),
        )
        data_key = self._entropy(KEY_BYTES)
        sealed = seal_data_key(created.key, data_key, meta, entropy=self._entropy)
        # Kept, so that a person is not asked a second time for what was just made.
        self._opened = (vault_id, data_key)
        return attrs.evolve(meta, sealed_data_key=sealed)

    def _data_key(self, meta: Meta) -> bytes:
        """Return the data key, from the key source at most once a process."""
        if self._process != os.getpid():
            self._forget_key()  # the lock may have been held when this child was made
        with self._lock:
            # Another id: the vault was set aside and made anew meanwhile.
            if self._opened is None or self._opened[0] != meta.vault_id:
                self._opened = (meta.vault_id, self._load(meta))
            return self._opened[1]

    def _known_key(self) -> tuple[str, bytes]:
        """Return the vault's id and data key, from memory where the database fails."""
        try:
            meta = self.storage.meta()
            if meta is None:
                raise VaultNotInitializedError("There is no vault yet.")
            return meta.vault_id, self._data_key(meta)
        except VaultError:
            if self._opened is None or self._process != os.getpid():
                raise
            return self._opened

    def _load(self, meta: Meta) -> bytes:
        if meta.format > STORAGE_FORMAT:
            raise VaultFormatError(
                "The vault was written by a newer version of this program.",
                next_step="Update harbor-oauth; nothing was changed.",
            )
        source = self._source(meta)
        if source.kind != meta.key_source:
            raise ConfigurationError(
                f"This vault's key is kept by: {meta.key_source}, not {source.kind}.",
                next_step=f"Set HARBOR_VAULT={meta.key_source}, or unset it.",
            )
        return unseal_data_key(source.load(meta.vault_id, meta.key_parameters), meta)

    def _source(self, meta: Meta | None) -> KeySource:
        return self._key_source(meta) if callable(self._key_source) else self._key_source

    def _forget_key(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._opened = None
