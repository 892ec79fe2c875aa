"""What a storage is: sealed rows, compared and set by generation.

A storage never sees a value, only what sealing made of it, so any database
will do. The contract here is what `harbor_oauth.testing.vault_conformance`
holds every storage to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import attrs

from harbor_oauth.errors import VaultConflictError, VaultUnavailableError

__all__ = [
    "HISTORY_LIFE",
    "HISTORY_LIMIT",
    "STORAGE_FORMAT",
    "WHOLE_VAULT_WAITS",
    "Append",
    "Change",
    "ClearIntent",
    "Delete",
    "Event",
    "Intent",
    "Lease",
    "Meta",
    "MoveHistory",
    "Put",
    "PutIntent",
    "Row",
    "Storage",
    "Under",
    "conflict",
    "key_changed",
    "vault_in_use",
]

STORAGE_FORMAT: Final = 1
HISTORY_LIMIT: Final = 100
"""How many events are kept for one name."""
HISTORY_LIFE: Final = 90 * 24 * 3600.0
"""How many seconds before a name's newest event its oldest may be."""

WHOLE_VAULT_WAITS: Final = 60.0
"""Seconds that work on the whole vault waits for the refreshes under way."""


@attrs.frozen
class Meta:
    """What a vault says about itself, without opening it.

    Attributes:
        vault_id: A random name, which everything sealed is bound to.
        format: The vault's format.
        key_source: The kind of key source that opens it, such as ``keychain``.
        key_parameters: What that key source has to remember; no secret.
        sealed_data_key: The data key, sealed with the key source's key.
        created: Seconds since 1970 UTC.
        machine_id: Where it was made, if that was recorded; see
            `harbor_oauth.vault.whereabouts`.
    """

    vault_id: str
    format: int
    key_source: str
    key_parameters: Mapping[str, str | int]
    sealed_data_key: bytes = attrs.field(repr=False)
    created: float
    machine_id: str | None = None


@attrs.frozen
class Row:
    """One sealed record.

    Attributes:
        name: The record's name.
        generation: 1 for the first value a name ever had, one more at each
            change; it never repeats, not even after the record was deleted.
        sealed: The sealed value.
        updated: When it was put, seconds since 1970 UTC.
    """

    name: str
    generation: int
    sealed: bytes = attrs.field(repr=False)
    updated: float


@attrs.frozen
class Intent:
    """A refresh that was begun: what a crash leaves as evidence.

    Attributes:
        name: The record being refreshed.
        generation: The generation whose refresh token was sent.
        digest: A digest of that refresh token.
        started_at: Seconds since 1970 UTC.
        owner: Who began it.
    """

    name: str
    generation: int
    digest: str
    started_at: float
    owner: str


@attrs.frozen
class Lease:
    """The right to refresh a record.

    Attributes:
        name: The record.
        owner: Who holds the lease.
        pid: The owner's process.
        expires_at: When its work should have ended, seconds since 1970 UTC. A
            lease does not end then: an owner that is late may still be sending.
        fence: Grows with every new holder.
    """

    name: str
    owner: str
    pid: int
    expires_at: float
    fence: int


@attrs.frozen
class Event:
    """One line of a record's history; it holds no secret.

    Attributes:
        name: The record.
        at: Seconds since 1970 UTC.
        event: What happened, one word.
        detail: More about it.
    """

    name: str
    at: float
    event: str
    detail: Mapping[str, str | int | float | bool | None] = attrs.field(factory=dict)


@attrs.frozen
class Put:
    """Store a sealed value.

    Attributes:
        name: The record.
        sealed: The sealed value.
        generation: The new generation: one more than what
            `Storage.generation` says now.
        updated: Seconds since 1970 UTC.
    """

    name: str
    sealed: bytes = attrs.field(repr=False)
    generation: int
    updated: float


@attrs.frozen
class Delete:
    """Remove a record that is there and has this generation.

    Its name moves on by one generation, so that whoever read it before cannot
    bring it back by writing.
    """

    name: str
    generation: int


@attrs.frozen
class PutIntent:
    """Say that a refresh begins; an older intent of that name is replaced."""

    intent: Intent


@attrs.frozen
class ClearIntent:
    """Say that the refresh of a record has ended."""

    name: str


@attrs.frozen
class Append:
    """Add a line to a record's history.

    It keeps the last `HISTORY_LIMIT` lines, none older than `HISTORY_LIFE` at
    the time of the new one.
    """

    event: Event


@attrs.frozen
class MoveHistory:
    """Give a record's history to another name, after what that one has already."""

    name: str
    to: str


@attrs.frozen
class Under:
    """Refuse the changes, as a conflict, unless the meta row still is this one.

    A value sealed with a key that was changed meanwhile could never be opened.
    """

    meta: Meta


Change: TypeAlias = Put | Delete | PutIntent | ClearIntent | Append | MoveHistory | Under


def conflict(name: str) -> VaultConflictError:
    """Return the error of a change whose generation does not fit."""
    return VaultConflictError(
        f"The record {name!r} was changed by somebody else meanwhile.",
        next_step="Read it again and try again.",
    )


