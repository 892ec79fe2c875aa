"""Sealed records: a storage joined to the key source that opens it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

import attrs

from harbor_oauth.errors import VaultConflictError, VaultRecordError
from harbor_oauth.platform.machine import machine_id
from harbor_oauth.vault.keys import KeySource
from harbor_oauth.vault.sealing import seal, unseal
from harbor_oauth.vault.storage import (
    Append,
    Change,
    ClearIntent,
    Delete,
    Meta,
    MoveHistory,
    Put,
    PutIntent,
    Row,
    Storage,
    Under,
    conflict,
)
from harbor_oauth.vault.unlocking import KeySourceChoice, OpenedKey, Unlocking
from harbor_oauth.vault.whereabouts import Whereabouts

__all__ = ["SealedRecords", "VaultChange", "Write"]


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
_PROBE = "probe"
_ATTEMPTS = 8
_T = TypeVar("_T")


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
        machine: Callable[[], str | None] = machine_id,
        place: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Join the two; nothing is touched before the first use.

        Args:
            storage: Where the sealed rows are.
            key_source: Where the key is, or what chooses that when it is needed.
            entropy: Returns that many random bytes.
            clock: Seconds since 1970 UTC.
            machine: Names the machine, if it has a name.
            place: Names the directory of the storage, if its disk tells it
                from a copy.
        """
        self.storage = storage
        self._keys = Unlocking(key_source, entropy)
        self._entropy = entropy
        self._clock = clock
        self._machine = machine
        self._place = place

    def open(self, source: KeySource | None = None) -> None:
        """Load the key, and make the vault first if there is none.

        Args:
            source: What keeps the key of a vault to be made, and has to open
                one that is there; None for what settings and vault say.

        Raises:
            VaultError: The key source does not give its key, or it does not fit.
        """
        if source is not None:
            self._keys.use(source)
        self._keys.open(self._meta_or_create())

    def prove(self) -> None:
        """Prove that records can be kept, before something depends on it.

        Raises:
            VaultError: They cannot; the class says why.
        """
        meta = self._meta_or_create()
        self._keys.open(meta)
        # Somebody else who proves the same at this moment has proved it.
        with contextlib.suppress(VaultConflictError):
            generation = self.write(_PROBE, meta.vault_id.encode(), generation=0)
            self.read(_PROBE)
            self.erase(_PROBE, generation=generation)

    def close(self) -> None:
        """Drop the key and close the storage; the next use opens them again."""
        self._keys.forget()
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
        key = self._keys.open(meta)
        try:
            return self._unsealed(key, row), row.generation
        except VaultRecordError:
            if self.storage.meta() == meta:
                raise
        return self.read(name)  # the key was changed between the two looks

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
        try:
            self.storage.apply([Under(meta), *sealed])
        except VaultConflictError:
            if self.storage.meta() == meta:
                raise
            return self.apply(changes)  # the key was changed meanwhile; seal with the new one
        return tuple(change.generation for change in sealed if isinstance(change, Put))

    def _put(self, meta: Meta, change: Write) -> Put:
        key = self._keys.open(meta)
        generation = change.generation + 1
        if change.generation == 0:
            if self.storage.get(change.name) is not None:
                raise conflict(change.name)
            # The name may have been used and deleted before.
            generation = self.storage.generation(change.name) + 1
        sealed = self._sealed(key, change.name, change.value, generation)
        return Put(change.name, sealed, generation, self._clock())

    def _sealed(self, key: OpenedKey, name: str, value: bytes, generation: int) -> bytes:
        return seal(
            key.data,
            value,
            vault_id=key.meta.vault_id,
            name=name,
            generation=generation,
            entropy=self._entropy,
        )

    def _unsealed(self, key: OpenedKey, row: Row) -> bytes:
        return unseal(
            key.data,
            row.sealed,
            vault_id=key.meta.vault_id,
            name=row.name,
            generation=row.generation,
        )

    def _meta_or_create(self) -> Meta:
        meta = self.storage.meta()
        return self.storage.create(self._make) if meta is None else meta

    def _make(self) -> Meta:
        return self._keys.make(
            created=self._clock(), machine_id=lambda vault_id: self._here(vault_id).text()
        )

    def _here(self, vault_id: str) -> Whereabouts:
        """Return what a vault of that id says of where it is now."""
        return Whereabouts.named(vault_id, self._machine(), self._place())

    def _retried(self, step: Callable[[], _T], *, while_: Callable[[], bool] = lambda: True) -> _T:
        """Repeat a step whose conflicts are not the caller's: the last writer wins."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return step()
            except VaultConflictError:
                if not while_():
                    raise
        return step()
