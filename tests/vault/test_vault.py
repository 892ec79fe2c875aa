"""Grants and clients by their names."""

from __future__ import annotations

import threading

import attrs
import pytest

from harbor_oauth.errors import InvalidNameError, VaultConflictError, VaultRecordError
from harbor_oauth.secret import Secret
from harbor_oauth.testing.vault_conformance import grant_record
from harbor_oauth.vault.keys import MemoryKeySource
from harbor_oauth.vault.memory import MemoryStorage
from harbor_oauth.vault.names import (
    GrantKey,
    client_record_name,
    default_account_name,
    default_resource_name,
    grant_record_name,
    parse_grant_name,
)
from harbor_oauth.vault.records import ClientRecord
from harbor_oauth.vault.sealed import VaultChange, Write
from harbor_oauth.vault.storage import ClearIntent, Intent, Put, PutIntent
from harbor_oauth.vault.vault import Vault

_MCP = GrantKey("linear", "mcp")
_API = GrantKey("linear", "api")
_ADA = GrantKey("linear", "mcp", "ada@example.com")
_BOB = GrantKey("linear", "mcp", "bob@example.com")
_CLIENT = ClientRecord(kind="registered", client_id="client", client_secret=Secret("canary"))


@pytest.fixture
def vault() -> Vault:
    return Vault(MemoryStorage(), MemoryKeySource())


def _store(vault: Vault, *keys: GrantKey, default: str | None = "mcp") -> None:
    for key in keys:
        vault.store_grant(key, grant_record(), generation=0, default_resource=default)


def _damage(vault: Vault, name: str) -> None:
    vault.storage.apply([Put(name, b"rubbish", vault.storage.generation(name) + 1, 1.0)])


def test_a_grant_comes_back(vault: Vault) -> None:
    """With its generation, which the next store has to name."""
    record = grant_record()
    assert vault.grant(_MCP) is None
    assert vault.store_grant(_MCP, record, generation=0) == 1
    assert vault.grant(_MCP) == (record, 1)
    newer = attrs.evolve(record, access_token=Secret("newer"))
    assert vault.store_grant(_MCP, newer, generation=1) == 2
    assert vault.grant(_MCP) == (newer, 2)
    with pytest.raises(VaultConflictError):
        vault.store_grant(_MCP, record, generation=1)
    with pytest.raises(VaultConflictError):
        vault.store_grant(_MCP, record, generation=0)
    assert vault.grant(_MCP) == (newer, 2)


@pytest.mark.parametrize(
    ("stored", "default", "name", "meant"),
    [
        ([_MCP], "mcp", "linear", _MCP),
        ([_MCP], None, "linear", _MCP),
        ([_MCP, _API], "mcp", "linear", _MCP),
        ([_API, _MCP], "mcp", "linear", _MCP),
        ([_MCP, _API], "mcp", "linear/api", _API),
        ([_API], "mcp", "linear", None),
        ([_API], "mcp", "linear/api", _API),
        ([_API], None, "linear", _API),
        ([_ADA], "mcp", "linear", _ADA),
        ([_ADA, _BOB], "mcp", "linear", _ADA),
        ([_BOB, _ADA], "mcp", "linear/mcp", _BOB),
        ([_ADA, _BOB], "mcp", "linear@bob@example.com", _BOB),
        ([_ADA, _BOB, _API], "mcp", "linear@bob@example.com", _BOB),
        ([_ADA, _BOB], "mcp", "linear@eve@example.com", None),
        ([_ADA, _BOB], "mcp", "linear/mcp@ada@example.com", _ADA),
        ([_MCP], "mcp", "linear/mcp@ada@example.com", None),
        ([_MCP], "mcp", "linea", None),
        ([], "mcp", "linear", None),
    ],
)
def test_a_short_name_means_the_default(
    vault: Vault, stored: list[GrantKey], default: str | None, name: str, meant: GrantKey | None
) -> None:
    """The provider's default resource, the first account, or the only grant there is."""
    _store(vault, *stored, default=default)
    assert vault.resolve(parse_grant_name(name)) == meant


def test_a_name_that_fits_several_is_not_guessed(vault: Vault) -> None:
    """The error names them."""
    _store(vault, _MCP, _API, default=None)
    with pytest.raises(InvalidNameError, match="linear/api@default, linear/mcp@default"):
        vault.resolve(parse_grant_name("linear"))


@pytest.mark.parametrize(
    ("stored", "key", "short"),
    [
        ([_MCP], _MCP, "linear"),
        ([_MCP, _API], _API, "linear/api"),
        ([_ADA, _BOB], _ADA, "linear@ada@example.com"),
        ([_ADA, _BOB], _BOB, "linear@bob@example.com"),
        ([_MCP, _API, attrs.evolve(_API, account="b")], attrs.evolve(_API, account="b"), None),
    ],
)
def test_the_short_name_means_its_grant(
    vault: Vault, stored: list[GrantKey], key: GrantKey, short: str | None
) -> None:
    """It is the shortest that does and still says the account label."""
    _store(vault, *stored)
    assert str(vault.short_name(key)) == (short or str(key))
    assert vault.resolve(vault.short_name(key)) == key


def test_forgetting_moves_no_name_to_another_account(vault: Vault) -> None:
    """Of the accounts that are left, none becomes the default in silence unless it is alone."""
    eve = attrs.evolve(_ADA, account="eve")
    _store(vault, _ADA, _BOB, eve)
    assert vault.forget_grant(_ADA)
    with pytest.raises(InvalidNameError):
        vault.resolve(parse_grant_name("linear"))
    assert vault.forget_grant(eve)
    assert vault.resolve(parse_grant_name("linear")) == _BOB
    assert vault.forget_grant(_BOB)
    assert not vault.forget_grant(_BOB)
    assert vault.names() == ()


