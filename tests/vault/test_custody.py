"""The vault's key, its machine, and its copies."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from harbor_oauth.errors import (
    ConfigurationError,
    VaultConflictError,
    VaultError,
    VaultFormatError,
    VaultKeyError,
    VaultMovedError,
    VaultNotInitializedError,
    VaultRecordError,
    VaultUnavailableError,
)
from harbor_oauth.secret import Secret
from harbor_oauth.testing.vault_conformance import grant_record
from harbor_oauth.vault.keyfile import KeyFileKeySource
from harbor_oauth.vault.keys import CreatedKey, KeySource, MemoryKeySource
from harbor_oauth.vault.memory import MemoryStorage
from harbor_oauth.vault.names import GrantKey, grant_record_name
from harbor_oauth.vault.opening import open_vault
from harbor_oauth.vault.passphrase import PassphraseKeySource
from harbor_oauth.vault.sqlite import SqliteStorage
from harbor_oauth.vault.storage import Meta, Put, Row, Storage
from harbor_oauth.vault.vault import Vault

_LINEAR = GrantKey("linear", "mcp")
_SLACK = GrantKey("slack", "mcp")
_WORDS = Secret("correct horse")


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    storage: Storage = (
        MemoryStorage()
        if request.param == "memory"
        else SqliteStorage(tmp_path / "home" / "vault.db")
    )
    yield storage
    storage.close()


def _cheap(words: Secret = _WORDS) -> PassphraseKeySource:
    return PassphraseKeySource(lambda: words, iterations=1, memory=64, lanes=1)


class _Counted(MemoryKeySource):
    """Says how often it was asked, and what was forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.loads = 0
        self.refuses = False

    def load(self, vault_id: str, parameters: Mapping[str, str | int]) -> bytes:
        self.loads += 1
        return super().load(vault_id, parameters)

    def forget(self, vault_id: str, parameters: Mapping[str, str | int]) -> None:
        if self.refuses:
            raise VaultUnavailableError("The keychain refused access.")
        super().forget(vault_id, parameters)


