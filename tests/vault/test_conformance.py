"""Every storage with every key source keeps the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harbor_oauth.secret import Secret
from harbor_oauth.testing.vault_conformance import VaultConformance
from harbor_oauth.vault.keychain import KeychainKeySource
from harbor_oauth.vault.keyfile import KeyFileKeySource
from harbor_oauth.vault.keys import KeySource, MemoryKeySource
from harbor_oauth.vault.memory import MemoryStorage
from harbor_oauth.vault.passphrase import PassphraseKeySource
from harbor_oauth.vault.sqlite import SqliteStorage
from harbor_oauth.vault.storage import Storage


class _Keychain:
    """A keychain in a dictionary."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str, /) -> str | None:
        return self.items.get((service, username))

    def set_password(self, service: str, username: str, password: str, /) -> None:
        self.items[service, username] = password

    def delete_password(self, service: str, username: str, /) -> None:
        del self.items[service, username]


def _key_source(kind: str, directory: Path) -> KeySource:
    match kind:
        case "memory":
            return MemoryKeySource()
        case "keychain":
            return KeychainKeySource(keychain=_Keychain(), lock=directory / "keychain.lock")
        case "keyfile":
            return KeyFileKeySource(directory / "vault.key")
        case _:
            # The costs of a test, not of a vault: Argon2 is tested by itself.
            secret = Secret("correct horse")
            return PassphraseKeySource(lambda: secret, iterations=1, memory=64, lanes=1)


class _WithEachKeySource(VaultConformance):
    @pytest.fixture(params=["memory", "keychain", "keyfile", "passphrase"])
    def key_source(self, request: pytest.FixtureRequest, tmp_path: Path) -> KeySource:
        tmp_path.chmod(0o700)
        return _key_source(request.param, tmp_path)


class TestMemory(_WithEachKeySource):
    @pytest.fixture
    def storage(self) -> Storage:
        return MemoryStorage()


class TestSqlite(_WithEachKeySource):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[SqliteStorage]:
        storage = SqliteStorage(tmp_path / "home" / "vault.db")
        yield storage
        storage.close()

    @pytest.fixture
    def another(self, tmp_path: Path) -> Callable[[], Storage]:
        return lambda: SqliteStorage(tmp_path / "home" / "vault.db")
