"""The documented keys."""

from __future__ import annotations

import attrs
import pytest

from harbor_oauth.errors import ConfigurationError, InvalidNameError, VaultRecordError
from harbor_oauth.secret import Secret
from harbor_oauth.testing.vault_conformance import grant_record
from harbor_oauth.vault.keys import MemoryKeySource
from harbor_oauth.vault.memory import MemoryStorage
from harbor_oauth.vault.names import (
    GrantKey,
    grant_record_name,
    papers_record_name,
    secret_record_name,
)
from harbor_oauth.vault.storage import Put
from harbor_oauth.vault.vault import Vault

_KEY = GrantKey("slack", "mcp")
_RECORD = attrs.evolve(
    grant_record(), client_secret=Secret("registered-secret"), expires_at=1_700_003_600.0
)


@pytest.fixture
def vault() -> Vault:
    return Vault(MemoryStorage(), MemoryKeySource())


@pytest.fixture
def signed_in(vault: Vault) -> Vault:
    vault.store_grant(_KEY, _RECORD, generation=0, default_resource="mcp")
    return vault


def _value(vault: Vault, key: str) -> str | None:
    secret = vault.get(key)
    return None if secret is None else secret.reveal()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("access_token", "access-canary"),
        ("refresh_token", "refresh-canary"),
        ("client_id", "client"),
        ("client_secret", "registered-secret"),
        ("expires_at", "1700003600"),
        ("account", None),
        ("team_id", None),
    ],
)
@pytest.mark.parametrize("name", ["slack", "slack/mcp", "slack@default", "slack/mcp@default"])
def test_a_grant_is_seen_in_parts(
    signed_in: Vault, name: str, field: str, value: str | None
) -> None:
    """Each documented field of each way to name the grant."""
    assert _value(signed_in, f"oauth:{name}:{field}") == value


def test_what_is_not_there_is_none(vault: Vault) -> None:
    """Absent grants, papers and secrets are absent, and no vault is made by asking."""
    for key in ("oauth:slack:access_token", "oauth:slack:client_id", "PLAIN"):
        assert vault.get(key) is None
    assert vault.keys() == ()
    assert vault.storage.meta() is None
    assert not vault.delete("PLAIN")
    assert not vault.delete("oauth:slack:client_id")


def test_plain_secrets_are_set_and_deleted(vault: Vault) -> None:
    """Setting again replaces."""
    for value in ("first", "second", "ünïcode 🔐"):
        vault.set("API_KEY", value)
        assert _value(vault, "API_KEY") == value
    vault.set("OTHER", Secret("x"))
    assert vault.keys() == ("API_KEY", "OTHER")
    assert vault.delete("API_KEY")
    assert not vault.delete("API_KEY")
    assert vault.keys() == ("OTHER",)
    vault.set("API_KEY", "again")
    assert _value(vault, "API_KEY") == "again"


@pytest.mark.parametrize("key", ["API_KEY", "oauth:slack:client_id"])
@pytest.mark.parametrize(
    ("given", "kept"), [("x\n", "x"), ("x\r\n", "x"), ("x\r", "x"), (" x ", " x "), ("x", "x")]
)
def test_one_line_end_is_removed(vault: Vault, key: str, given: str, kept: str) -> None:
    """What a pipe or an editor adds is no part of a secret."""
    vault.set(key, given)
    assert _value(vault, key) == kept


@pytest.mark.parametrize("key", ["API_KEY", "oauth:slack:client_id"])
@pytest.mark.parametrize(
    "value", ["", "\n", "\r\n", "canary\n\n", "a\nb", "a\tb", "a\x00", "\x1b[1m", "a\x85", "\ud800"]
)
def test_empty_and_controlling_values_are_refused(vault: Vault, key: str, value: str) -> None:
    """The old value stays, and the error does not show the new one."""
    vault.set(key, "old")
    with pytest.raises(ConfigurationError) as caught:
        vault.set(key, value)
    assert "canary" not in str(caught.value)
    assert _value(vault, key) == "old"


def test_own_papers_are_seen_before_the_grants_client(signed_in: Vault) -> None:
    """They are what the next sign-in uses; the grant keeps the client it was made with."""
    signed_in.set("oauth:slack:client_id", "mine")
    assert _value(signed_in, "oauth:slack:client_id") == "mine"
    assert _value(signed_in, "oauth:slack:client_secret") is None
    found = signed_in.grant(_KEY)
    assert found is not None
    assert found[0].client_id == "client"
    assert signed_in.delete("oauth:slack:client_id")
    assert _value(signed_in, "oauth:slack:client_id") == "client"
    assert _value(signed_in, "oauth:slack:client_secret") == "registered-secret"