class TestMachine:
    """Two copies of a vault that both refresh a grant end it."""

    @staticmethod
    def _on(storage: Storage, source: KeySource, machine: str | None) -> Vault:
        return Vault(storage, source, machine=lambda: machine)

    @pytest.mark.parametrize(
        ("made", "used", "refused"),
        [
            ("one", "one", False),
            ("one", "other", True),
            ("one", None, True),
            (None, "one", False),
            (None, None, False),
        ],
    )
    def test_another_machine_is_noticed(
        self, storage: Storage, made: str | None, used: str | None, refused: bool
    ) -> None:
        """And so is what cannot be known; reading goes on."""
        source = MemoryKeySource()
        self._on(storage, source, used).check_machine()
        self._on(storage, source, made).store_grant(_LINEAR, grant_record(), generation=0)
        vault = self._on(storage, source, used)
        with (
            pytest.raises(VaultMovedError, match=r"--moved.*--copied")
            if refused
            else contextlib.nullcontext()
        ):
            vault.check_machine()
        assert vault.grant(_LINEAR) is not None

    @pytest.mark.parametrize(
        ("made", "used", "refused"),
        [
            pytest.param((None, "a"), (None, "a"), None, id="a new image on the same volume"),
            pytest.param((None, "a"), (None, "b"), "another", id="two hosts of one image"),
            pytest.param(("host", "a"), (None, "a"), None, id="a container on its host's volume"),
            pytest.param((None, "a"), ("host", "a"), None, id="a host that looks at the volume"),
            pytest.param(("host", "a"), (None, "b"), "another", id="a copy in a container"),
            pytest.param(("host", "a"), ("host", "b"), None, id="restored on the same machine"),
            pytest.param(("host", "a"), ("new", "b"), "another", id="copied to a new laptop"),
            pytest.param(("host", "a"), ("new", "a"), None, id="two systems on one disk"),
            pytest.param(("host", None), (None, "a"), "cannot be told", id="made before places"),
            pytest.param(("host", "a"), (None, None), "cannot be told", id="nothing is told here"),
            pytest.param((None, None), (None, "a"), None, id="nothing was told when it was made"),
        ],
    )
    def test_an_image_is_not_a_machine(
        self,
        storage: Storage,
        made: tuple[str | None, str | None],
        used: tuple[str | None, str | None],
        refused: str | None,
    ) -> None:
        """A container is known by the directory it keeps; what cannot be known is asked once."""
        source = MemoryKeySource()

        def at(machine: str | None, place: str | None) -> Vault:
            return Vault(storage, source, machine=lambda: machine, place=lambda: place)

        at(*made).store_grant(_LINEAR, grant_record(), generation=0)
        vault = at(*used)
        with pytest.raises(VaultMovedError, match=refused) if refused else contextlib.nullcontext():
            vault.check_machine()
        vault.moved()
        vault.check_machine()

    def test_the_machines_own_id_is_not_told(self, storage: Storage) -> None:
        """It is hashed with the vault's id, as machine-id(5) asks."""
        self._on(storage, MemoryKeySource(), "one").open()
        meta = storage.meta()
        assert meta is not None
        assert meta.machine_id is not None
        assert "one" not in meta.machine_id

    def test_a_vault_that_moved_belongs_here(self, storage: Storage) -> None:
        """Its grants live on, and the machine it left is the stranger now."""
        source = MemoryKeySource()
        old = self._on(storage, source, "one")
        old.store_grant(_LINEAR, grant_record(), generation=0)
        new = self._on(storage, source, "other")
        new.moved()
        new.check_machine()
        assert new.grant(_LINEAR) == (grant_record(), 1)
        with pytest.raises(VaultMovedError):
            old.check_machine()
        assert old.grant(_LINEAR) == (grant_record(), 1)

    def test_a_copy_has_no_living_grants(self, storage: Storage) -> None:
        """Their bytes stay, and all that no server rotates can be used."""
        source = MemoryKeySource()
        vault = self._on(storage, source, "one")
        vault.store_grant(_LINEAR, grant_record(), generation=0)
        vault.store_grant(_SLACK, grant_record(state="dead", dead_cause="x"), generation=0)
        vault.spill(_LINEAR, grant_record(access_token=Secret("spilled")), 2)
        bad = grant_record_name(GrantKey("notion", "mcp"))
        storage.apply([Put(bad, b"rubbish", 1, 1.0)])
        vault.set("plain", "value")
        copy = self._on(storage, source, "other")
        copy.copied()
        copy.check_machine()
        found = copy.grant(_LINEAR)
        assert found is not None
        assert (found[0].state, found[0].access_token) == ("dead", Secret("spilled"))
        assert "copy" in (found[0].dead_cause or "")
        assert [event.event for event in copy.history(_LINEAR)] == ["dead"]
        assert copy.grant(_SLACK) == (grant_record(state="dead", dead_cause="x"), 1)
        assert copy.get("plain") == Secret("value")

    def test_a_copy_that_is_not_yet_dead_is_refused(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The machine is taken for the vault's own last of all."""
        source = MemoryKeySource()
        self._on(storage, source, "one").store_grant(_LINEAR, grant_record(), generation=0)
        copy = self._on(storage, source, "other")

        def fail(*_: object) -> None:
            raise VaultUnavailableError("The disk is full.")

        with monkeypatch.context() as patched:
            patched.setattr(storage, "apply", fail)
            with pytest.raises(VaultUnavailableError):
                copy.copied()
        with pytest.raises(VaultMovedError):
            copy.check_machine()

    def test_an_altered_machine_opens_nothing(self, storage: Storage) -> None:
        """Nobody can say in the person's place that a vault was moved."""
        source = MemoryKeySource()
        vault = self._on(storage, source, "one")
        vault.store_grant(_LINEAR, grant_record(), generation=0)
        meta = storage.meta()
        assert meta is not None
        storage.replace_meta(meta, attrs.evolve(meta, machine_id=None))
        with pytest.raises(VaultError):
            vault.grant(_LINEAR)


class TestRekey:
    """Every record is sealed with a new key at one moment."""

    def test_the_old_key_opens_nothing_any_more(self, storage: Storage) -> None:
        """Names, values and generations are what they were."""
        vault = Vault(storage, MemoryKeySource())
        vault.store_grant(_LINEAR, grant_record(), generation=0)
        vault.set("plain", "value")
        vault.set("gone", "value")
        vault.delete("gone")
        names = [*vault.names(), "secret:gone"]
        before = [(storage.generation(name), storage.get(name)) for name in names]
        old = vault._key()
        vault.rekey()
        after = [(storage.generation(name), storage.get(name)) for name in names]
        assert [generation for generation, _ in before] == [generation for generation, _ in after]
        for (_, was), (_, row) in zip(before, after, strict=True):
            assert (was is None) == (row is None)
            if row is not None:
                with pytest.raises(VaultRecordError):
                    vault._unsealed(old, row)
        assert vault.grant(_LINEAR) == (grant_record(), 1)
        assert vault.get("plain") == Secret("value")
        vault.set("gone", "again")
        assert vault.get("gone") == Secret("again")

    def test_others_notice_and_ask_nobody(self, storage: Storage) -> None:
        """Whoever has the vault open reads and writes on."""
        source = _Counted()
        vault, other = Vault(storage, source), Vault(storage, source)
        vault.set("plain", "value")
        assert other.get("plain") == Secret("value")
        assert source.loads == 1
        vault.rekey()
        assert other.get("plain") == Secret("value")
        vault.rekey()
        other.set("plain", "newer")
        assert vault.get("plain") == Secret("newer")
        assert source.loads == 1

    def test_a_write_that_meets_it_is_sealed_again(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A value sealed with the old key would be lost."""
        source = MemoryKeySource()
        vault, other = Vault(storage, source), Vault(storage, source)
        vault.set("plain", "value")
        apply = storage.apply
        steps: list[Callable[[], None]] = [vault.rekey]

        def rekey_first(changes: list[object]) -> None:
            if steps:
                steps.pop()()
            apply(changes)  # type: ignore[arg-type] # handed on

        monkeypatch.setattr(storage, "apply", rekey_first)
        other.set("new", "value")
        assert vault.get("new") == Secret("value")

    def test_a_read_that_meets_it_is_repeated(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A record of the new key is not damage to whoever has the old one."""
        source = MemoryKeySource()
        vault, other = Vault(storage, source), Vault(storage, source)
        vault.set("plain", "value")
        other.get("plain")
        get = storage.get
        steps: list[Callable[[], None]] = [vault.rekey]

        def rekey_first(name: str) -> Row | None:
            if steps:
                steps.pop()()
            return get(name)

        monkeypatch.setattr(storage, "get", rekey_first)
        assert other.get("plain") == Secret("value")

    def test_a_damaged_record_stays_as_it_is(self, storage: Storage) -> None:
        """It stops nothing, and can still be looked at by whoever may mend it."""
        vault = Vault(storage, MemoryKeySource())
        vault.set("plain", "value")
        storage.apply([Put("secret:bad", b"rubbish", 1, 1.0)])
        vault.rekey()
        row = storage.get("secret:bad")
        assert row is not None
        assert row.sealed == b"rubbish"
        assert vault.get("plain") == Secret("value")

    def test_what_was_spilled_is_adopted_first(self, storage: Storage) -> None:
        """The new key would not open it."""
        vault = Vault(storage, MemoryKeySource())
        vault.store_grant(_LINEAR, grant_record(), generation=0)
        newer = grant_record(access_token=Secret("newer"))
        vault.spill(_LINEAR, newer, 2)
        vault.rekey()
        assert vault.grant(_LINEAR) == (newer, 2)

    def test_a_failure_changes_nothing(self, tmp_path: Path) -> None:
        """Neither half the records nor the key."""
        storage = SqliteStorage(tmp_path / "home" / "vault.db")
        vault = Vault(storage, MemoryKeySource())
        for number in range(3):
            vault.set(f"plain-{number}", "value")
        meta = storage.meta()
        rows = [storage.get(name) for name in storage.names()]
        calls: list[int] = []

        def entropy(size: int) -> bytes:
            calls.append(size)
            if len(calls) == 4:  # the data key, its nonce, one record, and then
                raise OSError("no entropy")
            return bytes(size)

        vault._entropy = entropy
        vault._keys._entropy = entropy
        with pytest.raises(VaultUnavailableError):
            vault.rekey()
        assert storage.meta() == meta
        assert [storage.get(name) for name in storage.names()] == rows
        assert vault.get("plain-2") == Secret("value")
        storage.close()

    def test_there_is_nothing_to_rekey_without_a_vault(self, storage: Storage) -> None:
        """And none is made."""
        with pytest.raises(VaultNotInitializedError):
            Vault(storage, MemoryKeySource()).rekey()
        assert storage.meta() is None


class TestMove:
    """The key is kept elsewhere; no record is touched."""

    def test_to_a_passphrase_and_to_a_key_file(self, storage: Storage, tmp_path: Path) -> None:
        """The old key is gone, the new one opens, and no row has changed."""
        tmp_path.chmod(0o700)
        source = MemoryKeySource()
        vault = Vault(storage, source)
        vault.set("plain", "value")
        row = storage.get("secret:plain")
        assert vault.move(_cheap()) is True
        assert source._keys == {}
        assert vault.get("plain") == Secret("value")
        file = KeyFileKeySource(tmp_path / "vault.key")
        assert vault.move(file) is True
        vault.close()
        assert Vault(storage, file).get("plain") == Secret("value")
        with pytest.raises(ConfigurationError, match="keyfile, not passphrase"):
            Vault(storage, _cheap()).get("plain")
        assert storage.get("secret:plain") == row

    def test_to_another_passphrase(self, storage: Storage) -> None:
        """Which is how a passphrase is changed."""
        vault = Vault(storage, _cheap())
        vault.set("plain", "value")
        assert vault.move(_cheap(Secret("battery staple"))) is True
        with pytest.raises(VaultKeyError):
            Vault(storage, _cheap()).get("plain")
        assert Vault(storage, _cheap(Secret("battery staple"))).get("plain") == Secret("value")

    def test_not_to_where_it_is(self, storage: Storage) -> None:
        """Removing the old key would remove the only one."""
        source = MemoryKeySource()
        vault = Vault(storage, source)
        vault.set("plain", "value")
        with pytest.raises(ConfigurationError, match="already"):
            vault.move(source)
        assert Vault(storage, source).get("plain") == Secret("value")

    def test_a_source_that_does_not_keep_it_gets_nothing(self, storage: Storage) -> None:
        """What it returns is tried before the vault relies on it."""

        class Forgetful(MemoryKeySource):
            def create(self, vault_id: str) -> CreatedKey:
                made = super().create(vault_id)
                self._keys[vault_id] = bytes(32)
                return made

        source = MemoryKeySource()
        vault = Vault(storage, source)
        vault.set("plain", "value")
        meta = storage.meta()
        with pytest.raises(VaultKeyError):
            vault.move(Forgetful())
        assert storage.meta() == meta
        assert Vault(storage, source).get("plain") == Secret("value")

    def test_an_old_key_that_stays_is_told(self, storage: Storage) -> None:
        """The vault has moved all the same."""
        source = _Counted()
        vault = Vault(storage, source)
        vault.set("plain", "value")
        source.refuses = True
        assert vault.move(_cheap()) is False
        assert Vault(storage, _cheap()).get("plain") == Secret("value")

    def test_of_two_at_once_one_moves_it(self, storage: Storage) -> None:
        """The other removes no key that the vault needs."""
        source = MemoryKeySource()
        vault, other = Vault(storage, source), Vault(storage, source)
        vault.set("plain", "value")
        other.get("plain")
        old = other._key()
        vault.move(_cheap())
        with pytest.raises(VaultConflictError):
            other._replace(old, other._keys.wrapped(old.meta, old.wrapping, old.data))
        assert vault.get("plain") == Secret("value")


class TestBackup:
    """A sealed copy that needs nothing but its passphrase."""

    @pytest.fixture
    def vault(self, tmp_path: Path) -> Iterator[Vault]:
        vault = open_vault(tmp_path / "home", choice="keyfile", key_file=tmp_path / "home" / "key")
        (tmp_path / "home").mkdir(mode=0o700)
        vault.store_grant(_LINEAR, grant_record(), generation=0)
        vault.set("plain", "value")
        yield vault
        vault.close()

    def _restored(self, copy: Path, home: Path, words: Secret = _WORDS) -> Vault:
        home.mkdir(mode=0o700)
        shutil.copy2(copy, home / "vault.db")
        return open_vault(home, passphrase=lambda: words)

    def test_it_takes_the_originals_place(self, vault: Vault, tmp_path: Path) -> None:
        """On any machine that knows the passphrase; it is one private file."""
        copy = tmp_path / "copies" / "vault.backup"
        copy.parent.mkdir()
        newer = grant_record(access_token=Secret("newer"))
        vault.spill(_LINEAR, newer, 2)
        vault.backup(copy, _WORDS)
        assert [file.name for file in copy.parent.iterdir()] == ["vault.backup"]
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert b"canary" not in copy.read_bytes()
        vault.set("plain", "later")
        vault.rekey()
        restored = self._restored(copy, tmp_path / "other")
        assert restored.get("plain") == Secret("value")
        assert restored.grant(_LINEAR) == (newer, 2)
        restored.set("plain", "there")
        assert vault.get("plain") == Secret("later")
        restored.close()

    def test_only_with_its_passphrase(self, vault: Vault, tmp_path: Path) -> None:
        """Neither with another one nor with the vault's key."""
        vault.backup(tmp_path / "copy", _WORDS)
        restored = self._restored(tmp_path / "copy", tmp_path / "other", Secret("wrong"))
        with pytest.raises(VaultKeyError):
            restored.get("plain")
        restored.close()
        by_key = open_vault(
            tmp_path / "other", choice="keyfile", key_file=tmp_path / "home" / "key"
        )
        with pytest.raises(ConfigurationError):
            by_key.get("plain")
        by_key.close()

    def test_no_file_is_overwritten(self, vault: Vault, tmp_path: Path) -> None:
        """Least of all the vault's own."""
        assert isinstance(vault.storage, SqliteStorage)
        (tmp_path / "link").symlink_to(tmp_path / "target")
        for path in (vault.storage.path, tmp_path / "link"):
            with pytest.raises(VaultUnavailableError):
                vault.backup(path, _WORDS)
        assert not (tmp_path / "target").exists()
        assert vault.get("plain") == Secret("value")

    def test_a_copy_that_fails_is_not_there(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Half a backup is worse than none."""

        def fail(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr("harbor_oauth.vault.database.update_meta", fail)
        with pytest.raises(VaultError):
            vault.backup(tmp_path / "copy", _WORDS)
        assert not list(tmp_path.glob("copy*"))

    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    @pytest.mark.parametrize(
        "step",
        [
            "harbor_oauth.vault.database._open",
            "harbor_oauth.vault.database.update_meta",
            "harbor_oauth.platform.files._sync",
            "harbor_oauth.platform.files._name",
        ],
    )
    def test_a_killed_one_leaves_no_file_and_hinders_no_other(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        """Whatever it was doing; the next one removes what is left."""
        copies = tmp_path / "copies"
        copies.mkdir()
        vault.keys()
        child = os.fork()
        if child == 0:
            monkeypatch.setattr(step, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            with contextlib.suppress(BaseException):
                vault.backup(copies / "copy", _WORDS)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert not (copies / "copy").exists()
        vault.backup(copies / "copy", _WORDS)
        assert [file.name for file in copies.iterdir()] == ["copy"]
        assert self._restored(copies / "copy", tmp_path / "other").get("plain") == Secret("value")

    def test_memory_has_none(self, tmp_path: Path) -> None:
        """It says so."""
        vault = Vault(MemoryStorage(), MemoryKeySource())
        vault.open()
        with pytest.raises(VaultUnavailableError, match="memory"):
            vault.backup(tmp_path / "copy", _WORDS)


class TestVersions:
    """An older and a newer program use one vault in turn."""

    @staticmethod
    def _sql(path: Path, *statements: str) -> list[object]:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return [connection.execute(statement).fetchall() for statement in statements]

    def test_what_a_newer_version_added_stays(self, tmp_path: Path) -> None:
        """Members of records, columns, tables: through writing, rekeying and moving."""
        storage = SqliteStorage(tmp_path / "home" / "vault.db")
        vault = Vault(storage, _cheap())
        record = grant_record(unknown={"from_tomorrow": [1, {"a": None}]})
        vault.store_grant(_LINEAR, record, generation=0)
        vault.close()
        for table in ("meta", "records", "leases", "intents", "history"):
            self._sql(storage.path, f"ALTER TABLE {table} ADD COLUMN tomorrow TEXT")
        self._sql(
            storage.path,
            "CREATE TABLE tomorrow (x)",
            "INSERT INTO tomorrow VALUES (7)",
            "UPDATE meta SET tomorrow = 'm'",
            "UPDATE records SET tomorrow = 'r'",
        )
        found = vault.grant(_LINEAR)
        assert found is not None
        newer = attrs.evolve(found[0], access_token=Secret("newer"))
        vault.store_grant(_LINEAR, newer, generation=1)
        vault.set("plain", "value")
        vault.rekey()
        vault.move(_cheap(Secret("battery staple")))
        lease = storage.acquire_lease("name", "me", ttl=1, now=1.0)
        assert lease is not None
        storage.release_lease(lease)
        assert vault.grant(_LINEAR) == (newer, 2)
        assert newer.unknown == record.unknown
        storage.close()
        assert self._sql(
            storage.path,
            "SELECT x FROM tomorrow",
            "SELECT tomorrow FROM meta",
            "SELECT tomorrow FROM records WHERE name LIKE 'grant:%'",
        ) == [[(7,)], [("m",)], [("r",)]]

    def test_there_is_nothing_to_upgrade(self, storage: Storage) -> None:
        """The first format is the newest; a newer one is refused."""
        vault = Vault(storage, MemoryKeySource())
        vault.open()
        meta = storage.meta()
        assert meta is not None
        assert vault.upgrade() is False
        assert storage.meta() == meta
        newer = attrs.evolve(meta, format=meta.format + 1)
        storage.replace_meta(meta, newer)
        with pytest.raises(VaultFormatError):
            vault.upgrade()
        assert storage.meta() == newer


def test_a_spill_needs_no_database(tmp_path: Path) -> None:
    """The key in memory seals it; the file is private, and is set aside with the vault."""
    storage = SqliteStorage(tmp_path / "home" / "vault.db")
    vault = Vault(storage, MemoryKeySource())
    vault.store_grant(_LINEAR, grant_record(), generation=0)
    newer = grant_record(access_token=Secret("newer"))
    moved = storage.path.with_name("elsewhere")
    storage.close()
    storage.path.rename(moved)
    storage.path.mkdir()
    vault.spill(_LINEAR, newer, 2)
    storage.path.rmdir()
    moved.rename(storage.path)
    directory = storage.path.with_name("spill")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}
    copy = tmp_path / "spill"
    shutil.copytree(directory, copy)
    assert vault.adopt_spilled(_LINEAR) is True
    assert vault.grant(_LINEAR) == (newer, 2)
    storage.close()
    directory.joinpath("left").write_bytes(b"")
    aside = storage.set_aside(".aside")
    assert aside is not None
    assert not directory.exists()
    assert aside.with_name("vault.db.aside-spill").joinpath("left").exists()


def test_a_damaged_spill_keeps_its_bytes(tmp_path: Path) -> None:
    """Under another name, for whoever may mend it."""
    storage = SqliteStorage(tmp_path / "home" / "vault.db")
    vault = Vault(storage, MemoryKeySource())
    vault.store_grant(_LINEAR, grant_record(), generation=0)
    storage.spill(grant_record_name(_LINEAR), b"rubbish that was spilled")
    assert vault.adopt_spilled(_LINEAR) is False
    (file,) = storage.path.with_name("spill").glob("*.damaged")
    assert file.read_bytes() == b"rubbish that was spilled"
    storage.close()


def test_a_meta_row_is_replaced_whole_or_not(storage: Storage) -> None:
    """A record that cannot be resealed keeps the old key."""
    vault = Vault(storage, MemoryKeySource())
    vault.set("plain", "value")
    meta = storage.meta()
    assert meta is not None

    def fail(_: Row) -> bytes:
        raise VaultUnavailableError("stop")

    changed: Meta = attrs.evolve(meta, machine_id="x")
    with pytest.raises(VaultUnavailableError):
        storage.replace_meta(meta, changed, fail)
    assert storage.meta() == meta
    assert vault.get("plain") == Secret("value")