def key_changed() -> VaultConflictError:
    """Return the error of a change that was made under another meta row."""
    return VaultConflictError(
        "The vault's key was changed by somebody else meanwhile.", next_step="Try again."
    )


def vault_in_use(*processes: int) -> VaultUnavailableError:
    """Return the error of work that waited for others of the same vault in vain.

    Args:
        processes: The processes that were waited for, as far as they are known.
    """
    who = " and ".join(f"process {process}" for process in processes) or "another process"
    return VaultUnavailableError(
        f"The vault is in use by {who}, which did not finish in time.",
        next_step="Nothing was changed. Wait until it has finished, or end it; then try again.",
    )


class Storage(Protocol):
    """Where sealed records are kept.

    Safe to use from any thread and any process. Every method may raise
    `VaultUnavailableError` or, when what is there is not a vault of a known
    format, `VaultFormatError`; nothing that cannot be read is ever taken for
    empty.
    """

    def meta(self) -> Meta | None:
        """Return what the vault says about itself, or None if there is no vault."""
        ...

    def create(self, make: Callable[[], Meta]) -> Meta:
        """Create the vault unless there is one, exactly once for all processes.

        Args:
            make: Called only if there is no vault yet, while every other
                creator waits.

        Returns:
            The meta row that is stored now: that of `make`, or the older one.
        """
        ...

    def replace_meta(
        self, old: Meta, new: Meta, reseal: Callable[[Row], bytes] | None = None
    ) -> None:
        """Replace the meta row, and with it what every record is sealed with.

        Args:
            old: What the meta row must still be.
            new: What it becomes.
            reseal: Returns what each record becomes, in the same transaction;
                its generation stays. None leaves the records alone.

        Raises:
            VaultConflictError: The meta row is another one.
        """
        ...

    def back_up(self, path: Path, old: Meta, new: Meta) -> None:
        """Copy the whole vault, as it is at one moment, into a new private file.

        Args:
            path: The file; it must not exist.
            old: What the meta row must still be.
            new: What it becomes in the copy.

        Raises:
            VaultConflictError: The meta row is another one.
            VaultUnavailableError: The file exists, or cannot be written.
        """
        ...

    def names(self, prefix: str = "") -> tuple[str, ...]:
        """Return the names of the records, sorted, without reading a value."""
        ...

    def get(self, name: str) -> Row | None:
        """Return a record, or None if there is none."""
        ...

    def generation(self, name: str) -> int:
        """Return the last generation a name had, also if it was deleted; else 0."""
        ...

    def apply(self, changes: Sequence[Change]) -> None:
        """Make all changes, durably, or none of them.

        Raises:
            VaultConflictError: A generation does not fit: somebody else wrote
                first.
            VaultNotInitializedError: There is no vault yet.
        """
        ...

    def intent(self, name: str) -> Intent | None:
        """Return the refresh that was begun and not ended, if any."""
        ...

    def history(self, name: str) -> tuple[Event, ...]:
        """Return a record's events, oldest first."""
        ...

    def acquire_lease(self, name: str, owner: str, *, ttl: float, now: float) -> Lease | None:
        """Take or renew a lease; never waits.

        A lease passes on when its owner gives it back or its process ends, and
        at no time before: a stopped owner that goes on would refresh beside the
        next one. A child made by fork owns none of its parent's.

        Args:
            name: The record.
            owner: Who asks; unique to one holder in one process.
            ttl: Seconds the owner's work should take.
            now: Seconds since 1970 UTC.

        Returns:
            The lease, or None while somebody else holds it.
        """
        ...

    def release_lease(self, lease: Lease) -> None:
        """Give a lease back; nothing happens if it has passed to somebody else."""
        ...

    def lease_holder(self, name: str) -> Lease | None:
        """Return the lease that somebody holds now, to tell a person whose it is."""
        ...

    def shared(self, timeout: float) -> AbstractContextManager[None]:
        """Hold back `alone`, in every process, while the block runs.

        Args:
            timeout: Seconds to wait while another is, or wants to be, alone.

        Raises:
            VaultUnavailableError: That took longer; the processes are named.
        """
        ...

    def alone(self, timeout: float) -> AbstractContextManager[None]:
        """Run the block while no block of `shared` runs or begins, in any process.

        Args:
            timeout: Seconds to wait for those that run.

        Raises:
            VaultUnavailableError: They took longer; the processes are named.
        """
        ...

    def data_version(self) -> int:
        """Return a number that changes whenever anybody has committed a change.

        Cheap enough to ask before a read of what is in memory. Asked before the
        read that it stands for, it never hides a change; 0 if there is no vault.
        """
        ...

    def spill(self, name: str, data: bytes) -> None:
        """Keep sealed bytes for a record outside the database, which refused them."""
        ...

    def spilled(self, name: str) -> bytes | None:
        """Return what was spilled for a record, or None; as cheap as one look."""
        ...

    def drop_spilled(self, name: str, data: bytes, *, damaged: bool = False) -> None:
        """Remove what was spilled for a record if it still is `data`.

        Args:
            name: The record.
            data: What `spilled` returned.
            damaged: Set it aside instead, for whoever may mend it.
        """
        ...

    def close(self) -> None:
        """Close what is open, but no lease; the next call opens it again."""
        ...
