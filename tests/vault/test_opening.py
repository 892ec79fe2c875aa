"""Opening the vault of a directory."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from keyring import errors

from harbor_oauth.errors import (
    ConfigurationError,
    VaultLockedError,
    VaultMovedError,
    VaultNotInitializedError,
    VaultUnavailableError,
)
from harbor_oauth.secret import Secret
from harbor_oauth.vault.opening import DATABASE, KEY_SOURCES, open_vault, set_vault_aside
from harbor_oauth.vault.passphrase import PassphraseKeySource
from harbor_oauth.vault.sqlite import SqliteStorage
from harbor_oauth.vault.vault import Vault


class _Keychain:
    """A keychain in a dictionary that fails when told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.items: dict[tuple[str, str], str] = {}
        self.failure = failure

    def get_password(self, service: str, username: str, /) -> str | None:
        self._fail()
        return self.items.get((service, username))

    def set_password(self, service: str, username: str, password: str, /) -> None:
        self._fail()
        self.items[service, username] = password

    def delete_password(self, service: str, username: str, /) -> None:
        self._fail()
        del self.items[service, username]

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "vault.key"


def test_opening_touches_nothing(home: Path) -> None:
    """Not even reading what is not there."""
    keychain = _Keychain(AssertionError("asked"))
    vault = open_vault(home, keychain=keychain)
    assert vault.read("name") is None
    assert vault.get("PLAIN") is None
    assert not home.exists()


def test_the_keychain_is_the_default(home: Path) -> None:
    """And is found again without being named."""
    keychain = _Keychain()
    for choice in (None, "keychain"):
        vault = open_vault(home, choice=choice, keychain=keychain)
        vault.set("PLAIN", "x")
        vault.close()
    assert len(keychain.items) == 1
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.parametrize("failure", [errors.NoKeyringError("x"), errors.KeyringError("x")])
def test_without_a_keychain_nothing_else_is_taken(home: Path, failure: Exception) -> None:
    """A program gets an error that names both other ways, and no vault is made."""
    vault = open_vault(home, keychain=_Keychain(failure))
    for attempt in (vault.open, vault.prove, lambda: vault.set("PLAIN", "x")):
        with pytest.raises(VaultNotInitializedError) as caught:
            attempt()
        assert "harbor chest init --key-file PATH" in str(caught.value)
        assert "HARBOR_VAULT=passphrase" in str(caught.value)
    assert not (home / DATABASE).exists()


def test_a_locked_keychain_is_still_the_default(home: Path) -> None:
    """It wants to be unlocked, not replaced."""
    vault = open_vault(home, keychain=_Keychain(errors.KeyringLocked("x")))
    with pytest.raises(VaultLockedError):
        vault.open()
    assert not (home / DATABASE).exists()


def test_who_asked_for_the_keychain_is_told_about_it(home: Path) -> None:
    """A choice that fails is an error of the choice."""
    vault = open_vault(home, choice="keychain", keychain=_Keychain(errors.NoKeyringError("x")))
    with pytest.raises(VaultUnavailableError, match="no usable keychain"):
        vault.open()


def test_an_existing_vault_whose_keychain_is_gone_is_not_new(home: Path) -> None:
    """The error is the keychain's; nobody is invited to make another vault."""
    keychain = _Keychain()
    vault = open_vault(home, keychain=keychain)
    vault.open()
    vault.close()
    keychain.failure = errors.NoKeyringError("x")
    with pytest.raises(VaultUnavailableError):
        vault.set("PLAIN", "x")
    vault.close()


def test_a_key_file_is_remembered(home: Path, key_file: Path) -> None:
    """Neither the choice nor the path has to be said twice."""
    vault = open_vault(home, choice="keyfile", key_file=key_file)
    vault.set("PLAIN", "x")
    vault.close()
    vault = open_vault(home)
    assert vault.get("PLAIN") == Secret("x")
    vault.close()


def test_a_key_file_has_to_be_named(home: Path) -> None:
    """There is no default beside the vault, where it would protect nothing."""
    with pytest.raises(VaultUnavailableError, match="HARBOR_VAULT_KEY_FILE"):
        open_vault(home, choice="keyfile").open()
    assert not (home / DATABASE).exists()


def test_a_passphrase_is_asked_for_once(home: Path) -> None:
    """Once to make the vault and use it, once for each later process."""
    asked: list[str] = []

    def ask() -> Secret:
        asked.append("asked")
        return Secret("correct horse")

    storage = SqliteStorage(home / DATABASE)
    cheap = PassphraseKeySource(ask, iterations=1, memory=64, lanes=1)
    vault = Vault(storage, cheap)
    vault.set("PLAIN", "x")
    assert len(asked) == 1
    vault.close()
    vault = open_vault(home, passphrase=ask)
    for _ in range(2):
        assert vault.get("PLAIN") == Secret("x")
    assert len(asked) == 2
    vault.close()
    vault = open_vault(home)
    with pytest.raises(VaultUnavailableError, match="HARBOR_VAULT_PASSPHRASE_FILE"):
        vault.get("PLAIN")
    vault.close()


