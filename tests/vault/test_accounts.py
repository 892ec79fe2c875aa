"""Several grants for one resource."""

from __future__ import annotations

import attrs
import pytest

from harbor_oauth.errors import InvalidNameError, VaultConflictError, VaultUnavailableError
from harbor_oauth.secret import Secret
from harbor_oauth.testing.vault_conformance import grant_record
from harbor_oauth.vault.keys import MemoryKeySource
from harbor_oauth.vault.memory import MemoryStorage
from harbor_oauth.vault.names import GrantKey, grant_record_name, parse_grant_name
from harbor_oauth.vault.storage import Append, Event, Intent, Put, PutIntent
from harbor_oauth.vault.vault import Vault

_ADA = GrantKey("linear", "mcp", "ada")
_BOB = GrantKey("linear", "mcp", "bob")
_EVE = GrantKey("linear", "mcp", "eve")
_NAME = grant_record_name(_ADA)


@pytest.fixture
def vault() -> Vault:
    vault = Vault(MemoryStorage(), MemoryKeySource(), clock=lambda: 7.0)
    for key in (_ADA, _BOB):
        record = grant_record(account_label=key.account)
        vault.store_grant(key, record, generation=0, default_resource="mcp")
    return vault


def test_the_default_is_the_one_that_was_set(vault: Vault) -> None:
    """The provider's bare name means it from then on, as often as it is set."""
    assert vault.resolve(parse_grant_name("linear")) == _ADA
    for key in (_BOB, _BOB, _ADA):
        vault.set_default(key)
        assert vault.resolve(parse_grant_name("linear")) == key
    with pytest.raises(InvalidNameError, match="no grant"):
        vault.set_default(_EVE)
    assert vault.resolve(parse_grant_name("linear")) == _ADA


def test_a_renamed_grant_is_the_same_grant(vault: Vault) -> None:
    """With its tokens, its history, and the default that named it."""
    vault.apply([Append(Event(_NAME, 5.0, "login"))])
    assert vault.rename_account(_ADA, "eve") == _EVE
    found = vault.grant(_EVE)
    assert found is not None
    assert found[0] == grant_record(account_label="eve")
    assert vault.grants() == (_BOB, _EVE)
    assert vault.resolve(parse_grant_name("linear")) == _EVE
    assert [event.event for event in vault.history(_EVE)] == ["login", "renamed"]
    assert vault.history(_EVE)[-1].detail == {"from": "ada", "to": "eve"}
    assert vault.history(_ADA) == ()
    assert vault.rename_account(_EVE, "ada") == _ADA
    assert vault.resolve(parse_grant_name("linear")) == _ADA


def test_another_ones_default_is_left_alone(vault: Vault) -> None:
    """Renaming changes no meaning."""
    vault.rename_account(_BOB, "eve")
    assert vault.resolve(parse_grant_name("linear")) == _ADA


@pytest.mark.parametrize(
    ("key", "label", "sentence"),
    [
        (_EVE, "new", "no grant"),
        (_ADA, "bob", "already"),
        (_ADA, "a/b", "label"),
        (_ADA, "", "label"),
    ],
)
def test_what_cannot_be_renamed_stays(
    vault: Vault, key: GrantKey, label: str, sentence: str
) -> None:
    """Nothing is overwritten."""
    with pytest.raises(InvalidNameError, match=sentence):
        vault.rename_account(key, label)
    assert vault.grants() == (_ADA, _BOB)
    assert vault.rename_account(_ADA, "ada") == _ADA


def test_a_damaged_grant_in_the_way_is_not_overwritten(vault: Vault) -> None:
    """It may yet be mended."""
    vault.storage.apply([Put(grant_record_name(_EVE), b"rubbish", 1, 1.0)])
    with pytest.raises(InvalidNameError, match="already"):
        vault.rename_account(_ADA, "eve")


