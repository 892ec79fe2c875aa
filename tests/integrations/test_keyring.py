"""Programs that ask `keyring` for an earlier Harbor's secrets get the vault's."""

from __future__ import annotations

from collections.abc import Callable

import keyring.core
import keyring.errors
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.integrations.keyring import VaultKeyring
from harbor_oauth.testing import AuthorizationServer


@pytest.fixture
def ring(harbor: Harbor) -> VaultKeyring:
    return VaultKeyring(harbor)


def test_it_gives_a_fresh_access_token(
    harbor: Harbor, ring: VaultKeyring, issuer: AuthorizationServer, clock: object
) -> None:
    """The key an earlier Harbor documented answers with a token that is valid now."""
    harbor.login("practice")
    clock.advance(3600)  # type: ignore[attr-defined]  # the fake clock
    previous = keyring.core.get_keyring()
    keyring.core.set_keyring(ring)
    try:
        token = keyring.get_password("harbor", "oauth:practice:access_token")
    finally:
        keyring.core.set_keyring(previous)
    assert token
    assert issuer.valid(token) is not None
    assert issuer.count("token", grant_type="refresh_token") == 1


def test_papers_and_plain_secrets_are_read_set_and_deleted(ring: VaultKeyring) -> None:
    """They are the vault's documented keys."""
    ring.set_password("harbor", "oauth:practice:client_id", "an-id")
    ring.set_password("harbor", "plain", "a value")
    assert ring.get_password("harbor", "oauth:practice:client_id") == "an-id"
    assert ring.get_password("harbor", "plain") == "a value"
    ring.delete_password("harbor", "plain")
    assert ring.get_password("harbor", "plain") is None
    with pytest.raises(keyring.errors.PasswordDeleteError):
        ring.delete_password("harbor", "plain")


def test_a_refresh_token_is_not_given_out(harbor: Harbor, ring: VaultKeyring) -> None:
    """A second program that uses it would end the grant; the error says so."""
    harbor.login("practice")
    with pytest.raises(keyring.errors.KeyringError, match="access token"):
        ring.get_password("harbor", "oauth:practice:refresh_token")


def test_what_is_not_there_is_none(ring: VaultKeyring) -> None:
    """As `keyring` has it: no grant, no key, another service."""
    assert ring.get_password("harbor", "oauth:practice:access_token") is None
    assert ring.get_password("harbor", "nothing") is None
    assert ring.get_password("another service", "plain") is None
    with pytest.raises(keyring.errors.PasswordSetError):
        ring.set_password("another service", "plain", "x")


def test_a_token_is_not_set_by_hand(ring: VaultKeyring) -> None:
    """It comes from a sign-in."""
    with pytest.raises(keyring.errors.PasswordSetError, match="sign-in"):
        ring.set_password("harbor", "oauth:practice:access_token", "x")


def test_a_dead_grant_is_an_error_with_the_cure(
    harbor: Harbor, ring: VaultKeyring, issuer: AuthorizationServer
) -> None:
    """Not None: the caller would take it for "never signed in"."""
    harbor.login("practice")
    issuer.revoke_all()
    token = harbor.token("practice")
    with pytest.raises(Exception, match="harbor charter practice"):
        harbor.rejected("practice", token)
    with pytest.raises(keyring.errors.KeyringError, match="harbor charter practice"):
        ring.get_password("harbor", "oauth:practice:access_token")


def test_it_is_never_chosen_by_itself(make_harbor: Callable[..., Harbor]) -> None:
    """keyring's own choice does not fall on it."""
    assert VaultKeyring.priority < 1