@pytest.mark.parametrize("choice", ["keychain", "passphrase"])
def test_another_choice_than_the_vaults_is_an_error(
    home: Path, key_file: Path, choice: str
) -> None:
    """The vault's own is named, and no second key is made."""
    vault = open_vault(home, choice="keyfile", key_file=key_file)
    vault.set("PLAIN", "x")
    vault.close()
    keychain = _Keychain()
    other = open_vault(home, choice=choice, keychain=keychain, passphrase=lambda: Secret("p"))
    with pytest.raises(ConfigurationError, match="Set HARBOR_VAULT to keyfile"):
        other.get("PLAIN")
    other.close()
    assert keychain.items == {}


def test_a_vault_remembers_its_directory(home: Path, key_file: Path) -> None:
    """By the name that a copy does not have."""
    asked: list[Path] = []

    def place(directory: Path) -> str:
        assert directory.is_dir()
        asked.append(directory)
        return "here"

    made = open_vault(home, choice="keyfile", key_file=key_file, machine=lambda: None, place=place)
    made.open()
    made.check_machine()
    made.close()
    assert set(asked) == {home}
    copy = open_vault(home, machine=lambda: None, place=lambda _: "there")
    with pytest.raises(VaultMovedError):
        copy.check_machine()
    copy.close()


def test_an_unknown_choice_is_refused(home: Path) -> None:
    """The known ones are named."""
    with pytest.raises(ConfigurationError, match=", ".join(KEY_SOURCES)):
        open_vault(home, choice="plaintext")


def test_a_vault_in_memory_touches_no_disk(home: Path) -> None:
    """It works, and ends with its handle."""
    vault = open_vault(home, choice="memory")
    vault.set("PLAIN", "x")
    assert vault.get("PLAIN") == Secret("x")
    assert open_vault(home, choice="memory").get("PLAIN") is None
    assert not home.exists()


def test_a_vault_can_be_set_aside(home: Path, key_file: Path) -> None:
    """Its file keeps everything; the next use makes another."""
    vault = open_vault(home, choice="keyfile", key_file=key_file)
    vault.set("PLAIN", "x")
    assert set_vault_aside(home, clock=lambda: 0.0) == home / "vault.db.aside-19700101T000000Z"
    assert vault.get("PLAIN") is None
    vault.set("PLAIN", "y")
    assert vault.get("PLAIN") == Secret("y")
    vault.close()


_FIRST_PROCESSES = """
import hashlib, os, sys
from pathlib import Path
from harbor_oauth.vault import vault as _warm, open_vault
from harbor_oauth.vault.keychain import KeychainKeySource
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

home, key_file, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
items = key_file.parent / "keychain"
items.mkdir()

class Keychain:
    "One file for each item, and one line in a log for each key that is set."
    def get_password(self, service, user):
        path = items / user
        return path.read_text() if path.exists() else None
    def set_password(self, service, user, value):
        draft = items / f".{user}.{os.getpid()}"
        draft.write_text(value)
        draft.rename(items / user)
        with open(key_file.parent / "log", "a") as log:
            log.write(f"{user}\\n")
    def delete_password(self, service, user):
        (items / user).unlink()

read, write = os.pipe()
results, answers = os.pipe()
children = []
for number in range(50):
    child = os.fork()
    if child == 0:
        try:
            os.close(write)
            os.read(read, 1)                  # all begin when the parent closes its end
            vault = open_vault(home, choice=kind, key_file=key_file, keychain=Keychain())
            vault.set(f"NAME-{number}", "x")
            key = vault._keys.open(vault.storage.meta()).data
            os.write(answers, hashlib.sha256(key).hexdigest().encode() + b"\\n")
            vault.close()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    children.append(child)
os.close(read), os.close(write), os.close(answers)
failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
digests = os.fdopen(results).read().split()
vault = open_vault(home, choice=kind, key_file=key_file, keychain=Keychain())
values = sum(vault.get(key) is not None for key in vault.keys())
print(failed, len(digests), len(set(digests)), values)
vault.close()
"""


@pytest.mark.parametrize("kind", ["keychain", "keyfile"])
def test_fifty_first_processes_make_one_key(tmp_path: Path, kind: str) -> None:
    """All read the same data key, and everything that any of them stored is there."""
    run = subprocess.run(
        [sys.executable, "-c", _FIRST_PROCESSES, tmp_path / "home", tmp_path / "vault.key", kind],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (run.stdout, run.stderr) == ("0 50 1 50\n", "")
    if kind == "keychain":
        made = (tmp_path / "log").read_text().split()
        assert len([user for user in made if not user.startswith("probe-")]) == 1
        assert len(list((tmp_path / "keychain").iterdir())) == 1
