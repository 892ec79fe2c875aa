"""Taking over what an earlier Harbor kept in the keychain."""

from __future__ import annotations

import json

import pytest

from harbor_oauth.errors import VaultError, VaultLockedError, VaultRecordError
from harbor_oauth.secret import Secret
from harbor_oauth.testing.vault_conformance import LockedKeySource, grant_record
from harbor_oauth.vault.keys import MemoryKeySource
from harbor_oauth.vault.legacy import LEGACY_SERVICE, LEGACY_STORE, ImportReport, import_legacy
from harbor_oauth.vault.memory import MemoryStorage
from harbor_oauth.vault.names import GrantKey
from harbor_oauth.vault.records import ClientRecord
from harbor_oauth.vault.vault import Vault

_VALUES = {
    "oauth:slack:client_id": "slack-id",
    "oauth:slack:client_secret": "slack-secret",
    "oauth:google:client_id": "google-id",
    "maps-key": "maps-value",
}
_TOKENS = {"oauth:slack:access_token": "a", "oauth:slack:refresh_token": "r"}


class _KilledError(Exception):
    """The program is killed here."""


class _Keychain:
    """A keychain in a dictionary, which fails at one call if told."""

    def __init__(self, *, together: dict[str, str] | None, apart: dict[str, str]) -> None:
        self.items = dict(apart)
        if together is not None:
            self.items[LEGACY_STORE] = json.dumps(together)
        self.fails_at: int | None = None
        self.calls = 0

    def get_password(self, service: str, username: str, /) -> str | None:
        self._count(service)
        return self.items.get(username)

    def set_password(self, service: str, username: str, password: str, /) -> None:
        raise AssertionError("an import never writes to the keychain")

    def delete_password(self, service: str, username: str, /) -> None:
        self._count(service)
        del self.items[username]

    def _count(self, service: str) -> None:
        assert service == LEGACY_SERVICE
        self.calls += 1
        if self.calls == self.fails_at:
            raise _KilledError


@pytest.fixture
def vault() -> Vault:
    return Vault(MemoryStorage(), MemoryKeySource())


def _import(vault: Vault, keychain: _Keychain) -> ImportReport:
    keys = ["maps-key", "odd key"]
    return import_legacy(vault, providers=["slack", "google"], keys=keys, keychain=keychain)


def _stored(vault: Vault) -> dict[str, str]:
    values = {key: vault.get(key) for key in _VALUES}
    assert set(vault.keys()) == {key for key, value in values.items() if value is not None}
    return {key: value.reveal() for key, value in values.items() if value is not None}


@pytest.mark.parametrize("together", [True, False])
def test_everything_but_tokens_is_taken(vault: Vault, together: bool) -> None:
    """From one item and from many; they are gone from the keychain then."""
    keychain = _Keychain(together=_VALUES if together else None, apart={} if together else _VALUES)
    report = _import(vault, keychain)
    assert set(report.imported) == set(_VALUES)
    assert (report.skipped, report.left) == ((), {})
    assert _stored(vault) == _VALUES
    assert keychain.items == {}
    assert _import(vault, keychain) == ImportReport((), (), {})


@pytest.mark.parametrize("together", [True, False])
def test_tokens_are_left_where_they_are(vault: Vault, together: bool) -> None:
    """What refreshes them was never kept; a person signs in again."""
    values = {**_VALUES, **_TOKENS}
    keychain = _Keychain(together=values if together else None, apart={} if together else values)
    before = dict(keychain.items)
    report = _import(vault, keychain)
    assert set(report.imported) == set(_VALUES)
    assert report.left == dict.fromkeys(_TOKENS, "it needs a new sign-in")
    assert _stored(vault) == _VALUES
    assert keychain.items == (before if together else _TOKENS)
    again = _import(vault, keychain)
    assert again.imported == ()
    assert set(again.skipped) == (set(_VALUES) if together else set())


def test_what_the_vault_has_already_is_not_overwritten(vault: Vault) -> None:
    """A secret of another client is not put beside the vault's own."""
    vault.set("oauth:slack:client_id", "newer-id")
    vault.set("maps-key", "newer-value")
    keychain = _Keychain(together=None, apart=_VALUES)
    report = _import(vault, keychain)
    assert report.imported == ("oauth:google:client_id",)
    assert set(report.left) == set(_VALUES) - set(report.imported)
    assert set(keychain.items) == set(report.left)
    assert vault.papers("slack") == (ClientRecord(kind="own", client_id="newer-id"), 1)
    assert vault.get("maps-key") == Secret("newer-value")


