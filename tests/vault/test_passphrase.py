"""The key source whose key is computed from a passphrase."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from harbor_oauth.errors import (
    ConfigurationError,
    VaultKeyError,
    VaultRecordError,
    VaultUnavailableError,
)
from harbor_oauth.secret import Secret
from harbor_oauth.vault.passphrase import PassphraseKeySource, passphrase_file
from harbor_oauth.vault.sqlite import SqliteStorage
from harbor_oauth.vault.vault import Vault

_WORDS = Secret("passwords")


def _source(text: str) -> PassphraseKeySource:
    return PassphraseKeySource(lambda: Secret(text), iterations=1, memory=64, lanes=1)


def test_a_new_vault_costs_what_rfc_9106_says() -> None:
    """Three passes over 64 MiB in four lanes, with a salt of 16 octets."""
    created = PassphraseKeySource(lambda: _WORDS, entropy=lambda n: b"s" * n).create("v")
    salt = b"s" * 16
    assert created.parameters == {
        "iterations": 3,
        "memory": 65536,
        "lanes": 4,
        "salt": base64.b64encode(salt).decode(),
    }
    expected = Argon2id(salt=salt, length=32, iterations=3, lanes=4, memory_cost=65536)
    assert created.key == expected.derive(b"passwords")


def test_a_vault_remembers_its_costs() -> None:
    """A later default does not change the key of an older vault."""
    created = _source("passwords").create("v")
    assert PassphraseKeySource(lambda: _WORDS).load("v", created.parameters) == created.key


def test_every_vault_has_a_salt_of_its_own() -> None:
    """One passphrase gives different keys."""
    assert _source("passwords").create("v").key != _source("passwords").create("v").key


def test_one_text_is_one_passphrase() -> None:
    """Composed and decomposed letters are the same."""
    created = _source("un caf\u00e9 noir").create("v")
    assert _source("un cafe\u0301 noir").load("v", created.parameters) == created.key


def test_a_wrong_passphrase_changes_nothing(tmp_path: Path) -> None:
    """It is told from damage, and the file stays octet for octet."""
    path = tmp_path / "home" / "vault.db"
    vault = Vault(SqliteStorage(path), _source("the right"))
    vault.write("name", b"1", generation=0)
    vault.close()
    content = path.read_bytes()
    for wrong in ("The right", "the right ", "x"):
        stranger = Vault(SqliteStorage(path), _source(wrong))
        with pytest.raises(VaultKeyError, match="passphrase does not open"):
            stranger.read("name")
        with pytest.raises(VaultKeyError):
            stranger.write("name", b"2", generation=1)
        stranger.close()
    assert path.read_bytes() == content
    assert vault.read("name") == (b"1", 1)
    vault.close()


def test_an_empty_passphrase_is_refused() -> None:
    """Nothing is made with it."""
    with pytest.raises(VaultKeyError, match="empty"):
        _source("").create("v")


@pytest.mark.parametrize("short", ["x", "1234567", "sept e\u0301t"])
def test_a_short_passphrase_makes_no_vault(short: str) -> None:
    """It still opens one that was made with it; what is too short is not shown."""
    with pytest.raises(ConfigurationError, match="fewer than 8 characters") as caught:
        _source(short).create("v")
    assert short not in str(caught.value)
    assert len(_source(short).load("v", _GOOD)) == 32


_GOOD: Mapping[str, str | int] = {
    "iterations": 1,
    "memory": 64,
    "lanes": 1,
    "salt": base64.b64encode(bytes(16)).decode(),
}


@pytest.mark.parametrize(
    "changes",
    [
        {"memory": 2**30},
        {"memory": 1024 * 1024 + 1},
        {"memory": 0},
        {"iterations": 10**9},
        {"iterations": 0},
        {"lanes": 1000},
        {"lanes": 0},
        {"lanes": 16, "memory": 64},
        {"memory": "64"},
        {"salt": ""},
        {"salt": "AAAA"},
        {"salt": "!"},
        {"salt": "ö"},
    ],
)
def test_an_altered_vault_cannot_ask_for_everything(changes: dict[str, str | int]) -> None:
    """Costs out of bounds are refused before a person is asked or memory is taken."""
    source = PassphraseKeySource(lambda: pytest.fail("asked"))
    with pytest.raises(VaultRecordError):
        source.load("v", {**_GOOD, **changes})
    for name in changes:
        with pytest.raises(VaultRecordError):
            source.load("v", {key: value for key, value in _GOOD.items() if key != name})


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [(b"p", "p"), (b"p\n", "p"), (b"p\r\n", "p"), (b"p\n\n", "p\n"), (b" p ", " p ")],
)
def test_a_passphrase_file_loses_one_line_end(
    tmp_path: Path, content: bytes, passphrase: str
) -> None:
    """What an editor adds is not part of the passphrase."""
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    path.chmod(0o600)
    assert passphrase_file(path)() == Secret(passphrase)


def test_a_passphrase_file_is_private_text(tmp_path: Path) -> None:
    """Missing, open to others, or no text: each is an error without its content."""
    path = tmp_path / "passphrase"
    read = passphrase_file(path)
    with pytest.raises(VaultUnavailableError):
        read()
    path.write_bytes(b"canary\xff")
    path.chmod(0o644)
    with pytest.raises(VaultUnavailableError, match="chmod 600"):
        read()
    path.chmod(0o600)
    with pytest.raises(VaultKeyError) as caught:
        read()
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None