def test_forgetting_one_account_leaves_the_others_default(vault: Vault) -> None:
    """The default of the others stays."""
    _store(vault, _ADA, _BOB, attrs.evolve(_ADA, account="eve"))
    vault.forget_grant(_BOB)
    assert vault.resolve(parse_grant_name("linear")) == _ADA


def test_forgetting_ends_a_refresh_that_runs(vault: Vault) -> None:
    """A pair that arrives afterwards does not bring the grant back."""
    _store(vault, _MCP)
    vault.apply([PutIntent(Intent(grant_record_name(_MCP), 1, "digest", 1.0, "me"))])
    vault.forget_grant(_MCP)
    assert vault.storage.intent(grant_record_name(_MCP)) is None
    with pytest.raises(VaultConflictError):
        vault.store_grant(_MCP, grant_record(), generation=1)
    assert vault.grants() == ()


def test_a_new_login_after_forgetting_gets_a_new_generation(vault: Vault) -> None:
    """The number that is returned is the one that is stored."""
    _store(vault, _MCP)
    vault.forget_grant(_MCP)
    generation = vault.store_grant(_MCP, grant_record(), generation=0)
    assert vault.grant(_MCP) == (grant_record(), generation)
    assert generation > 1


def test_what_belongs_to_a_login_is_stored_with_it(vault: Vault) -> None:
    """Registration, defaults and grant come together or not at all."""
    client = client_record_name("https://issuer.example", "linear", "mcp")
    also: list[VaultChange] = [
        Write(client, _CLIENT.to_bytes(), 0),
        ClearIntent(grant_record_name(_MCP)),
    ]
    with pytest.raises(VaultConflictError):
        vault.store_grant(_MCP, grant_record(), generation=5, default_resource="mcp", also=also)
    assert vault.names() == ()
    vault.store_grant(_MCP, grant_record(), generation=0, default_resource="mcp", also=also)
    assert vault.registration("https://issuer.example", "linear", "mcp") == (_CLIENT, 1)


def test_two_logins_at_once_both_succeed(vault: Vault) -> None:
    """They meet at the defaults, which is no reason for one to fail."""
    keys = [GrantKey("linear", "mcp", f"a{number}") for number in range(6)]
    barrier = threading.Barrier(len(keys))
    errors: list[Exception] = []

    def log_in(key: GrantKey) -> None:
        barrier.wait()
        try:
            _store(vault, key)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=log_in, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert vault.grants() == tuple(keys)
    assert vault.resolve(parse_grant_name("linear")) in keys


def test_a_damaged_grant_can_be_replaced_or_forgotten(vault: Vault) -> None:
    """And the others do not notice."""
    _store(vault, _MCP, _API)
    _damage(vault, grant_record_name(_MCP))
    with pytest.raises(VaultRecordError):
        vault.grant(_MCP)
    assert vault.grants() == (_API, _MCP)
    assert vault.grant(_API) == (grant_record(), 1)
    generation = vault.grant_generation(_MCP)
    assert vault.store_grant(_MCP, grant_record(), generation=generation) == generation + 1
    _damage(vault, grant_record_name(_MCP))
    assert vault.forget_grant(_MCP)
    assert vault.grants() == (_API,)


def test_a_damaged_default_is_none(vault: Vault) -> None:
    """Names in full still work, short ones ask, and the next login mends it."""
    _store(vault, _ADA, _BOB)
    for name in (default_resource_name("linear"), default_account_name("linear", "mcp")):
        _damage(vault, name)
    assert vault.resolve(_BOB.name) == _BOB
    with pytest.raises(InvalidNameError):
        vault.resolve(parse_grant_name("linear"))
    vault.store_grant(_BOB, grant_record(), generation=1, default_resource="mcp")
    assert vault.resolve(parse_grant_name("linear")) == _BOB


def test_clients_come_back_under_their_names(vault: Vault) -> None:
    """Own papers and registrations do not mix, nor do issuers and resources."""
    own = ClientRecord(kind="own", client_id="mine")
    assert vault.set_papers("linear", None, own, generation=0) == 1
    assert vault.set_papers("linear", "api", _CLIENT, generation=0) == 1
    vault.store_registration("https://issuer.example", "linear", "mcp", _CLIENT, generation=0)
    assert vault.papers("linear") == (own, 1)
    assert vault.papers("linear", "api") == (_CLIENT, 1)
    assert vault.papers("linear", "mcp") is None
    assert vault.registration("https://issuer.example", "linear", "mcp") == (_CLIENT, 1)
    assert vault.registration("https://issuer.example/", "linear", "mcp") is None
    assert vault.registration("https://issuer.example", "linear", "api") is None
    with pytest.raises(VaultConflictError):
        vault.set_papers("linear", None, own, generation=0)
    assert vault.forget_papers("linear")
    assert not vault.forget_papers("linear")
    assert vault.papers("linear", "api") == (_CLIENT, 1)
    assert vault.forget_registration("https://issuer.example", "linear", "mcp")
    assert vault.registration("https://issuer.example", "linear", "mcp") is None


def test_nothing_shows_a_secret(vault: Vault) -> None:
    """Changes and vaults have a repr without values."""
    assert "canary" not in repr(Write("name", b"canary", 0)) + repr(vault)
