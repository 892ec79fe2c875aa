"""A storage joined to a key source."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping

import attrs
import pytest

from harbor_oauth.errors import ConfigurationError, VaultFormatError, VaultUnavailableError
from harbor_oauth.vault.keys import CreatedKey, KeySource, MemoryKeySource
from harbor_oauth.vault.memory import MemoryStorage
from harbor_oauth.vault.sealed import SealedRecords
from harbor_oauth.vault.storage import Meta


class _Counting(MemoryKeySource):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def probe(self) -> None:
        self.calls.append("probe")

    def create(self, vault_id: str) -> CreatedKey:
        self.calls.append("create")
        return super().create(vault_id)

    def load(self, vault_id: str, parameters: Mapping[str, str | int]) -> bytes:
        self.calls.append("load")
        return super().load(vault_id, parameters)


def test_nothing_is_asked_before_it_is_needed() -> None:
    """Names and absence need no key; making needs one proof and one key."""
    source = _Counting()
    records = SealedRecords(MemoryStorage(), source)
    assert records.names() == ()
    assert records.read("name") is None
    assert source.calls == []
    records.write("name", b"1", generation=0)
    records.read("name")
    assert source.calls == ["probe", "create"]
    records.close()
    assert records.names() == ("name",)
    assert records.read("absent") is None
    assert source.calls == ["probe", "create"]
    for _ in range(3):
        records.read("name")
    assert source.calls == ["probe", "create", "load"]


def test_threads_share_one_load() -> None:
    """Whoever comes while the key is loaded waits for it."""
    source = _Counting()
    storage = MemoryStorage()
    SealedRecords(storage, source).write("name", b"1", generation=0)
    source.calls.clear()
    records = SealedRecords(storage, source)
    barrier = threading.Barrier(8)

    def read() -> None:
        barrier.wait()
        records.read("name")

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.calls == ["load"]


def test_a_source_is_chosen_when_it_is_needed() -> None:
    """By what the vault says of itself, or by its absence."""
    source = MemoryKeySource()
    asked: list[Meta | None] = []

    def choose(meta: Meta | None) -> KeySource:
        asked.append(meta)
        return source

    storage = MemoryStorage()
    records = SealedRecords(storage, choose)
    assert records.read("name") is None
    assert asked == []
    records.write("name", b"1", generation=0)
    assert asked == [None]
    records.close()
    records.read("name")
    assert asked == [None, storage.meta()]


def test_another_kind_of_source_is_not_tried() -> None:
    """A vault says which one it wants."""
    storage = MemoryStorage()
    SealedRecords(storage, MemoryKeySource()).open()
    other = _Counting()
    other.kind = "keychain"
    with pytest.raises(ConfigurationError, match="HARBOR_VAULT=memory"):
        SealedRecords(storage, other).open()
    assert other.calls == []


def test_a_newer_vault_is_refused() -> None:
    """Before its key is asked for."""
    storage = MemoryStorage()
    source = _Counting()
    SealedRecords(storage, source).open()
    meta = storage.meta()
    assert meta is not None
    storage.replace_meta(meta, attrs.evolve(meta, format=meta.format + 1))
    source.calls.clear()
    with pytest.raises(VaultFormatError, match="newer version"):
        SealedRecords(storage, source).write("name", b"1", generation=0)
    assert source.calls == []


def test_a_vault_that_was_made_anew_gets_its_own_key() -> None:
    """A handle that outlives a vault does not seal with the old key."""
    storage, source = MemoryStorage(), MemoryKeySource()
    records = SealedRecords(storage, source)
    records.write("name", b"1", generation=0)
    storage.__init__()  # type: ignore[misc] # what setting aside does to a handle
    records.write("name", b"2", generation=0)
    assert SealedRecords(storage, source).read("name") == (b"2", 1)


def test_a_failing_proof_makes_no_vault() -> None:
    """Nothing that has to be cleaned up comes before it."""

    class Unusable(_Counting):
        def probe(self) -> None:
            raise VaultUnavailableError("No.")

    source, storage = Unusable(), MemoryStorage()
    with pytest.raises(VaultUnavailableError):
        SealedRecords(storage, source).prove()
    assert storage.meta() is None
    assert source.calls == []


def test_entropy_and_clock_are_those_given() -> None:
    """Two vaults made of the same octets are the same, octet for octet."""

    def make() -> MemoryStorage:
        storage = MemoryStorage()
        source = MemoryKeySource(entropy=lambda n: b"k" * n)
        records = SealedRecords(storage, source, entropy=lambda n: b"e" * n, clock=lambda: 42.0)
        records.write("name", b"1", generation=0)
        return storage

    one, other = make(), make()
    assert one.meta() == other.meta()
    assert one.get("name") == other.get("name")
    row = one.get("name")
    assert row is not None
    assert row.updated == 42.0


_FORK = """
import os, threading
from harbor_oauth.vault.keys import MemoryKeySource
from harbor_oauth.vault.memory import MemoryStorage
from harbor_oauth.vault.sealed import SealedRecords
storage, source = MemoryStorage(), MemoryKeySource()
records = SealedRecords(storage, source)
records.write("name", b"1", generation=0)
held, stay = threading.Event(), threading.Event()
def hold():
    with records._keys._lock:
        held.set()
        stay.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    loads = []
    load = source.load
    source.load = lambda *arguments: loads.append(1) or load(*arguments)
    ok = records.read("name") == (b"1", 1) and records.read("name") == (b"1", 1)
    os._exit(0 if ok and loads == [1] else 1)
_, status = os.waitpid(child, 0)
stay.set()
thread.join()
print(os.waitstatus_to_exitcode(status))
"""


def test_a_child_loads_the_key_itself() -> None:
    """It neither has its parent's key nor waits for a lock that nobody will give back."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORK],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.stdout, run.stderr) == ("0\n", "")
