"""Programs that ask `keyring` for an earlier Harbor's secrets get the vault's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keyring.backends.fail
import keyring.core
import keyring.errors
import pytest

from harbor_oauth.client import Harbor
from harbor_oauth.errors import VaultLockedError
from harbor_oauth.integrations.keyring import VaultKeyring
from harbor_oauth.secret import Secret
from harbor_oauth.testing import AuthorizationServer
from harbor_oauth.testing.vault_conformance import grant_record
from harbor_oauth.vault import GrantKey


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
    ring.set_password("harbor", "plain", "x")
    assert ring.get_password("another service", "plain") is None
    assert ring.get_password("harbor", "two words") is None
    assert ring.get_password("harbor", "oauth:practice:password") is None
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


def test_a_registered_clients_secret_is_not_given_out(harbor: Harbor, ring: VaultKeyring) -> None:
    """Own papers' secret is: the person put it there."""
    record = grant_record(client_secret=Secret("registered-secret"))
    key = GrantKey("practice", "mcp")
    harbor.vault.store_grant(key, record, generation=0, default_resource="mcp")
    assert harbor.vault.get("oauth:practice:client_secret") == Secret("registered-secret")
    assert ring.get_password("harbor", "oauth:practice:client_secret") is None
    assert ring.get_password("harbor", "oauth:practice:client_id") == "client"
    ring.set_password("harbor", "oauth:practice:client_id", "own-id")
    ring.set_password("harbor", "oauth:practice:client_secret", "own-secret")
    assert ring.get_password("harbor", "oauth:practice:client_secret") == "own-secret"


def test_what_is_refused_is_not_repeated(ring: VaultKeyring) -> None:
    """Neither in the error nor behind it."""
    with pytest.raises(keyring.errors.PasswordSetError) as caught:
        ring.set_password("harbor", "oauth:practice:access_token", "s3cret")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(keyring.errors.PasswordDeleteError):
        ring.delete_password("harbor", "oauth:practice:access_token")
    ring.set_password("harbor", "plain", "x")
    with pytest.raises(keyring.errors.PasswordDeleteError):
        ring.delete_password("another service", "plain")


def test_locked_is_locked(
    harbor: Harbor, ring: VaultKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every verb, as programs that use keyring know it."""

    def locked(*_: object) -> None:
        raise VaultLockedError("The keychain is locked.")

    for verb in ("get", "set", "delete"):
        monkeypatch.setattr(harbor.vault, verb, locked)
    with pytest.raises(keyring.errors.KeyringLocked, match="locked"):
        ring.get_password("harbor", "plain")
    with pytest.raises(keyring.errors.KeyringLocked, match="locked"):
        ring.set_password("harbor", "plain", "x")
    with pytest.raises(keyring.errors.KeyringLocked, match="locked"):
        ring.delete_password("harbor", "plain")


def test_it_is_never_chosen_by_itself() -> None:
    """It ranks below keyring's own back end that always fails."""
    assert VaultKeyring.priority < keyring.backends.fail.Keyring.priority


def test_another_program_is_answered(harbor: Harbor, tmp_path: Path) -> None:
    """One that knows nothing but keyring, told by the environment."""
    harbor.vault.set("plain", "a value")
    harbor.vault.close()
    environ = {
        **os.environ,
        **harbor._environ,
        "HARBOR_HOME": str(harbor.settings.home),
        "PYTHON_KEYRING_BACKEND": "harbor_oauth.integrations.keyring.VaultKeyring",
    }
    script = "import keyring; print(keyring.get_password('harbor', 'plain'))"
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("a value\n", "")
