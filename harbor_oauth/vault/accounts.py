"""Several grants for one resource: which is the default, and what each is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import attrs

from harbor_oauth.errors import InvalidNameError, VaultConflictError, VaultRecordError
from harbor_oauth.vault.grants import Grants
from harbor_oauth.vault.names import GrantKey, default_account_name, grant_record_name
from harbor_oauth.vault.sealed import VaultChange, Write
from harbor_oauth.vault.storage import (
    Append,
    ClearIntent,
    Delete,
    Event,
    MoveHistory,
    PutIntent,
)

__all__ = ["Accounts"]

_RENAME_TIME: Final = 10.0
_COPIED: Final = "this vault is a copy; its grants belong to the machine it came from"


class Accounts(Grants):
    """Grants under account labels that a person can change."""

    def set_default(self, key: GrantKey) -> None:
        """Make a grant the one that its provider and resource mean without an account.

        Raises:
            InvalidNameError: There is no such grant.
        """
        name = default_account_name(key.provider, key.resource)

        def point() -> None:
            if not self.grant_generation(key):
                raise _no_grant(key)
            if self._pointer(name) != key.account:
                self.apply([Write(name, key.account.encode(), self.generation(name))])

        self._retried(point)

    def rename_account(self, key: GrantKey, label: str) -> GrantKey:
        """Give a grant another account label, and everything that belongs to it.

        Args:
            key: The grant.
            label: The new label.

        Returns:
            The grant's new key.

        Raises:
            InvalidNameError: There is no such grant, the label is none, or
                another grant has it.
            VaultConflictError: The grant is just being refreshed, or was
                changed meanwhile; try again.
        """
        renamed = attrs.evolve(key, account=label)
        if renamed == key:
            return key
        with self._nobody_refreshes(key):
            self.adopt_spilled(key)
            self.apply(self._renaming(key, renamed))
        return renamed

    def copied(self) -> None:
        """Take this vault for a copy: its grants are dead here, and alive where it came from.

        Their bytes stay. Own papers, registrations and plain secrets can be
        used here as well.
        """
        for key in self.grants():
            self.adopt_spilled(key)
            self._retried(lambda key=key: self._end(key, _COPIED))  # type: ignore[misc] # a default binds the loop's value
        self.moved()

    def _end(self, key: GrantKey, cause: str) -> None:
        try:
            found = self.grant(key)
        except VaultRecordError:
            return  # a damaged grant is not refreshed anywhere
        if found is None or found[0].state == "dead":
            return
        record = attrs.evolve(found[0], state="dead", dead_cause=cause)
        event = Event(grant_record_name(key), self._clock(), "dead", {"cause": cause})
        self.store_grant(key, record, generation=found[1], also=[Append(event)])

    def _renaming(self, key: GrantKey, renamed: GrantKey) -> list[VaultChange]:
        old, new = grant_record_name(key), grant_record_name(renamed)
        found = self.grant(key)
        if found is None:
            raise _no_grant(key)
        if self.grant_generation(renamed):
            raise InvalidNameError(
                f"There is a grant {renamed} already; nothing was changed.",
                next_step="Use another label.",
            )
        record, generation = found
        told = Event(new, self._clock(), "renamed", {"from": key.account, "to": renamed.account})
        changes: list[VaultChange] = [
            Write(new, attrs.evolve(record, account_label=renamed.account).to_bytes(), 0),
            Delete(old, generation),
            MoveHistory(old, new),
            Append(told),
            ClearIntent(old),
        ]
        intent = self.storage.intent(old)
        if intent is not None:
            # What a crash left as evidence is told of the grant under its new name.
            began = attrs.evolve(intent, name=new, generation=self.storage.generation(new) + 1)
            changes.append(PutIntent(began))
        pointer = default_account_name(key.provider, key.resource)
        if self._pointer(pointer) == key.account:
            changes.append(Write(pointer, renamed.account.encode(), self.generation(pointer)))
        return changes

    @contextmanager
    def _nobody_refreshes(self, key: GrantKey) -> Iterator[None]:
        # Whoever is refreshing would store the new tokens under the old name.
        name, owner = grant_record_name(key), f"rename {self._entropy(8).hex()}"
        lease = self.storage.acquire_lease(name, owner, ttl=_RENAME_TIME, now=self._clock())
        if lease is None:
            raise VaultConflictError(
                f"{key} is just being refreshed; nothing was changed.", next_step="Try again."
            )
        try:
            yield
        finally:
            self.storage.release_lease(lease)


def _no_grant(key: GrantKey) -> InvalidNameError:
    return InvalidNameError(
        f"There is no grant {key}.", next_step="See the ones there are: harbor papers"
    )
