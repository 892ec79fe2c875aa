"""What every storage and every key source is held to.

Subclass `VaultConformance`, give it a fixture ``storage`` (and ``key_source``
if yours is another one), and run it with pytest::

    class TestMyStorage(VaultConformance):
        @pytest.fixture
        def storage(self, tmp_path):
            storage = MyStorage(tmp_path)
            yield storage
            storage.close()
"""

from __future__ import annotations

import os
import string
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import attrs
import pytest

from harbor_oauth.errors import (
    ConfigurationError,
    VaultConflictError,
    VaultError,
    VaultKeyMissingError,
    VaultLockedError,
    VaultNotInitializedError,
    VaultRecordError,
    VaultUnavailableError,
)
from harbor_oauth.secret import Secret
from harbor_oauth.vault.keys import CreatedKey, KeySource, MemoryKeySource
from harbor_oauth.vault.names import GrantKey, grant_record_name
from harbor_oauth.vault.records import GrantRecord
from harbor_oauth.vault.sealed import VaultChange, Write
from harbor_oauth.vault.storage import (
    HISTORY_LIFE,
    HISTORY_LIMIT,
    Append,
    ClearIntent,
    Delete,
    Event,
    Intent,
    Lease,
    Meta,
    MoveHistory,
    Put,
    PutIntent,
    Storage,
)
from harbor_oauth.vault.vault import Vault

__all__ = ["LockedKeySource", "VaultConformance", "grant_record"]

_PANGRAM = "ξεσκεπάζω τηνψυχοφθόρα Съешь же ещё 漢字 🔐"
_DIFFICULT = string.printable + "\x00\x7f"
_NOW = 1_700_000_000.0
_RACERS = 8
_GRANT = GrantKey("practice", "mcp")
_OTHER_GRANT = GrantKey("practice", "api")
_OTHER_EVENT = Event("other", _NOW, "tock")
_TICK = Append(Event("name", _NOW, "tick"))


def grant_record(**changes: object) -> GrantRecord:
    """Return a grant to store, with whatever is asked for changed."""
    record = GrantRecord(
        provider="practice",
        resource_name="mcp",
        account_label="default",
        issuer="https://issuer.example",
        token_endpoint="https://issuer.example/token",  # noqa: S106 - an endpoint, not a secret
        client_id="client",
        token_endpoint_auth_method="none",  # noqa: S106 - a method, not a secret
        redirect_uri="http://127.0.0.1/callback",
        access_token=Secret("access-canary"),
        refresh_token=Secret("refresh-canary"),
        obtained_at=_NOW,
    )
    return attrs.evolve(record, **changes)  # type: ignore[arg-type] # checked by the record itself


@attrs.define
class LockedKeySource:
    """A key source that another one stands behind, locked when told."""

    inner: KeySource
    locked: bool = True

    @property
    def kind(self) -> str:
        """The inner one's kind."""
        return self.inner.kind

    def named(self, parameters: Mapping[str, str | int]) -> str:
        """As the inner one does."""
        return self.inner.named(parameters)

    def probe(self) -> None:
        """Refuse, or prove."""
        self._refuse()
        self.inner.probe()

    def create(self, vault_id: str) -> CreatedKey:
        """Refuse, or create."""
        self._refuse()
        return self.inner.create(vault_id)

    def load(self, vault_id: str, parameters: Mapping[str, str | int]) -> bytes:
        """Refuse, or load."""
        self._refuse()
        return self.inner.load(vault_id, parameters)

    def forget(self, vault_id: str, parameters: Mapping[str, str | int]) -> None:
        """Refuse, or forget."""
        self._refuse()
        self.inner.forget(vault_id, parameters)

    def _refuse(self) -> None:
        if self.locked:
            raise VaultLockedError("The key source is locked.")


