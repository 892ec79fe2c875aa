"""The grants of a vault, by provider, resource and account."""

from __future__ import annotations

from collections.abc import Sequence

from harbor_oauth.errors import (
    InvalidNameError,
    VaultRecordError,
)
from harbor_oauth.vault.custody import Custody
from harbor_oauth.vault.names import (
    DEFAULT_ACCOUNT,
    GRANT_PREFIX,
    GrantKey,
    GrantName,
    default_account_name,
    default_resource_name,
    grant_record_name,
    parse_grant_key,
)
from harbor_oauth.vault.records import GrantRecord
from harbor_oauth.vault.sealed import VaultChange, Write
from harbor_oauth.vault.storage import ClearIntent, Delete, Event

__all__ = ["Grants"]


class Grants(Custody):
    """Grants are stored whole, and found by whole or shorter names."""

    def grants(self) -> tuple[GrantKey, ...]:
        """Return the keys of all grants, sorted, without opening one."""
        names = self.storage.names(GRANT_PREFIX)
        return tuple(sorted(parse_grant_key(name.removeprefix(GRANT_PREFIX)) for name in names))

    def resolve(self, name: GrantName) -> GrantKey | None:
        """Return the grant that a name means, or None if there is none.

        What the name leaves out is taken from the defaults kept at login; a
        sole grant needs none.

        Raises:
            InvalidNameError: The name fits several grants and no default decides.
        """
        if name.resource is not None and name.account is not None:
            # Named in full, it is found even where the index is damaged.
            key = GrantKey(name.provider, name.resource, name.account)
            return key if self.grant_generation(key) else None
        grants = [key for key in self.grants() if key.provider == name.provider]
        resource = name.resource or (
            self._pointer(default_resource_name(name.provider)) if grants else None
        )
        if resource is not None:
            grants = [key for key in grants if key.resource == resource]
        if name.account is not None:
            grants = [key for key in grants if key.account == name.account]
        elif len(grants) > 1 and resource is not None:
            account = self._pointer(default_account_name(name.provider, resource))
            grants = [key for key in grants if key.account == account] or grants
        if len(grants) > 1:
            raise InvalidNameError(
                f"{str(name)!r} fits several grants.",
                next_step=f"Name one of: {', '.join(map(str, grants))}.",
            )
        return grants[0] if grants else None

    def short_name(self, key: GrantKey) -> GrantName:
        """Return the shortest name that means a grant and says its account label."""
        account = None if key.account == DEFAULT_ACCOUNT else key.account
        for name in (
            GrantName(key.provider, None, account),
            GrantName(key.provider, key.resource, account),
        ):
            try:
                if self.resolve(name) == key:
                    return name
            except InvalidNameError:
                continue
        return key.name

    def grant(self, key: GrantKey) -> tuple[GrantRecord, int] | None:
        """Return a grant and its generation, or None if there is none.

        Raises:
            VaultRecordError: Its record is damaged.
        """
        found = self.read(grant_record_name(key))
        return None if found is None else (GrantRecord.from_bytes(found[0]), found[1])

    def grant_generation(self, key: GrantKey) -> int:
        """Return a grant's generation without opening it; 0 if there is none.

        A login that replaces a damaged grant needs no more.
        """
        return self.generation(grant_record_name(key))

    def store_grant(
        self,
        key: GrantKey,
        record: GrantRecord,
        *,
        generation: int,
        default_resource: str | None = None,
        also: Sequence[VaultChange] = (),
    ) -> int:
        """Store a grant, and all that belongs to it, in one transaction.

        Args:
            key: The grant.
            record: Its new value.
            generation: The generation that was read; 0 if there was none.
            default_resource: At login, the provider's default resource: kept,
                so that the provider's bare name is understood without its plugin.
            also: Further changes, such as a registration or `ClearIntent`.

        Returns:
            The new generation.

        Raises:
            VaultConflictError: Somebody else stored one first.
        """
        write = Write(grant_record_name(key), record.to_bytes(), generation)

        def store() -> int:
            defaults = self._defaults(key, default_resource)
            return self.apply([write, *also, *defaults])[0]

        # Another login may have set the defaults first. That is no reason to
        # fail, but a newer grant is.
        return self._retried(store, while_=lambda: self.generation(write.name) == generation)

    def forget_grant(self, key: GrantKey, *, generation: int | None = None) -> bool:
        """Remove a grant and the defaults that name it.

        Its history is kept, so that it can be told later why it is gone.

        Args:
            key: The grant.
            generation: The only generation to remove; None for whatever there is.

        Returns:
            Whether it was there, in that generation, and is gone.
        """
        name = grant_record_name(key)
        forgotten = self._retried(lambda: self._forget_grant(key, generation))
        if not self.generation(name):
            self._drop_spilled(name)
        return forgotten

    def history(self, key: GrantKey) -> tuple[Event, ...]:
        """Return what happened to a grant, oldest first; kept when it is forgotten."""
        return self.storage.history(grant_record_name(key))

    def spill(self, key: GrantKey, record: GrantRecord, generation: int) -> None:
        """Keep a grant, sealed, beside a database that refuses to store it.

        Args:
            key: The grant.
            record: Its new value.
            generation: The generation it would have now: one more than is stored.

        Raises:
            VaultError: It could not be kept there either.
        """
        name = grant_record_name(key)
        self._spill(name, record.to_bytes(), generation)

    def adopt_spilled(self, key: GrantKey) -> bool:
        """Store a spilled grant, and end its refresh, if it is newer than the stored one.

        Costs one look at the disk where nothing was spilled.

        Returns:
            Whether the stored grant is a new one now.
        """
        return self._adopt_spilled(grant_record_name(key))

    def _pointer(self, name: str) -> str | None:
        """Return what a default names; a damaged one names nothing."""
        try:
            found = self.read(name)
        except VaultRecordError:
            return None
        return None if found is None else found[0].decode()

    def _defaults(self, key: GrantKey, default_resource: str | None) -> list[VaultChange]:
        """Return the changes that let shorter names mean a new grant."""
        pointers = []
        if default_resource is not None:
            pointers.append((default_resource_name(key.provider), default_resource))
        name = default_account_name(key.provider, key.resource)
        account = self._pointer(name)
        others = {
            grant.account
            for grant in self.grants()
            if (grant.provider, grant.resource) == (key.provider, key.resource)
        }
        if account is None or account not in others:
            pointers.append((name, key.account))
        return [
            Write(name, target.encode(), self.generation(name))
            for name, target in pointers
            if self._pointer(name) != target
        ]

    def _forget_grant(self, key: GrantKey, expected: int | None) -> bool:
        name = grant_record_name(key)
        generation = self.generation(name)
        if not generation or expected not in {None, generation}:
            return False
        pointers = []
        account = default_account_name(key.provider, key.resource)
        if self._pointer(account) in {None, key.account}:
            pointers.append(account)
        if all(other.provider != key.provider for other in self.grants() if other != key):
            pointers.append(default_resource_name(key.provider))
        self.apply(
            [
                Delete(name, generation),
                ClearIntent(name),
                *(
                    Delete(pointer, found)
                    for pointer in pointers
                    if (found := self.generation(pointer))
                ),
            ]
        )
        return True
