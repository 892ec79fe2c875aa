"""The key source whose key is in a file."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest

from harbor_oauth.errors import (
    VaultError,
    VaultKeyError,
    VaultKeyMissingError,
    VaultUnavailableError,
)
from harbor_oauth.vault.keyfile import KeyFileKeySource
from harbor_oauth.vault.memory import MemoryStorage
from harbor_oauth.vault.vault import Vault


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vault.key"


def test_the_file_is_made_private(path: Path) -> None:
    """Under the most open umask, with 32 random octets in base64."""
    before = os.umask(0)
    try:
        created = KeyFileKeySource(path).create("v")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert base64.b64decode(path.read_bytes()) == created.key
    assert len(created.key) == 32
    assert created.parameters == {"path": str(path)}


def test_a_file_that_is_there_is_used_and_not_changed(path: Path) -> None:
    """A platform may have put the key there before the first start."""
    content = base64.b64encode(bytes(range(32))) + b"\n"
    path.write_bytes(content)
    path.chmod(0o400)
    source = KeyFileKeySource(path)
    source.probe()
    assert source.create("v").key == bytes(range(32))
    assert path.read_bytes() == content


def test_the_vault_remembers_where_it_is(path: Path) -> None:
    """The path has to be named once; naming another one moves it."""
    created = KeyFileKeySource(path).create("v")
    assert KeyFileKeySource(None).load("v", created.parameters) == created.key
    moved = path.with_name("moved.key")
    path.rename(moved)
    assert KeyFileKeySource(moved).load("v", created.parameters) == created.key
    with pytest.raises(VaultUnavailableError, match="HARBOR_VAULT_KEY_FILE"):
        KeyFileKeySource(None).create("v")


def test_a_lost_file_is_not_made_again(path: Path) -> None:
    """Its vault says what can be done, and stays as it is."""
    vault = Vault(MemoryStorage(), KeyFileKeySource(path))
    vault.write("name", b"1", generation=0)
    vault.close()
    path.rename(path.with_name("away"))
    with pytest.raises(VaultKeyMissingError, match="harbor chest reset"):
        vault.write("name", b"2", generation=1)
    assert not path.exists()
    path.with_name("away").rename(path)
    assert vault.read("name") == (b"1", 1)


@pytest.mark.parametrize("content", [b"", b"x", b"A" * 43, b"A" * 300, bytes(32), b"A" * 48])
def test_what_is_no_key_is_refused(path: Path, content: bytes) -> None:
    """And neither mended nor overwritten."""
    path.write_bytes(content)
    path.chmod(0o600)
    source = KeyFileKeySource(path)
    for attempt in (source.probe, lambda: source.create("v"), lambda: source.load("v", {})):
        with pytest.raises((VaultKeyError, VaultUnavailableError)):
            attempt()
    assert path.read_bytes() == content


def test_a_key_that_others_can_read_is_refused(path: Path) -> None:
    """The command that mends it is named."""
    KeyFileKeySource(path).create("v")
    path.chmod(0o640)
    with pytest.raises(VaultUnavailableError, match="chmod 600"):
        KeyFileKeySource(path).load("v", {})


def test_no_file_is_made_through_a_link(path: Path) -> None:
    """A link that leads to no file is an error, and stays as it is."""
    elsewhere = path.with_name("elsewhere")
    path.symlink_to(elsewhere)
    source = KeyFileKeySource(path)
    for attempt in (source.probe, lambda: source.create("v"), lambda: source.load("v", {})):
        with pytest.raises(VaultError):
            attempt()
    assert not elsewhere.exists()


def test_a_key_that_a_platform_mounts_is_read(path: Path) -> None:
    """Kubernetes mounts it as links, with mode 0440 or 0444."""
    data = path.with_name("..data")
    data.mkdir()
    (data / "vault.key").write_bytes(base64.b64encode(b"k" * 32))
    (data / "vault.key").chmod(0o440)
    path.symlink_to("..data/vault.key")
    source = KeyFileKeySource(path)
    source.probe()
    assert source.create("v").key == b"k" * 32
    assert source.load("v", {}) == b"k" * 32


def test_the_probe_leaves_nothing(path: Path) -> None:
    """It proves that the directory can be written."""
    KeyFileKeySource(path).probe()
    assert list(path.parent.iterdir()) == []
    with pytest.raises(VaultUnavailableError):
        KeyFileKeySource(path.parent / "missing" / "vault.key").probe()


def test_forgetting_leaves_the_file(path: Path) -> None:
    """It may be the key of another vault as well."""
    source = KeyFileKeySource(path)
    source.forget("v", source.create("v").parameters)
    assert path.exists()


def test_another_file_than_the_vault_s_is_no_loss(path: Path, tmp_path: Path) -> None:
    """The error says where the key is, and its steps end nothing."""
    parameters = KeyFileKeySource(path).create("v").parameters
    other = tmp_path / "mis typed.key"
    with pytest.raises(VaultUnavailableError, match="its key is in") as caught:
        KeyFileKeySource(other).load("v", parameters)
    assert str(path) in caught.value.message
    assert "reset" not in caught.value.next_step
    assert f"chest move --to keyfile --key-file '{other}'" in caught.value.next_step
    path.unlink()
    with pytest.raises(VaultKeyMissingError, match="Neither"):
        KeyFileKeySource(other).load("v", parameters)