def test_a_new_client_id_drops_the_old_secret(vault: Vault) -> None:
    """And what else was known of the old client; the same id again changes nothing."""
    vault.set("oauth:slack:client_id", "one")
    vault.set("oauth:slack:client_secret", "secret-of-one")
    found = vault.papers("slack")
    assert found is not None
    bound = attrs.evolve(found[0], issuer="https://issuer.example")
    vault.set_papers("slack", None, bound, generation=found[1])
    vault.set("oauth:slack:client_id", "one")
    assert _value(vault, "oauth:slack:client_secret") == "secret-of-one"
    vault.set("oauth:slack:client_secret", "another")
    found = vault.papers("slack")
    assert found is not None
    assert found[0].issuer == "https://issuer.example"
    vault.set("oauth:slack:client_id", "two")
    assert _value(vault, "oauth:slack:client_secret") is None
    found = vault.papers("slack")
    assert found is not None
    assert found[0].issuer is None


def test_a_client_secret_needs_its_id(vault: Vault) -> None:
    """The line that sets the id is in the error."""
    with pytest.raises(ConfigurationError, match="harbor chest set oauth:slack:client_id"):
        vault.set("oauth:slack:client_secret", "canary")
    assert vault.keys() == ()


def test_the_secret_of_own_papers_can_be_deleted_alone(vault: Vault) -> None:
    """The id stays; deleting the id deletes both."""
    vault.set("oauth:slack:client_id", "one")
    vault.set("oauth:slack:client_secret", "secret")
    assert vault.delete("oauth:slack:client_secret")
    assert not vault.delete("oauth:slack:client_secret")
    assert vault.keys() == ("oauth:slack:client_id",)
    vault.set("oauth:slack:client_secret", "secret")
    assert vault.delete("oauth:slack:client_id")
    assert vault.keys() == ()


def test_papers_of_a_resource_are_its_own(vault: Vault) -> None:
    """A provider's papers and a resource's do not overwrite each other."""
    vault.set("oauth:linear:client_id", "for all")
    vault.set("oauth:linear/api:client_id", "for one")
    assert _value(vault, "oauth:linear:client_id") == "for all"
    assert _value(vault, "oauth:linear/api:client_id") == "for one"
    assert vault.keys() == ("oauth:linear/api:client_id", "oauth:linear:client_id")


@pytest.mark.parametrize(
    "field", ["access_token", "refresh_token", "expires_at", "account", "team_id"]
)
def test_a_sign_in_is_not_written_by_hand(signed_in: Vault, field: str) -> None:
    """Neither set nor deleted; the command for it is named."""
    key = f"oauth:slack:{field}"
    with pytest.raises(ConfigurationError, match="harbor charter slack"):
        signed_in.set(key, "1")
    with pytest.raises(ConfigurationError, match="harbor charter slack"):
        signed_in.delete(key)
    assert signed_in.grant(_KEY) == (_RECORD, 1)


def test_papers_have_no_account(vault: Vault) -> None:
    """A client belongs to an issuer; the right key is named."""
    with pytest.raises(ConfigurationError, match="oauth:slack/mcp:client_id"):
        vault.set("oauth:slack/mcp@me:client_id", "x")


@pytest.mark.parametrize("key", ["oauth:slack", "oauth:slack:x", "a b", ""])
def test_a_wrong_key_is_refused_by_each_method(vault: Vault, key: str) -> None:
    """Nothing is made of it."""
    for attempt in (lambda: vault.get(key), lambda: vault.set(key, "x"), lambda: vault.delete(key)):
        with pytest.raises(InvalidNameError):
            attempt()
    assert vault.storage.meta() is None


def test_keys_lists_what_has_a_value(signed_in: Vault) -> None:
    """By the shortest name of each grant, with papers and plain secrets."""
    signed_in.store_grant(GrantKey("slack", "api"), grant_record(), generation=0)
    signed_in.set("PLAIN", "x")
    signed_in.set("oauth:figma:client_id", "x")
    keys = signed_in.keys()
    assert keys == (
        "PLAIN",
        "oauth:figma:client_id",
        "oauth:slack/api:access_token",
        "oauth:slack/api:client_id",
        "oauth:slack/api:refresh_token",
        "oauth:slack:access_token",
        "oauth:slack:client_id",
        "oauth:slack:client_secret",
        "oauth:slack:expires_at",
        "oauth:slack:refresh_token",
    )
    for key in keys:
        assert signed_in.get(key)


def test_one_damaged_record_leaves_the_others_readable(signed_in: Vault) -> None:
    """It stays in the list, and what can be replaced is."""
    signed_in.set("PLAIN", "x")
    signed_in.set("OTHER", "y")
    signed_in.set("oauth:figma:client_id", "z")
    for name in (
        grant_record_name(_KEY),
        secret_record_name("PLAIN"),
        papers_record_name("figma"),
    ):
        generation = signed_in.storage.generation(name)
        signed_in.storage.apply([Put(name, b"rubbish", generation + 1, 1.0)])
    listed = signed_in.keys()
    for key in ("oauth:slack:access_token", "PLAIN", "oauth:figma:client_id"):
        assert key in listed
        with pytest.raises(VaultRecordError):
            signed_in.get(key)
    assert _value(signed_in, "OTHER") == "y"
    with pytest.raises(VaultRecordError):
        signed_in.set("oauth:figma:client_secret", "s")
    for key in ("PLAIN", "oauth:figma:client_id"):
        signed_in.set(key, "new")
        assert _value(signed_in, key) == "new"