class VaultConformance:
    """The contract of `Storage` and of `KeySource`, as tests."""

    @pytest.fixture
    def storage(self) -> Storage:
        """Give a new, empty storage."""
        raise NotImplementedError

    @pytest.fixture
    def key_source(self) -> KeySource:
        """Give a key source that works."""
        return MemoryKeySource()

    @pytest.fixture
    def another(self, storage: Storage) -> Callable[[], Storage]:
        """Give what opens one more handle to the same storage."""
        return lambda: storage

    @pytest.fixture
    def vault(self, storage: Storage, key_source: KeySource) -> Vault:
        """Give a vault on both."""
        return Vault(storage, key_source)

    # --- values

    @pytest.mark.parametrize("value", [b"", b"x", bytes(range(256)), b"5" * 70_000])
    def test_a_value_comes_back_as_it_was(self, vault: Vault, value: bytes) -> None:
        """Octets of any kind and size are kept."""
        generation = vault.write("name", value, generation=0)
        assert vault.read("name") == (value, generation)

    @pytest.mark.parametrize("name", [_PANGRAM, _DIFFICULT, "a" * 600, "x'; DROP TABLE records;--"])
    def test_a_name_may_be_any_text(self, vault: Vault, name: str) -> None:
        """Names of any kind are kept apart and listed."""
        vault.write(name, b"this", generation=0)
        vault.write(name + "x", b"that", generation=0)
        assert vault.read(name) == (b"this", 1)
        assert vault.names() == tuple(sorted([name, name + "x"]))

    def test_what_was_never_stored_is_not_there(self, storage: Storage, vault: Vault) -> None:
        """Reading an absent vault says so and makes none."""
        assert vault.read("name") is None
        assert vault.names() == ()
        assert vault.grants() == ()
        assert storage.meta() is None

    def test_names_are_listed_by_their_beginning(self, vault: Vault) -> None:
        """A prefix is text, not a pattern."""
        for name in ("a:1", "a:2", "a_3", "b:1", "A:4"):
            vault.write(name, b"", generation=0)
        assert vault.names("a:") == ("a:1", "a:2")
        assert vault.names("a%") == ()
        assert vault.names("a_") == ("a_3",)

    def test_nothing_readable_is_stored(self, storage: Storage, vault: Vault) -> None:
        """The storage gets no part of a value."""
        vault.write("name", b"canary-value", generation=0)
        row = storage.get("name")
        assert row is not None
        assert b"canary" not in row.sealed

    def test_equal_values_are_sealed_differently(self, storage: Storage, vault: Vault) -> None:
        """Every write has a nonce of its own."""
        vault.write("name", b"same", generation=0)
        first = storage.get("name")
        vault.write("name", b"same", generation=1)
        second = storage.get("name")
        assert first is not None
        assert second is not None
        assert first.sealed[1:13] != second.sealed[1:13]

    # --- compare and set

    def test_generations_count_the_changes(self, vault: Vault) -> None:
        """The first value has generation 1, and each change adds one."""
        assert vault.write("name", b"1", generation=0) == 1
        assert vault.write("name", b"2", generation=1) == 1 + 1
        assert vault.generation("name") == 1 + 1

    @pytest.mark.parametrize("generation", [0, 1, 3, 99])
    def test_the_second_writer_is_told(self, vault: Vault, generation: int) -> None:
        """A write whose generation does not fit changes nothing."""
        vault.write("name", b"1", generation=0)
        vault.write("name", b"2", generation=1)
        with pytest.raises(VaultConflictError):
            vault.write("name", b"late", generation=generation)
        assert vault.read("name") == (b"2", 2)

    def test_what_is_absent_has_no_generation_to_write_on(self, vault: Vault) -> None:
        """A write that expects a value finds none."""
        vault.open()
        with pytest.raises(VaultConflictError):
            vault.write("name", b"1", generation=1)
        assert vault.read("name") is None

    @pytest.mark.parametrize("generation", [0, 2])
    def test_only_what_was_read_is_deleted(self, vault: Vault, generation: int) -> None:
        """A deletion whose generation does not fit deletes nothing."""
        vault.write("name", b"1", generation=0)
        with pytest.raises(VaultConflictError):
            vault.erase("name", generation=generation)
        assert vault.read("name") == (b"1", 1)

    def test_what_is_absent_is_not_deleted(self, vault: Vault) -> None:
        """Deleting a missing record is a conflict, and so is deleting twice."""
        vault.write("name", b"1", generation=0)
        vault.erase("name", generation=1)
        assert vault.read("name") is None
        assert vault.names() == ()
        for name, generation in (("name", 1), ("name", 2), ("other", 0)):
            with pytest.raises(VaultConflictError):
                vault.erase(name, generation=generation)

    def test_a_generation_never_repeats(self, vault: Vault) -> None:
        """A name that was deleted goes on counting."""
        seen = [vault.write("name", b"1", generation=0)]
        for _ in range(3):
            vault.erase("name", generation=seen[-1])
            seen.append(vault.write("name", b"again", generation=0))
        assert seen == sorted(set(seen))

    def test_a_deleted_record_is_not_brought_back(self, vault: Vault) -> None:
        """Whoever read it before the deletion cannot write it."""
        generation = vault.write("name", b"1", generation=0)
        vault.erase("name", generation=generation)
        with pytest.raises(VaultConflictError):
            vault.write("name", b"2", generation=generation)
        assert vault.read("name") is None

    def test_changes_are_made_together_or_not_at_all(self, vault: Vault) -> None:
        """One change that does not fit undoes all the others."""
        vault.write("old", b"1", generation=0)
        intent = Intent("old", 1, "digest", _NOW, "me")
        changes: list[VaultChange] = [
            Write("new", b"1", 0),
            Delete("old", 1),
            PutIntent(intent),
            Append(Event("old", _NOW, "deleted")),
            Write("other", b"1", 7),
        ]
        with pytest.raises(VaultConflictError):
            vault.apply(changes)
        assert vault.names() == ("old",)
        assert vault.storage.intent("old") is None
        assert vault.storage.history("old") == ()
        vault.apply(changes[:-1])
        assert vault.names() == ("new",)
        assert vault.storage.intent("old") == intent

    def test_a_storage_without_a_vault_takes_nothing(self, storage: Storage) -> None:
        """Sealed rows need a meta row that says how they are opened."""
        with pytest.raises(VaultNotInitializedError):
            storage.apply([Put("name", b"sealed", 1, _NOW)])
        assert storage.meta() is None

    # --- places

    def test_swapped_rows_do_not_open(self, storage: Storage, vault: Vault) -> None:
        """A sealed value opens under its own name only."""
        vault.write("a", b"1", generation=0)
        vault.write("b", b"2", generation=0)
        row = storage.get("b")
        assert row is not None
        storage.apply([Put("a", row.sealed, 2, _NOW)])
        with pytest.raises(VaultRecordError):
            vault.read("a")
        assert vault.read("b") == (b"2", 1)

    def test_an_old_value_does_not_open_again(self, storage: Storage, vault: Vault) -> None:
        """A sealed value opens under its own generation only."""
        vault.write("a", b"old", generation=0)
        row = storage.get("a")
        assert row is not None
        vault.write("a", b"new", generation=1)
        storage.apply([Put("a", row.sealed, 3, _NOW)])
        with pytest.raises(VaultRecordError):
            vault.read("a")

    def test_a_damaged_record_leaves_the_others(self, storage: Storage, vault: Vault) -> None:
        """Each octet of a small record counts, and no other record suffers."""
        vault.write("good", b"1", generation=0)
        vault.write("bad", b"1", generation=0)
        row = storage.get("bad")
        assert row is not None
        for index in range(len(row.sealed)):
            flipped = bytearray(row.sealed)
            flipped[index] ^= 1
            storage.apply([Put("bad", bytes(flipped), 2 + index, _NOW)])
            with pytest.raises(VaultError):
                vault.read("bad")
        for length in (0, 1, 12, 13, len(row.sealed) - 1):
            generation = storage.generation("bad")
            storage.apply([Put("bad", row.sealed[:length], generation + 1, _NOW)])
            with pytest.raises(VaultRecordError):
                vault.read("bad")
        assert vault.read("good") == (b"1", 1)
        assert set(vault.names()) == {"good", "bad"}

    def test_a_damaged_record_can_be_replaced(self, storage: Storage, vault: Vault) -> None:
        """Its generation is known without opening it."""
        vault.open()
        storage.apply([Put("bad", b"rubbish", 1, _NOW)])
        vault.write("bad", b"mended", generation=vault.generation("bad"))
        assert vault.read("bad") == (b"mended", 2)

    # --- keys

    def test_another_handle_reads_what_one_wrote(
        self, vault: Vault, another: Callable[[], Storage], key_source: KeySource
    ) -> None:
        """The key and the records outlive the handle."""
        vault.write("name", b"1", generation=0)
        other = Vault(another(), key_source)
        assert other.read("name") == (b"1", 1)
        assert other.write("name", b"2", generation=1) == vault.generation("name")
        with pytest.raises(VaultConflictError):
            vault.write("name", b"late", generation=1)
        vault.close()
        assert vault.read("name") == (b"2", 2)
        other.close()

    def test_without_its_key_a_vault_is_closed_and_unchanged(
        self, storage: Storage, vault: Vault
    ) -> None:
        """A lost key is an error; no key is made beside existing records."""
        vault.write("name", b"1", generation=0)
        meta = storage.meta()
        assert meta is not None
        empty = MemoryKeySource()
        stranger = Vault(storage, _renamed(empty, meta.key_source))
        for attempt in (
            lambda: stranger.read("name"),
            lambda: stranger.write("new", b"1", generation=0),
            stranger.open,
            stranger.prove,
        ):
            with pytest.raises(VaultKeyMissingError):
                attempt()
        assert storage.meta() == meta
        assert vault.names() == ("name",)

    def test_a_wrong_key_opens_nothing(self, storage: Storage, vault: Vault) -> None:
        """A key of another vault is refused."""
        vault.write("name", b"1", generation=0)
        meta = storage.meta()
        assert meta is not None
        wrong = MemoryKeySource()
        wrong.create(meta.vault_id)
        stranger = Vault(storage, _renamed(wrong, meta.key_source))
        with pytest.raises(VaultError):
            stranger.read("name")
        with pytest.raises(VaultError):
            stranger.write("name", b"2", generation=1)
        assert vault.read("name") == (b"1", 1)

    def test_a_locked_key_source_is_never_followed_by_a_write(
        self, storage: Storage, vault: Vault, key_source: KeySource
    ) -> None:
        """Locked is not empty: nothing is made, and everything is there after."""
        locked = LockedKeySource(key_source)
        waiting = Vault(storage, locked)
        with pytest.raises(VaultLockedError):
            waiting.write("name", b"1", generation=0)
        assert storage.meta() is None
        vault.write("name", b"1", generation=0)
        before = storage.get("name")
        with pytest.raises(VaultLockedError):
            waiting.read("name")
        with pytest.raises(VaultLockedError):
            waiting.write("name", b"2", generation=1)
        with pytest.raises(VaultLockedError):
            waiting.set("plain", "value")
        assert storage.get("name") == before
        assert waiting.names() == ("name",)
        locked.locked = False
        assert waiting.read("name") == (b"1", 1)

    def test_a_changed_meta_row_opens_nothing(self, storage: Storage, vault: Vault) -> None:
        """The data key is bound to everything the vault says about itself."""
        vault.write("name", b"1", generation=0)
        meta = storage.meta()
        assert meta is not None
        for changed in _changes_of(meta):
            storage.replace_meta(meta, changed)
            vault.close()
            with pytest.raises((VaultError, ConfigurationError)):
                vault.read("name")
            storage.replace_meta(changed, meta)
        assert vault.read("name") == (b"1", 1)

    def test_meta_is_replaced_by_whoever_read_it_last(self, storage: Storage, vault: Vault) -> None:
        """A change of the meta row is compared and set as well."""
        vault.open()
        meta = storage.meta()
        assert meta is not None
        changed = attrs.evolve(meta, machine_id="other")
        storage.replace_meta(meta, changed)
        with pytest.raises(VaultConflictError):
            storage.replace_meta(meta, attrs.evolve(meta, machine_id="third"))
        assert storage.meta() == changed

    def test_creation_happens_once(self, storage: Storage, vault: Vault) -> None:
        """The second creator gets what the first made."""
        vault.open()
        first = storage.meta()

        def make() -> Meta:
            message = "made twice"
            raise AssertionError(message)

        assert storage.create(make) == first

    def test_a_creation_that_fails_leaves_nothing(self, storage: Storage, vault: Vault) -> None:
        """What cannot make its key has made no vault."""

        def make() -> Meta:
            raise VaultLockedError("The key source is locked.")

        with pytest.raises(VaultLockedError):
            storage.create(make)
        assert storage.meta() is None
        vault.write("name", b"1", generation=0)
        assert vault.read("name") == (b"1", 1)

    def test_proving_leaves_no_trace(self, vault: Vault) -> None:
        """A proof makes the vault and no record, as often as it is asked for."""
        for _ in range(3):
            vault.prove()
        assert vault.names() == ()
        assert vault.keys() == ()

    # --- threads

    def test_first_uses_at_once_make_one_vault(self, vault: Vault) -> None:
        """Threads that meet at an absent vault agree on one key."""
        _race(lambda number: vault.write(f"name-{number}", b"1", generation=0))
        assert len(vault.names()) == _RACERS
        vault.close()
        assert [vault.read(name) for name in vault.names()] == [(b"1", 1)] * _RACERS

    def test_one_of_many_writers_wins(self, vault: Vault) -> None:
        """Of threads that write on one generation, one succeeds."""
        vault.write("name", b"0", generation=0)
        won: list[int] = []
        lost: list[int] = []

        def write(number: int) -> None:
            try:
                vault.write("name", str(number).encode(), generation=1)
            except VaultConflictError:
                lost.append(number)
            else:
                won.append(number)

        _race(write)
        assert len(won) == 1
        assert len(lost) == _RACERS - 1
        assert vault.read("name") == (str(won[0]).encode(), 2)

    # --- intents, leases, history

    def test_an_intent_stays_until_it_is_cleared(self, vault: Vault) -> None:
        """What was begun can be seen, and is ended with the record it belongs to."""
        vault.open()
        intent = Intent("name", 1, "digest", _NOW, "me")
        vault.apply([PutIntent(intent)])
        assert vault.storage.intent("name") == intent
        newer = attrs.evolve(intent, generation=2)
        vault.apply([PutIntent(newer)])
        assert vault.storage.intent("name") == newer
        vault.apply([Write("name", b"1", 0), ClearIntent("name")])
        assert vault.storage.intent("name") is None

    def test_a_lease_has_one_holder(self, storage: Storage, vault: Vault) -> None:
        """A lease passes on when it is given back, whatever time it is."""
        vault.open()
        first = Lease("name", "a", os.getpid(), _NOW + 45, 1)
        assert storage.acquire_lease("name", "a", ttl=45, now=_NOW) == first
        assert storage.acquire_lease("name", "b", ttl=45, now=_NOW) is None
        assert storage.acquire_lease("name", "b", ttl=45, now=_NOW + 10_000) is None
        assert storage.lease_holder("name") == first
        assert storage.acquire_lease("other", "b", ttl=45, now=_NOW) is not None
        storage.release_lease(first)
        assert storage.lease_holder("name") is None
        assert storage.acquire_lease("name", "b", ttl=45, now=_NOW) is not None

    def test_a_lease_is_renewed_by_its_owner(self, storage: Storage, vault: Vault) -> None:
        """It stays the same lease, with more time."""
        vault.open()
        first = storage.acquire_lease("name", "a", ttl=45, now=_NOW)
        assert first is not None
        renewed = storage.acquire_lease("name", "a", ttl=45, now=_NOW + 10)
        assert renewed == attrs.evolve(first, expires_at=_NOW + 55)
        assert storage.lease_holder("name") == renewed
        storage.release_lease(first)
        assert storage.lease_holder("name") is None

    def test_a_lease_that_has_passed_on_is_not_given_back(
        self, storage: Storage, vault: Vault
    ) -> None:
        """The fence tells the holders of one name apart, also those of one owner."""
        vault.open()
        first = storage.acquire_lease("name", "a", ttl=45, now=_NOW)
        assert first is not None
        storage.release_lease(first)
        second = storage.acquire_lease("name", "a", ttl=45, now=_NOW)
        assert second is not None
        assert second.fence > first.fence
        storage.release_lease(first)
        storage.release_lease(attrs.evolve(second, owner="b"))
        assert storage.lease_holder("name") == second
        assert storage.acquire_lease("name", "b", ttl=45, now=_NOW) is None

    def test_a_lease_is_refused_to_another_handle(
        self, storage: Storage, vault: Vault, another: Callable[[], Storage]
    ) -> None:
        """In the same process too, and under the same owner's name if it has its own handle."""
        vault.open()
        other = another()
        lease = storage.acquire_lease("name", "a", ttl=45, now=_NOW)
        assert lease is not None
        assert other.acquire_lease("name", "b", ttl=45, now=_NOW) is None
        assert other.lease_holder("name") == lease
        storage.close()
        assert other.acquire_lease("name", "b", ttl=45, now=_NOW) is None
        storage.release_lease(lease)
        assert other.acquire_lease("name", "b", ttl=45, now=_NOW) is not None
        other.close()

    def test_of_many_threads_one_gets_the_lease(self, storage: Storage, vault: Vault) -> None:
        """The others are told at once."""
        vault.open()
        got: list[Lease | None] = []
        _race(lambda n: got.append(storage.acquire_lease("name", str(n), ttl=45, now=_NOW)))
        assert len(got) == _RACERS
        assert len([lease for lease in got if lease is not None]) == 1

    def test_a_lease_needs_a_vault(self, storage: Storage) -> None:
        """There is nothing to refresh where there is none."""
        with pytest.raises(VaultNotInitializedError):
            storage.acquire_lease("name", "a", ttl=45, now=_NOW)
        assert storage.lease_holder("name") is None

    def test_many_share_the_gate(self, storage: Storage, vault: Vault) -> None:
        """Refreshes of different grants run beside each other."""
        vault.open()
        with storage.shared(60), ThreadPoolExecutor(1) as pool:
            assert pool.submit(_passes, storage.shared).result()

    def test_one_is_alone(self, storage: Storage, vault: Vault) -> None:
        """Neither others that are alone, nor those that share, run beside it."""
        vault.open()
        with storage.alone(60), ThreadPoolExecutor(1) as pool:
            assert not pool.submit(_passes, storage.shared).result()
            assert not pool.submit(_passes, storage.alone).result()
        assert _passes(storage.shared)

    def test_being_alone_waits_for_those_who_share(self, storage: Storage, vault: Vault) -> None:
        """It names their process when they take too long, and nothing is left of the attempt."""
        vault.open()
        with storage.shared(60):
            with (
                pytest.raises(VaultUnavailableError, match=f"process {os.getpid()}"),
                storage.alone(0),
            ):
                pytest.fail("entered")
            assert _passes(storage.shared)
        assert _passes(storage.alone)

    def test_who_comes_later_lets_the_waiting_one_be_alone(
        self, storage: Storage, vault: Vault
    ) -> None:
        """A process that is never idle does not keep whole-vault work out."""
        vault.open()
        order: list[str] = []

        def alone() -> None:
            with storage.alone(60):
                order.append("alone")

        def shared() -> None:
            with storage.shared(60):
                order.append("shared")

        with ThreadPoolExecutor(2) as pool:
            with storage.shared(60):
                first = pool.submit(alone)
                while _passes(storage.shared):
                    pass  # until it waits
                later = pool.submit(shared)
            first.result(60)
            later.result(60)
        assert order == ["alone", "shared"]

    def test_the_gate_opens_after_a_failure(self, storage: Storage, vault: Vault) -> None:
        """What fails inside gives it back."""
        vault.open()
        for enter in (storage.shared, storage.alone):
            with pytest.raises(LookupError), enter(60):
                raise LookupError
        assert _passes(storage.alone)

    def test_the_data_version_changes_with_the_data(
        self, storage: Storage, vault: Vault, another: Callable[[], Storage]
    ) -> None:
        """Whoever commits, whatever it is; and with nothing else."""
        assert storage.data_version() == 0
        assert storage.meta() is None
        vault.open()
        other = another()
        seen = [storage.data_version()]
        assert seen[0] > 0
        for writer in (storage, other):
            for change in (Put("name", b"x", writer.generation("name") + 1, _NOW), _TICK):
                writer.apply([change])
                seen.append(storage.data_version())
        assert len(set(seen)) == len(seen)
        storage.get("name")
        with pytest.raises(VaultConflictError):
            other.apply([Put("name", b"x", 99, _NOW)])
        assert storage.data_version() == seen[-1]
        other.close()

    def test_history_keeps_the_last_events(self, storage: Storage, vault: Vault) -> None:
        """Events come back in order; the oldest make room."""
        vault.open()
        events = [Event("name", _NOW + n, "tick", {"n": n}) for n in range(HISTORY_LIMIT + 2)]
        storage.apply([Append(event) for event in events])
        storage.apply([Append(_OTHER_EVENT)])
        assert storage.history("name") == tuple(events[2:])
        assert storage.history("other") == (_OTHER_EVENT,)

    def test_history_drops_what_is_old(self, storage: Storage, vault: Vault) -> None:
        """Measured from the newest event of the same record."""
        vault.open()
        old, kept, new = (Event("name", _NOW + at, "tick") for at in (0, 1, HISTORY_LIFE + 1))
        storage.apply([Append(_OTHER_EVENT), Append(old), Append(kept)])
        assert storage.history("name") == (old, kept)
        storage.apply([Append(new)])
        assert storage.history("name") == (kept, new)
        assert storage.history("other") == (_OTHER_EVENT,)

    def test_history_moves_to_another_name(self, storage: Storage, vault: Vault) -> None:
        """After what that name has already."""
        vault.open()
        events = [Event("name", _NOW + n, "tick", {"n": n}) for n in range(2)]
        storage.apply([*(Append(event) for event in events), Append(_OTHER_EVENT)])
        storage.apply([MoveHistory("name", "other"), MoveHistory("absent", "name")])
        assert storage.history("name") == ()
        moved = (attrs.evolve(event, name="other") for event in events)
        assert storage.history("other") == (_OTHER_EVENT, *moved)

    # --- spilled records

    def test_what_is_spilled_is_kept_until_it_is_dropped(
        self, storage: Storage, vault: Vault
    ) -> None:
        """A newer spill takes an older one's place, and is not dropped for it."""
        vault.open()
        assert storage.spilled("name") is None
        storage.spill("name", b"old")
        storage.spill("name", b"new")
        storage.spill("other", b"other")
        assert storage.spilled("name") == b"new"
        storage.drop_spilled("name", b"old")
        assert storage.spilled("name") == b"new"
        storage.drop_spilled("name", b"new")
        assert storage.spilled("name") is None
        assert storage.spilled("other") == b"other"
        storage.drop_spilled("other", b"other", damaged=True)
        assert storage.spilled("other") is None

    def test_a_spilled_grant_is_adopted(
        self, vault: Vault, another: Callable[[], Storage], key_source: KeySource
    ) -> None:
        """By whoever comes next: it is stored, its refresh is over, and the spill is gone."""
        generation = vault.store_grant(_GRANT, grant_record(), generation=0)
        name = grant_record_name(_GRANT)
        vault.apply([PutIntent(Intent(name, generation, "digest", _NOW, "me"))])
        assert vault.adopt_spilled(_GRANT) is False
        newer = grant_record(refresh_token=Secret("newer-canary"))
        vault.spill(_GRANT, newer, generation + 1)
        data = vault.storage.spilled(name)
        assert data is not None
        assert b"canary" not in data
        assert vault.grant(_GRANT) == (grant_record(), generation)
        other = Vault(another(), key_source)
        assert other.adopt_spilled(_GRANT) is True
        assert vault.grant(_GRANT) == (newer, generation + 1)
        assert vault.storage.intent(name) is None
        assert vault.storage.spilled(name) is None
        assert other.adopt_spilled(_GRANT) is False
        other.close()

    def test_a_spill_that_is_not_newer_is_dropped(self, vault: Vault) -> None:
        """What was stored meanwhile counts."""
        vault.store_grant(_GRANT, grant_record(), generation=0)
        login = grant_record(access_token=Secret("login"))
        vault.spill(_GRANT, grant_record(access_token=Secret("spilled")), 2)
        vault.store_grant(_GRANT, login, generation=1)
        assert vault.adopt_spilled(_GRANT) is False
        assert vault.grant(_GRANT) == (login, 2)
        assert vault.storage.spilled(grant_record_name(_GRANT)) is None

    def test_a_spill_does_not_undo_a_logout(self, vault: Vault) -> None:
        """Nor does it stay: forgetting a grant forgets every copy."""
        name = grant_record_name(_GRANT)
        vault.store_grant(_GRANT, grant_record(), generation=0)
        vault.spill(_GRANT, grant_record(), 2)
        late = vault.storage.spilled(name)
        assert late is not None
        assert vault.forget_grant(_GRANT) is True
        assert vault.storage.spilled(name) is None
        vault.storage.spill(name, late)
        assert vault.adopt_spilled(_GRANT) is False
        assert vault.grant(_GRANT) is None

    def test_a_damaged_spill_is_left_aside(
        self, vault: Vault, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It changes nothing, and the log names the record."""
        name = grant_record_name(_GRANT)
        vault.store_grant(_GRANT, grant_record(), generation=0)
        vault.spill(_GRANT, grant_record(access_token=Secret("newer")), 2)
        whole = vault.storage.spilled(name)
        assert whole is not None
        for damaged in (b"", whole[:8], whole[:-1], b"\1" + whole[1:]):
            vault.storage.spill(name, damaged)
            assert vault.adopt_spilled(_GRANT) is False
            assert vault.storage.spilled(name) is None
            assert vault.grant(_GRANT) == (grant_record(), 1)
            assert name in caplog.text
            caplog.clear()
        vault.storage.spill(grant_record_name(_OTHER_GRANT), whole)
        assert vault.adopt_spilled(_OTHER_GRANT) is False
        assert vault.grant(_OTHER_GRANT) is None

    def test_a_spill_waits_for_the_key(
        self, storage: Storage, vault: Vault, key_source: KeySource
    ) -> None:
        """Locked is not damaged."""
        vault.store_grant(_GRANT, grant_record(), generation=0)
        vault.spill(_GRANT, grant_record(access_token=Secret("newer")), 2)
        locked = LockedKeySource(key_source)
        waiting = Vault(storage, locked)
        with pytest.raises(VaultLockedError):
            waiting.adopt_spilled(_GRANT)
        locked.locked = False
        assert waiting.adopt_spilled(_GRANT) is True


def _renamed(source: MemoryKeySource, kind: str) -> MemoryKeySource:
    """Return the source under another kind's name."""
    source.kind = kind
    return source


def _passes(enter: Callable[[float], AbstractContextManager[None]]) -> bool:
    """Say whether a gate lets through at once."""
    try:
        with enter(0):
            return True
    except VaultUnavailableError:
        return False


def _changes_of(meta: Meta) -> list[Meta]:
    flipped = bytearray(meta.sealed_data_key)
    flipped[-1] ^= 1
    return [
        attrs.evolve(meta, vault_id="0" * 32),
        attrs.evolve(meta, format=meta.format + 1),
        attrs.evolve(meta, created=meta.created + 1),
        attrs.evolve(meta, machine_id="elsewhere"),
        attrs.evolve(meta, key_source="elsewhere"),
        attrs.evolve(meta, key_parameters={**meta.key_parameters, "more": 1}),
        attrs.evolve(meta, sealed_data_key=bytes(flipped)),
        attrs.evolve(meta, sealed_data_key=b""),
    ]


def _race(work: Callable[[int], object]) -> None:
    """Run work in threads that begin together; their first error is raised."""
    barrier = threading.Barrier(_RACERS)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait()
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(_RACERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
