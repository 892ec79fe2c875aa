"""A refreshed pair that the vault will not take is not lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import VaultConflictError, VaultError, VaultUnavailableError
from harbor_oauth.testing import AuthorizationServer, answers
from harbor_oauth.vault import Vault
from harbor_oauth.vault.keyfile import KeyFileKeySource
from harbor_oauth.vault.sqlite import SqliteStorage
from harbor_oauth.vault.storage import Change, Put, Row


class FullDisk:
    """A storage that keeps no new value while it is full; everything else works."""

    def __init__(self, storage: SqliteStorage) -> None:
        self._storage = storage
        self.full = False
        self.spill_full = False
        self.refused = 0
        self.contested = False
        self.unreadable = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get(self, name: str) -> Row | None:
        row = self._storage.get(name)
        if self.unreadable and row is not None:
            self.unreadable -= 1
            if self.unreadable == 0:
                raise VaultUnavailableError("The disk is gone for a moment.")
            return attrs.evolve(row, generation=row.generation + 1)  # the other's write
        return row

    def apply(self, changes: Sequence[Change]) -> None:
        if self.contested and any(isinstance(change, Put) for change in changes):
            self.contested, self.unreadable = False, 2
            raise VaultConflictError("Somebody wrote first.")
        if self.full and any(isinstance(change, Put) for change in changes):
            self.refused += 1
            raise VaultUnavailableError("The disk is full.")
        self._storage.apply(changes)

    def spill(self, name: str, data: bytes) -> None:
        if self.spill_full:
            raise VaultUnavailableError("The disk is full.")
        self._storage.spill(name, data)


@pytest.fixture
def disk(tmp_path: Path) -> FullDisk:
    return FullDisk(SqliteStorage(tmp_path / "home" / "vault.db"))


@pytest.fixture
def harbor(make_harbor: Callable[..., Harbor], disk: FullDisk, tmp_path: Path) -> Harbor:
    """A Harbor on the disk that may be full, signed in."""
    vault = Vault(disk, KeyFileKeySource(tmp_path / "home" / "vault.key"))
    harbor = make_harbor(vault=vault)
    harbor.login("practice")
    return harbor


def test_it_is_served_from_memory_and_stored_when_the_vault_can(
    harbor: Harbor,
    make_harbor: Callable[..., Harbor],
    disk: FullDisk,
    issuer: AuthorizationServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Three attempts to store, then memory; later it is stored without another request."""
    caplog.set_level(logging.DEBUG)
    disk.full = disk.spill_full = True
    assert harbor.rejected("practice", harbor.token("practice"))
    assert disk.refused == 3
    new = harbor.token("practice").reveal()
    assert issuer.valid(new) is not None
    assert "could not be stored" in caplog.text
    assert new not in caplog.text
    with pytest.raises(VaultError):
        harbor.close()
    disk.full = False
    harbor.close()
    assert make_harbor().token("practice").reveal() == new
    assert issuer.count("token", grant_type="refresh_token") == 1


def test_a_later_process_adopts_what_was_spilled(
    harbor: Harbor,
    make_harbor: Callable[..., Harbor],
    disk: FullDisk,
    issuer: AuthorizationServer,
    tmp_path: Path,
) -> None:
    """The process ended before the vault could be written; the sealed pair lay beside it."""
    disk.full = True
    assert harbor.rejected("practice", harbor.token("practice"))
    new = harbor.token("practice").reveal()
    spilled = [p for p in (tmp_path / "home").rglob("*") if p.is_file() and "spill" in str(p)]
    assert spilled
    assert all(new.encode() not in path.read_bytes() for path in spilled)
    later = make_harbor()
    issuer.expire_access_tokens()
    assert later.rejected("practice", later.token("practice"))
    assert issuer.reuse_events == []
    assert issuer.valid(later.token("practice").reveal()) is not None
    disk.full = False  # for the end of the first one, whose pair is not the newest any more
    harbor.close()
    assert make_harbor().token("practice").reveal() == later.token("practice").reveal()


def test_a_vault_that_cannot_be_written_asks_the_server_nothing(
    harbor: Harbor, disk: FullDisk, issuer: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it can be written is proved before the refresh token is spent."""

    def refuse(changes: Sequence[Change]) -> None:
        raise VaultUnavailableError("Read-only.")

    token = harbor.token("practice")
    monkeypatch.setattr(disk, "apply", refuse)
    with pytest.raises(VaultUnavailableError):
        harbor.rejected("practice", token)
    assert issuer.count("token", grant_type="refresh_token") == 0


def test_a_sign_in_replaces_what_was_never_stored(
    harbor: Harbor, make_harbor: Callable[..., Harbor], disk: FullDisk, issuer: AuthorizationServer
) -> None:
    """The pair in memory gives way to the person's newer grant."""
    disk.full = disk.spill_full = True
    assert harbor.rejected("practice", harbor.token("practice"))
    disk.full = False
    make_harbor().login("practice")
    newest = make_harbor().token("practice").reveal()
    harbor.close()
    assert harbor.token("practice").reveal() == newest


def test_a_vault_that_fails_while_a_conflict_is_judged_loses_nothing(
    harbor: Harbor, make_harbor: Callable[..., Harbor], disk: FullDisk, issuer: AuthorizationServer
) -> None:
    """Two faults at once: the pair is kept and stored a moment later."""
    token = harbor.token("practice")
    disk.contested = True
    assert harbor.rejected("practice", token)
    harbor.close()
    stored = make_harbor().token("practice").reveal()
    assert stored != token.reveal()
    assert issuer.valid(stored) is not None


def test_who_waited_for_the_lease_adopts_what_its_holder_spilled(
    harbor: Harbor, make_harbor: Callable[..., Harbor], disk: FullDisk, issuer: AuthorizationServer
) -> None:
    """The stored refresh token is spent by then; sending it again would end the grant."""
    answered = threading.Event()
    token = harbor.token("practice")
    disk.full = True
    issuer.script("token", answers.slow(answered))
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(harbor.rejected, "practice", token)
        assert issuer.wait_for("token", 2)

        def wait(_: float) -> None:
            answered.set()
            assert holder.result()

        waiting = make_harbor(sleep=wait)
        assert waiting.rejected("practice", token)
    assert issuer.count("token", grant_type="refresh_token") == 1
    assert issuer.reuse_events == []
    assert waiting.token("practice").reveal() == harbor.token("practice").reveal()
    disk.full = False
