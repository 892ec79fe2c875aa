"""One process at a time renews a grant; the others wait for what it stores."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Final, TypeVar

import attrs

from harbor_oauth.errors import FlowCancelledError, TransportError, VaultError
from harbor_oauth.vault import GrantKey, GrantRecord, Lease, Vault, grant_record_name

__all__ = ["LEASE", "Leasing", "Refreshed"]

LEASE: Final = 45.0
"""Seconds a lease lasts, and that others wait for it."""

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.05
_PAUSE_GROWTH: Final = 1.25  # doubled, they would make who waits 60 ms late by another 60

_Found = TypeVar("_Found")


@attrs.frozen
class Refreshed:
    """What a refresh came to.

    Attributes:
        record: The newest value of the grant.
        generation: Its generation.
        stored: False if the vault did not take it; it is in memory only.
    """

    record: GrantRecord
    generation: int
    stored: bool = True


@attrs.frozen
class Leasing:
    """Takes turns with other processes.

    Attributes:
        vault: Where the grants are.
        clock: Unix seconds, UTC.
        monotonic: Seconds that never go back.
        sleep: Waits that many seconds.
        entropy: A source of random bytes.
    """

    vault: Vault
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    entropy: Callable[[int], bytes]

    def __call__(
        self,
        key: GrantKey,
        read: Callable[[], _Found],
        settled: Callable[[_Found], Refreshed | None],
        renew: Callable[[_Found], Refreshed],
    ) -> Refreshed:
        """Renew a grant under its lease, unless another process did.

        The vault's key stays as it is from the first look until the answer is stored.

        Args:
            key: The grant.
            read: Reads what is stored.
            settled: Returns what was read, if it needs no renewal.
            renew: Renews what was read; nobody else does meanwhile.

        Raises:
            TransportError: Somebody else is at it and does not finish.
            FlowCancelledError: The program ended while this waited.
            VaultError: The vault could not be read or written.
        """
        with self.vault.under_way():
            return self._renewed(key, read, settled, renew)

    def _renewed(
        self,
        key: GrantKey,
        read: Callable[[], _Found],
        settled: Callable[[_Found], Refreshed | None],
        renew: Callable[[_Found], Refreshed],
    ) -> Refreshed:
        lease = self._lease(key, lambda: settled(read()))
        if not isinstance(lease, Lease):
            return lease
        try:
            # What the holder before could not store is newer than what is stored.
            self.vault.adopt_spilled(key)
            found = read()
            return settled(found) or renew(found)
        finally:
            # The system frees it at the latest when this process ends; what was
            # won must not turn into an error here.
            with contextlib.suppress(VaultError, OSError):
                self.vault.storage.release_lease(lease)

    def _lease(self, key: GrantKey, settled: Callable[[], Refreshed | None]) -> Lease | Refreshed:
        """Take the lease, or return what its holder has stored meanwhile."""
        name, owner = grant_record_name(key), self.entropy(8).hex()
        storage, pause = self.vault.storage, _FIRST_PAUSE
        deadline = self.monotonic() + LEASE
        while True:
            lease = storage.acquire_lease(name, owner, ttl=LEASE, now=self.clock())
            if lease is not None:
                return lease
            done = settled()
            if done is not None:
                return done
            if not threading.main_thread().is_alive():
                # The program ends. Nothing is sent yet, so nothing is lost.
                raise FlowCancelledError("The program ended before the token was refreshed.")
            if self.monotonic() >= deadline:
                holder = storage.lease_holder(name)
                who = f"process {holder.pid}" if holder else "another process"
                raise TransportError(
                    f"{self.vault.short_name(key)} is being refreshed by {who}, "
                    f"which has not finished within {LEASE:.0f} s.",
                    next_step="It may be stopped; end it, then try again. The sign-in is intact.",
                    ambiguous=False,
                )
            self.sleep(pause)
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)