def test_what_is_being_refreshed_is_not_renamed(vault: Vault) -> None:
    """The new tokens would be stored under a name that is no more."""
    lease = vault.storage.acquire_lease(_NAME, "refresher", ttl=45, now=7.0)
    assert lease is not None
    with pytest.raises(VaultConflictError, match="refreshed") as caught:
        vault.rename_account(_ADA, "eve")
    assert caught.value.retryable
    vault.storage.release_lease(lease)
    assert vault.rename_account(_ADA, "eve") == _EVE
    assert vault.storage.lease_holder(_NAME) is None


def test_what_was_spilled_goes_along(vault: Vault) -> None:
    """The newest tokens are the ones that have the new name."""
    newer = grant_record(account_label="ada", access_token=Secret("newer"))
    vault.spill(_ADA, newer, 2)
    vault.rename_account(_ADA, "eve")
    found = vault.grant(_EVE)
    assert found is not None
    assert found[0].access_token == Secret("newer")
    assert vault.storage.spilled(_NAME) is None


def test_an_interrupted_refresh_is_remembered(vault: Vault) -> None:
    """As one of the generation that has the new name."""
    vault.apply([PutIntent(Intent(_NAME, 1, "digest", 5.0, "me"))])
    for label in ("eve", "ada", "eve"):
        key = next(key for key in vault.grants() if key != _BOB)
        vault.rename_account(key, label)
    found = vault.grant(_EVE)
    assert found is not None
    name = grant_record_name(_EVE)
    assert vault.storage.intent(name) == Intent(name, found[1], "digest", 5.0, "me")
    assert vault.storage.intent(_NAME) is None


def test_a_rename_that_fails_changes_nothing(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither two grants nor none."""

    def fail(*_: object) -> None:
        raise VaultUnavailableError("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(vault.storage, "apply", fail)
        with pytest.raises(VaultUnavailableError):
            vault.rename_account(_ADA, "eve")
    assert vault.grants() == (_ADA, _BOB)
    assert vault.storage.lease_holder(_NAME) is None


def test_history_outlives_the_grant(vault: Vault) -> None:
    """So that it can be told why it is gone; the next grant of that name goes on with it."""
    vault.apply([Append(Event(_NAME, 5.0, "login"))])
    assert vault.forget_grant(_ADA)
    vault.apply([Append(Event(_NAME, 6.0, "logout"))])
    assert [event.event for event in vault.history(_ADA)] == ["login", "logout"]
    again = attrs.evolve(grant_record(), account_label="ada")
    vault.store_grant(_ADA, again, generation=0, also=[Append(Event(_NAME, 7.0, "login"))])
    assert [event.event for event in vault.history(_ADA)] == ["login", "logout", "login"]


def test_a_login_replaces_a_damaged_grant(vault: Vault) -> None:
    """Its generation is known, and that is all it needs."""
    vault.storage.apply([Put(_NAME, b"rubbish", 2, 1.0)])
    login = grant_record(account_label="ada", access_token=Secret("login"))
    generation = vault.grant_generation(_ADA)
    assert vault.store_grant(_ADA, login, generation=generation, default_resource="mcp") == 3
    assert vault.grant(_ADA) == (login, 3)


def test_only_the_generation_that_was_revoked_is_forgotten(vault: Vault) -> None:
    """A refresh may have stored a newer pair, which would live on at the server."""
    newer = grant_record(account_label="ada", access_token=Secret("newer"))
    vault.store_grant(_ADA, newer, generation=1)
    vault.spill(_ADA, newer, 3)
    assert vault.forget_grant(_ADA, generation=1) is False
    assert vault.grant(_ADA) == (newer, 2)
    assert vault.storage.spilled(_NAME) is not None
    assert vault.forget_grant(_ADA, generation=2) is True
    assert vault.grant(_ADA) is None
    assert vault.storage.spilled(_NAME) is None
    assert vault.forget_grant(_ADA, generation=2) is False
    assert vault.resolve(parse_grant_name("linear")) == _BOB