def test_a_secret_without_its_id_is_not_put_beside_another(vault: Vault) -> None:
    """Nobody knows whose it is."""
    vault.set("oauth:slack:client_id", "newer-id")
    keychain = _Keychain(together=None, apart={"oauth:slack:client_secret": "slack-secret"})
    assert list(_import(vault, keychain).left) == ["oauth:slack:client_secret"]
    assert vault.get("oauth:slack:client_secret") is None
    assert keychain.items == {"oauth:slack:client_secret": "slack-secret"}


def test_a_grants_client_is_not_taken_for_own_papers(vault: Vault) -> None:
    """The id that a grant was made with is seen under the same key."""
    vault.store_grant(
        GrantKey("slack", "mcp"),
        grant_record(client_id="slack-id"),
        generation=0,
        default_resource="mcp",
    )
    assert vault.get("oauth:slack:client_id") == Secret("slack-id")
    report = _import(vault, _Keychain(together=_VALUES, apart={}))
    assert "oauth:slack:client_id" in report.imported
    assert vault.papers("slack") is not None


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("odd key", "x", "name"),
        ("oauth:slack:password", "x", "name"),
        ("oauth:slack:client_secret", "x", "client id"),
        ("maps-key", "", "empty"),
        ("maps-key", "two\nlines", "control character"),
    ],
)
def test_what_cannot_be_taken_stays(vault: Vault, key: str, value: str, reason: str) -> None:
    """With the reason, which does not repeat the value."""
    keychain = _Keychain(together={"maps": "m", key: value}, apart={})
    before = dict(keychain.items)
    report = _import(vault, keychain)
    assert report.imported == ("maps",)
    assert list(report.left) == [key]
    assert reason in report.left[key]
    assert "lines" not in report.left[key]
    assert keychain.items == before


def test_a_line_end_is_not_part_of_a_value(vault: Vault) -> None:
    """As everywhere in the vault."""
    keychain = _Keychain(together={"maps-key": "m\r\n"}, apart={})
    assert _import(vault, keychain).imported == ("maps-key",)
    assert keychain.items == {}


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', "canary-secret {", "null"])
def test_a_damaged_store_stays(vault: Vault, text: str) -> None:
    """The error does not repeat what is in it, and neither does its cause."""
    keychain = _Keychain(together=None, apart={LEGACY_STORE: text, **_VALUES})
    with pytest.raises(VaultRecordError) as caught:
        _import(vault, keychain)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "canary" not in str(caught.value)
    assert keychain.items == {LEGACY_STORE: text, **_VALUES}
    assert vault.keys() == ()


def test_a_locked_vault_takes_nothing() -> None:
    """Nothing is removed, and nothing is called left: not even what would be."""
    storage, source = MemoryStorage(), MemoryKeySource()
    keychain = _Keychain(together=None, apart=_TOKENS)
    before = dict(keychain.items)
    with pytest.raises(VaultLockedError):
        _import(Vault(storage, LockedKeySource(source)), keychain)
    assert keychain.items == before


@pytest.mark.parametrize("together", [True, False])
def test_an_import_that_was_killed_is_made_again(together: bool) -> None:
    """At whichever call it ended, no value is lost, and the second one completes it."""
    fails_at = 0
    while True:
        fails_at += 1
        vault = Vault(MemoryStorage(), MemoryKeySource())
        keychain = _Keychain(
            together=_VALUES if together else None, apart={} if together else _VALUES
        )
        keychain.fails_at = fails_at
        try:
            _import(vault, keychain)
        except VaultError:
            old = json.loads(keychain.items.get(LEGACY_STORE, "{}")) | keychain.items
            assert set(_VALUES) <= old.keys() | set(vault.keys())
            _import(vault, keychain)
            assert _stored(vault) == _VALUES
            assert keychain.items == {}
        else:
            break
    assert fails_at > 16


def test_a_vault_that_fails_loses_nothing(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """At whichever write; what it did not give back stays in the keychain."""
    apply = vault.storage.apply
    vault.open()
    for writes in range(4):
        keychain = _Keychain(together=None, apart=_VALUES)
        left = [writes]

        def fail(changes: list[object], left: list[int] = left) -> None:
            if not left[0]:
                raise VaultLockedError("stop")
            left[0] -= 1
            apply(changes)  # type: ignore[arg-type] # handed on

        with monkeypatch.context() as patched:
            patched.setattr(vault.storage, "apply", fail)
            with pytest.raises(VaultLockedError):
                _import(vault, keychain)
        assert keychain.items == _VALUES
        for key in set(_VALUES) - {"oauth:slack:client_secret"}:
            vault.delete(key)


def test_what_the_vault_does_not_give_back_stays(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that reports success and stores something else."""
    keychain = _Keychain(together={"maps-key": "value"}, apart={})
    monkeypatch.setattr(vault, "set", lambda *_: None)
    assert list(_import(vault, keychain).left) == ["maps-key"]
    assert LEGACY_STORE in keychain.items
